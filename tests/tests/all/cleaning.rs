//! `temp-clean` from plan to undo, on a tree with everything a tree can hold.

use crate::harness::{Aged, Node, age, shared, snapshot, start, wait_for};
use rustix::fs::{FlockOperation, flock};
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// Ages are told by mtime, because the time of change cannot be set.
pub(crate) const TASK: &str = "plugin = 'clean'
settings = { older-than = '24h', age-by = 'modified' }
[grant]
storage = { roots = ['tmp'] }
storage-clean = { roots = ['tmp'], max-files = 100000, max-share = '100%', min-age = '1m', age-by = 'modified' }
";

/// Aged files of every kind, young ones between them.
fn fill(root: &Path) {
    let deep = root.join("one/two/three");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::create_dir_all(root.join("empty/inner")).unwrap();
    let names: [&[u8]; 6] = [
        b"plain",
        b"with space",
        b"not-text-\xff\xfe",
        b"line\nbreak",
        b"-rf",
        "süß".as_bytes(),
    ];
    for (n, name) in names.iter().enumerate() {
        for dir in [root, &deep] {
            let path = dir.join(OsStr::from_bytes(name));
            std::fs::write(&path, format!("content {n}")).unwrap();
            let mode = [0o600, 0o644, 0o755, 0o4711, 0o1640, 0o400][n];
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            age(&path, Aged::days(3 + n as u64));
        }
    }
    std::fs::hard_link(root.join("plain"), root.join("one/also-plain")).unwrap();
    std::fs::write(root.join("one/young"), "young").unwrap();
    std::fs::write(root.join("sparse"), vec![0; 1 << 20]).unwrap();
    age(&root.join("sparse"), Aged::days(2));
    symlink("/etc/passwd", root.join("link")).unwrap();
    for dir in ["one/two/three", "one/two", "one", "empty/inner", "empty"] {
        age(&root.join(dir), Aged::days(9));
    }
}

#[test]
fn what_is_protected_does_not_move_with_the_tree_that_holds_it() {
    let node = Node::new(shared());
    let task = TASK.replace("{ older-than", "{ unit = 'tree', older-than");
    node.task("temp-clean", &task);
    let config = node.dir().join("keepwell.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let path = format!("path = {:?}\n", node.root());
    let text = text.replace(&path, &format!("{path}protect = ['**/*.keep']\n"));
    std::fs::write(&config, text).unwrap();
    for name in ["one/plain", "one/deep/precious.keep", "two/plain"] {
        let file = node.root().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "x").unwrap();
        age(&file, Aged::days(9));
    }
    for dir in ["one/deep", "one", "two"] {
        age(&node.root().join(dir), Aged::days(9));
    }
    let (out, report) = node.run("temp-clean");
    assert!([0, 3].contains(&out.code), "{}", out.err);
    assert!(node.root().join("one/deep/precious.keep").exists());
    assert!(node.root().join("one/plain").exists());
    assert!(!node.root().join("two").exists(), "{report:?}");
    let told = report
        .refusals
        .iter()
        .any(|r| r.message.contains("precious.keep` is protected"));
    assert!(told, "{:?}", report.refusals);
}

#[test]
fn a_plan_changes_nothing_and_undo_brings_every_byte_back() {
    let node = Node::new(shared());
    node.task("temp-clean", TASK);
    fill(&node.root());
    let before = snapshot(&node.root());

    let (out, plan) = node.plan("temp-clean");
    out.exits(0);
    assert!(plan.plan.as_ref().unwrap().actions >= 12);
    assert!(
        snapshot(&node.root()) == before,
        "a plan has changed the tree"
    );

    let (out, run) = node.run("temp-clean");
    assert!([0, 3].contains(&out.code), "{}", out.err);
    assert!(run.applied.done >= 12, "{:?}", run.applied);
    assert!(!node.root().join("with space").exists());
    assert!(
        !node
            .root()
            .join(OsStr::from_bytes(b"one/two/three/not-text-\xff\xfe"))
            .exists()
    );
    assert!(node.root().join("one/young").exists());

    node.keepwell(&["undo", "last"]).exits(0);
    let after = snapshot(&node.root());
    for (path, entry) in &before {
        let name = String::from_utf8_lossy(path);
        assert_eq!(after.get(path), Some(entry), "`{name}` is not as it was");
    }
    assert_eq!(
        after.len(),
        before.len(),
        "something is left: {:?}",
        after.keys()
    );
    node.keepwell(&["undo", "last"]).exits(0);
    assert!(
        snapshot(&node.root()) == before,
        "a second undo has changed the tree"
    );
    node.journal_is_whole();
}

#[test]
fn the_same_tree_gives_the_same_plan() {
    let node = Node::new(shared());
    node.task("temp-clean", TASK);
    fill(&node.root());
    let digests: Vec<_> = (0..3)
        .map(|_| node.plan("temp-clean").1.plan.unwrap().digest)
        .collect();
    assert!(digests.iter().all(|d| *d == digests[0]), "{digests:?}");
    std::fs::remove_file(node.root().join("with space")).unwrap();
    assert_ne!(node.plan("temp-clean").1.plan.unwrap().digest, digests[0]);
}

