//! What tasks keep for themselves between runs: committed by runs that end well and apply, all or
//! nothing, and never over another run's or a person's change.

use crate::harness::{Aged, Daemon, Node, age, shared, start, wait_for};
use keepwell_model::event::Event;
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use std::process::Child;
use std::time::Duration;

const TASK: &str = "plugin = 'hostile'\n[grant]\nstate = {}\nstorage = { roots = ['tmp'] }\n\
     storage-clean = { roots = ['tmp'], max-share = '100%', min-age = '1m', age-by = 'modified' }\n\
     [limits]\nwall = '20s'\n";
/// With something to clean there is a plan that has to be applied.
const PLAN: &str = "root=tmp";

fn scene() -> Node {
    let node = Node::new(shared());
    node.task("count", TASK);
    node
}

/// Files that a run with [`PLAN`] proposes, and stays without once it did.
fn fill(node: &Node) {
    for n in 0..20 {
        let file = node.root().join(format!("old-{n}"));
        std::fs::write(&file, "old").unwrap();
        age(&file, Aged::days(3));
    }
}

fn last(node: &Node) -> Report {
    let shown = node.keepwell(&["runs", "show", "last", "-o", "json"]);
    shown.exits(0).report()
}

#[track_caller]
fn says(report: &Report, line: &str) {
    let summary = report.summary.as_ref().map(|s| s.line.as_str());
    assert_eq!(summary, Some(line), "{report:?}");
}

/// Runs it; it must be the run of that number.
#[track_caller]
fn counts(node: &Node, number: u64) {
    let (out, report) = node.run("count");
    out.exits(0);
    says(&report, &format!("run {number}"));
    assert!(report.state_kept.unwrap().version.is_some());
}

/// What it keeps under `runs`, as a person is shown it; `None` when it keeps nothing.
fn kept(node: &Node) -> Option<String> {
    let shown = node.keepwell(&["task", "state", "show", "count", "-o", "json"]);
    let rows = shown.exits(0).json();
    let rows = rows.as_array().unwrap();
    let runs = rows.iter().find(|row| row["key"] == "runs")?;
    let value = data_encoding::BASE64.decode(runs["value"].as_str().unwrap().as_bytes());
    Some(String::from_utf8(value.unwrap()).unwrap())
}

/// A run that has counted and waits to go on.
fn waiting(node: &Node) -> Child {
    let run = ["run", "count", "--set", "end=wait", "-o", "jsonl"];
    let mut child = start(Some(&node.dir()), &run);
    let pipe = wait_for(&mut child, "worker-started");
    std::thread::spawn(move || std::io::copy(&mut { pipe }, &mut std::io::sink()));
    // It asks for its state first of all.
    std::thread::sleep(Duration::from_millis(500));
    child
}

#[test]
fn a_counter_counts_the_runs_that_ended_well_and_applied() {
    let node = scene();
    counts(&node, 1);
    counts(&node, 2);
    let (out, planned) = node.plan("count");
    out.exits(0);
    says(&planned, "run 3");
    assert!(planned.state_kept.is_none());
    for (end, code) in [("fail", 1), ("trap", 1), ("loop", 5)] {
        let set = format!("end={end}");
        node.task("count", &TASK.replace("20s", "300ms"));
        let out = node.keepwell(&["run", "count", "--set", &set, "-o", "json"]);
        assert!(out.exits(code).report().state_kept.is_none());
    }
    assert_eq!(kept(&node).unwrap(), "2");
    node.task("count", TASK);
    counts(&node, 3);
    node.journal_is_whole();
}

/// How much and a digest, before and after; never what.
#[test]
fn the_journal_tells_of_it_as_an_intent_and_an_outcome() {
    let node = scene();
    counts(&node, 1);
    let records = node.journal(&["--capability", "state"]);
    let kinds: Vec<_> = records.iter().map(|r| r.event.kind()).collect();
    let tail = ["called", "state-intended", "state-outcome"];
    assert_eq!(kinds[kinds.len() - 3..], tail, "{kinds:?}");
    let intended = records.iter().find_map(|r| match &r.event {
        Event::StateIntended { changes } => Some(changes.clone()),
        _ => None,
    });
    let figures = intended.unwrap();
    assert_eq!((figures.version, figures.set, figures.bytes), (0, 1, 5));
    let shown = node.keepwell(&["runs", "show", "last"]);
    let line = "1 keys set (5 B), 0 deleted; kept as version 1";
    assert!(shown.exits(0).out.contains(line), "{}", shown.out);
}

