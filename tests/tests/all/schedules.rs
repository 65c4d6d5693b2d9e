//! Schedules by the real daemon and the real clock: every slot once or told of, whatever crashes;
//! overlap, sets, retries, pauses, windows and new schedules as they are written.

use crate::harness::{Daemon, Node, journal, shared, start};
use keepwell_model::event::Event;
use keepwell_model::slot::{Slot, Via};
use keepwell_model::state::RunState;
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// The shortest interval there is.
const SECOND_MS: u64 = 1_000;
/// Rounds of kill -9.
const ROUNDS: u64 = 20;
/// Whatever is waited for here comes within seconds.
const STUCK: Duration = Duration::from_secs(60);

/// A node that starts what is due however busy the tests keep the machine.
pub(crate) fn node() -> Node {
    let node = Node::new(shared());
    let path = node.dir().join("keepwell.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let calm = "[daemon.pressure]\ncpu = '100%'\nio = '100%'\nload-percent = 1000000\n";
    std::fs::write(path, format!("{text}\n{calm}")).unwrap();
    node
}

/// A task of the hostile plugin with a schedule.
fn hostile(task: &str, rest: &str) -> String {
    format!("plugin = 'hostile'\ntask = '{task}'\n{rest}\n")
}

fn every_second(node: &Node) {
    node.task(
        "honest",
        &hostile("honest", "schedule = { every = '1s', catch-up = '1s' }"),
    );
}

/// The slots that runs were started for.
pub(crate) fn started(node: &Node) -> Vec<(String, Slot)> {
    started_at(&node.dir())
}

fn started_at(node: &Path) -> Vec<(String, Slot)> {
    let records = journal(node, &["--kind", "run-due"]);
    let slots = records.into_iter().filter_map(|r| match r.event {
        Event::RunDue { slot, .. } => Some((r.task.unwrap(), slot?)),
        other => panic!("{other:?}"),
    });
    slots.collect()
}

/// No slot of a task was started twice.
#[track_caller]
pub(crate) fn never_twice(started: &[(String, Slot)]) {
    let mut seen = BTreeSet::new();
    for (task, slot) in started {
        let id = (task.clone(), slot.schedule.clone(), slot.due, slot.attempt);
        assert!(seen.insert(id), "twice: {task} {slot:?}");
    }
}

/// Every second from the first slot to the last has exactly one end: started, skipped or missed.
#[track_caller]
pub(crate) fn each_told_once(node: &Path, task: &str) {
    let mut told: BTreeMap<u64, u32> = BTreeMap::new();
    for (name, slot) in started_at(node) {
        if name == task && slot.attempt == 1 {
            *told.entry(slot.due).or_default() += 1;
        }
    }
    let records = journal(node, &["--task", task]);
    for record in records {
        match record.event {
            Event::SlotSkipped { due, .. } => *told.entry(due).or_default() += 1,
            Event::SlotMissed {
                from, to, count, ..
            } => {
                assert_eq!((to - from) / SECOND_MS + 1, count, "{from} to {to}");
                for due in (from..=to).step_by(1_000) {
                    *told.entry(due).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    let (first, last) = (told.keys().next().unwrap(), told.keys().last().unwrap());
    for due in (*first..=*last).step_by(1_000) {
        assert_eq!(told.get(&due), Some(&1), "slot {due} of {first} to {last}");
    }
}

/// Waits until the journal fits.
#[track_caller]
pub(crate) fn until(what: &str, mut fits: impl FnMut() -> bool) {
    let began = Instant::now();
    while !fits() {
        assert!(began.elapsed() < STUCK, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn ended(node: &Node, task: &str) -> Vec<(RunState, String)> {
    let records = node.journal(&["--kind", "run-ended", "--task", task]);
    let ends = records.into_iter().map(|r| match r.event {
        Event::RunEnded { state, reason, .. } => (state, reason.unwrap_or_default()),
        other => panic!("{other:?}"),
    });
    ends.collect()
}

#[test]
fn no_slot_runs_twice_and_none_is_lost_whenever_the_daemon_is_killed() {
    let node = node();
    every_second(&node);
    // Moments that differ, and are the same each time the test runs.
    let mut moment = 7_u64;
    for _ in 0..ROUNDS {
        moment = (moment * 1_103_515_245 + 12_345) % (1 << 31);
        let daemon = Daemon::on(&node);
        std::thread::sleep(Duration::from_millis(100 + moment % 1_400));
        daemon.killed();
    }
    let daemon = Daemon::on(&node);
    std::thread::sleep(Duration::from_millis(2_500));
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    let started = started(&node);
    assert!(started.len() >= 5, "{started:?}");
    never_twice(&started);
    each_told_once(&node.dir(), "honest");
    node.journal_is_whole();
}

#[test]
fn two_daemons_at_once_start_no_slot_twice() {
    let node = node();
    every_second(&node);
    for _ in 0..3 {
        let mut both: Vec<_> = (0..2)
            .map(|_| start(Some(&node.dir()), &["daemon"]))
            .collect();
        std::thread::sleep(Duration::from_millis(1_700));
        let codes: Vec<_> = both.iter_mut().map(|d| d.try_wait().unwrap()).collect();
        let lost = codes.iter().flatten().next().expect("both hold the node");
        assert_eq!(lost.code(), Some(75));
        assert!(codes.iter().any(Option::is_none), "none holds the node");
        for mut daemon in both {
            let _ = daemon.kill();
            daemon.wait().unwrap();
        }
    }
    let started = started(&node);
    assert!(started.len() >= 2, "{started:?}");
    never_twice(&started);
    each_told_once(&node.dir(), "honest");
}

#[test]
fn what_is_missed_while_down_is_told_and_counted() {
    let node = node();
    every_second(&node);
    let daemon = Daemon::on(&node);
    until("a first run", || !started(&node).is_empty());
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    std::thread::sleep(Duration::from_secs(4));
    let before = started(&node).len();
    let daemon = Daemon::on(&node);
    until("a run after it", || started(&node).len() > before);
    drop(daemon);
    let missed: u64 = node
        .journal(&["--kind", "slot-missed"])
        .into_iter()
        .map(|r| match r.event {
            Event::SlotMissed { count, why, .. } => {
                assert!(!why.is_empty());
                count
            }
            other => panic!("{other:?}"),
        })
        .sum();
    assert!((2..=8).contains(&missed), "{missed}");
    each_told_once(&node.dir(), "honest");
}

#[test]
fn a_slot_that_comes_too_early_is_skipped_or_goes_first() {
    let node = node();
    let slow = |overlap: &str| {
        let grant = "[grant]\nmetrics = {}\n[limits]\nwall = '30s'";
        hostile(
            "slow",
            &format!("schedule = {{ every = '2s', overlap = '{overlap}' }}\n{grant}"),
        )
    };
    node.task("patient", &slow("skip"));
    node.task("urgent", &slow("cancel-other"));
    let daemon = Daemon::on(&node);
    until("two skipped", || {
        node.journal(&["--kind", "slot-skipped", "--task", "patient"])
            .len()
            >= 2
    });
    until("two cancelled", || ended(&node, "urgent").len() >= 2);
    drop(daemon);
    for skipped in node.journal(&["--kind", "slot-skipped", "--task", "patient"]) {
        let Event::SlotSkipped { why, .. } = skipped.event else {
            panic!()
        };
        assert!(why.contains("run"), "{why}");
    }
    let started = started(&node);
    let of = |task: &str| started.iter().filter(|(name, _)| name == task).count();
    assert_eq!(of("patient"), 1);
    for (state, why) in ended(&node, "urgent") {
        assert_eq!(state, RunState::Cancelled);
        assert!(why.contains("the next slot is due"), "{why}");
    }
    never_twice(&started);
}

#[test]
fn a_set_stops_as_it_says_and_tells_who_got_no_turn() {
    let node = node();
    for task in ["first", "second", "third", "fourth"] {
        let kind = if ["first", "third"].contains(&task) {
            "panic"
        } else {
            "honest"
        };
        node.task(task, &hostile(kind, ""));
    }
    let strict = "[slots.strict]\nevery = '2s'\ntasks = ['first', 'second']\n";
    let easy = "[slots.easy]\nevery = '2s'\ntasks = ['third', 'fourth']\nstop-on = 'never'\n";
    let path = node.dir().join("schedules/often.toml");
    std::fs::write(path, [strict, easy].concat()).unwrap();
    let daemon = Daemon::on(&node);
    let ran = |task: &str| started(&node).iter().any(|(name, _)| name == task);
    until("a run after a failed one", || ran("fourth"));
    let left = ["--kind", "slot-skipped", "--task", "second"];
    until("one left out", || !node.journal(&left).is_empty());
    drop(daemon);
    assert!(!ran("second"));
    for skipped in node.journal(&left) {
        let Event::SlotSkipped { schedule, why, .. } = skipped.event else {
            panic!()
        };
        assert_eq!(schedule, "often/strict");
        assert!(why.contains("first before it ended failed"), "{why}");
    }
}

#[test]
fn a_task_of_a_set_that_its_limits_kill_again_and_again_is_put_aside() {
    let node = node();
    node.task("spin", &hostile("spin", "[limits]\nfuel = 3_000_000\n"));
    node.task("honest", &hostile("honest", ""));
    let often = "[slots.often]\nevery = '1s'\ntasks = ['spin', 'honest']\nstop-on = 'never'\n";
    std::fs::write(node.dir().join("schedules/set.toml"), often).unwrap();
    let daemon = Daemon::on(&node);
    let left = ["--kind", "slot-skipped", "--task", "spin"];
    until("one left out", || !node.journal(&left).is_empty());
    let count = |task: &str| started(&node).iter().filter(|(t, _)| t == task).count();
    let before = count("honest");
    until("the other goes on", || count("honest") > before + 1);
    drop(daemon);
    assert_eq!(count("spin"), 3);
    for skipped in node.journal(&left) {
        let Event::SlotSkipped { why, .. } = skipped.event else {
            panic!()
        };
        assert!(why.contains("put aside"), "{why}");
    }
}

#[test]
fn a_task_that_keeps_failing_is_paused_until_a_person_resumes_it() {
    let node = node();
    node.task(
        "panic",
        &hostile("panic", "schedule = { every = '1s', pause-after = 2 }"),
    );
    let daemon = Daemon::on(&node);
    until("its pause", || {
        !node.journal(&["--kind", "task-paused"]).is_empty()
    });
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(started(&node).len(), 2);
    assert!(!node.journal(&["--kind", "slot-skipped"]).is_empty());
    node.keepwell(&["task", "resume", "panic", "--reason", "mended"])
        .exits(0);
    until("a third run", || started(&node).len() > 2);
    drop(daemon);
}

#[test]
fn a_passing_failure_is_tried_again_and_a_lasting_one_is_not() {
    let node = node();
    let retry = "schedule = { every = '15s', catch-up = '15s', retry = { attempts = 3, first = '1s', most = '2s' } }";
    node.task(
        "flaky",
        &hostile(
            "flaky",
            &format!("{retry}\n[grant]\nstorage = {{ roots = ['tmp'] }}"),
        ),
    );
    node.task("panic", &hostile("panic", retry));
    let daemon = Daemon::on(&node);
    until("a first failure", || !ended(&node, "flaky").is_empty());
    std::fs::write(node.root().join("ready"), "").unwrap();
    until("a good end", || {
        ended(&node, "flaky")
            .last()
            .is_some_and(|(s, _)| *s == RunState::Done)
    });
    drop(daemon);
    let started = started(&node);
    let of = |task: &str| -> Vec<&Slot> {
        started
            .iter()
            .filter(|(name, _)| name == task)
            .map(|(_, slot)| slot)
            .collect()
    };
    let tries = of("flaky");
    assert!(tries.len() >= 2, "{tries:?}");
    assert!(
        tries.iter().all(|slot| slot.due == tries[0].due),
        "{tries:?}"
    );
    let numbers: Vec<u32> = tries.iter().map(|slot| slot.attempt).collect();
    assert_eq!(
        numbers,
        (1..=u32::try_from(tries.len()).unwrap()).collect::<Vec<_>>()
    );
    assert_eq!(tries[1].via, Via::Retry);
    assert_eq!(of("panic").len(), 1);
}

#[test]
fn a_failure_that_is_to_be_tried_again_is_tried_by_the_next_daemon_too() {
    let node = node();
    let retry = "schedule = { every = '30s', catch-up = '30s', retry = { attempts = 5, first = '3s', most = '3s' } }";
    let grant = "[grant]\nstorage = { roots = ['tmp'] }";
    node.task("flaky", &hostile("flaky", &format!("{retry}\n{grant}")));
    let daemon = Daemon::on(&node);
    until("a first failure", || !ended(&node, "flaky").is_empty());
    daemon.killed();
    std::fs::write(node.root().join("ready"), "").unwrap();
    let before = started(&node);
    let _daemon = Daemon::on(&node);
    until("a good end", || {
        let last = ended(&node, "flaky").pop();
        last.is_some_and(|(state, _)| state == RunState::Done)
    });
    let after = started(&node);
    let (was, is) = (&before.last().unwrap().1, &after.last().unwrap().1);
    assert_eq!(
        (is.due, is.attempt),
        (was.due, was.attempt + 1),
        "{after:?}"
    );
    assert_eq!(is.via, Via::Retry);
}

#[test]
fn the_hard_end_of_a_window_interrupts_and_the_next_slot_goes_on() {
    let node = node();
    let rest = "schedule = { every = '4s' }\nwindow = { duration = '2s' }\n[grant]\nmetrics = {}\n[limits]\nwall = '30s'";
    node.task("slow", &hostile("slow", rest));
    let daemon = Daemon::on(&node);
    until("two interrupted", || ended(&node, "slow").len() >= 2);
    drop(daemon);
    for (state, why) in ended(&node, "slow") {
        assert_eq!(state, RunState::Interrupted);
        assert!(why.contains("the window is over"), "{why}");
    }
    let started = started(&node);
    assert!(started.len() >= 2);
    never_twice(&started);
}

#[test]
fn a_schedule_that_is_added_does_not_run_at_its_creation() {
    let node = node();
    node.task("honest", &hostile("honest", ""));
    let daemon = Daemon::on(&node);
    node.task(
        "honest",
        &hostile("honest", "schedule = { every = '1h', catch-up = '1h' }"),
    );
    daemon.signal(Signal::HUP);
    daemon.says("the configuration was read again");
    until("its beginning", || {
        !node.journal(&["--kind", "schedule-began"]).is_empty()
    });
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(started(&node), []);
    // Another pattern is another schedule: slots up to now are nobody's.
    every_second(&node);
    daemon.signal(Signal::HUP);
    until("a run", || !started(&node).is_empty());
    drop(daemon);
    let began = node.journal(&["--kind", "schedule-began"]);
    assert_eq!(began.len(), 2);
    let first = started(&node)[0].1.due;
    assert!(first > began[1].at, "{first} {}", began[1].at);
}
