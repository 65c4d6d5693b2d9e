//! Floods that the host's own count must stop, and honest workers that it must not.

use super::*;
use keepwell_model::event::Walls;
use keepwell_model::limits::Limits;

fn ready(assignment: &Assignment) -> Recount<'_> {
    let mut recount = Recount::new(assignment);
    let walls = Told::Ready(Walls {
        landlock: "absent".into(),
        seccomp: "absent".into(),
        no_new_privileges: false,
        rlimits: false,
        privileges_dropped: false,
    });
    recount.admit(walls, Duration::ZERO).unwrap();
    recount
}

/// How many checkpoints pass when one is told every `step`, until the host has enough of it.
fn checkpoints(step: Duration, most: u32) -> (u32, bool) {
    let assignment = Assignment::describe(Limits::default(), true);
    let mut recount = ready(&assignment);
    for n in 0..most {
        if recount.admit(Told::Checkpointed(vec![]), step * n).is_err() {
            return (n, true);
        }
    }
    (most, false)
}

#[test]
fn a_flood_of_checkpoints_ends_the_worker_early_or_late() {
    let (passed, ended) = checkpoints(Duration::from_millis(1), 1_000);
    assert!(ended && passed <= 34, "{passed}");
    // Ten a second are as agreed at first, and too many after a while.
    let (passed, ended) = checkpoints(OFTEN, 100_000);
    assert!(ended && passed > 200 && passed < 300, "{passed}");
}

#[test]
fn an_honest_worker_s_checkpoints_pass_all_day_and_are_few() {
    let assignment = Assignment::describe(Limits::default(), true);
    let mut recount = ready(&assignment);
    let (mut now, mut told) = (Duration::ZERO, 0);
    while now < Duration::from_secs(86_400) {
        recount.admit(Told::Checkpointed(vec![]), now).unwrap();
        now += checkpoint_every(now);
        told += 1;
    }
    assert!(told < 1_100, "{told}");
}

#[test]
fn a_flood_of_progress_ends_the_worker() {
    let assignment = Assignment::describe(Limits::default(), true);
    let mut recount = ready(&assignment);
    let progress = || {
        Told::Progressed(Progress {
            done: 1,
            total: 2,
            unit: "u".into(),
            note: String::new(),
        })
    };
    let passed = (0..1_000).find(|_| recount.admit(progress(), OFTEN).is_err());
    assert_eq!(passed, Some(34));
}

/// Both counts hold, whatever the operator allowed in number.
#[test]
fn reports_are_bounded_in_number_and_in_bytes() {
    let limits = Limits {
        findings: 100_000,
        metrics: 3,
        ..Limits::default()
    };
    let assignment = Assignment::describe(limits, true);
    let mut recount = ready(&assignment);
    let finding = || {
        Told::Found(Finding {
            id: "i".into(),
            subject: "s".into(),
            severity: keepwell_model::words::Severity::Info,
            title: "x".repeat(LINE_MAX_BYTES),
            detail: String::new(),
            data: vec![("k".into(), "v".into()); PAIRS_MAX],
        })
    };
    let passed = (0..100_000).find(|_| recount.admit(finding(), OFTEN).is_err());
    let each = LINE_MAX_BYTES + 2 + PAIRS_MAX * (2 + PAIR_BYTES);
    assert_eq!(
        passed,
        usize::try_from(REPORTED_MAX_BYTES).ok().map(|m| m / each)
    );
    let metric = || {
        Told::Measured(Metric {
            name: "n".into(),
            unit: "count".into(),
            value: 1.0,
            labels: vec![],
        })
    };
    let passed = (0..100).find(|_| recount.admit(metric(), OFTEN).is_err());
    assert_eq!(passed, Some(3));
}

/// A line without text becomes a record too.
#[test]
fn empty_lines_are_charged() {
    let limits = Limits {
        log: keepwell_model::units::Bytes(64 << 10),
        ..Limits::default()
    };
    let assignment = Assignment::describe(limits, true);
    let mut recount = ready(&assignment);
    let line = || {
        Told::Logged(LogLine {
            level: keepwell_model::words::Level::Info,
            message: String::new(),
        })
    };
    let passed = (0..100_000).find(|_| recount.admit(line(), OFTEN).is_err());
    assert_eq!(passed, Some(1_024));
}

/// Calls that are only counted are told in few frames: each becomes a record.
#[test]
fn a_flood_of_counts_ends_the_worker() {
    let assignment = Assignment::describe(Limits::default(), true);
    let mut recount = ready(&assignment);
    let counted = || Told::Called {
        calls: vec![],
        more: 1,
    };
    let passed = (0..1_000).find(|_| recount.admit(counted(), OFTEN).is_err());
    assert_eq!(passed, Some(64));
}

#[test]
fn state_is_asked_for_only_where_it_is_granted_and_only_with_keys() {
    use crate::protocol::StateAsk;
    use keepwell_model::own_state::{KEY_MAX_BYTES, VALUE_MAX_BYTES};
    let mut assignment = Assignment::describe(Limits::default(), true);
    let get = |key: &str| {
        let key = key.to_owned();
        Ask::State(StateAsk::Get { key })
    };
    assert!(ready(&assignment).check(&get("k")).is_err());
    assignment.state = true;
    let recount = ready(&assignment);
    let longest = "k".repeat(KEY_MAX_BYTES);
    assert!(recount.check(&get(&longest)).is_ok());
    assert!(recount.check(&get(&format!("{longest}k"))).is_err());
    assert!(recount.check(&get("a b")).is_err());
    let set = |bytes: usize| {
        let (key, value) = ("k".to_owned(), vec![0; bytes]);
        Ask::State(StateAsk::Set { key, value })
    };
    assert!(recount.check(&set(VALUE_MAX_BYTES)).is_ok());
    assert!(recount.check(&set(VALUE_MAX_BYTES + 1)).is_err());
}

/// What is remembered of a store is kept in a database.
#[test]
fn a_flood_of_invented_shards_ends_the_worker() {
    use keepwell_model::store::{StoreConfig, StoreKind};
    let mut assignment = Assignment::describe(Limits::default(), true);
    let store = StoreConfig {
        kind: StoreKind::Oci,
        path: "/store".into(),
        layout: None,
        list: None,
    };
    let name = keepwell_model::id::StoreName::new("store").unwrap();
    assignment.stores.insert(name, store);
    let mut recount = ready(&assignment);
    let invented = || Told::Verified {
        store: "store".into(),
        remembered: vec![],
        gone: vec!["x".repeat(8 << 20)],
    };
    let passed = (0..1_000).find(|_| recount.admit(invented(), OFTEN).is_err());
    assert_eq!(passed, Some(128));
}
