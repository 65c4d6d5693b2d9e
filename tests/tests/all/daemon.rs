//! The daemon: the same results as without it, one for a node, an end in order, a bad configuration
//! that changes nothing, and neighbours on the socket that talk nonsense.

use crate::cleaning::TASK;
use crate::harness::{Aged, Daemon, Node, age, shared, snapshot, start, wait_for};
use keepwell_model::event::Event;
use keepwell_model::state::RunState;
use rustix::process::Signal;
use std::io::{BufRead as _, BufReader, Write as _};
use std::time::Duration;

const SLOW: &str =
    "plugin = \"hostile\"\ntask = \"slow\"\n[grant]\nmetrics = {}\n[limits]\nwall = \"60s\"\n";

fn scene() -> Node {
    let node = Node::new(shared());
    node.task("temp-clean", TASK);
    for n in 0..50 {
        let file = node.root().join(format!("file-{n}"));
        std::fs::write(&file, n.to_string()).unwrap();
        if n % 2 == 0 {
            age(&file, Aged::days(10));
        }
    }
    node
}

#[test]
fn every_verb_gives_the_same_through_the_daemon_and_without_it() {
    let node = scene();
    let before = snapshot(&node.root());
    let verbs: [&[&str]; 6] = [
        &["plan", "temp-clean", "-o", "jsonl"],
        &["run", "temp-clean"],
        &["undo", "last"],
        &["task", "pause", "temp-clean", "--reason", "holiday"],
        &["run", "temp-clean"],
        &["task", "resume", "temp-clean"],
    ];
    let all = |node: &Node| -> Vec<(i32, String)> {
        verbs
            .iter()
            .map(|verb| {
                let out = node.keepwell(verb);
                (out.code, without_ids(&out.out))
            })
            .collect()
    };
    let alone = all(&node);
    assert!(snapshot(&node.root()) == before);
    let daemon = Daemon::on(&node);
    let through = all(&node);
    assert_eq!(through, alone);
    assert!(snapshot(&node.root()) == before);
    node.keepwell(&["run", "no-such-task"])
        .exits(2)
        .says(&["there is no task `no-such-task`", "temp-clean"]);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    node.journal_is_whole();
    let runs = node.journal(&["--kind", "run-due"]);
    assert!(
        runs.iter()
            .all(|r| r.actor == format!("uid:{}", rustix::process::getuid().as_raw()))
    );
}

/// What differs between two runs of the same verb: ids and times.
fn without_ids(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains("\"kind\":"));
    let kept: Vec<&str> = lines
        .filter(|line| !line.contains("\"progress\""))
        .collect();
    kept.join("\n")
}

