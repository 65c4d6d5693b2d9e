//! The stores to verify: the blobs always, a restic repository and a git object store when those
//! tools are installed. Each holds damage that must be found.

use super::{blobs, damage};
use crate::error::{Error, Result};
use crate::figures::{bytes, grouped};
use crate::noise::Noise;
use crate::places::{make_dir, tool_is_there, write};
use crate::step::{command, expect_success};
use std::path::{Path, PathBuf};

/// A store as it is given to `keepwell init`, and the shards that are no longer whole, by the
/// part of their name that a finding must contain.
#[derive(Debug)]
pub(crate) struct Damaged {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) damaged: Vec<(&'static str, String)>,
}

/// A store and the line that describes it.
type Made = Result<(Damaged, String)>;
/// Makes a store below the demo's folder.
type Maker = fn(&Path) -> Made;

/// Makes all that can be made here, one line for each. restic stretches its password for seconds,
/// so the stores are made side by side.
pub(crate) fn make_all(demo: &Path) -> Result<Vec<Damaged>> {
    let optional: [(&str, Maker); 2] = [("restic", restic), ("git", git)];
    let made: Vec<Option<Made>> = std::thread::scope(|scope| {
        let threads = optional
            .map(|(tool, make)| tool_is_there(tool).then(|| scope.spawn(move || make(demo))));
        let mut made = vec![Some(oci(demo))];
        made.extend(threads.map(|thread| {
            let thread = thread?;
            Some(thread.join().unwrap_or_else(|_| {
                Err(Error::Unexpected(
                    "making a store for the demo panicked".into(),
                ))
            }))
        }));
        made
    });
    let names = ["blobs", "restic", "git"];
    let mut stores = Vec::new();
    for (name, made) in names.into_iter().zip(made) {
        match made {
            Some(made) => {
                let (store, line) = made?;
                println!("  {name:<7} {line}");
                stores.push(store);
            }
            None => println!("  {name:<7} skipped: {name} is not installed"),
        }
    }
    Ok(stores)
}

fn oci(demo: &Path) -> Made {
    let path = demo.join("blobs");
    let made = blobs::make(&path)?;
    let line = format!(
        "{} blobs, {}, as an OCI layout: one bit flipped, one truncated, one missing",
        grouped(made.blobs),
        bytes(made.bytes)
    );
    let store = Damaged {
        name: "blobs",
        kind: "oci",
        path,
        damaged: vec![
            ("corrupt", made.flipped),
            ("truncated", made.cut),
            ("missing", made.missing),
        ],
    };
    Ok((store, line))
}

/// Folders and files with content for a backup; the seed keeps two of them apart.
fn content(dir: &Path, seed: u64, files: u64, max_bytes: u64) -> Result<()> {
    let mut noise = Noise::new(seed);
    make_dir(dir)?;
    for file in 0..files {
        let length = usize::try_from(1 + noise.below(max_bytes)).unwrap_or(1);
        write(&dir.join(format!("file-{file:03}")), noise.bytes(length))?;
    }
    Ok(())
}

fn restic(demo: &Path) -> Made {
    let source = demo.join("restic-source");
    content(&source, 3, 60, 400 << 10)?;
    let path = demo.join("restic");
    for words in [vec!["init"], vec!["backup", "."]] {
        let mut it = command("restic");
        it.current_dir(&source)
            .arg("--repo")
            .arg(&path)
            .args(["--no-cache", "--quiet"])
            .args(words)
            .env("RESTIC_PASSWORD", "demo");
        expect_success(&mut it)?;
    }
    let packs = files_below(&path.join("data"))?;
    let pack = packs
        .first()
        .ok_or_else(|| Error::Unexpected("restic made no packs".into()))?;
    damage::flip_file(pack)?;
    let line = format!(
        "{} packs by the real restic: one bit flipped; the node holds no password",
        packs.len()
    );
    let store = Damaged {
        name: "restic",
        kind: "restic",
        damaged: vec![("corrupt", file_name(pack))],
        path,
    };
    Ok((store, line))
}

fn git(demo: &Path) -> Made {
    let work = demo.join("git");
    content(&work, 4, 60, 20 << 10)?;
    for words in [
        vec!["init", "--quiet"],
        vec!["add", "."],
        vec!["commit", "--quiet", "--message", "Files for the demo"],
    ] {
        let mut it = command("git");
        it.current_dir(&work)
            .args(["-c", "init.defaultBranch=main", "-c", "gc.auto=0"])
            .args([
                "-c",
                "commit.gpgSign=false",
                "-c",
                "core.hooksPath=/dev/null",
            ])
            .args(["-c", "user.name=demo", "-c", "user.email=demo@localhost"])
            .args(words)
            // A person's own settings, and a repository around ours, must not reach in.
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE");
        expect_success(&mut it)?;
    }
    let path = work.join(".git").join("objects");
    let objects = files_below(&path)?;
    let object = objects
        .first()
        .ok_or_else(|| Error::Unexpected("git made no objects".into()))?;
    damage::flip_file(object)?;
    let line = format!(
        "{} loose objects by the real git: one bit flipped",
        objects.len()
    );
    let store = Damaged {
        name: "git",
        kind: "git-loose",
        damaged: vec![("corrupt", file_name(object))],
        path,
    };
    Ok((store, line))
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// All regular files, longest first, ties by path: the longest surely has a middle to damage.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).map_err(Error::io("read", &dir))? {
            let entry = entry.map_err(Error::io("read", &dir))?;
            let about = entry.metadata().map_err(Error::io("look at", &dir))?;
            if about.is_dir() {
                open.push(entry.path());
            } else if about.is_file() {
                found.push((std::cmp::Reverse(about.len()), entry.path()));
            }
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    #[test]
    fn files_come_longest_first() {
        let dir = tempfile::tempdir().unwrap();
        content(&dir.path().join("a/b"), 1, 5, 100).unwrap();
        write(&dir.path().join("a/long"), [0; 200]).unwrap();
        let found = files_below(dir.path()).unwrap();
        assert_eq!(found.len(), 6);
        assert_eq!(file_name(&found[0]), "long");
    }

    /// Visibly skipped on a person's machine, failed where `CI=true`.
    fn has(tool: &str) -> bool {
        let there = tool_is_there(tool);
        if !there {
            assert!(
                std::env::var_os("CI").is_none_or(|v| v != "true"),
                "{tool} is not installed"
            );
            eprintln!("skipped: {tool} is not installed");
        }
        there
    }

    #[test]
    fn exactly_one_pack_of_the_real_restic_is_damaged() {
        if !has("restic") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (made, _) = restic(dir.path()).unwrap();
        let wrong: Vec<String> = files_below(&made.path.join("data"))
            .unwrap()
            .iter()
            .filter(|path| {
                let digest = Sha256::digest(std::fs::read(path).unwrap());
                data_encoding::HEXLOWER.encode(&digest) != file_name(path)
            })
            .map(|path| file_name(path))
            .collect();
        assert_eq!(wrong, [made.damaged[0].1.clone()]);
    }

    #[test]
    fn the_real_git_finds_the_damaged_object_too() {
        if !has("git") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (made, _) = git(dir.path()).unwrap();
        let mut fsck = command("git");
        fsck.current_dir(dir.path().join("git"))
            .args(["fsck", "--full"])
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = crate::step::capture(&mut fsck).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains(&made.damaged[0].1), "{said}");
    }
}
