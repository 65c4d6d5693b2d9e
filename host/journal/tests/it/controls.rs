//! What people ask of tasks survives restarts, is used up once, and cannot be changed unnoticed.

use crate::common::{about, check, due, ended, fresh, key, run_id, sql};
use keepwell_journal::{
    Ask, ErrorKind, Journal, JournalError, PAUSED, Reader, SKIP_NEXT, VerifyError,
};
use keepwell_model::event::{Event, Record};
use keepwell_model::state::RunState;

fn by(actor: &str, at: u64, event: Event) -> Record {
    Record {
        actor: actor.into(),
        ..about(at, event)
    }
}

fn text(reason: &str) -> String {
    reason.into()
}

#[test]
fn pause_and_skip_last_until_they_are_lifted_or_used() {
    let (dir, journal) = fresh();
    let reason = text("disk swap");
    journal
        .commit(by("uid:7", 5, Event::TaskPaused { reason }))
        .unwrap();
    let reason = text("holiday");
    journal
        .commit(by("uid:8", 6, Event::TaskSkip { reason }))
        .unwrap();
    drop(journal);
    let journal = Journal::open(dir.path(), &key()).unwrap();
    let reader = journal.reader().unwrap();
    let controls = reader.controls(Some("temp-clean")).unwrap();
    let told: Vec<_> = controls
        .iter()
        .map(|c| {
            (
                c.control.as_str(),
                c.reason.as_str(),
                c.actor.as_str(),
                c.at,
                c.entry,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (PAUSED, "disk swap", "uid:7", 5, 0),
            (SKIP_NEXT, "holiday", "uid:8", 6, 1)
        ]
    );
    assert_eq!(reader.controls(None).unwrap(), controls);
    assert_eq!(reader.controls(Some("other")).unwrap(), []);
    let flag = |flag| reader.flag("temp-clean", flag).unwrap();
    assert_eq!(flag(PAUSED).as_deref(), Some("disk swap"));
    let skip = |due, asked| {
        let event = Event::SlotSkipped {
            schedule: "nightly".into(),
            due,
            why: "holiday".into(),
            asked,
        };
        journal.commit(about(9, event)).unwrap();
    };
    skip(100, false);
    assert!(flag(SKIP_NEXT).is_some(), "skipped for another reason");
    skip(200, true);
    assert_eq!(flag(SKIP_NEXT), None);
    let reason = text("done");
    journal
        .commit(by("uid:7", 10, Event::TaskResumed { reason }))
        .unwrap();
    assert_eq!(reader.controls(None).unwrap(), []);
    drop(journal);
    check(dir.path()).unwrap();
}

#[test]
fn what_was_asked_waits_until_it_is_settled_once() {
    let (dir, journal) = fresh();
    let run = Event::RunAsked {
        reason: text("looks full"),
        settings: "{\"older-than\":\"1h\"}".into(),
    };
    let asked = journal.commit(by("uid:7", 5, run)).unwrap();
    let backfill = Event::BackfillAsked {
        schedule: "nightly".into(),
        from: 100,
        to: 200,
        reason: text("the host was off"),
    };
    let second = journal.commit(by("uid:7", 6, backfill)).unwrap();
    drop(journal);
    let journal = Journal::open(dir.path(), &key()).unwrap();
    let reader = journal.reader().unwrap();
    let open = reader.asked().unwrap();
    assert_eq!(
        (open.len(), open[0].entry, open[1].entry),
        (2, asked, second)
    );
    assert_eq!(
        (open[0].task.as_str(), open[0].actor.as_str()),
        ("temp-clean", "uid:7")
    );
    let settings = "{\"older-than\":\"1h\"}".to_owned();
    assert_eq!(open[0].what, Ask::Run { settings });
    let (schedule, from, to) = ("nightly".to_owned(), 100, 200);
    assert_eq!(open[1].what, Ask::Backfill { schedule, from, to });
    check(dir.path()).unwrap();

    let answer = |n: u8| {
        let mut record = due(run_id(n));
        if let Event::RunDue { asked: which, .. } = &mut record.event {
            *which = Some(asked);
        }
        journal.commit(record)
    };
    answer(0).unwrap();
    let again = answer(1).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Taken);
    assert!(
        matches!(again, JournalError::Settled { asked: 0 }),
        "{again}"
    );
    let why = text("all slots were done");
    let settle = |asked| {
        let why = why.clone();
        journal.commit(about(9, Event::AskSettled { asked, why }))
    };
    settle(second).unwrap();
    for gone in [asked, second, 99] {
        assert_eq!(settle(gone).unwrap_err().kind(), ErrorKind::Taken);
    }
    assert_eq!(reader.asked().unwrap(), []);
    drop(journal);
    assert_eq!(check(dir.path()).unwrap().size, 4);
}

