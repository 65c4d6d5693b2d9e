//! A journal that is not what was written is found out, from a copy alone.

use crate::harness::{Node, shared};
use std::path::{Path, PathBuf};

fn scene() -> Node {
    let node = Node::new(shared());
    node.task("honest", "plugin = 'hostile'\n");
    for _ in 0..3 {
        node.run("honest").0.exits(0);
    }
    // Puts everything into the one file that is copied and altered.
    node.keepwell(&["audit", "checkpoint"]).exits(0);
    node
}

/// A folder with a copy of the journal.
fn copy(node: &Node, name: &str) -> PathBuf {
    let folder = node.scratch().join(name);
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(node.dir().join("state")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn verify(node: &Node, folder: &Path) -> crate::harness::Output {
    node.keepwell(&["audit", "verify", "--journal", folder.to_str().unwrap()])
}

/// Where `words` stand in the database, as the records hold them.
fn places(bytes: &[u8], words: &str) -> Vec<usize> {
    let at = bytes.windows(words.len()).enumerate();
    at.filter(|(_, w)| *w == words.as_bytes())
        .map(|(i, _)| i)
        .collect()
}

#[test]
fn a_flipped_byte_is_found_and_named() {
    let node = scene();
    let whole = copy(&node, "whole");
    verify(&node, &whole).exits(0);
    let database = std::fs::read(whole.join("journal.db")).unwrap();
    let leaves = places(&database, "still here");
    assert_eq!(leaves.len(), 3);
    // Also where the database keeps the kind once more, for filters.
    let kinds = places(&database, "worker-started");
    assert!(kinds.len() > 3, "{kinds:?}");
    let named = leaves.len();
    for (n, at) in leaves.into_iter().chain(kinds).enumerate() {
        let folder = copy(&node, &format!("flipped-{n}"));
        let mut bytes = database.clone();
        bytes[at] ^= 1;
        std::fs::write(folder.join("journal.db"), bytes).unwrap();
        let out = verify(&node, &folder);
        out.exits(1).says(&["the journal is not what was written"]);
        if n < named {
            out.says(&["entry"]);
        }
    }
    node.journal_is_whole();
}

#[test]
fn a_cut_journal_is_found() {
    let node = scene();
    let length = node
        .dir()
        .join("state/journal.db")
        .metadata()
        .unwrap()
        .len();
    for part in 0..4 {
        let folder = copy(&node, &format!("cut-{part}"));
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(folder.join("journal.db"))
            .unwrap();
        file.set_len(length * part / 4).unwrap();
        let out = verify(&node, &folder);
        assert_eq!(out.code, 1, "cut to {part}/4: {}", out.err);
    }
}

/// An older state of the journal is whole in itself; a checkpoint kept elsewhere gives it away.
#[test]
fn a_journal_put_back_to_an_older_state_is_found() {
    let node = scene();
    let older = copy(&node, "older");
    node.run("honest").0.exits(0);
    let note = node.scratch().join("checkpoint");
    std::fs::write(
        &note,
        node.keepwell(&["audit", "checkpoint"])
            .exits(0)
            .out
            .as_bytes(),
    )
    .unwrap();
    let with_note = |folder: &Path| {
        let (folder, note) = (folder.to_str().unwrap(), note.to_str().unwrap());
        node.keepwell(&["audit", "verify", "--journal", folder, "--checkpoint", note])
    };
    with_note(&node.dir().join("state")).exits(0);
    with_note(&older).exits(1);
}

/// The node's own key signs the checkpoints; those of another node are not taken.
#[test]
fn another_nodes_key_does_not_verify() {
    let node = scene();
    let key = node.keepwell(&["audit", "checkpoint", "--key"]);
    let key = key.exits(0).out.trim().to_owned();
    node.keepwell(&["audit", "verify", "--key", &key]).exits(0);
    let mut other = key;
    let last = other.pop().unwrap();
    other.push(if last == 'A' { 'B' } else { 'A' });
    assert_ne!(node.keepwell(&["audit", "verify", "--key", &other]).code, 0);
}

#[test]
fn an_entry_is_proved_without_the_journal() {
    let node = scene();
    let proof = node.keepwell(&["audit", "prove", "3", "-o", "json"]);
    assert!(proof.exits(0).json().is_object());
    assert_ne!(node.keepwell(&["audit", "prove", "99999"]).code, 0);
}