#[test]
fn of_two_runs_at_once_the_second_to_end_is_told_that_its_writes_are_void() {
    let node = scene();
    let daemon = Daemon::on(&node);
    let mut first = waiting(&node);
    counts(&node, 1);
    std::fs::write(node.root().join("go"), "").unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(3));
    let listed = node.keepwell(&["runs", "list", "--state", "warned", "-o", "json"]);
    let run = listed.exits(0).json()[0]["run"]
        .as_str()
        .unwrap()
        .to_owned();
    let shown = node.keepwell(&["runs", "show", &run, "-o", "json"]);
    let report = shown.exits(0).report();
    says(&report, "run 1");
    let why = report.state_kept.unwrap().why.unwrap();
    assert!(why.contains("another run"), "{why}");
    counts(&node, 2);
    drop(daemon);
    node.journal_is_whole();
}

#[test]
fn what_a_person_clears_stays_cleared() {
    let node = scene();
    counts(&node, 1);
    let daemon = Daemon::on(&node);
    let mut run = waiting(&node);
    let clear = ["task", "state", "clear", "count", "--reason", "test"];
    node.keepwell(&clear).exits(0);
    std::fs::write(node.root().join("go"), "").unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(3), "it wrote over it");
    assert_eq!(kept(&node), None);
    node.keepwell(&clear).exits(2).says(&["keeps nothing"]);
    let cleared = node.journal(&["--kind", "state-cleared"]);
    assert_eq!(cleared.len(), 1);
    assert_eq!(cleared[0].task.as_deref(), Some("count"));
    drop(daemon);
    counts(&node, 1);
    node.journal_is_whole();
}

/// A task that is taken out for a week and comes back goes on where it was.
#[test]
fn a_task_that_is_configured_no_more_keeps_its_state_until_it_is_cleared() {
    let node = scene();
    counts(&node, 1);
    std::fs::remove_file(node.dir().join("tasks/count.toml")).unwrap();
    let listed = || {
        let out = node.keepwell(&["task", "state", "list", "-o", "json"]);
        out.exits(0).json()
    };
    assert_eq!(listed()[0]["configured"], false);
    assert_eq!(kept(&node).unwrap(), "1");
    node.task("count", TASK);
    counts(&node, 2);
    std::fs::remove_file(node.dir().join("tasks/count.toml")).unwrap();
    let clear = [
        "task",
        "state",
        "clear",
        "count",
        "--reason",
        "gone for good",
    ];
    node.keepwell(&clear).exits(0);
    assert_eq!(listed().as_array().unwrap().len(), 0);
    let show = ["task", "state", "show", "count"];
    node.keepwell(&show).exits(2).says(&["keeps nothing"]);
}

/// Whatever the moment of the kill, the next start tells what became of it, and that is true.
#[test]
fn killed_between_intent_and_outcome() {
    let node = scene();
    let mut open = 0;
    for ms in [0, 0, 0, 1, 2, 3, 5, 8, 13] {
        let before: u64 = kept(&node).map_or(0, |n| n.parse().unwrap());
        let mut child = start(Some(&node.dir()), &["run", "count", "-o", "jsonl"]);
        let _pipe = wait_for(&mut child, "state-intended");
        std::thread::sleep(Duration::from_millis(ms));
        child.kill().unwrap();
        child.wait().unwrap();
        node.keepwell(&["audit", "checkpoint"]).exits(0);
        let report = last(&node);
        open += u32::from(report.state == RunState::Interrupted);
        let told = report.state_kept.unwrap();
        assert_ne!(told.version.is_some(), told.why.is_some(), "{told:?}");
        let now: u64 = kept(&node).map_or(0, |n| n.parse().unwrap());
        assert_eq!(now - before, u64::from(told.version.is_some()));
        counts(&node, now + 1);
    }
    assert!(open > 0, "no kill came in time");
    node.journal_is_whole();
}

/// Kills a run whose plan is approved and not applied.
fn cut_off(node: &Node) {
    fill(node);
    let run = ["run", "count", "--set", PLAN, "-o", "jsonl"];
    let mut child = start(Some(&node.dir()), &run);
    let _pipe = wait_for(&mut child, "approved");
    child.kill().unwrap();
    child.wait().unwrap();
    node.keepwell(&["audit", "checkpoint"]).exits(0);
    assert_eq!(last(node).state, RunState::Interrupted);
}

#[test]
fn a_run_that_goes_on_keeps_what_its_look_wanted_and_its_review_added() {
    let node = scene();
    cut_off(&node);
    assert_eq!(kept(&node), None, "its plan was not carried out");
    let out = node.keepwell(&["runs", "resume", "last", "-o", "json"]);
    let report = out.exits(0).report();
    assert_eq!(report.applied.done, 20);
    let told = report.state_kept.unwrap();
    assert_eq!((told.set, told.version), (2, Some(1)));
    assert_eq!(kept(&node).unwrap(), "1");
    // Taking back what a run did does not take back what its task remembers.
    node.keepwell(&["undo", "last"]).exits(0);
    counts(&node, 2);
    node.journal_is_whole();
}

