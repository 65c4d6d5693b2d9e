//! Stores made by the real tools, damaged, and compared with what the tools say themselves.

use super::scratch::{Scratch, alter_file, config, noise};
use keepwell_model::store::{State, StoreKind};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Runs a tool in `dir`, without the operator's own configuration.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests make stores with the real tools"
)]
fn run(dir: &Path, tool: &str, args: &[&str]) -> std::io::Result<Output> {
    std::process::Command::new(tool)
        .args(args)
        .current_dir(dir)
        .env("HOME", dir)
        .env("RESTIC_PASSWORD", "correct horse")
        .env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "a")
        .env("GIT_AUTHOR_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_NAME", "a")
        .env("GIT_COMMITTER_EMAIL", "a@example.com")
        .output()
}

fn must(dir: &Path, tool: &str, args: &[&str]) {
    let out = run(dir, tool, args).unwrap();
    let err = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{tool} {args:?}: {err}");
}

/// Whether the tool is there. In CI it must be.
fn have(tool: &str) -> bool {
    let there = run(Path::new("/"), tool, &["--version"]).is_ok()
        || run(Path::new("/"), tool, &["version"]).is_ok();
    if !there {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "{tool} is not installed"
        );
        eprintln!("SKIPPED: {tool} is not installed");
    }
    there
}

/// A scratch whose store the caller makes at `root`.
fn scratch(kind: StoreKind) -> (Scratch, PathBuf) {
    let scratch = Scratch::new(kind);
    let home = scratch.root.parent().unwrap().to_owned();
    fs::create_dir(home.join("files")).unwrap();
    for seed in 0..8 {
        let bytes = noise(seed, 400_000);
        fs::write(home.join(format!("files/{seed}")), bytes).unwrap();
    }
    (scratch, home)
}

fn restic() -> Option<(Scratch, PathBuf)> {
    if !have("restic") {
        return None;
    }
    let (scratch, home) = scratch(StoreKind::Restic);
    let restic = |args: &[&str]| {
        must(
            &home,
            "restic",
            &[&["-r", "store", "--no-cache"], args].concat(),
        );
    };
    restic(&["init"]);
    restic(&["backup", "files"]);
    fs::write(home.join("files/new"), noise(99, 300_000)).unwrap();
    restic(&["backup", "files"]);
    restic(&["forget", "--keep-last", "1", "--prune"]);
    Some((scratch, home))
}

fn largest(scratch: &Scratch, glob: &str) -> String {
    let listing = scratch.list(&[glob], 0).unwrap();
    let largest = listing.shards().iter().max_by_key(|s| s.bytes).unwrap();
    largest.name.clone()
}

#[test]
fn restic_agrees_about_flips_and_cuts() {
    let Some((mut scratch, home)) = restic() else {
        return;
    };
    let check = |how: &[&str]| {
        let args = ["-r", "store", "--no-cache", "check"];
        let args = [&args, how].concat();
        run(&home, "restic", &args).unwrap().status.success()
    };
    let oracle = || check(&["--read-data"]);
    assert!(oracle());
    let told = scratch.verify();
    assert!(told.bad().is_empty(), "{:?}", told.bad());
    assert!(told.verdicts.len() >= 4);
    let pack = largest(&scratch, "data/**");
    let len = fs::metadata(scratch.path(&pack)).unwrap().len() as usize;
    for (at, want) in [
        (0, State::Corrupt),
        (len / 2, State::Corrupt),
        (len - 1, State::Corrupt),
    ] {
        let flip = |b: &mut Vec<u8>| b[at] ^= 1;
        alter_file(&scratch.path(&pack), flip);
        assert!(!oracle(), "restic found nothing at {at}");
        assert_eq!(scratch.verify().state(&pack), Some(want), "{at}");
        alter_file(&scratch.path(&pack), flip);
    }
    assert!(oracle() && scratch.verify().bad().is_empty());
    scratch.alter(&pack, |b| b.truncate(len - 1));
    assert!(!oracle());
    assert_eq!(scratch.verify().state(&pack), Some(State::Truncated));
    fs::remove_file(scratch.path(&pack)).unwrap();
    // Without reading: for what it cannot open, restic waits and tries again for 40 seconds.
    assert!(!check(&[]));
    let told = scratch.verify();
    assert_eq!(told.bad().len(), 1);
    assert_eq!(told.state(&pack), Some(State::Vanished));
}

