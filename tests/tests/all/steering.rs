//! Steering what goes on, with the real daemon: a window that stays open for longer, a slot that goes
//! first, a run that does less, and a machine that is too busy.

use crate::cleaning::TASK;
use crate::harness::{Aged, Daemon, Node, age, now_ms, rfc3339, shared, start, wait_for};
use keepwell_model::event::{Event, Record};
use keepwell_model::id::RunId;
use keepwell_model::state::RunState;
use rustix::process::Signal;
use sha2::Digest as _;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// What takes longer is stuck.
const STUCK: Duration = Duration::from_secs(90);
/// Does nothing until its window, or its limit, ends it.
const SLOW: &str =
    "plugin = 'hostile'\ntask = 'slow'\n[grant]\nmetrics = {}\n[limits]\nwall = '60s'\n";
const HONEST: &str = "plugin = 'hostile'\ntask = 'honest'\n";
/// Cleans fifty files a second.
const PER_SECOND: usize = 50;

/// A node on a machine that its own `proc` says is calm.
fn scene() -> Node {
    let node = Node::new(shared());
    std::fs::create_dir_all(node.scratch().join("proc/pressure")).unwrap();
    let proc = node.scratch().join("proc");
    std::fs::write(proc.join("loadavg"), "0.01 0.01 0.01 1/99 99\n").unwrap();
    busy(&node, 0);
    node.configure_more(&format!("[daemon.pressure]\nproc = {proc:?}\n"));
    node
}

