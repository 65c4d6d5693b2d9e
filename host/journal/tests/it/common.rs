//! What the tests of the journal share: a key, records, a journal in a folder of its own.

use keepwell_journal::{Journal, NodeKey, Verified, VerifierKey, VerifyError, verify};
use keepwell_model::event::{Call, Event, Mode, Record};
use keepwell_model::id::RunId;
use keepwell_model::slot::{Slot, Via};
use keepwell_model::state::RunState;
use keepwell_model::words::{Level, LogLine};
use rusqlite::Connection;
use std::path::Path;

pub(crate) const ORIGIN: &str = "keepwell.local/test";

pub(crate) fn key() -> NodeKey {
    NodeKey::from_bytes([3; 32])
}

pub(crate) fn verifier() -> VerifierKey {
    key().verifier(ORIGIN).unwrap()
}

pub(crate) fn fresh() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::create(dir.path(), ORIGIN, &key()).unwrap();
    (dir, journal)
}

pub(crate) fn run_id(n: u8) -> RunId {
    RunId::new(1_000 + u64::from(n), [n; 10])
}

pub(crate) fn record(at: u64, run: Option<RunId>, event: Event) -> Record {
    Record {
        at,
        run,
        task: run.map(|_| "temp-clean".to_owned()),
        actor: "host".into(),
        event,
    }
}

pub(crate) fn line(n: u64) -> Record {
    let line = LogLine {
        level: Level::Info,
        message: format!("line {n}"),
    };
    record(n, None, Event::Logged { line })
}

pub(crate) fn due(run: RunId) -> Record {
    let event = Event::RunDue {
        set: None,
        trigger: "manual".into(),
        mode: Mode::Apply,
        settings: "{}".into(),
        slot: None,
        asked: None,
    };
    record(10, Some(run), event)
}

/// The start of a slot, at the run's own time.
pub(crate) fn start(run: RunId, due: u64, attempt: u32, via: Via) -> Record {
    let slot = Some(Slot {
        schedule: "nightly".into(),
        due,
        attempt,
        via,
        reason: None,
    });
    let event = Event::RunDue {
        set: None,
        trigger: "schedule".into(),
        mode: Mode::Apply,
        settings: "{}".into(),
        slot,
        asked: None,
    };
    record(10, Some(run), event)
}

/// About the task of all these records, but of no run.
pub(crate) fn about(at: u64, event: Event) -> Record {
    Record {
        task: Some("temp-clean".into()),
        ..record(at, None, event)
    }
}

/// All records as `verify` takes them.
pub(crate) fn check(dir: &Path) -> Result<Verified, VerifyError> {
    verify(dir, &verifier(), None, &mut |_, _| {})
}

/// As a tamperer, with the database's own program.
pub(crate) fn sql(dir: &Path, statements: &str) {
    let db = Connection::open(dir.join("journal.db")).unwrap();
    db.execute_batch(statements).unwrap();
}

pub(crate) fn called(run: RunId, function: &str) -> Record {
    let call = Call {
        function: function.into(),
        subject: "tmp".into(),
        result: "ok".into(),
    };
    let calls = vec![call];
    record(11, Some(run), Event::Called { calls, more: 0 })
}

pub(crate) fn ended(run: RunId, state: RunState) -> Record {
    let event = Event::RunEnded {
        again: false,
        fault: false,
        state,
        reason: None,
        hint: None,
        limit: None,
    };
    record(20, Some(run), event)
}
