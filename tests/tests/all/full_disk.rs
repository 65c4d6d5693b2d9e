//! A disk that is full while quarantining, and one that is full while journaling: nothing is lost,
//! and when there is room again everything goes on.

use crate::cleaning::TASK;
use crate::harness::{Aged, Daemon, Node, Snapshot, age, alone, keepwell, snapshot};
use crate::schedules::each_told_once;
use rustix::process::Signal;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A small file system of its own; gone when dropped.
pub(crate) struct Small(pub(crate) PathBuf);

impl Small {
    /// `None` where this process may not mount.
    pub(crate) fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size},nr_inodes=20000");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at);
        let out = mount.output().unwrap();
        if out.status.success() {
            return Some(Self(at.to_owned()));
        }
        let why = String::from_utf8_lossy(&out.stderr).trim().to_owned();
        eprintln!("SKIPPED: no small file system to fill: {why}");
        None
    }

    /// Whether it can be written, from now on.
    #[track_caller]
    pub(crate) fn remount(&self, mode: &str) {
        let options = format!("remount,{mode}");
        let mut mount = Command::new("mount");
        let out = mount.args(["-o", &options]).arg(&self.0).output().unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }

    /// Leaves `free` bytes.
    pub(crate) fn fill(&self, free: u64) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        let block = [1; 4_096];
        while file.write_all(&block).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(free)).unwrap();
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

pub(crate) fn old_files(root: &Path) -> Snapshot {
    for n in 0..300 {
        let dir = root.join(format!("dir-{}", n % 10));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join(format!("old-{n}"));
        std::fs::write(&file, "old").unwrap();
        age(&file, Aged::days(10));
    }
    snapshot(root)
}

/// A time that a stop in the middle may lose is that of a directory.
#[track_caller]
pub(crate) fn all_there(root: &Path, before: &Snapshot) {
    let after = snapshot(root);
    for (path, entry) in before {
        let name = String::from_utf8_lossy(path);
        let there = after
            .get(path)
            .unwrap_or_else(|| panic!("`{name}` is lost"));
        assert!(there.same_but_for_time(entry), "`{name}` has changed");
    }
}

#[test]
fn full_while_quarantining() {
    let node = Node::new(alone());
    node.task("temp-clean", TASK);
    let Some(small) = Small::mount(&node.root(), "4M") else {
        return;
    };
    let before = old_files(&node.root());
    for free in [0, 4_096, 8_192, 16_384, 32_768, 65_536] {
        let filler = small.fill(free);
        let (out, report) = node.run("temp-clean");
        if report.applied.done == 300 {
            assert!([0, 3].contains(&out.code), "{}", out.err);
        } else {
            out.exits(1);
            let reason = report.reason.unwrap();
            assert!(reason.contains("space"), "with {free} bytes free: {reason}");
        }
        std::fs::remove_file(filler).unwrap();
        if report.applied.next > 0 {
            node.keepwell(&["undo", "last"]).exits(0);
        }
        all_there(&node.root(), &before);
    }
    let (_, report) = node.run("temp-clean");
    assert_eq!(report.applied.done, 300, "{report:?}");
    node.keepwell(&["undo", "last"]).exits(0);
    all_there(&node.root(), &before);
}

#[test]
fn full_while_journaling() {
    let node = Node::new(alone());
    node.task("temp-clean", TASK);
    let before = old_files(&node.root());
    let Some(small) = Small::mount(&node.scratch().join("small"), "64M") else {
        return;
    };
    let state = node.dir().join("state");
    let moved = small.0.join("node");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(node.dir())
        .arg(&moved)
        .status()
        .unwrap();
    assert!(copied.success() && state.exists());
    let on_small = |args: &[&str]| keepwell(Some(&moved), args);
    let mut failed = 0;
    for free in [0, 8_192, 32_768, 65_536, 131_072, 262_144, 524_288] {
        let filler = small.fill(free);
        let out = on_small(&["run", "temp-clean", "-o", "json"]);
        std::fs::remove_file(filler).unwrap();
        if ![0, 3].contains(&out.code) {
            failed += 1;
            assert!(
                [1, 6].contains(&out.code),
                "with {free} bytes free: {}",
                out.err
            );
            let words = ["full", "space", "hint", "changes stop"];
            let told = [out.out.as_str(), out.err.as_str()].concat();
            assert!(words.iter().any(|word| told.contains(word)), "{told}");
        }
        // The next start finds what was under way; then everything comes back.
        on_small(&["audit", "checkpoint"]).exits(0);
        on_small(&["audit", "verify"]).exits(0);
        let last = on_small(&["runs", "show", "last", "-o", "json"]);
        if last.code == 0 && last.report().applied.next > 0 {
            on_small(&["undo", "last"]).exits(0);
        }
        all_there(&node.root(), &before);
    }
    assert!(failed >= 2, "the disk was never full at the wrong moment");
    let out = on_small(&["run", "temp-clean", "-o", "json"]);
    assert!([0, 3].contains(&out.code), "{}", out.err);
    assert_eq!(out.report().applied.done, 300);
}

/// Starts stop and that is said; when there is room again they go on by themselves, and what passed
/// meanwhile is told.
#[test]
fn full_while_a_daemon_runs() {
    let node = Node::new(alone());
    let task = "plugin = 'hostile'\ntask = 'honest'\nschedule = { every = '1s', criticality = 'critical' }\n";
    node.task("honest", task);
    let Some(small) = Small::mount(&node.scratch().join("small"), "64M") else {
        return;
    };
    let moved = small.0.join("node");
    let mut copy = Command::new("cp");
    assert!(
        copy.arg("-a")
            .arg(node.dir())
            .arg(&moved)
            .status()
            .unwrap()
            .success()
    );
    let on_small = |args: &[&str]| keepwell(Some(&moved), args);
    let ends = || {
        let runs = on_small(&["runs", "list", "--limit", "1000", "-o", "json"]);
        let runs = runs.exits(0).json();
        let states = runs.as_array().unwrap().iter();
        states
            .map(|r| r["state"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let daemon = Daemon::at(&moved);
    daemon.says("ended done");
    // Folding the log gives its room back, so that the next entry needs some.
    on_small(&["audit", "checkpoint"]).exits(0);
    let filler = small.fill(0);
    daemon.says("ERROR");
    let stopped = ends().len();
    std::thread::sleep(Duration::from_secs(3));
    assert!(
        ends().len() <= stopped + 1,
        "runs begin that nothing tells of"
    );
    std::fs::remove_file(filler).unwrap();
    daemon.says("ended done");
    daemon.says("ended done");
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    each_told_once(&moved, "honest");
    assert!(!ends().contains(&"running".to_owned()), "{:?}", ends());
    on_small(&["audit", "verify"]).exits(0);
}
