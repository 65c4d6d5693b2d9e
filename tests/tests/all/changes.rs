//! Changes of parameters that revert by themselves: at their deadline, after `kill -9`, on a breach
//! of their guard; never once confirmed, and never over what somebody else has set.

use crate::harness::{Daemon, Node, shared, start, wait_for};
use keepwell_model::state::RunState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) const TASK: &str = "plugin = \"tune\"\n[settings]\nparam = \"pool\"\nvalues = [\"20\", \"30\"]\n\
    [grant]\nmetrics = {}\nconfig-read = { params = [\"pool\"] }\nconfig-write = { params = [\"pool\"] }\n";
/// Around the value, everything must stay as it is.
pub(crate) const BEFORE: &str = "# sized by hand\n[server]\nsize   = 10 # threads\nname = 'a'\n";
/// Least that a change may wait.
const REVERT_AFTER: Duration = Duration::from_secs(5);

fn scene(more: &str) -> Node {
    let node = Node::new(shared());
    declare(&node, "5s", more);
    node.task("param-tune", TASK);
    node
}

pub(crate) fn declare(node: &Node, revert_after: &str, more: &str) {
    let file = node.scratch().join("app.toml");
    std::fs::write(&file, BEFORE).unwrap();
    let text = format!(
        "[params.pool]\nfile = {file:?}\nformat = 'toml'\nkey = 'server.size'\ntype = 'integer'\n\
         min = 10\nmax = 100\nstep = 10\nsoak = '1s'\nrevert-after = '{revert_after}'\n{more}"
    );
    std::fs::write(node.dir().join("keepwell.toml"), text).unwrap();
}

pub(crate) fn now(node: &Node) -> String {
    std::fs::read_to_string(node.scratch().join("app.toml")).unwrap()
}

pub(crate) fn with(value: &str) -> String {
    BEFORE.replace("10", value)
}

pub(crate) fn tune(node: &Node) {
    let (out, report) = node.run("param-tune");
    out.exits(0);
    assert_eq!(report.applied.done, 1, "{report:?}");
    assert_eq!(now(node), with("20"));
}

pub(crate) fn states(node: &Node) -> Vec<(String, String)> {
    let all = node
        .keepwell(&["runs", "changes", "-o", "json"])
        .exits(0)
        .json();
    let all = all.as_array().unwrap().iter();
    all.map(|c| {
        let text = |key: &str| c[key].as_str().unwrap_or_default().to_owned();
        (text("state"), text("why"))
    })
    .collect()
}