#[test]
fn one_action_can_be_undone_alone() {
    let node = Node::new(shared());
    node.task("temp-clean", TASK);
    fill(&node.root());
    let (_, run) = node.run("temp-clean");
    assert!(run.applied.done > 2);
    let out = node.keepwell(&["undo", "last", "--only", "1"]);
    out.exits(0).says(&[]);
    assert!(out.out.contains("put back 1 of 1"), "{}", out.out);
    node.keepwell(&["undo", "last", "--only", "999999"])
        .exits(2)
        .says(&["did not apply an action 999999"]);
}

#[test]
fn what_is_open_or_locked_stays() {
    let node = Node::new(shared());
    node.task("temp-clean", TASK);
    for name in ["closed", "open", "locked"] {
        let path = node.root().join(name);
        std::fs::write(&path, name).unwrap();
        age(&path, Aged::days(5));
    }
    let _open = File::open(node.root().join("open")).unwrap();
    let locked = File::open(node.root().join("locked")).unwrap();
    flock(&locked, FlockOperation::LockExclusive).unwrap();
    let (_, run) = node.run("temp-clean");
    assert_eq!(run.applied.done, 1, "{run:?}");
    assert!(!node.root().join("closed").exists());
    assert!(node.root().join("open").exists());
    assert!(node.root().join("locked").exists());
}

#[test]
fn a_root_that_has_become_a_link_is_refused() {
    let node = Node::new(shared());
    node.task("temp-clean", TASK);
    fill(&node.root());
    node.plan("temp-clean").0.exits(0);
    let moved = node.scratch().join("moved");
    std::fs::rename(node.root(), &moved).unwrap();
    symlink(&moved, node.root()).unwrap();
    let before = snapshot(&moved);
    let (out, run) = node.run("temp-clean");
    assert!([1, 4].contains(&out.code), "{}: {}", out.code, out.err);
    assert_eq!(run.applied.done, 0);
    let reason = run.reason.unwrap();
    assert!(
        reason.contains("link"),
        "the reason does not say why: {reason}"
    );
    assert!(snapshot(&moved) == before);
}

#[test]
fn a_root_that_is_not_there_or_dangerous_is_refused() {
    let node = Node::new(shared());
    node.task("temp-clean", TASK);
    std::fs::remove_dir(node.root()).unwrap();
    let (out, run) = node.run("temp-clean");
    assert_ne!(out.code, 0);
    assert!(run.reason.is_some() && run.applied.done == 0);
    for dangerous in ["/", "/etc", "/usr", "/proc", node.dir().to_str().unwrap()] {
        node.configure(&[("tmp", Path::new(dangerous))], &[]);
        let (out, run) = node.run("temp-clean");
        assert_ne!(out.code, 0, "{dangerous} was taken as a root to clean");
        assert!(run.plan.is_none(), "{dangerous}: {run:?}");
    }
}

#[test]
fn more_than_the_granted_share_is_refused() {
    let node = Node::new(shared());
    node.task("temp-clean", &TASK.replace("'100%'", "'20%'"));
    fill(&node.root());
    let before = snapshot(&node.root());
    let (out, run) = node.run("temp-clean");
    assert_ne!(out.code, 0);
    assert_eq!(run.applied.done, 0);
    assert!(run.reason.unwrap().contains("more than 20%"));
    assert!(run.hint.unwrap().contains("max-share"));
    assert!(snapshot(&node.root()) == before);
}

/// Whoever reads the events may go away; the run goes on to its end.
#[test]
fn a_reader_that_goes_away_does_not_stop_the_run() {
    let node = Node::new(shared());
    node.task("temp-clean", TASK);
    fill(&node.root());
    let args = ["run", "temp-clean", "-o", "jsonl"];
    let mut child = start(Some(&node.dir()), &args);
    drop(wait_for(&mut child, "run-due"));
    drop(child.stderr.take());
    child.wait().unwrap();
    let report = node.keepwell(&["runs", "show", "last", "-o", "json"]);
    let report = report.exits(0).report();
    assert!(
        ["done", "warned"].contains(&report.state.as_str()),
        "{report:?}"
    );
    assert!(report.applied.done >= 12);
}

#[test]
fn two_programs_do_not_share_a_node() {
    let node = Node::new(shared());
    let slow = "plugin = 'hostile'\n[grant]\nmetrics = {}\n[limits]\nwall = '2s'\n";
    node.task("slow", slow);
    node.task("honest", "plugin = 'hostile'\n");
    let mut first = start(Some(&node.dir()), &["run", "slow", "-o", "jsonl"]);
    let pipe = wait_for(&mut first, "worker-started");
    let refused = node.keepwell(&["run", "honest"]);
    refused.exits(75).says(&["is held by process", "hint:"]);
    // Reading needs no lock.
    node.keepwell(&["runs", "list"]).exits(0);
    // A pipe that nobody reads would hold the program up.
    drop(pipe);
    let _ = first.wait();
    node.run("honest").0.exits(0);
}
