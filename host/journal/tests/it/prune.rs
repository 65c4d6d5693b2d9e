//! Old runs are forgotten by rule; their hashes stay, and nothing else can be made to vanish so.

use crate::common::{
    about, called, check, due, ended, fresh, key, record, run_id, sql, start, verifier,
};
use keepwell_journal::{
    ErrorKind, Filter, Journal, Pruned, Reader, Retention, RunQuery, VerifyError, verify,
    verify_proof,
};
use keepwell_model::approval::{Request, Requester, Subject};
use keepwell_model::event::{Event, Record};
use keepwell_model::id::{Digest, RunId, TaskName};
use keepwell_model::policy::Needs;
use keepwell_model::slot::Via;
use keepwell_model::state::RunState;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Runs 0 to 9 of one task, four records each, and one of another task, the oldest of all.
fn scene() -> (tempfile::TempDir, Journal) {
    let (dir, journal) = fresh();
    let other = RunId::new(1, [9; 10]);
    for record in [due(other), ended(other, RunState::Done)] {
        let task = Some("other".to_owned());
        journal.commit(Record { task, ..record }).unwrap();
    }
    for n in 0..10 {
        journal
            .commit(start(run_id(n), 100 + u64::from(n), 1, Via::Schedule))
            .unwrap();
        journal.append(called(run_id(n), "storage.walk")).unwrap();
        journal.append(called(run_id(n), "storage.stat")).unwrap();
        journal.commit(ended(run_id(n), RunState::Done)).unwrap();
    }
    (dir, journal)
}

fn left(journal: &Journal) -> Vec<RunId> {
    let rows = journal.reader().unwrap().runs(&RunQuery::default());
    rows.unwrap().into_iter().map(|row| row.run).rev().collect()
}

fn ids(range: std::ops::Range<u8>) -> Vec<RunId> {
    let other = RunId::new(1, [9; 10]);
    std::iter::once(other).chain(range.map(run_id)).collect()
}

#[test]
fn runs_go_by_count_age_and_bytes_and_the_newest_of_each_task_stays() {
    let by_count = Retention {
        runs_per_task: Some(3),
        ..Retention::default()
    };
    // Runs 0 to 9 began at 1,000 to 1,009.
    let by_age = Retention {
        age_ms: Some(2_000),
        ..Retention::default()
    };
    for (retention, now) in [(by_count, 5_000), (by_age, 3_007)] {
        let (dir, journal) = scene();
        let pruned = journal.prune(&retention, now).unwrap();
        assert_eq!((pruned.runs, pruned.entries), (7, 21), "{retention:?}");
        assert_eq!(left(&journal), ids(7..10));
        assert_eq!(journal.prune(&retention, now).unwrap(), Pruned::default());
        drop(journal);
        let verified = check(dir.path()).unwrap();
        assert_eq!((verified.pruned, verified.size), (21, 43));
    }
    let (dir, journal) = scene();
    let one: u64 = 2
        + (2..6)
            .map(|i| journal.reader().unwrap().entry(i).unwrap().len() as u64)
            .sum::<u64>();
    let retention = Retention {
        bytes: Some(one * 4),
        ..Retention::default()
    };
    journal.prune(&retention, 5_000).unwrap();
    assert_eq!(left(&journal), ids(6..10));
    let nothing = Retention {
        bytes: Some(0),
        ..Retention::default()
    };
    journal.prune(&nothing, 5_000).unwrap();
    assert_eq!(left(&journal), ids(9..10));
    check(dir.path()).unwrap();
}

/// A request for approval.
fn asked(run: RunId) -> Event {
    let digest = Digest::of(b"");
    let subject = Subject {
        plan: digest,
        component: digest,
        grant: digest,
        settings: digest,
    };
    let task = TaskName::new("temp-clean").unwrap();
    let (requester, needs) = (Requester::default(), Needs::default());
    let request = Request::new("n", task, run, requester, subject, needs, 32).unwrap();
    Event::ApprovalAsked {
        request: Box::new(request),
    }
}

#[test]
fn what_goes_on_can_be_resumed_or_is_spared_stays() {
    let (dir, journal) = scene();
    let stage = "applying".to_owned();
    let interrupted = record(30, Some(run_id(2)), Event::Interrupted { stage });
    journal.commit(interrupted).unwrap();
    journal
        .commit(record(31, Some(run_id(3)), Event::RunResumed { from: 0 }))
        .unwrap();
    // A plan that nobody has answered yet, and the oldest of all.
    journal
        .commit(record(32, Some(run_id(0)), asked(run_id(0))))
        .unwrap();
    let retention = Retention {
        runs_per_task: Some(1),
        spare: BTreeSet::from([run_id(5)]),
        ..Retention::default()
    };
    let pruned = journal.prune(&retention, 5_000).unwrap();
    assert_eq!(pruned.runs, 5);
    let stay: Vec<_> = ids(0..0)
        .into_iter()
        .chain([0, 2, 3, 5, 9].map(run_id))
        .collect();
    assert_eq!(left(&journal), stay);
    assert_eq!(journal.reader().unwrap().run(run_id(2)).unwrap().len(), 5);
    check(dir.path()).unwrap();
}