#[test]
fn controls_changed_behind_the_journals_back_are_noticed() {
    let changes = [
        ("controls", "DELETE FROM controls WHERE control = 'paused'"),
        ("controls", "UPDATE controls SET reason = 'none'"),
        ("controls", "UPDATE controls SET actor = 'uid:9'"),
        (
            "controls",
            "INSERT INTO controls VALUES ('other', 'paused', 'x', 'uid:0', 1, 0)",
        ),
        ("asked", "DELETE FROM asked"),
        (
            "asked",
            "UPDATE asked SET settings = '{\"older-than\":\"0s\"}'",
        ),
    ];
    for (changed, change) in changes {
        let (dir, journal) = fresh();
        let reason = text("disk swap");
        journal
            .commit(about(5, Event::TaskPaused { reason }))
            .unwrap();
        let (reason, settings) = (text("now"), "{}".to_owned());
        journal
            .commit(about(6, Event::RunAsked { reason, settings }))
            .unwrap();
        drop(journal);
        check(dir.path()).unwrap();
        sql(dir.path(), change);
        let found = check(dir.path());
        let noticed = matches!(&found, Err(VerifyError::State { table, .. }) if *table == changed);
        assert!(noticed, "{change}: {found:?}");
    }
}

#[test]
fn history_tells_durations_and_what_failed_in_a_row() {
    let (_dir, journal) = fresh();
    let reader = journal.reader().unwrap();
    let mut n = 0;
    let mut run = |state: RunState, ms: u64| {
        let (id, began) = (run_id(n), 1_000 + u64::from(n));
        n += 1;
        let mut record = due(id);
        record.at = began;
        journal.commit(record).unwrap();
        let mut record = ended(id, state);
        record.at = began + ms;
        journal.commit(record).unwrap();
    };
    let history = |runs| reader.history("temp-clean", runs).unwrap();
    assert_eq!(history(9), Default::default());
    for (state, ms) in [
        (RunState::Done, 5),
        (RunState::Failed, 1),
        (RunState::Warned, 7),
        (RunState::Skipped, 0),
        (RunState::Done, 9),
        (RunState::Limited, 30),
        (RunState::Denied, 1),
    ] {
        run(state, ms);
    }
    let now = history(2);
    assert_eq!(now.durations_ms, [9, 7]);
    assert_eq!((now.failures, now.limited), (2, 0));
    // What neither finished nor failed counts for neither.
    run(RunState::Limited, 30);
    run(RunState::Cancelled, 1);
    run(RunState::Limited, 30);
    assert_eq!((history(9).failures, history(9).limited), (4, 2));
    assert_eq!(history(9).durations_ms, [9, 7, 5]);
    let reason = text("the limit was raised");
    journal
        .commit(about(2_000, Event::TaskResumed { reason }))
        .unwrap();
    assert_eq!((history(9).failures, history(9).limited), (0, 0));
    assert_eq!(
        Reader::history(&reader, "other", 3).unwrap(),
        Default::default()
    );
}
