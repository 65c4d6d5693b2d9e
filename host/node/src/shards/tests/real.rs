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
