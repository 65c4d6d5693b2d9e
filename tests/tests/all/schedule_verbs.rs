//! The verbs of schedules, and what a person may ask of a task's slots: checked before written, by
//! the real binary, with a daemon that obeys.

use crate::cleaning::TASK;
use crate::harness::{Daemon, Node, now_ms, rfc3339, shared};
use keepwell_model::event::Event;
use keepwell_model::slot::Via;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What takes longer is stuck.
const STUCK: Duration = Duration::from_secs(90);

fn scene() -> Node {
    let node = Node::new(shared());
    for name in ["daily", "weekly", "monthly", "quarterly"] {
        node.task(&format!("{name}-work"), &task(""));
    }
    node
}

/// A task that cleans an empty folder, with a schedule.
fn task(schedule: &str) -> String {
    format!("task = 'temp-clean'\n{schedule}\n{TASK}")
}

fn wait(mut until: impl FnMut() -> bool) {
    let began = Instant::now();
    while !until() {
        assert!(began.elapsed() < STUCK, "it never came");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const CREATE: [&str; 13] = [
    "schedule",
    "create",
    "standard-maintenance",
    "--daily",
    "daily-work",
    "--weekly",
    "weekly-work",
    "--monthly",
    "monthly-work",
    "--at",
    "02:30",
    "--zone",
    "Europe/Berlin",
];

#[test]
fn the_runbooks_schedule_is_made_updated_viewed_and_checked() {
    let node = scene();
    node.keepwell(&CREATE).exits(0).says(&["no daemon runs"]);
    node.keepwell(&CREATE).exits(2).says(&["already"]);
    let update = |options: &[&str]| {
        node.keepwell(&[&["schedule", "update", "standard-maintenance"], options].concat())
    };
    update(&["--add-quarterly", "quarterly-work"]).exits(0);
    update(&["--add-quarterly", "quarterly-work"]).exits(2);
    let file = node.dir().join("schedules/standard-maintenance.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    update(&["--add-daily", "no-such-task"])
        .exits(78)
        .says(&["`no-such-task` is not known"]);
    update(&["--zone", "Europe/Berlni"])
        .exits(78)
        .says(&["not known"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), good);
    update(&["--remove-monthly", "monthly-work"]).exits(0);

    let view = node.keepwell(&["schedule", "view", "standard-maintenance", "-o", "json"]);
    let view = view.exits(0).json();
    let slots: Vec<_> = view["slots"].as_array().unwrap().iter().collect();
    let keys: Vec<_> = slots
        .iter()
        .map(|s| s["schedule"].as_str().unwrap())
        .collect();
    let wanted = ["daily", "quarterly", "weekly"].map(|s| format!("standard-maintenance/{s}"));
    assert_eq!(keys, wanted);
    assert_eq!(slots[0]["pattern"], "daily 02:30");
    assert_eq!(slots[0]["zone"], "Europe/Berlin");
    node.keepwell(&["schedule", "validate", "standard-maintenance"])
        .exits(0);
    let list = node.keepwell(&["schedule", "list"]);
    assert!(list.exits(0).out.contains("standard-maintenance/quarterly"));
    node.keepwell(&["schedule", "view", "standard-maintenence"])
        .exits(2)
        .says(&["did you mean `standard-maintenance`?"]);

    let text = std::fs::read_to_string(&file).unwrap();
    // What people wrote around it stays.
    let text = text.replace("[slots.quarterly]", "[slots.quarterly] # with the auditor");
    std::fs::write(&file, format!("# mine\n{text}")).unwrap();
    update(&["--remove-daily", "daily-work"]).exits(0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("# mine\n") && text.contains("# with the auditor"),
        "{text}"
    );
}

#[test]
fn the_next_runs_show_the_edge_of_daylight_saving() {
    let node = scene();
    node.keepwell(&CREATE).exits(0);
    let next = |options: &[&str]| {
        let args = [&["schedule", "next"], options, &["-o", "json"]].concat();
        node.keepwell(&args)
            .exits(0)
            .json()
            .as_array()
            .unwrap()
            .clone()
    };
    assert_eq!(next(&["--count", "7"]).len(), 7);
    let rows = next(&["standard-maintenance", "--count", "500"]);
    let note = |row: &serde_json::Value| row["note"].as_str().unwrap_or_default().to_owned();
    // Half past two does not exist on the last Sunday of March.
    assert!(
        rows.iter().any(|r| note(r).contains("left out that day")),
        "{rows:#?}"
    );
    assert!(rows.iter().any(|r| note(r).contains("the clock goes")));
    let times: Vec<u64> = rows[..500]
        .iter()
        .map(|r| r["at"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted());
}

/// `schedule validate` must exit so, and name the file, its line and the words.
#[track_caller]
fn found(node: &Node, exit: i32, file: &str, line: u64, words: &str) {
    let out = node.keepwell(&["schedule", "validate", "-o", "json"]);
    let told = out.exits(exit).json();
    let flaws = told["flaws"].as_array().unwrap();
    let is = |flaw: &&serde_json::Value| {
        flaw["file"].as_str().unwrap().ends_with(file)
            && flaw["line"] == line
            && flaw["message"].as_str().unwrap().contains(words)
    };
    assert!(
        flaws.iter().any(|flaw| is(&flaw)),
        "{file}:{line} {words}: {told:#}"
    );
}

#[test]
fn validate_names_the_file_and_line_of_every_flaw() {
    let node = scene();
    let one = |schedule: &str| node.task("daily-work", &task(schedule));
    one("schedule = { cron = '0 2 * *' }");
    found(&node, 78, "daily-work.toml", 2, "");
    one("schedule = { cron = '0 2 30 2 *' }");
    found(&node, 78, "daily-work.toml", 2, "");
    one("schedule = { slot = 'daily', zone = 'Mars/Olympus' }");
    found(
        &node,
        78,
        "daily-work.toml",
        2,
        "`Mars/Olympus` is not known",
    );
    one("");
    let named = node.dir().join("schedules/named.toml");
    std::fs::write(&named, "[slots.daily]\ntasks = ['daily-work', 'nobody']\n").unwrap();
    found(&node, 78, "named.toml", 2, "`nobody` is not known");
    let overlap = "group = 'disk'\nwindow = { duration = '2h' }\n[slots.daily]\nat = '02:00'\ntasks = ['daily-work']\n[slots.nightly]\ncron = '0 3 * * *'\ntasks = ['weekly-work']\n";
    std::fs::write(&named, overlap).unwrap();
    found(&node, 3, "named.toml", 3, "overlaps");
    std::fs::write(&named, "[slots.daily]\ntasks = ['daily-work']\n").unwrap();
    let lacks = "plugin = 'clean'\ntask = 'temp-clean'\n[grant]\nstorage = { roots = ['tmp'] }\n";
    node.task("daily-work", lacks);
    found(&node, 78, "daily-work.toml", 3, "storage-clean");
    node.keepwell(&["schedule", "validate", "nobody"]).exits(2);
}

/// Each has a slot due while no daemon runs; what a person did is not started when one comes.
#[test]
fn a_slot_done_by_hand_is_not_started() {
    let node = scene();
    let due = now_ms() / 1_000 + 5;
    // Critical, so that a busy machine does not hold it. An interval that begins then: its first slot, and none for an hour after it.
    let schedule = format!(
        "schedule = {{ every = '1h', from = '{}', criticality = 'critical' }}",
        rfc3339(due)
    );
    node.task("daily-work", &task(&schedule));
    node.task("weekly-work", &task(&schedule));
    node.keepwell(&["task", "done", "monthly-work", "--reason", "x"])
        .exits(2)
        .says(&["no schedule runs monthly-work"]);
    let daemon = Daemon::on(&node);
    wait(|| node.journal(&["--kind", "schedule-began"]).len() == 2);
    daemon.killed();
    wait(|| now_ms() / 1_000 > due);
    let done = ["task", "done", "daily-work", "--reason", "cleaned by hand"];
    node.keepwell(&done).exits(0).says(&["was done by hand"]);
    node.keepwell(&done).exits(75);
    let _daemon = Daemon::on(&node);
    wait(|| !node.journal(&["--kind", "run-ended"]).is_empty());
    let runs = node.journal(&["--kind", "run-due"]);
    let tasks: Vec<_> = runs.iter().filter_map(|r| r.task.as_deref()).collect();
    assert_eq!(tasks, ["weekly-work"]);
    node.keepwell(&["task", "done", "weekly-work", "--reason", "late"])
        .exits(75);
    let told = node.journal(&["--kind", "slot-done-by-hand"]);
    assert!(
        matches!(&told[0].event, Event::SlotDoneByHand { reason, .. } if reason == "cleaned by hand")
    );
    node.journal_is_whole();
}

#[test]
fn a_backfill_runs_the_missing_slots_once_also_when_killed() {
    let node = scene();
    node.task(
        "daily-work",
        &task("schedule = { every = '10m', criticality = 'critical' }"),
    );
    let ask = [
        "task",
        "backfill",
        "daily-work",
        "--from",
        "2h",
        "--to",
        "11m",
        "--reason",
        "away",
    ];
    node.keepwell(&ask)
        .exits(0)
        .says(&["no daemon runs", "nothing starts it"]);
    let far = [
        "task",
        "backfill",
        "daily-work",
        "--from",
        "300d",
        "--to",
        "1h",
        "--reason",
        "x",
    ];
    node.keepwell(&far)
        .exits(2)
        .says(&["a backfill runs from 1 to 1000"]);
    let filled = || -> Vec<u64> {
        let runs = node.journal(&["--kind", "run-due"]);
        let slots = runs.into_iter().filter_map(|r| match r.event {
            Event::RunDue { slot, .. } => slot.filter(|s| s.via == Via::Backfill),
            _ => None,
        });
        slots.map(|slot| slot.due).collect()
    };
    let settled = || !node.journal(&["--kind", "ask-settled"]).is_empty();
    let daemon = Daemon::on(&node);
    wait(|| filled().len() >= 2 || settled());
    daemon.killed();
    let _daemon = Daemon::on(&node);
    wait(settled);
    let asked = node.journal(&["--kind", "backfill-asked"]);
    let Event::BackfillAsked { from, to, .. } = asked[0].event else {
        panic!("{asked:?}");
    };
    let wanted: BTreeSet<u64> = (from.div_ceil(600_000)..=to / 600_000)
        .map(|n| n * 600_000)
        .collect();
    let found = filled();
    assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(found.len(), wanted.len(), "a slot was run twice: {found:?}");
    node.journal_is_whole();
}

#[test]
fn run_now_is_started_once_by_the_daemon_for_who_asked() {
    let node = scene();
    let ask = [
        "task",
        "run-now",
        "daily-work",
        "--reason",
        "the disk fills up",
    ];
    node.keepwell(&ask)
        .exits(0)
        .says(&["nothing starts it until one does"]);
    let daemon = Daemon::on(&node);
    wait(|| node.journal(&["--kind", "run-ended"]).len() == 1);
    let out = node.keepwell(&ask);
    out.exits(0);
    assert!(!out.err.contains("no daemon"), "{}", out.err);
    wait(|| node.journal(&["--kind", "run-ended"]).len() == 2);
    drop(daemon);
    let _daemon = Daemon::on(&node);
    std::thread::sleep(Duration::from_secs(1));
    let runs = node.journal(&["--kind", "run-due"]);
    assert_eq!(runs.len(), 2);
    let user = format!("uid:{}", rustix::process::getuid().as_raw());
    for run in &runs {
        assert_eq!(run.actor, user);
        assert!(matches!(run.event, Event::RunDue { asked: Some(_), .. }));
    }
}