#[test]
fn one_daemon_for_a_node() {
    let node = scene();
    let mut children: Vec<_> = (0..2)
        .map(|_| start(Some(&node.dir()), &["daemon"]))
        .collect();
    let lost = loop {
        let ended = children
            .iter_mut()
            .position(|c| c.try_wait().unwrap().is_some());
        if let Some(index) = ended {
            break index;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut lost = children.remove(lost);
    assert_eq!(lost.wait().unwrap().code(), Some(75));
    // The other one serves.
    let mut winner = children.remove(0);
    std::thread::sleep(Duration::from_millis(300));
    node.keepwell(&["run", "temp-clean"]).exits(0);
    winner.kill().unwrap();
    winner.wait().unwrap();
}

#[test]
fn a_bad_configuration_does_not_replace_a_good_one() {
    let node = scene();
    let daemon = Daemon::on(&node);
    let path = node.dir().join("tasks/temp-clean.toml");
    let bad = TASK.replace("plugin =", "plugni =");
    std::fs::write(&path, bad).unwrap();
    daemon.signal(Signal::HUP);
    daemon.says("the old configuration stays");
    node.keepwell(&["run", "temp-clean"]).exits(0);
    std::fs::write(&path, TASK).unwrap();
    node.task("slow", SLOW);
    node.keepwell(&["plan", "slow"]).exits(2);
    daemon.signal(Signal::HUP);
    daemon.says("the configuration was read again");
    let told = node.journal(&["--kind", "config-reloaded"]);
    let refused: Vec<bool> = told
        .iter()
        .map(|r| matches!(&r.event, Event::ConfigReloaded { refused: Some(why) } if why.contains("temp-clean.toml")))
        .collect();
    assert_eq!(refused, [true, false]);
}

#[test]
fn told_to_end_it_waits_and_told_twice_it_stops_what_is_under_way() {
    let node = scene();
    node.task("slow", SLOW);
    let daemon = Daemon::on(&node);
    let mut run = start(Some(&node.dir()), &["run", "slow", "-o", "jsonl"]);
    let _pipe = wait_for(&mut run, "worker-started");
    daemon.signal(Signal::TERM);
    daemon.says("ending");
    node.keepwell(&["run", "temp-clean"])
        .exits(75)
        .says(&["the daemon is ending"]);
    assert!(run.try_wait().unwrap().is_none(), "it did not wait");
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    assert_eq!(run.wait().unwrap().code(), Some(6));
    let report = node
        .keepwell(&["runs", "show", "last", "-o", "json"])
        .report();
    assert_eq!(report.state, RunState::Cancelled, "{report:?}");
    node.journal_is_whole();
}

#[test]
fn who_asked_stops_it_who_goes_away_does_not() {
    let node = scene();
    node.task("slow", &SLOW.replace("60s", "3s"));
    let daemon = Daemon::on(&node);
    let mut run = start(Some(&node.dir()), &["run", "slow", "-o", "jsonl"]);
    let pipe = wait_for(&mut run, "worker-started");
    run.kill().unwrap();
    run.wait().unwrap();
    drop(pipe);
    let out = node.keepwell(&["runs", "follow", "last", "-o", "json"]);
    assert_eq!(out.code, 5, "{}", out.err);

    let mut run = start(Some(&node.dir()), &["run", "slow", "-o", "jsonl"]);
    let _pipe = wait_for(&mut run, "worker-started");
    let pid = rustix::process::Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(6));
    drop(daemon);
}

#[test]
fn killed_it_leaves_nothing_that_stops_the_next_one() {
    let node = scene();
    node.task("slow", SLOW);
    let daemon = Daemon::on(&node);
    let mut run = start(Some(&node.dir()), &["run", "slow", "-o", "jsonl"]);
    let _pipe = wait_for(&mut run, "worker-started");
    daemon.killed();
    assert_eq!(run.wait().unwrap().code(), Some(6));
    // Without a daemon, over the socket it left.
    node.keepwell(&["run", "temp-clean"]).exits(0);
    let daemon = Daemon::on(&node);
    let runs = node.keepwell(&["runs", "list", "-o", "json"]).json();
    let states: Vec<&str> = runs
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["done", "interrupted"]);
    node.keepwell(&["run", "temp-clean"]).exits(0);
    drop(daemon);
    node.journal_is_whole();
}

#[test]
fn nonsense_on_the_socket_is_answered_and_does_no_harm() {
    let node = scene();
    let daemon = Daemon::on(&node);
    for line in [
        "\n",
        "{}\n",
        "{\"request\":{\"verb\":\"rm\"}}\n",
        "{\"request\":{\"verb\":\"run\",\"task\":\"temp-clean\"}}\n",
        "{\"stop\":null}\n\"stop\"\n",
        "\u{0}\u{1}\u{2}\n",
    ] {
        let mut stream = daemon.connect();
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).unwrap();
        assert!(answer.starts_with("{\"error\""), "{line:?}: {answer:?}");
    }
    // Many that say nothing, and one that never ends its line, bounded in memory.
    let idle: Vec<_> = (0..200).map(|_| daemon.connect()).collect();
    let mut endless = daemon.connect();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..128 {
        if endless.write_all(&chunk).is_err() {
            break;
        }
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").trim().parse().unwrap();
    assert!(kib < 256 << 10, "{kib} KiB");
    node.keepwell(&["run", "temp-clean"]).exits(0);
    // A user who has every connection they may have is told so.
    let more: Vec<_> = (0..100).map(|_| daemon.connect()).collect();
    let mut answer = String::new();
    BufReader::new(&more[99]).read_line(&mut answer).unwrap();
    assert!(answer.contains("256 connections"), "{answer:?}");
    drop(idle);
}

#[test]
fn answers_that_do_not_count_are_looked_at_only_so_often() {
    let node = scene();
    let _daemon = Daemon::on(&node);
    let forged = node.scratch().join("forged");
    std::fs::write(&forged, b"{}").unwrap();
    let import = ["approvals", "import", forged.to_str().unwrap()];
    for _ in 0..30 {
        let said = node.keepwell(&import);
        assert!(!said.err.contains("further ones wait"), "{}", said.err);
    }
    let said = node.keepwell(&import);
    assert!(said.err.contains("further ones wait"), "{}", said.err);
}
