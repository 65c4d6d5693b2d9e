//! `shard-verify` on stores that other programs made: whole, then with one byte flipped.

use crate::harness::{Node, command, have, shared, start, wait_for};
use keepwell_model::report::Report;
use std::path::{Path, PathBuf};

const TASK: &str = "plugin = 'scrub'\n[grant]\nshards = { stores = ['store'] }\n";

/// Flips a bit in the middle of a file.
fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    let mut writable = file.metadata().unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut writable, 0o600);
    std::fs::set_permissions(file, writable).unwrap();
    std::fs::write(file, bytes).unwrap();
}

/// Some file two levels below `dir`, the largest, so that it is never an empty one.
fn largest(dir: &Path) -> PathBuf {
    let mut files = vec![];
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let inner = std::fs::read_dir(&path).unwrap();
            files.extend(inner.map(|e| e.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    let size = |path: &PathBuf| path.metadata().unwrap().len();
    files.into_iter().max_by_key(size).unwrap()
}

fn verify(node: &Node) -> (i32, Report) {
    let (out, report) = node.run("shard-verify");
    (out.code, report)
}

/// Whole, then with a bit flipped in `victim`, which must be named; then whole again.
#[track_caller]
fn found(node: &Node, kind: &str, store: &Path, victim: &Path) {
    node.configure(&[], &[("store", kind, store)]);
    node.task("shard-verify", TASK);
    let (code, report) = verify(node);
    assert_eq!(code, 0, "{report:#?}");
    assert!(report.findings.is_empty(), "{:?}", report.findings);

    let good = std::fs::read(victim).unwrap();
    flip(victim);
    let (code, report) = verify(node);
    assert_eq!(code, 1, "{report:#?}");
    let name = victim.file_name().unwrap().to_str().unwrap();
    // git and others split a digest into a folder and a name.
    let named = report.findings.iter().any(|f| {
        let all = format!("{} {} {}", f.subject, f.title, f.detail);
        all.contains(name)
    });
    assert!(named, "`{name}` is not named: {:?}", report.findings);
    assert_eq!(report.applied.done, 0);

    std::fs::write(victim, good).unwrap();
    let (code, report) = verify(node);
    assert_eq!(code, 0, "{report:#?}");
    node.journal_is_whole();
}

fn noise(dir: &Path, files: usize) {
    std::fs::create_dir_all(dir).unwrap();
    let mut seed = 1u64;
    for n in 0..files {
        let mut bytes = Vec::new();
        for _ in 0..2_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.extend(seed.to_be_bytes());
        }
        std::fs::write(dir.join(format!("file-{n}")), bytes).unwrap();
    }
}

#[test]
fn restic() {
    if !have("restic") {
        return;
    }
    let node = Node::new(shared());
    let (store, files) = (node.scratch().join("restic"), node.scratch().join("files"));
    noise(&files, 20);
    let cache = node.scratch().join("cache");
    let set = [
        ("RESTIC_REPOSITORY", store.to_str().unwrap()),
        ("RESTIC_PASSWORD", "only for this test"),
        ("RESTIC_CACHE_DIR", cache.to_str().unwrap()),
    ];
    command("restic", &["init"], &set);
    command("restic", &["backup", files.to_str().unwrap()], &set);
    found(&node, "restic", &store, &largest(&store.join("data")));
}

#[test]
fn git() {
    if !have("git") {
        return;
    }
    let node = Node::new(shared());
    let tree = node.scratch().join("tree");
    noise(&tree, 30);
    let place = tree.to_str().unwrap();
    let git = |args: &[&str]| {
        let plain = [
            &[
                "-C",
                place,
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.invalid",
                "-c",
                "gc.auto=0",
            ],
            args,
        ];
        let home = node.scratch().to_str().unwrap();
        command(
            "git",
            &plain.concat(),
            &[("GIT_CONFIG_NOSYSTEM", "1"), ("HOME", home)],
        );
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "all"]);
    let objects = tree.join(".git/objects");
    found(&node, "git-loose", &objects, &largest(&objects));
}