/// What became of the newest change. It is written down just after the value went back.
#[track_caller]
fn settled(node: &Node) -> (String, String) {
    let began = Instant::now();
    loop {
        let newest = states(node).remove(0);
        if newest.0 != "armed" {
            return newest;
        }
        assert!(began.elapsed() < REVERT_AFTER, "nobody wrote it down");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
pub(crate) fn becomes(node: &Node, text: &str, within: Duration) {
    let began = Instant::now();
    while now(node) != text {
        assert!(began.elapsed() < within, "it is still {}", now(node));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn reverts_at_its_deadline_with_the_daemon_and_not_before() {
    let node = scene("");
    let daemon = Daemon::on(&node);
    tune(&node);
    std::thread::sleep(REVERT_AFTER / 2);
    assert_eq!(now(&node), with("20"));
    becomes(&node, BEFORE, REVERT_AFTER * 3);
    daemon.says("was not confirmed");
    assert_eq!(settled(&node).0, "reverted");
    node.keepwell(&["runs", "confirm", "last"])
        .exits(1)
        .says(&["was reverted"]);
    // What failed is not tried again.
    let (out, _) = node.run("param-tune");
    out.exits(0);
    assert_eq!(now(&node), with("30"));
    drop(daemon);
    node.journal_is_whole();
}

#[test]
fn reverts_without_a_daemon_at_the_next_command() {
    let node = scene("");
    tune(&node);
    node.keepwell(&["audit", "checkpoint"]).exits(0);
    assert_eq!(now(&node), with("20"), "it was not due");
    std::thread::sleep(REVERT_AFTER);
    node.keepwell(&["audit", "checkpoint"])
        .exits(0)
        .says(&["`pool`", "is `10` again"]);
    assert_eq!(now(&node), BEFORE);
}

#[test]
fn a_daemon_that_was_killed_takes_back_what_waited() {
    let node = scene("");
    declare(&node, "1h", "");
    let daemon = Daemon::on(&node);
    tune(&node);
    daemon.killed();
    assert_eq!(now(&node), with("20"));
    let _daemon = Daemon::on(&node);
    becomes(&node, BEFORE, Duration::from_secs(5));
    assert!(settled(&node).1.contains("started again"));
}

/// As a firewall or a proxy would follow the value: at 20 it takes the socket out of reach, and
/// gives it back at any other.
struct Follower {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Follower {
    fn on(node: &Node) -> Self {
        let file = node.scratch().join("app.toml");
        let socket = node.dir().join("api.sock");
        let away = node.dir().join("out-of-reach");
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let cut = std::fs::read_to_string(&file).is_ok_and(|text| text == with("20"));
                // What is not there cannot be moved, and need not be.
                let _ = if cut {
                    std::fs::rename(&socket, &away)
                } else {
                    std::fs::rename(&away, &socket)
                };
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// The change makes the daemon unreachable, so nobody can confirm it: it reverts at its deadline,
/// and after `kill -9` by whoever starts next.
#[test]
fn a_change_that_cuts_the_hosts_own_socket_reverts() {
    for killed in [false, true] {
        let node = scene("");
        let daemon = Daemon::on(&node);
        let follower = Follower::on(&node);
        let run = node.keepwell(&["run", "param-tune"]);
        assert_eq!(now(&node), with("20"), "{}", run.err);
        // The daemon holds the node, and nobody gets through to it.
        let socket = node.dir().join("api.sock");
        let began = Instant::now();
        while socket.exists() {
            assert!(began.elapsed() < REVERT_AFTER, "it was not cut off");
            std::thread::sleep(Duration::from_millis(5));
        }
        node.keepwell(&["runs", "confirm", "last"]).exits(75);
        let mut daemon = daemon;
        if killed {
            daemon.killed();
            assert_eq!(now(&node), with("20"), "nobody was there to take it back");
            // What it left would otherwise be put over the socket of the next one.
            std::fs::remove_file(node.dir().join("out-of-reach")).unwrap();
            daemon = Daemon::on(&node);
        }
        becomes(&node, BEFORE, REVERT_AFTER * 3);
        let (state, why) = settled(&node);
        assert_eq!(state, "reverted");
        let expected = if killed {
            "started again"
        } else {
            "not confirmed"
        };
        assert!(why.contains(expected), "{why}");
        // It is within reach again, and works.
        let began = Instant::now();
        while !socket.exists() {
            assert!(began.elapsed() < REVERT_AFTER, "it stays out of reach");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(follower);
        node.keepwell(&["runs", "confirm", "last"])
            .exits(1)
            .says(&["was reverted"]);
        drop(daemon);
        node.journal_is_whole();
    }
}

#[test]
fn what_is_confirmed_stays() {
    let node = scene("");
    let daemon = Daemon::on(&node);
    tune(&node);
    node.keepwell(&["runs", "confirm", "last"]).exits(0);
    std::thread::sleep(REVERT_AFTER + Duration::from_secs(2));
    daemon.killed();
    let _daemon = Daemon::on(&node);
    assert_eq!(now(&node), with("20"));
    assert_eq!(states(&node)[0].0, "confirmed");
    // Undo still can.
    node.keepwell(&["undo", "last", "--only", "0"]).exits(0);
    assert_eq!(now(&node), BEFORE);
    assert_eq!(states(&node)[0], ("reverted".into(), "undone".into()));
}

#[test]
fn what_an_administrator_set_is_never_touched() {
    let node = scene("");
    tune(&node);
    std::fs::write(node.scratch().join("app.toml"), with("70")).unwrap();
    std::thread::sleep(REVERT_AFTER);
    node.keepwell(&["audit", "checkpoint"])
        .exits(0)
        .says(&["set by somebody else"]);
    assert_eq!(now(&node), with("70"));
    assert_eq!(states(&node)[0].0, "overtaken");
    node.keepwell(&["undo", "last"]).exits(3);
    let (out, report) = node.run("param-tune");
    assert_eq!(report.state, RunState::Denied, "{}", out.err);
    assert!(report.reason.unwrap().contains("somebody else"));
    assert_eq!(now(&node), with("70"));
}

#[test]
fn a_breached_guard_takes_it_back_and_cannot_be_confirmed() {
    // A share of time is never two, so this guard is breached by whatever is measured.
    let guard = "guard = { metric = 'cpu-pressure', least = 2 }\n";
    let node = scene("");
    declare(&node, "1h", guard);
    if !std::path::Path::new("/proc/pressure/cpu").exists() {
        eprintln!("this kernel measures no pressure; nothing was tested");
        return;
    }
    tune(&node);
    // Every command that opens the node measures too.
    node.keepwell(&["runs", "confirm", "last"])
        .exits(1)
        .says(&["its guard was breached", "was reverted"]);
    assert_eq!(now(&node), BEFORE);
    let _daemon = Daemon::on(&node);
    std::thread::sleep(Duration::from_secs(1));
    let (out, _) = node.run("param-tune");
    out.exits(0);
    becomes(&node, BEFORE, Duration::from_secs(15));
    let (_, why) = settled(&node);
    assert!(why.contains("guard"), "{why}");
}

/// Whatever the moment, the value is the old one or a journaled change, and comes back.
#[test]
fn killed_while_it_applies() {
    for kind in ["approved", "intended", "commit-armed", "outcome"] {
        let node = scene("");
        let mut child = start(Some(&node.dir()), &["run", "param-tune", "-o", "jsonl"]);
        let _pipe = wait_for(&mut child, kind);
        child.kill().unwrap();
        child.wait().unwrap();
        if now(&node) != BEFORE {
            assert_eq!(now(&node), with("20"), "killed at {kind}");
            assert_eq!(states(&node)[0].0, "armed", "killed at {kind}");
        }
        node.keepwell(&["audit", "checkpoint"]).exits(0);
        assert_eq!(now(&node), BEFORE, "killed at {kind}");
        let armed = !states(&node).is_empty();
        let out = node.keepwell(&["runs", "resume", "last"]);
        if armed {
            // What was taken back is not made again.
            assert_eq!(now(&node), BEFORE, "killed at {kind}: {}", out.err);
        } else {
            assert!([0, 3].contains(&out.code), "killed at {kind}: {}", out.err);
            assert_eq!(now(&node), with("20"), "killed at {kind}");
        }
        node.journal_is_whole();
    }
}

#[test]
fn what_cannot_be_declared_is_said_with_its_place() {
    let node = Node::new(shared());
    let own = node.dir().join("keepwell.toml");
    let text = format!(
        "[params.own]\nfile = {own:?}\nformat = 'toml'\nkey = 'node.name'\ntype = 'text'\n\
         [params.odd]\nsysctl = 'vm.swappiness'\ntype = 'integer'\nmin = 0\nmax = 9\n\
         guard = {{ metric = 'mood', most = 1 }}\n"
    );
    std::fs::write(&own, text).unwrap();
    node.keepwell(&["config", "check"])
        .exits(78)
        .says(&["lies in the node directory", "does not measure `mood`"]);
}