#[test]
fn what_was_held_is_not_kept_when_it_or_the_state_has_changed() {
    type Attack = fn(&Node, &Report);
    let node = scene();
    let attacks: [(Attack, &str); 3] = [
        (|node, _| counts(node, 1), "another run"),
        (
            |node, run| tamper(node, run, Some("Mg==")),
            "as the journal has it",
        ),
        (|node, run| tamper(node, run, None), "cannot read"),
    ];
    for (attack, why) in attacks {
        cut_off(&node);
        let run = last(&node);
        attack(&node, &run);
        let before = kept(&node);
        let resume = ["runs", "resume", &run.run.to_string(), "-o", "json"];
        let report = node.keepwell(&resume).exits(3).report();
        assert_eq!(report.applied.done, 20, "the plan is as it was");
        let told = report.state_kept.unwrap().why.unwrap();
        assert!(told.contains(why), "{told}");
        assert_eq!(kept(&node), before);
    }
    node.journal_is_whole();
}

/// Changes what is held of a run, or takes it away.
fn tamper(node: &Node, run: &Report, value: Option<&str>) {
    let held = node.dir().join("runs").join(run.run.to_string());
    let held = held.join("state.jsonl");
    let text = std::fs::read_to_string(&held).unwrap();
    match value {
        Some(value) => std::fs::write(&held, text.replace("MQ==", value).replace("Mg==", "OQ==")),
        None => std::fs::remove_file(&held),
    }
    .unwrap();
}

#[test]
fn a_broken_file_refuses_the_calls_and_nothing_else() {
    let node = scene();
    node.task("honest", "plugin = 'hostile'\n");
    counts(&node, 1);
    let state = node.dir().join("state");
    let (file, log) = (state.join("tasks.db"), state.join("tasks.db-wal"));
    let whole = (std::fs::read(&file).unwrap(), std::fs::read(&log).unwrap());
    // What was written last may lie in the log alone, and would be read from there.
    std::fs::remove_file(&log).unwrap();
    std::fs::write(&file, [0xff; 4096]).unwrap();
    let (out, report) = node.run("count");
    out.exits(1);
    assert!(report.reason.unwrap().contains("tasks.db"));
    let doctor = node.keepwell(&["doctor", "--only", "node.task", "-o", "json"]);
    let said = doctor.exits(1).json();
    assert_eq!(said[0]["level"], "bad", "{said}");
    node.run("honest").0.exits(0);
    assert_eq!(
        std::fs::read(&file).unwrap(),
        [0xff; 4096],
        "it is nobody's to replace"
    );
    std::fs::write(&file, whole.0).unwrap();
    std::fs::write(&log, whole.1).unwrap();
    counts(&node, 2);
}

#[test]
fn a_quota_above_its_ceiling_is_refused_before_anything_starts() {
    let node = scene();
    for (bad, place) in [
        ("max-bytes = '17MiB'", "1 and 16 MiB"),
        ("max-keys = 0", "1 and 10000"),
    ] {
        node.task(
            "count",
            &TASK.replace("state = {}", &format!("state = {{ {bad} }}")),
        );
        let out = node.keepwell(&["config", "check"]);
        out.exits(78).says(&[place]);
    }
    node.task("count", &TASK.replace("state = {}\n", ""));
    node.keepwell(&["config", "check"])
        .exits(78)
        .says(&["needs `state`", "state = {}"]);
}

/// The health checks remember where they may: what lasts is told, what passes is not.
#[test]
fn a_full_disk_is_told_once_it_stays_full_where_the_check_may_remember() {
    let node = Node::new(shared());
    let task = "plugin = 'health'\n[grant]\nmetrics = {}\n";
    node.task("resource-check", task);
    let found = |bound: &str| {
        let warn = format!("disk-warn={bound}");
        let run = [
            "run",
            "resource-check",
            "--set",
            &warn,
            "--set",
            "disk-crit=100",
        ];
        let out = node.keepwell(&[&run[..], &["-o", "json"]].concat());
        let findings = out.report().findings;
        findings.iter().any(|f| f.id == "resource-disk")
    };
    // Every disk has something on it, so 0 percent is too much.
    assert!(found("0"), "without a memory, at once");
    node.task("resource-check", &format!("{task}state = {{}}\n"));
    assert!(!found("100"));
    assert!(!found("0"), "it may pass");
    assert!(found("0"), "it stays");
    assert!(found("100"), "it may come back");
    assert!(!found("100"), "it is well");
}