#[test]
fn oci() {
    if !have("umoci") {
        return;
    }
    let node = Node::new(shared());
    let (layout, files) = (node.scratch().join("oci"), node.scratch().join("files"));
    noise(&files, 5);
    let image = format!("{}:test", layout.to_str().unwrap());
    command(
        "umoci",
        &["init", "--layout", layout.to_str().unwrap()],
        &[],
    );
    command("umoci", &["new", "--image", &image], &[]);
    let insert = [
        "insert",
        "--image",
        &image,
        files.to_str().unwrap(),
        "/files",
    ];
    command("umoci", &insert, &[]);
    // `insert` leaves blobs of the image before it, which nothing reaches any more.
    command("umoci", &["gc", "--layout", layout.to_str().unwrap()], &[]);
    found(&node, "oci", &layout, &largest(&layout.join("blobs")));
}

#[test]
fn sha256sums() {
    if !have("sha256sum") {
        return;
    }
    let node = Node::new(shared());
    let store = node.scratch().join("list");
    noise(&store, 10);
    let list = format!("cd '{}' && sha256sum file-* > SHA256SUMS", store.display());
    command("sh", &["-c", &list], &[]);
    found(&node, "sha256sums", &store, &store.join("file-3"));
}

/// A store larger than one slice's budget: each slice goes on where the one before stopped, also
/// after one that was killed, and when all is read each shard was read once.
#[test]
fn slices_go_on_where_the_last_one_stopped() {
    if !have("sha256sum") {
        return;
    }
    let node = Node::new(shared());
    let store = node.scratch().join("list");
    noise(&store, 30);
    let list = format!("cd '{}' && sha256sum file-* > SHA256SUMS", store.display());
    command("sh", &["-c", &list], &[]);
    node.configure(&[], &[("store", "sha256sums", &store)]);
    // Ten of the thirty files, of 16,000 bytes each.
    let slice = format!("settings = {{ max-bytes = '160000B' }}\n{TASK}");
    node.task("shard-verify", &slice);
    let verified = || {
        let status = node
            .keepwell(&["store", "status", "-o", "json"])
            .exits(0)
            .json();
        status[0]["states"]["ok"].as_u64().unwrap_or(0)
    };
    for slice in 1..=3 {
        let (_, report) = verify(&node);
        let summary = report.summary.unwrap();
        let data: serde_json::Value = serde_json::from_str(&summary.data).unwrap();
        assert_eq!(data["states"]["ok"], 10, "slice {slice}: {}", summary.line);
        assert_eq!(verified(), slice * 10, "slice {slice} read others again");
        if slice == 1 {
            let mut child = start(Some(&node.dir()), &["run", "shard-verify", "-o", "jsonl"]);
            let _pipe = wait_for(&mut child, "worker-started");
            child.kill().unwrap();
            child.wait().unwrap();
            // What it had read is either remembered or read again.
            let known = verified();
            assert!((10..=20).contains(&known), "{known}");
            if known > 10 {
                // It was nearly done: the next two slices have less to read.
                return;
            }
        }
    }
    let (code, report) = verify(&node);
    assert_eq!((code, verified()), (0, 30), "{report:#?}");
    node.journal_is_whole();
}

/// Nothing there, nothing in it, or cut off: never `all is well`.
#[test]
fn a_store_that_is_missing_or_empty_is_not_well() {
    let node = Node::new(shared());
    node.task("shard-verify", TASK);
    let store = node.scratch().join("store");
    for kind in ["restic", "oci", "git-loose", "sha256sums"] {
        node.configure(&[], &[("store", kind, &store)]);
        let (code, report) = verify(&node);
        assert_ne!(code, 0, "{kind}, not there: {report:#?}");
        std::fs::create_dir(&store).unwrap();
        let (code, report) = verify(&node);
        assert_ne!(code, 0, "{kind}, empty: {report:#?}");
        std::fs::remove_dir(&store).unwrap();
    }
    node.journal_is_whole();
}