#[test]
fn git_objects_verify_until_they_are_damaged() {
    if !have("git") {
        return;
    }
    let (mut scratch, home) = scratch(StoreKind::GitLoose);
    let git = |args: &[&str]| must(&home, "git", &[&["-C", "store"], args].concat());
    git(&["init", "-q"]);
    for seed in 0..8 {
        fs::copy(
            home.join(format!("files/{seed}")),
            scratch.path(&format!("f{seed}")),
        )
        .unwrap();
    }
    // One that compresses well.
    fs::write(scratch.path("zeros"), vec![0; 3 << 20]).unwrap();
    git(&["add", "."]);
    git(&["commit", "-qm", "all"]);
    let fsck = || run(&home, "git", &["-C", "store", "fsck", "--full"]).unwrap();
    assert!(fsck().status.success());
    let told = scratch.verify();
    assert_eq!(told.verdicts.len(), 11);
    assert!(told.bad().is_empty(), "{:?}", told.bad());
    // The same store by its other two paths.
    for path in [".git", ".git/objects"] {
        scratch.config = config(StoreKind::GitLoose, &scratch.root.join(path));
        assert_eq!(scratch.list(&[], 0).unwrap().shards().len(), 11);
    }
    let objects = scratch.root.join(".git/objects");
    let name = largest(&scratch, "**");
    let path = objects.join(&name);
    let len = fs::metadata(&path).unwrap().len() as usize;
    alter_file(&path, |b| b[len / 2] ^= 4);
    assert!(!fsck().status.success());
    assert_eq!(scratch.verify().state(&name), Some(State::Corrupt));
    alter_file(&path, |b| {
        b[len / 2] ^= 4;
        b.truncate(len / 2);
    });
    assert!(!fsck().status.success());
    assert_eq!(scratch.verify().state(&name), Some(State::Truncated));
}

#[test]
fn git_may_pack_all_its_loose_objects() {
    if !have("git") {
        return;
    }
    let (mut scratch, home) = scratch(StoreKind::GitLoose);
    let git = |args: &[&str]| must(&home, "git", &[&["-C", "store"], args].concat());
    git(&["init", "-q", "--bare"]);
    must(
        &home,
        "git",
        &["-C", "store", "hash-object", "-w", "../files/1"],
    );
    assert_eq!(scratch.verify().count(State::Ok), 1);
    git(&["config", "gc.pruneExpire", "now"]);
    git(&["gc", "-q", "--prune=now"]);
    let told = scratch.verify();
    assert_eq!(told.verdicts.len(), told.count(State::Vanished));
}

#[test]
fn packs_of_git_verify_until_they_are_damaged() {
    if !have("git") {
        return;
    }
    let (mut scratch, home) = scratch(StoreKind::Git);
    let git = |args: &[&str]| must(&home, "git", &[&["-C", "store"], args].concat());
    git(&["init", "-q", "--bare"]);
    git(&["--work-tree=../files", "add", "."]);
    git(&["--work-tree=../files", "commit", "-qm", "all"]);
    assert!(scratch.verify().count(State::Ok) >= 10);
    git(&["gc", "-q"]);
    let fsck = || run(&home, "git", &["-C", "store", "fsck", "--full"]).unwrap();
    assert!(fsck().status.success());
    let told = scratch.verify();
    let bad = told.bad();
    assert!(
        bad.iter().all(|(_, state)| *state == State::Vanished),
        "{bad:?}"
    );
    assert!(told.count(State::Ok) >= 2, "a pack and its index");
    for ending in ["pack", "idx"] {
        let name = largest(&scratch, &format!("pack/*.{ending}"));
        let path = scratch.path(&format!("objects/{name}"));
        let len = fs::metadata(&path).unwrap().len() as usize;
        for at in [0, len / 2, len - 1] {
            let flip = |b: &mut Vec<u8>| b[at] ^= 1;
            alter_file(&path, flip);
            assert!(
                !fsck().status.success(),
                "git finds nothing in {ending} at {at}"
            );
            assert_eq!(
                scratch.verify().state(&name),
                Some(State::Corrupt),
                "{ending} {at}"
            );
            alter_file(&path, flip);
        }
    }
    assert!(fsck().status.success() && scratch.verify().bad().is_empty());
}

#[test]
fn segments_of_borg_verify_until_they_are_damaged() {
    if !have("borg") {
        return;
    }
    let (mut scratch, home) = scratch(StoreKind::Borg1);
    fs::remove_dir(&scratch.root).unwrap();
    must(&home, "borg", &["init", "--encryption=none", "store"]);
    must(&home, "borg", &["create", "store::first", "files"]);
    fs::write(home.join("files/new"), noise(99, 300_000)).unwrap();
    must(&home, "borg", &["create", "store::second", "files"]);
    must(&home, "borg", &["delete", "store::first"]);
    let check = || {
        let args = ["check", "--repository-only", "store"];
        run(&home, "borg", &args).unwrap().status.success()
    };
    assert!(check());
    let told = scratch.verify();
    assert!(told.bad().is_empty(), "{:?}", told.bad());
    assert!(told.count(State::Ok) >= 3);
    let segment = largest(&scratch, "data/**");
    let len = fs::metadata(scratch.path(&segment)).unwrap().len() as usize;
    for at in [0, 8, 12, len / 2, len - 1] {
        let flip = |b: &mut Vec<u8>| b[at] ^= 1;
        alter_file(&scratch.path(&segment), flip);
        assert!(!check(), "borg finds nothing at {at}");
        assert_eq!(
            scratch.verify().state(&segment),
            Some(State::Corrupt),
            "{at}"
        );
        alter_file(&scratch.path(&segment), flip);
    }
    assert!(check() && scratch.verify().bad().is_empty());
    scratch.alter(&segment, |b| b.truncate(len - 1));
    assert!(!check());
    assert_eq!(scratch.verify().state(&segment), Some(State::Truncated));
}

