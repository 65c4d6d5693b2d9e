//! `kill -9` at every stage of a run, its resumption and its undo. Whatever the moment, the next
//! start says what was interrupted, `runs resume` finishes what was approved, and `undo` brings
//! everything back: nothing lost, nothing twice.

use crate::cleaning::TASK;
use crate::harness::{Aged, Daemon, Node, Snapshot, age, shared, snapshot, start, wait_for};
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Enough that applying takes a while.
const FILES: usize = 3_000;
/// Rounds of the loop, each at another moment.
const ROUNDS: usize = 200;
/// Enough that a kill falls between two actions, few enough for so many rounds.
const ROUND_FILES: usize = 400;
/// Nodes that are killed beside each other.
const LANES: usize = 4;
/// What a run tells of itself, from left to right.
const KINDS: [&str; 8] = [
    "run-due",
    "run-granted",
    "worker-started",
    "looked",
    "plan-sealed",
    "approved",
    "intended",
    "outcome",
];

fn scene() -> (Node, Snapshot) {
    filled(Node::new(shared()), FILES)
}

fn filled(node: Node, files: usize) -> (Node, Snapshot) {
    node.task("temp-clean", TASK);
    for n in 0..files {
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
fn kill_at(node: &Node, verb: &[&str], kind: &str, after: Duration) {
    let mut child = start(Some(&node.dir()), &[verb, &["-o", "jsonl"]].concat());
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
fn recover(node: &Node, before: &Snapshot, files: usize, also: Also) -> RunState {
    // Opening the node is what marks the run.
    node.keepwell(&["audit", "checkpoint"]).exits(0);
    let found = last(node);
    assert_ne!(found.state, RunState::Running, "nobody marked it");
    let can_go_on = found.state == RunState::Interrupted && approved(node);
    if can_go_on && also == Also::Resume {
        let moment = Duration::from_millis(found.started % 7);
        kill_at(node, &["runs", "resume", "last"], "run-resumed", moment);
        node.keepwell(&["audit", "checkpoint"]).exits(0);
    }
    let cut_off = last(node);
    if cut_off.state == RunState::Interrupted {
        let out = node.keepwell(&["runs", "resume", "last"]);
        if out.code == 2 {
            out.says(&["nothing to resume"]);
            assert!(
                cut_off.applied.open.is_none(),
                "an open intent was not settled"
            );
        } else {
            assert!([0, 3].contains(&out.code), "{}: {}", out.code, out.err);
        }
    }
    let ended = last(node);
    if ended.applied.next > 0 {
        assert_eq!(ended.applied.done, files as u64, "{:?}", ended.applied);
        assert_eq!((ended.applied.open, ended.applied.not_done), (None, 0));
        assert_eq!(moved(node), files, "each is moved once");
        if also == Also::Undo {
            let moment = Duration::from_millis(found.started % 7);
            kill_at(node, &["undo", "last"], "undo-intended", moment);
        }
        node.keepwell(&["undo", "last"]).exits(0);
    }
    as_before(node, before);
    found.state
}

/// What is killed beside the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Also {
    Nothing,
    Resume,
    Undo,
}

/// It can be resumed, so that killing the resumption says something.
fn approved(node: &Node) -> bool {
    let last = last(node);
    let how = ["--kind", "approved", "--run", &last.run.to_string()];
    let whole = last
        .plan
        .as_ref()
        .is_some_and(|plan| last.applied.open.is_none() && last.applied.next >= plan.actions);
    !node.journal(&how).is_empty() && !whole
}

/// Entries in quarantine, and none of them in its place as well: the tree shows that.
fn moved(node: &Node) -> usize {
    let all = snapshot(&node.root());
    let in_place = all.keys().filter(|path| path.starts_with(b"dir-"));
    let files = in_place.filter(|path| path.contains(&b'/')).count();
    assert_eq!(files, 0, "some are where they were");
    all.keys().filter(|path| !holds_nothing_moved(path)).count() - folders(&all)
}

fn folders(all: &Snapshot) -> usize {
    all.keys().filter(|path| !path.contains(&b'/')).count() - 1
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
    // A run may have been killed just before or just after it made its folder.
    let files = |mut all: Snapshot| {
        all.retain(|path, _| !holds_nothing_moved(path));
        all
    };
    let (before, after) = (&files(before.clone()), files(snapshot(&node.root())));
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

/// Two hundred kills: at each stage in turn, and at ever other moments after it.
#[test]
fn killed_two_hundred_times() {
    let next = AtomicUsize::new(0);
    let interrupted = AtomicUsize::new(0);
    let lane = || {
        let (node, before) = filled(Node::new(shared()), ROUND_FILES);
        loop {
            let round = next.fetch_add(1, Ordering::Relaxed);
            if round >= ROUNDS {
                return;
            }
            let kind = KINDS[round % KINDS.len()];
            // Each stage is killed at once, and at ever later moments.
            let after = Duration::from_micros((round / KINDS.len() * 700) as u64);
            kill_at(&node, &["run", "temp-clean"], kind, after);
            let also = [Also::Nothing, Also::Resume, Also::Undo][round % 3];
            if recover(&node, &before, ROUND_FILES, also) == RunState::Interrupted {
                interrupted.fetch_add(1, Ordering::Relaxed);
            }
            node.journal_is_whole();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(lane);
        }
    });
    let interrupted = interrupted.into_inner();
    assert!(
        interrupted >= ROUNDS / 2,
        "only {interrupted} kills came in time"
    );
}

#[test]
fn killed_at_every_stage() {
    let (node, before) = scene();
    for kind in KINDS {
        kill_at(&node, &["run", "temp-clean"], kind, Duration::ZERO);
        let state = recover(&node, &before, FILES, Also::Nothing);
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
        let after = Duration::from_millis(ms);
        kill_at(&node, &["run", "temp-clean"], "intended", after);
        if recover(&node, &before, FILES, Also::Nothing) == RunState::Interrupted {
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

/// Whatever became of the files meanwhile, each is named, and the journal takes it.
#[test]
fn a_plan_of_which_nothing_can_be_applied_any_more_ends_and_says_so() {
    let node = Node::new(shared());
    node.task("temp-clean", TASK);
    let path = |n: usize| {
        // Long names, so that the reasons are long.
        node.root().join(format!("{n:0>200}"))
    };
    for n in 0..FILES * 2 {
        std::fs::write(path(n), "old").unwrap();
        age(&path(n), Aged::days(10));
    }
    kill_at(&node, &["run", "temp-clean"], "approved", Duration::ZERO);
    for n in 0..FILES * 2 {
        std::fs::write(path(n), "in use again").unwrap();
    }
    let before = snapshot(&node.root());
    let out = node.keepwell(&["runs", "resume", "last", "-o", "json"]);
    let report = out.exits(3).report();
    assert_eq!((report.applied.done, report.applied.open), (0, None));
    assert_eq!(report.applied.not_done, FILES as u64 * 2);
    let named = node.journal(&["--kind", "outcome"]).len();
    assert!(named > 1, "{named}");
    as_before(&node, &before);
    node.journal_is_whole();
}

/// Two who go on with the same run, and one who undoes it, get into nobody's way.
#[test]
fn one_at_a_time_goes_on_with_a_run() {
    let (node, before) = scene();
    kill_at(&node, &["run", "temp-clean"], "intended", Duration::ZERO);
    let daemon = Daemon::on(&node);
    let report = last(&node);
    if report.state == RunState::Interrupted {
        let run = report.run.to_string();
        let verbs = [
            &["runs", "resume"][..],
            &["runs", "resume"],
            &["undo"],
            &["runs", "resume"],
        ];
        let children: Vec<_> = verbs
            .iter()
            .map(|verb| start(Some(&node.dir()), &[verb, &[run.as_str()][..]].concat()))
            .collect();
        let codes: Vec<_> = children
            .into_iter()
            .map(|mut child| child.wait().unwrap().code().unwrap())
            .collect();
        // Done, or somebody else is at it, or it is undone or whole by now.
        assert!(
            codes.iter().all(|code| [0, 2, 3, 75].contains(code)),
            "{codes:?}"
        );
    }
    drop(daemon);
    let report = last(&node);
    assert_eq!(report.applied.not_done, 0, "{:?}", report.applied);
    if report.applied.next > 0 {
        node.keepwell(&["undo", "last"]).exits(0);
    }
    as_before(&node, &before);
    node.journal_is_whole();
}

/// What the policy has come to forbid is not finished, and what a person has paused rests.
#[test]
fn a_cut_off_run_goes_on_only_while_it_may() {
    let (node, before) = scene();
    kill_at(&node, &["run", "temp-clean"], "approved", Duration::ZERO);
    let config = node.dir().join("keepwell.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    node.configure_more("[[policy.rules]]\nclass = 'reversible'\nthen = 'deny'\n");
    let resume = ["runs", "resume", "last"];
    node.keepwell(&resume)
        .exits(4)
        .says(&["the policy forbids"]);
    std::fs::write(&config, text).unwrap();
    node.keepwell(&["task", "pause", "temp-clean", "--reason", "holiday"])
        .exits(0);
    node.keepwell(&resume).exits(75).says(&["holiday"]);
    as_before(&node, &before);
    node.keepwell(&["task", "resume", "temp-clean", "--reason", "back"])
        .exits(0);
    node.keepwell(&resume).exits(0);
    node.keepwell(&["undo", "last"]).exits(0);
    as_before(&node, &before);
}

/// A slow pace is no reason to be slow to stop.
#[test]
fn a_paced_run_stops_at_once() {
    let node = Node::new(shared());
    let paced = TASK.replace("min-age", "max-rate = 2, min-age");
    let (node, before) = filled(node, 100);
    node.task("temp-clean", &paced);
    let mut child = start(Some(&node.dir()), &["run", "temp-clean", "-o", "jsonl"]);
    let _pipe = wait_for(&mut child, "intended");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let asked = std::time::Instant::now();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    let report = last(&node);
    assert_eq!(report.state, RunState::Cancelled);
    assert!(report.applied.remaining > 80, "{:?}", report.applied);
    if report.applied.next > 0 {
        node.keepwell(&["undo", "last"]).exits(0);
    }
    as_before(&node, &before);
}

/// Between look and apply, as far as a resumed plan goes: nothing is done through the link.
#[test]
fn a_root_replaced_by_a_link_is_not_resumed_into() {
    let (node, before) = scene();
    kill_at(&node, &["run", "temp-clean"], "approved", Duration::ZERO);
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
