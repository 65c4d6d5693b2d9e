//! What is counted as used, what is proposed of it, and when an unused grant ends.

use super::*;
use crate::event::Call;
use crate::grant::{CleanRule, GrantTable, MetricsRule, StorageRule};
use crate::id::{Digest, RootName};
use crate::manifest::{Request, TaskInfo};
use crate::units::{Bytes, Span};

fn record(at: u64, event: Event) -> Record {
    Record {
        at,
        run: None,
        task: None,
        actor: "host".into(),
        event,
    }
}

fn called(at: u64, calls: &[(&str, &str, &str)], more: u64) -> Record {
    let call = |(function, subject, result): &(&str, &str, &str)| Call {
        function: (*function).into(),
        subject: (*subject).into(),
        result: (*result).into(),
    };
    let calls = calls.iter().map(call).collect();
    record(at, Event::Called { calls, more })
}

fn sealed(files: u64, bytes: u64) -> Record {
    let digest = Digest::of(b"plan");
    record(
        9,
        Event::PlanSealed {
            digest,
            actions: files,
            files,
            bytes,
        },
    )
}

fn five(records: &[Record]) -> Used {
    let mut used = Used::default();
    for _ in 0..RUNS_LEAST {
        used.add(records);
    }
    used
}

fn roots(names: &[&str]) -> Vec<RootName> {
    names.iter().map(|n| RootName::new(*n).unwrap()).collect()
}

fn rule() -> GrantTable {
    GrantTable {
        metrics: Some(MetricsRule {}),
        storage: Some(StorageRule {
            roots: roots(&["tmp", "var"]),
        }),
        storage_clean: Some(CleanRule {
            roots: roots(&["tmp"]),
            max_files: None,
            max_bytes: Some(Bytes(10 << 20)),
            max_share: None,
            min_age: None,
            age_by: None,
            max_time: None,
            max_rate: None,
        }),
        ..GrantTable::default()
    }
}

fn info(optional: bool) -> TaskInfo {
    let request = |capability| Request {
        capability,
        reason: "r".into(),
        max_files: None,
        max_bytes: None,
        max_keys: None,
        optional,
    };
    TaskInfo {
        name: "t".into(),
        description: "d".into(),
        needs: Capability::ALL.map(request).into(),
        settings: vec![],
    }
}

#[test]
fn calls_files_and_subjects_are_counted() {
    let used = five(&[
        called(
            5,
            &[
                ("storage.walk", "tmp", "ok"),
                ("storage.stat", "var:a/b", "denied"),
            ],
            0,
        ),
        called(
            7,
            &[
                ("storage-clean.quarantine", "tmp", "ok"),
                ("core.log", "", "ok"),
            ],
            0,
        ),
        sealed(30, 4_000),
        record(
            8,
            Event::Outcome {
                first: 0,
                last: 29,
                done: 29,
                files: 29,
                bytes: 3_900,
                not_done: vec![],
            },
        ),
    ]);
    assert_eq!((used.runs, used.since, used.incomplete), (5, Some(5), 0));
    let storage = used.of(Capability::Storage);
    assert_eq!(
        (storage.runs, storage.calls, storage.last),
        (5, 10, Some(5))
    );
    // What was denied was not used.
    assert_eq!(storage.subjects, ["tmp".to_owned()].into());
    let clean = used.of(Capability::StorageClean);
    assert_eq!((clean.files, clean.bytes), (145, 19_500));
    assert_eq!((clean.files_most, clean.bytes_most), (30, 4_000));
    assert_eq!(used.of(Capability::Metrics), Use::default());
    assert_eq!(
        capability_of("storage.walker.next"),
        Some(Capability::Storage)
    );
    assert_eq!(capability_of("storages.walk"), None);
}

#[test]
fn what_was_not_used_is_proposed_with_its_numbers() {
    let used = five(&[
        called(
            5,
            &[
                ("storage.walk", "tmp", "ok"),
                ("storage-clean.quarantine", "tmp", "ok"),
            ],
            0,
        ),
        sealed(30, 4_000),
    ]);
    let all = tighten(&rule(), &info(true), &used);
    let said: Vec<(String, &Value)> = all.iter().map(|p| (p.place.join("."), &p.then)).collect();
    let without = Value::Without(vec!["var".into()]);
    let mib = Value::Bytes(Bytes(1 << 20));
    assert_eq!(
        said,
        [
            ("grant.metrics".to_owned(), &Value::Nothing),
            ("grant.storage.roots".to_owned(), &without),
            (
                "grant.storage-clean.max-files".to_owned(),
                &Value::Number(60)
            ),
            ("grant.storage-clean.max-bytes".to_owned(), &mib),
        ]
    );
    assert!(
        all[1].reason.contains("5 calls in 5 runs"),
        "{}",
        all[1].reason
    );
    assert!(all[2].reason.contains("took 30"), "{}", all[2].reason);
    // What the plugin says it cannot do without stays.
    let needed = tighten(&rule(), &info(false), &used);
    assert!(
        needed.iter().all(|p| p.then != Value::Nothing),
        "{needed:?}"
    );
}

/// Beyond the calls that are kept anything may have been called.
#[test]
fn what_is_not_known_in_full_is_not_taken_away() {
    let used = five(&[
        called(5, &[("storage.walk", "tmp", "ok")], 3),
        sealed(30, 4_000),
    ]);
    assert_eq!(used.incomplete, 5);
    let all = tighten(&rule(), &info(true), &used);
    assert!(all.iter().all(|p| p.place[1] == "storage-clean"), "{all:?}");
    assert_eq!(all.len(), 2);
}

#[test]
fn an_unused_grant_ends_and_is_told_ahead() {
    const DAY: u64 = 86_400_000;
    let after = Span::secs(100 * 86_400);
    let at = |granted, last, now| unused(after, granted, last, now);
    assert_eq!(at(0, None, 10 * DAY), Unused::Fresh);
    assert_eq!(at(0, None, 80 * DAY), Unused::EndsAt(100 * DAY));
    assert_eq!(at(0, None, 100 * DAY), Unused::Ended { since: 0 });
    assert_eq!(at(0, Some(90 * DAY), 100 * DAY), Unused::Fresh);
    assert_eq!(
        at(0, Some(90 * DAY), 190 * DAY),
        Unused::Ended { since: 90 * DAY }
    );
    // Granted anew after its last use.
    assert_eq!(at(150 * DAY, Some(90 * DAY), 190 * DAY), Unused::Fresh);
    // A clock that was set back ends nothing.
    assert_eq!(at(150 * DAY, None, DAY), Unused::Fresh);
}

proptest::proptest! {
    /// A proposal never grants more than there was, and what was used fits it.
    #[test]
    fn a_proposal_is_narrower_and_enough(files in 0u64..20_000, bytes in 0u64..(1 << 34)) {
        // A plan that touches no file has no bytes.
        let bytes = if files == 0 { 0 } else { bytes };
        let used = five(&[
            called(5, &[("storage-clean.quarantine", "tmp", "ok")], 0),
            sealed(files, bytes),
        ]);
        for proposal in tighten(&rule(), &info(true), &used) {
            match proposal.then {
                Value::Number(n) => proptest::prop_assert!(n < 10_000 && n >= files),
                Value::Bytes(b) => proptest::prop_assert!(b.0 < 10 << 20 && b.0 >= bytes.min(10 << 20)),
                Value::Nothing | Value::Without(_) => {}
            }
        }
    }
}