#[test]
fn an_image_of_umoci_is_whole_and_then_not() {
    if !have("umoci") {
        return;
    }
    let (mut scratch, home) = scratch(StoreKind::Oci);
    fs::remove_dir(&scratch.root).unwrap();
    must(&home, "umoci", &["init", "--layout", "store"]);
    must(&home, "umoci", &["new", "--image", "store:v1"]);
    must(
        &home,
        "umoci",
        &[
            "insert",
            "--rootless",
            "--image",
            "store:v1",
            "files",
            "/files",
        ],
    );
    let told = scratch.verify();
    assert!(told.bad().is_empty(), "{:?}", told.bad());
    assert!(told.verdicts.len() >= 3);
    copied_by_skopeo(&home);
    let layer = largest(&scratch, "**");
    scratch.alter(&layer, |b| b[100] ^= 1);
    assert_eq!(scratch.verify().state(&layer), Some(State::Corrupt));
    fs::remove_file(scratch.path(&layer)).unwrap();
    assert_eq!(scratch.verify().state(&layer), Some(State::Missing));
}

/// The same image, laid out by another tool.
fn copied_by_skopeo(home: &Path) {
    if !have("skopeo") {
        return;
    }
    let args = ["copy", "--insecure-policy", "oci:store:v1", "oci:copy:v1"];
    must(home, "skopeo", &args);
    let mut copy = Scratch::new(StoreKind::Oci);
    copy.config = config(StoreKind::Oci, &home.join("copy"));
    let told = copy.verify();
    assert!(told.bad().is_empty(), "{:?}", told.bad());
    assert!(told.verdicts.len() >= 3);
}

#[test]
fn chunks_of_casync_are_whole_and_then_not() {
    if !have("casync") {
        return;
    }
    let (mut scratch, home) = scratch(StoreKind::Casync);
    fs::remove_dir(&scratch.root).unwrap();
    let args = ["make", "--store=store", "files.caidx", "files"];
    must(&home, "casync", &args);
    let told = scratch.verify();
    assert!(told.bad().is_empty(), "{:?}", told.bad());
    assert!(told.count(State::Ok) >= 8, "{}", told.verdicts.len());
    let chunk = largest(&scratch, "**");
    let extract = |to: &str| {
        let args = ["extract", "--store=store", "files.caidx", to];
        run(&home, "casync", &args).unwrap().status.success()
    };
    assert!(extract("whole"));
    scratch.alter(&chunk, |b| {
        let middle = b.len() / 2;
        b[middle] ^= 1;
    });
    assert!(!extract("flipped"));
    assert_eq!(scratch.verify().state(&chunk), Some(State::Corrupt));
    fs::remove_file(scratch.path(&chunk)).unwrap();
    assert!(!extract("gone"));
    assert_eq!(scratch.verify().state(&chunk), Some(State::Vanished));
}

#[test]
fn metadata_of_ostree_is_whole_and_then_not() {
    if !have("ostree") {
        return;
    }
    let (mut scratch, home) = scratch(StoreKind::OstreeMeta);
    fs::remove_dir(&scratch.root).unwrap();
    must(&home, "ostree", &["init", "--repo=store", "--mode=archive"]);
    let commit = ["commit", "--repo=store", "--branch=main", "files"];
    must(&home, "ostree", &commit);
    let fsck = || {
        let out = run(&home, "ostree", &["fsck", "--repo=store"]).unwrap();
        out.status.success()
    };
    assert!(fsck());
    let told = scratch.verify();
    // A commit, a directory, and what the directory's owner and mode are.
    assert_eq!(told.count(State::Ok), 3);
    assert!(told.bad().is_empty(), "{:?}", told.bad());
    for ending in ["commit", "dirtree", "dirmeta"] {
        let name = largest(&scratch, &format!("objects/*/*.{ending}"));
        let flip = |b: &mut Vec<u8>| *b.last_mut().unwrap() ^= 1;
        alter_file(&scratch.path(&name), flip);
        assert!(!fsck(), "ostree finds nothing in a {ending}");
        assert_eq!(scratch.verify().state(&name), Some(State::Corrupt));
        alter_file(&scratch.path(&name), flip);
    }
    assert!(fsck() && scratch.verify().bad().is_empty());
}
