//! `kill -9` at every stage of a run. Whatever the moment, the next start says what was
//! interrupted, `runs resume` finishes what was approved, and `undo` brings everything back.

use crate::cleaning::TASK;
use crate::harness::{Aged, Node, Snapshot, age, shared, snapshot, start, wait_for};
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use std::os::unix::fs::symlink;
use std::time::Duration;

/// Enough that applying takes a while.
const FILES: usize = 3_000;

fn scene() -> (Node, Snapshot) {
    let node = Node::new(shared());
    node.task("temp-clean", TASK);
    for n in 0..FILES {
        let dir = node.root().join(format!("dir-{}", n % 30));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join(format!("file-{n}"));
        std::fs::write(&file, n.to_string()).unwrap();
        age(&file, Aged::days(10));
    }
    let before = snapshot(&node.root());
    (node, before)
}

/// Kills the program `after` it said that `kind` happened.
fn kill_at(node: &Node, kind: &str, after: Duration) {
    let mut child = start(Some(&node.dir()), &["run", "temp-clean", "-o", "jsonl"]);
    let _pipe = wait_for(&mut child, kind);
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn last(node: &Node) -> Report {
    node.keepwell(&["runs", "show", "last", "-o", "json"])
        .report()
}

/// After the kill: the next start, resume, undo. Gives the state that the next start found.
fn recover(node: &Node, before: &Snapshot) -> RunState {
    // Opening the node is what marks the run.
    node.keepwell(&["audit", "checkpoint"]).exits(0);
    let found = last(node);
    assert_ne!(found.state, RunState::Running, "nobody marked it");
    if found.state == RunState::Interrupted {
        let out = node.keepwell(&["runs", "resume", "last"]);
        if out.code == 2 {
            out.says(&["nothing to resume"]);
            assert!(
                found.applied.open.is_none(),
                "an open intent was not settled"
            );
        } else {
            assert!([0, 3].contains(&out.code), "{}: {}", out.code, out.err);
            let resumed = last(node);
            assert_eq!(resumed.applied.done, FILES as u64, "{:?}", resumed.applied);
            assert_eq!(resumed.applied.open, None);
        }
    }
    let ended = last(node);
    if ended.applied.next > 0 {
        node.keepwell(&["undo", "last"]).exits(0);
    }
    as_before(node, before);
    found.state
}

/// A run that was killed before its first intent may leave its folder with its manifest, which
/// expires as others do. What was moved lies in such a folder under a number.
fn holds_nothing_moved(path: &[u8]) -> bool {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    path.starts_with(b".keepwell") && !name.iter().all(u8::is_ascii_digit)
}

/// Everything but the mtime of directories: what a crash may lose is written there only after a
/// batch. Without a crash these come back too, as `cleaning` tests.
#[track_caller]
fn as_before(node: &Node, before: &Snapshot) {
    let mut after = snapshot(&node.root());
    after.retain(|path, _| !holds_nothing_moved(path));
    for (path, entry) in before {
        let name = String::from_utf8_lossy(path);
        let there = after
            .get(path)
            .unwrap_or_else(|| panic!("`{name}` is not there"));
        assert!(
            there.same_but_for_time(entry),
            "`{name}` was {entry:?}, is {there:?}"
        );
    }
    assert_eq!(
        after.len(),
        before.len(),
        "something is left: {:?}",
        after.keys()
    );
}

#[test]
fn killed_at_every_stage() {
    let (node, before) = scene();
    let kinds = [
        "run-due",
        "run-granted",
        "worker-started",
        "looked",
        "plan-sealed",
        "approved",
        "intended",
        "outcome",
    ];
    for kind in kinds {
        kill_at(&node, kind, Duration::ZERO);
        let state = recover(&node, &before);
        let early = kind != "outcome";
        assert!(!early || state == RunState::Interrupted, "{kind}: {state}");
    }
    node.journal_is_whole();
}

#[test]
fn killed_at_many_moments_of_applying() {
    let (node, before) = scene();
    let mut interrupted = 0;
    for ms in [0, 1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256] {
        kill_at(&node, "intended", Duration::from_millis(ms));
        if recover(&node, &before) == RunState::Interrupted {
            interrupted += 1;
        }
    }
    assert!(interrupted >= 4, "only {interrupted} kills came in time");
    node.journal_is_whole();
}

#[test]
fn killed_while_undoing() {
    let (node, before) = scene();
    for ms in [0, 20, 80] {
        assert_eq!(node.run("temp-clean").1.applied.done, FILES as u64);
        let mut child = start(Some(&node.dir()), &["undo", "last", "-o", "jsonl"]);
        std::thread::sleep(Duration::from_millis(40 + ms));
        child.kill().unwrap();
        child.wait().unwrap();
        node.keepwell(&["undo", "last"]).exits(0);
        as_before(&node, &before);
    }
}

/// Between look and apply, as far as a resumed plan goes: nothing is done through the link.
#[test]
fn a_root_replaced_by_a_link_is_not_resumed_into() {
    let (node, before) = scene();
    kill_at(&node, "approved", Duration::ZERO);
    let moved = node.scratch().join("moved");
    std::fs::rename(node.root(), &moved).unwrap();
    let now = snapshot(&moved);
    symlink(&moved, node.root()).unwrap();
    let out = node.keepwell(&["runs", "resume", "last"]);
    assert!([1, 4].contains(&out.code), "{}: {}", out.code, out.err);
    assert!(snapshot(&moved) == now);
    std::fs::remove_file(node.root()).unwrap();
    std::fs::rename(&moved, node.root()).unwrap();
    let out = node.keepwell(&["runs", "resume", "last"]);
    assert!([0, 2, 3].contains(&out.code), "{}: {}", out.code, out.err);
    if last(&node).applied.next > 0 {
        node.keepwell(&["undo", "last"]).exits(0);
    }
    as_before(&node, &before);
}
