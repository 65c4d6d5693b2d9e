//! A journal that version 1 made is renewed once; a crash on the way leaves it as it was.

use crate::common::{check, due, ended, key, line, run_id, start};
use crate::faults::{child, child_dir};
use keepwell_journal::{ErrorKind, Journal, PAUSED, Reader, RunQuery, SKIP_NEXT, verify};
use keepwell_model::slot::Via;
use keepwell_model::state::RunState;
use rusqlite::Connection;
use std::path::Path;

/// What version 1 of the program wrote under the tests' key: three runs, one of them going on, and
/// controls, two of which its flags and its records tell differently.
const V1: &str = include_str!("v1.sql");

fn old() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let db = Connection::open(dir.path().join("journal.db")).unwrap();
    db.pragma_update(None, "journal_mode", "wal").unwrap();
    db.execute_batch(V1).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    dir
}

fn version(dir: &Path) -> i64 {
    let db = Connection::open(dir.join("journal.db")).unwrap();
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_journal_of_version_1_is_renewed_and_goes_on() {
    let dir = old();
    // An old copy can be verified as it is; reading it takes one verb that writes.
    assert_eq!(check(dir.path()).unwrap().size, 16);
    let unread = Reader::open(dir.path()).unwrap_err();
    assert_eq!(unread.kind(), ErrorKind::Usage);
    assert!(
        unread.to_string().contains("keepwell audit checkpoint"),
        "{unread}"
    );

    let journal = Journal::open(dir.path(), &key()).unwrap();
    let reader = journal.reader().unwrap();
    let flag = |task, control| reader.flag(task, control).unwrap();
    assert_eq!(flag("a", PAUSED).as_deref(), Some("disk swap"));
    assert_eq!(flag("b", PAUSED), None);
    assert_eq!(flag("c", SKIP_NEXT).as_deref(), Some("holiday"));
    assert_eq!(flag("d", SKIP_NEXT), None, "used up without a record");
    let reconciled = flag("e", PAUSED).unwrap();
    assert!(reconciled.starts_with("killed between ("), "{reconciled}");
    assert_eq!(reader.size().unwrap(), 18, "two records reconcile");
    assert_eq!(reader.unfinished().unwrap(), [run_id(2)]);
    assert_eq!(reader.runs(&RunQuery::default()).unwrap().len(), 3);
    assert_eq!(reader.find_runs(&run_id(1).short()).unwrap(), [run_id(1)]);
    drop(journal);
    assert_eq!(version(dir.path()), 2);
    assert_eq!(check(dir.path()).unwrap().size, 18);

    let journal = Journal::open(dir.path(), &key()).unwrap();
    assert_eq!(journal.commit(line(60)).unwrap(), 18, "renewed only once");
    journal.commit(due(run_id(3))).unwrap();
    journal.commit(ended(run_id(3), RunState::Done)).unwrap();
    journal
        .commit(start(run_id(4), 100, 1, Via::Schedule))
        .unwrap();
    let retention = keepwell_journal::Retention {
        runs_per_task: Some(1),
        ..Default::default()
    };
    assert_eq!(journal.prune(&retention, 9_000).unwrap().runs, 3);
    drop(journal);
    check(dir.path()).unwrap();
}

#[test]
fn what_is_tampered_with_is_not_renewed() {
    let changes = [
        "UPDATE entries SET bytes = CAST(replace(CAST(bytes AS TEXT), 'disk', 'tape') AS BLOB) WHERE kind = 'task-paused'",
        "DELETE FROM entries WHERE idx = 15",
        "CREATE TABLE slots(x)",
        "DROP TABLE flags",
    ];
    for change in changes {
        let dir = old();
        crate::common::sql(dir.path(), change);
        let refused = Journal::open(dir.path(), &key()).map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Broken, "{change}: {refused}");
        assert_eq!(version(dir.path()), 1, "{change}");
    }
}

#[test]
#[ignore = "the process that is killed; started by the test below"]
fn renews() {
    let Some(dir) = child_dir() else { return };
    println!("\nready");
    drop(Journal::open(&dir, &key()).unwrap());
}

#[test]
fn killed_at_any_moment_it_is_old_or_new() {
    let mut seen = [0, 0, 0];
    for round in 0..24 {
        let dir = old();
        let mut child = child("migrate::renews", dir.path());
        std::thread::sleep(std::time::Duration::from_micros(600 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let version = version(dir.path());
        seen[usize::try_from(version).unwrap()] += 1;
        let size = check(dir.path()).unwrap().size;
        assert_eq!(size, if version == 1 { 16 } else { 18 });
        drop(Journal::open(dir.path(), &key()).unwrap());
        assert_eq!(check(dir.path()).unwrap().size, 18);
    }
    assert_eq!(seen[0], 0);
    assert!(seen[1] > 0, "never killed early enough");
    let whole = verify(
        old().path(),
        &crate::common::verifier(),
        None,
        &mut |_, _| {},
    );
    assert_eq!(whole.unwrap().checkpoints, 4);
}