/// How long tasks wait for disks on it, in percent.
fn busy(node: &Node, percent: u32) {
    let mut text = String::new();
    for kind in ["some", "full"] {
        let _ = writeln!(
            text,
            "{kind} avg10={percent}.00 avg60=0.00 avg300=0.00 total=1"
        );
    }
    let file = node.scratch().join("proc/pressure/io");
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

fn old_files(node: &Node, count: usize) {
    for n in 0..count {
        let file = node.root().join(format!("old-{n}"));
        std::fs::write(&file, "old").unwrap();
        age(&file, Aged::days(9));
    }
}

fn files(node: &Node) -> usize {
    let entries = std::fs::read_dir(node.root()).unwrap();
    entries
        .filter(|e| e.as_ref().unwrap().file_type().unwrap().is_file())
        .count()
}

/// Cleaning that takes its time.
fn unhurried() -> String {
    TASK.replace("max-files", &format!("max-rate = {PER_SECOND}, max-files"))
}

/// The task with a schedule whose first slot comes in so many seconds, and no second one soon.
fn due_in(task: &str, seconds: u64, more: &str) -> (u64, String) {
    let due = now_ms() / 1_000 + seconds;
    let from = rfc3339(due);
    let schedule = format!("schedule = {{ every = '1h', from = '{from}' }}\n{more}\n{task}");
    (due * 1_000, schedule)
}

#[track_caller]
fn until(what: &str, mut fits: impl FnMut() -> bool) {
    let began = Instant::now();
    while !fits() {
        assert!(began.elapsed() < STUCK, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn of_kind(node: &Node, kind: &str, task: &str) -> Vec<Record> {
    node.journal(&["--kind", kind, "--task", task])
}

/// How the runs of a task ended, and when.
fn ends(node: &Node, task: &str) -> Vec<(RunId, RunState, String, u64)> {
    let ends = of_kind(node, "run-ended", task).into_iter();
    ends.map(|r| match r.event {
        Event::RunEnded { state, reason, .. } => {
            (r.run.unwrap(), state, reason.unwrap_or_default(), r.at)
        }
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn an_extended_window_ends_later_and_never_later_than_it_may() {
    let node = scene();
    let window = "window = { duration = '5s', max-extend = '10s' }";
    let (due, task) = due_in(SLOW, 4, window);
    node.task("slow", &task);
    let extend = |what: &str, by: &str| {
        node.keepwell(&[
            "runs",
            "extend",
            what,
            "--by",
            by,
            "--reason",
            "the disk is slow",
        ])
    };
    let daemon = Daemon::on(&node);
    extend("slow", "5s")
        .exits(75)
        .says(&["`slow`", "keepwell schedule next slow"]);
    until("its start", || {
        !of_kind(&node, "worker-started", "slow").is_empty()
    });
    extend("slow", "5s")
        .exits(0)
        .says(&["the window of slow is open until"]);
    extend("slow", "6s").exits(4).says(&[
        "extended by 11s in all, but at most 10s is allowed",
        "raise `max-extend`",
    ]);
    // The run names its schedule as well.
    extend("last", "2s").exits(0);
    node.keepwell(&["runs", "extend", "slow", "--by", "1s", "--reason", " "])
        .exits(4)
        .says(&["needs a reason"]);
    until("its end", || !ends(&node, "slow").is_empty());
    let (_, state, why, at) = ends(&node, "slow").remove(0);
    assert_eq!(
        (state, why.as_str()),
        (RunState::Interrupted, "the window is over")
    );
    assert!(
        (due + 12_000..due + 20_000).contains(&at),
        "{} ms",
        at - due
    );
    extend("slow", "1s").exits(75).says(&["was over"]);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    let told = node.journal(&["--kind", "window-extended"]);
    let by: Vec<u64> = told
        .iter()
        .map(|r| match r.event {
            Event::WindowExtended { by_ms, opens, .. } if opens == due => by_ms,
            _ => panic!("{r:?}"),
        })
        .collect();
    assert_eq!(by, [5_000, 2_000]);
    node.journal_is_whole();
}

#[test]
fn a_window_extended_while_no_daemon_runs_is_open_for_one_that_comes_later() {
    let node = scene();
    let window = "window = { duration = '3s', max-extend = '1m' }";
    let (due, task) = due_in(HONEST, 3, window);
    node.task("honest", &task);
    let (_, other) = due_in(HONEST, 3, window);
    node.task("other", &other);
    let daemon = Daemon::on(&node);
    until("both are known", || {
        node.journal(&["--kind", "schedule-began"]).len() == 2
    });
    daemon.killed();
    until("its window", || now_ms() > due + 500);
    node.keepwell(&[
        "runs", "extend", "honest", "--by", "50s", "--reason", "away",
    ])
    .exits(0);
    until("the end of the other one's", || now_ms() > due + 4_500);
    let _daemon = Daemon::on(&node);
    until("a run", || !ends(&node, "honest").is_empty());
    until("its miss", || {
        !of_kind(&node, "slot-missed", "other").is_empty()
    });
    assert!(ends(&node, "other").is_empty());
}

#[test]
fn a_slot_that_a_person_puts_first_goes_first_also_after_a_restart() {
    let node = scene();
    let path = node.dir().join("keepwell.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("[daemon.pressure]", "[daemon]\nruns = 1\n[daemon.pressure]"),
    )
    .unwrap();
    let (_, slow) = due_in(SLOW, 3, "");
    node.task("slow", &slow);
    for name in ["a-first", "b-second", "c-third"] {
        let (_, task) = due_in(HONEST, 4, "");
        node.task(name, &task);
    }
    let daemon = Daemon::on(&node);
    until("what takes the place", || {
        !of_kind(&node, "worker-started", "slow").is_empty()
    });
    for _ in 0..3 {
        daemon.says("held: as many runs as may are going on");
    }
    let first = |name: &str, criticality: &str| {
        node.keepwell(&[
            "runs",
            "prioritize",
            name,
            "--criticality",
            criticality,
            "--reason",
            "before the backup",
        ])
    };
    first("c-third", "high")
        .exits(0)
        .says(&["the slot that waits of c-third"]);
    first("a-first", "low").exits(0);
    first("nobody", "low")
        .exits(2)
        .says(&["there is no schedule and no run `nobody`"]);
    assert_eq!(first("a-first", "urgent").code, 2);
    daemon.killed();
    let daemon = Daemon::on(&node);
    until("all of them", || {
        ["a-first", "b-second", "c-third"]
            .iter()
            .all(|name| !ends(&node, name).is_empty())
    });
    drop(daemon);
    let due = node.journal(&["--kind", "run-due"]);
    let order: Vec<&str> = due.iter().filter_map(|r| r.task.as_deref()).collect();
    assert_eq!(order, ["slow", "c-third", "b-second", "a-first"]);
    // Said of the next slot: the one that waited is done.
    first("c-third", "high")
        .exits(0)
        .says(&["the next slot of c-third"]);
    node.journal_is_whole();
}

#[test]
fn a_run_that_is_adjusted_stops_there_keeps_what_it_did_and_goes_on() {
    let node = scene();
    node.task("temp-clean", &unhurried());
    old_files(&node, 300);
    let adjust = |less: [&str; 2]| {
        let verb = ["runs", "adjust", "last"];
        node.keepwell(&[&verb[..], &less, &["--reason", "the backup begins"]].concat())
    };
    adjust(["--max-actions", "9"]).exits(2);
    let daemon = Daemon::on(&node);
    let mut run = start(Some(&node.dir()), &["run", "temp-clean", "-o", "jsonl"]);
    let _pipe = wait_for(&mut run, "intended");
    adjust(["--max-actions", "0"])
        .exits(2)
        .says(&["at least 1"]);
    adjust(["--max-actions", "20"]).exits(0);
    adjust(["--max-actions", "2000"])
        .exits(2)
        .says(&["is held to as little already"]);
    assert_eq!(run.wait().unwrap().code(), Some(6));
    let report = node
        .keepwell(&["runs", "show", "last", "-o", "json"])
        .report();
    assert_eq!(report.state, RunState::Interrupted, "{report:?}");
    let done = report.applied.done;
    assert!((20..150).contains(&done), "{done}");
    assert_eq!(report.applied.remaining, 300 - done);
    assert_eq!(files(&node) as u64, 300 - done);
    let told = of_kind(&node, "run-adjusted", "temp-clean");
    let Event::RunAdjusted { bound, reason } = &told[0].event else {
        panic!("{told:?}");
    };
    assert_eq!(
        (bound.before_action, reason.as_str()),
        (Some(done), "the backup begins")
    );
    assert!(told[0].actor.starts_with("uid:"));
    // It goes on without the bound, until it gets another one.
    let mut run = start(
        Some(&node.dir()),
        &["runs", "resume", "last", "-o", "jsonl"],
    );
    let _pipe = wait_for(&mut run, "intended");
    let second = node.keepwell(&["runs", "resume", "last"]);
    second.exits(75).says(&["the run is under way"]);
    node.keepwell(&["undo", "last"]).exits(75);
    let began = Instant::now();
    adjust(["--max-seconds", "1"]).exits(0);
    assert_eq!(run.wait().unwrap().code(), Some(6));
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert!(files(&node) > 0);
    node.keepwell(&["runs", "resume", "last"]).exits(0);
    assert_eq!(files(&node), 0);
    drop(daemon);
    node.keepwell(&["undo", "last"]).exits(0);
    assert_eq!(files(&node), 300);
    node.journal_is_whole();
}

#[test]
fn what_the_end_of_a_window_cut_off_is_finished_in_the_next_ones() {
    let node = scene();
    let task = unhurried();
    let schedule = "schedule = { every = '4s', catch-up = '1s' }\nwindow = { duration = '2s' }\n";
    node.task("temp-clean", &format!("{schedule}{task}"));
    old_files(&node, 320);
    let daemon = Daemon::on(&node);
    until("an empty folder", || files(&node) == 0);
    until("its end", || {
        ends(&node, "temp-clean")
            .iter()
            .any(|e| e.1 == RunState::Done)
    });
    drop(daemon);
    let ends = ends(&node, "temp-clean");
    let first = ends[0].0;
    let same: Vec<_> = ends.iter().filter(|end| end.0 == first).collect();
    assert!(same.len() >= 3, "{ends:?}");
    assert_eq!(same.last().unwrap().1, RunState::Done, "{ends:?}");
    // The slots in between have one end each, and no run that does nothing.
    let skipped = of_kind(&node, "slot-skipped", "temp-clean");
    assert!(!skipped.is_empty());
    for one in &skipped {
        let Event::SlotSkipped { why, .. } = &one.event else {
            panic!("{one:?}");
        };
        assert!(why.contains("went on and is not done yet"), "{why}");
    }
    let applied = of_kind(&node, "approved", "temp-clean");
    assert_eq!(applied.len(), 1, "{applied:?}");
    node.journal_is_whole();
}

#[test]
fn a_run_of_a_schedule_is_cancelled_by_the_verb() {
    let node = scene();
    let (_, task) = due_in(SLOW, 3, "");
    node.task("slow", &task);
    let _daemon = Daemon::on(&node);
    until("its start", || {
        !of_kind(&node, "worker-started", "slow").is_empty()
    });
    node.keepwell(&["task", "done", "slow", "--reason", "by hand"])
        .exits(75)
        .says(&["attempt 1 of it was started"]);
    node.keepwell(&["runs", "cancel", "last"]).exits(0);
    until("its end", || !ends(&node, "slow").is_empty());
    let (_, state, why, _) = ends(&node, "slow").remove(0);
    assert_eq!(state, RunState::Cancelled);
    assert!(why.starts_with("cancelled by uid:"), "{why}");
}

#[test]
fn a_slot_that_a_busy_machine_held_up_is_told_so_with_the_figures() {
    let node = scene();
    busy(&node, 93);
    let every = "schedule = { every = '2s', catch-up = '1s' }\n";
    node.task("honest", &format!("{every}{HONEST}"));
    let critical = "schedule = { every = '2s', criticality = 'critical' }\n";
    node.task("urgent", &format!("{critical}{HONEST}"));
    let daemon = Daemon::on(&node);
    daemon.says("held: the machine is busy: waiting for disks is at 93%, the limit is 60%");
    until("two that were skipped", || {
        of_kind(&node, "slot-skipped", "honest").len() >= 2
    });
    for one in of_kind(&node, "slot-skipped", "honest") {
        let Event::SlotSkipped { why, .. } = &one.event else {
            panic!("{one:?}");
        };
        let figures = "waiting for disks is at 93%, the limit is 60%, until a newer slot was due";
        assert!(why.contains(figures), "{why}");
    }
    assert!(of_kind(&node, "slot-missed", "honest").is_empty());
    assert!(of_kind(&node, "run-due", "honest").is_empty());
    assert!(!of_kind(&node, "run-due", "urgent").is_empty());
    busy(&node, 0);
    until("a run", || !ends(&node, "honest").is_empty());
}

#[test]
fn a_busy_machine_slows_a_run_which_says_so_and_ends_all_the_same() {
    let node = scene();
    node.task("temp-clean", TASK);
    old_files(&node, 3_000);
    busy(&node, 75);
    let out = node.keepwell(&["run", "temp-clean", "-o", "jsonl"]);
    out.exits(0);
    let said = "applying, slowed: waiting for disks is at 75%, the limit is 60%";
    assert!(out.out.contains(said), "{}", out.err);
    assert_eq!(files(&node), 0);
    node.keepwell(&["undo", "last"]).exits(0);
    busy(&node, 0);
    let calm = node.keepwell(&["run", "temp-clean", "-o", "jsonl"]);
    calm.exits(0);
    assert!(!calm.out.contains("slowed"), "{}", calm.out);
    assert_eq!(files(&node), 0);
}

#[test]
fn a_busy_machine_slows_a_scrub_which_says_so_and_reads_all_the_same() {
    let node = scene();
    let store = node.scratch().join("store");
    std::fs::create_dir(&store).unwrap();
    let mut sums = String::new();
    for n in 0..40_u8 {
        let bytes = vec![n; 1 << 20];
        let sum = data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(&bytes));
        let _ = writeln!(sums, "{sum}  file-{n}");
        std::fs::write(store.join(format!("file-{n}")), bytes).unwrap();
    }
    std::fs::write(store.join("SHA256SUMS"), sums).unwrap();
    let config = node.dir().join("keepwell.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let more = format!("[stores.store]\nkind = 'sha256sums'\npath = {store:?}\n");
    std::fs::write(&config, format!("{text}\n{more}")).unwrap();
    let task = "plugin = 'scrub'\n[grant]\nshards = { stores = ['store'] }\n";
    node.task("shard-verify", task);
    let verify = || {
        let out = node.keepwell(&["run", "shard-verify", "-o", "jsonl"]);
        out.exits(0);
        out
    };
    let calm = verify();
    assert!(!calm.out.contains("slowed"), "{}", calm.out);
    busy(&node, 75);
    let slowed = verify();
    let said = "slowed: waiting for disks is at 75%, the limit is 60%";
    assert!(slowed.out.contains(said), "{}", slowed.out);
    assert!(slowed.took > calm.took, "{:?} {:?}", slowed.took, calm.took);
    let report = node
        .keepwell(&["runs", "show", "last", "-o", "json"])
        .report();
    assert_eq!(report.state, RunState::Done, "{report:?}");
}

#[test]
fn schedules_that_are_made_and_changed_are_obeyed_by_the_daemon_that_runs() {
    let node = scene();
    for name in ["one", "two"] {
        node.task(name, HONEST);
    }
    let daemon = Daemon::on(&node);
    node.keepwell(&["schedule", "create", "mine", "--hourly", "one"])
        .exits(0)
        .says(&["read again"]);
    let began = || -> Vec<String> {
        let records = node.journal(&["--kind", "schedule-began"]);
        let names = records.into_iter().map(|r| match r.event {
            Event::ScheduleBegan { schedule, zone, .. } => {
                assert_eq!(zone, "UTC");
                schedule
            }
            other => panic!("{other:?}"),
        });
        names.collect()
    };
    until("its beginning", || began() == ["mine/hourly"]);
    let update = [
        "schedule",
        "update",
        "mine",
        "--add-hourly",
        "two",
        "--add-daily",
        "one",
    ];
    node.keepwell(&update).exits(0).says(&["read again"]);
    until("the second slot", || {
        began() == ["mine/hourly", "mine/daily"]
    });
    let reloads = node.journal(&["--kind", "config-reloaded"]);
    assert_eq!(reloads.len(), 2);
    for reload in reloads {
        assert!(matches!(
            reload.event,
            Event::ConfigReloaded { refused: None }
        ));
        assert!(reload.actor.starts_with("uid:"));
    }
    drop(daemon);
}