#[test]
fn the_contents_are_gone_and_the_hashes_prove_as_before() {
    let (dir, journal) = scene();
    let reader = journal.reader().unwrap();
    let kept = journal.checkpoint().unwrap();
    let (proved, entry) = (
        reader.proof(2).unwrap().to_string(),
        reader.entry(2).unwrap(),
    );
    let retention = Retention {
        runs_per_task: Some(1),
        ..Retention::default()
    };
    journal.prune(&retention, 5_000).unwrap();
    // That the run was is still told, and its slot is still taken.
    assert_eq!(reader.entry(2).unwrap(), entry);
    verify_proof(&proved, &entry, &verifier()).unwrap();
    let begun = reader.run(run_id(0)).unwrap();
    assert!(matches!(
        begun[..],
        [Record {
            event: Event::RunDue { .. },
            ..
        }]
    ));
    let again = journal.commit(start(run_id(20), 100, 1, Via::Backfill));
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Taken);
    assert_eq!(reader.entry(3).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(reader.report(run_id(0)).unwrap(), None);
    assert_eq!(reader.find_runs(&run_id(0).to_string()).unwrap(), []);
    let mut seen = 0;
    let count = &mut |_, _| {
        seen += 1;
        ControlFlow::Continue(())
    };
    reader.records(&Filter::default(), count).unwrap();
    assert_eq!(seen, 42 - 27 + 1);
    assert!(reader.proof(3).is_ok());
    drop(journal);
    let bytes = std::fs::read(dir.path().join("journal.db")).unwrap();
    assert!(bytes.len() > 4_096);
    let verified = verify(dir.path(), &verifier(), Some(&kept), &mut |_, _| {}).unwrap();
    assert_eq!((verified.size, verified.pruned), (43, 27));
    Journal::open(dir.path(), &key()).unwrap();
}

#[test]
fn a_large_run_goes_in_several_transactions() {
    let (dir, journal) = fresh();
    for n in 0..2 {
        journal.commit(due(run_id(n))).unwrap();
        for _ in 0..1_000 {
            journal.append(called(run_id(n), "storage.walk")).unwrap();
        }
        journal.commit(ended(run_id(n), RunState::Done)).unwrap();
    }
    let retention = Retention {
        runs_per_task: Some(1),
        ..Retention::default()
    };
    let pruned = journal.prune(&retention, 5_000).unwrap();
    assert_eq!((pruned.runs, pruned.entries), (1, 1_001));
    let reader = journal.reader().unwrap();
    let filter = Filter {
        kinds: vec!["pruned".into()],
        ..Filter::default()
    };
    let mut told = (0, 0);
    reader
        .records(&filter, &mut |_, record| {
            if let Event::Pruned {
                entries, ranges, ..
            } = record.event
            {
                assert_eq!(ranges.iter().map(|(a, b)| b - a + 1).sum::<u64>(), entries);
                told = (told.0 + 1, told.1 + entries);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(told, (1_001_u64.div_ceil(64), 1_001));
    assert_eq!(check(dir.path()).unwrap().pruned, 1_001);
}

#[test]
fn contents_that_no_record_says_were_pruned_are_missed() {
    const BLANK: &str =
        "UPDATE entries SET at = 0, kind = '', run = NULL, task = NULL, bytes = x''";
    let (dir, journal) = scene();
    let reason = "secret".to_owned();
    journal
        .commit(about(40, Event::TaskPaused { reason }))
        .unwrap();
    let retention = Retention {
        runs_per_task: Some(8),
        ..Retention::default()
    };
    journal.prune(&retention, 5_000).unwrap();
    drop(journal);
    assert_eq!(check(dir.path()).unwrap().pruned, 6);
    let copy = |name: &str| {
        let to = tempfile::tempdir().unwrap();
        sql(dir.path(), "SELECT 1");
        for file in ["journal.db", "checkpoint"] {
            std::fs::copy(dir.path().join(file), to.path().join(file)).unwrap();
        }
        assert!(check(to.path()).is_ok(), "{name}");
        to
    };
    // The kept start of a pruned run, a call of a run that stays, a control, the pruning itself.
    for index in [2, 12, 42, 43] {
        let copy = copy("blank");
        sql(copy.path(), &format!("{BLANK} WHERE idx = {index}"));
        let found = check(copy.path());
        let named = matches!(&found, Err(VerifyError::Entry { index: i, .. }) if *i == index)
            // Without the record of the pruning, the first entry it covered is bad.
            || (index == 43 && matches!(found, Err(VerifyError::Entry { index: 3, .. })));
        assert!(named, "{index}: {found:?}");
    }
    // A hash that is left alone cannot be changed, nor be found under another run's name.
    for change in [
        "UPDATE entries SET leaf = zeroblob(32) WHERE idx = 3",
        "UPDATE entries SET run = zeroblob(16) WHERE idx = 3",
        "UPDATE entries SET kind = 'called' WHERE idx = 3",
        "DELETE FROM entries WHERE idx = 3",
    ] {
        let copy = copy("changed");
        sql(copy.path(), change);
        assert!(check(copy.path()).is_err(), "{change}");
    }
    let untouched = Reader::open(dir.path()).unwrap();
    assert_eq!(untouched.size().unwrap(), 44);
}
