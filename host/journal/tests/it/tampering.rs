//! Whatever is done to the files of a journal, `verify` says so or nothing was changed.

use crate::common::{called, check, due, ended, fresh, key, line, record, run_id, sql, verifier};
use keepwell_journal::merkle::leaf_hash;
use keepwell_journal::{Filter, Journal, Reader, VerifyError, verify};
use keepwell_model::event::{Event, Record};
use keepwell_model::state::RunState;
use rusqlite::Connection;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Three runs and, at the end, lines that no kept checkpoint covers.
fn small() -> tempfile::TempDir {
    let (dir, journal) = fresh();
    for n in 0..3 {
        journal.append(due(run_id(n))).unwrap();
        journal.append(called(run_id(n), "storage.walk")).unwrap();
        journal.commit(ended(run_id(n), RunState::Done)).unwrap();
    }
    journal.append(line(20)).unwrap();
    journal.commit(line(21)).unwrap();
    dir
}

fn records(dir: &Path) -> Option<Vec<Record>> {
    let reader = Reader::open(dir).ok()?;
    let mut all = vec![];
    let read = reader.records(&Filter::default(), &mut |_, record| {
        all.push(record);
        ControlFlow::Continue(())
    });
    read.ok().map(|()| all)
}

#[test]
fn an_untouched_journal_holds() {
    let dir = small();
    let verified = check(dir.path()).unwrap();
    assert_eq!((verified.size, verified.checkpoints), (11, 4));
}

/// Each byte of the file, one bit of it and all of them. Small pages keep the file small.
#[test]
fn no_flipped_byte_changes_a_record_unnoticed() {
    let dir = small();
    sql(
        dir.path(),
        "PRAGMA journal_mode = delete; PRAGMA page_size = 512; VACUUM;",
    );
    let originals = records(dir.path()).unwrap();
    let path = dir.path().join("journal.db");
    let bytes = std::fs::read(&path).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut noticed = 0;
    for (at, byte) in bytes.iter().enumerate() {
        for mask in [1 << (at % 8), 0xff] {
            file.write_at(&[byte ^ mask], at as u64).unwrap();
            if check(dir.path()).is_err() {
                noticed += 1;
            } else {
                assert_eq!(records(dir.path()).unwrap(), originals, "byte {at}, {mask}");
            }
        }
        file.write_at(&[*byte], at as u64).unwrap();
    }
    assert_eq!(check(dir.path()).unwrap().size, 11);
    assert!(noticed > bytes.len() / 2, "{noticed} of {}", bytes.len());
}

/// What is cut within the last page may have been unused; then every record must be the same.
#[test]
fn a_file_cut_at_any_page_is_noticed() {
    let dir = small();
    // Whoever closes last folds the write-ahead log into the file.
    sql(dir.path(), "SELECT 1");
    let originals = records(dir.path()).unwrap();
    let path = dir.path().join("journal.db");
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 10 * 4096);
    for pages in 0..bytes.len() / 4096 {
        std::fs::write(&path, &bytes[..pages * 4096]).unwrap();
        assert!(check(dir.path()).is_err(), "{pages} pages");
        std::fs::write(&path, &bytes[..pages * 4096 + 100]).unwrap();
        if check(dir.path()).is_ok() {
            assert_eq!(
                records(dir.path()).unwrap(),
                originals,
                "{pages} pages, 100 bytes"
            );
        }
    }
}

#[test]
fn deleting_at_the_end_is_noticed_even_after_the_last_kept_checkpoint() {
    for from in [10, 9, 8, 0] {
        let dir = small();
        sql(
            dir.path(),
            &format!("DELETE FROM entries WHERE idx >= {from}"),
        );
        let Err(VerifyError::Truncated { has, signed }) = check(dir.path()) else {
            panic!("{from} was not noticed");
        };
        assert_eq!((has, signed), (from, 11));
        assert!(Journal::open(dir.path(), &key()).is_err());
    }
}

/// What a short run wrote is still in the write-ahead log when it ends; the file tells of it.
#[test]
fn taking_the_write_ahead_log_away_is_noticed() {
    let dir = small();
    let journal = Journal::open(dir.path(), &key()).unwrap();
    journal.checkpoint().unwrap();
    drop(journal);
    let log = dir.path().join("journal.db-wal");
    assert_eq!(std::fs::metadata(&log).map_or(0, |log| log.len()), 0);
    let journal = Journal::open(dir.path(), &key()).unwrap();
    journal.append(due(run_id(4))).unwrap();
    journal.append(line(30)).unwrap();
    drop(journal);
    assert!(log.metadata().unwrap().len() > 0);
    assert_eq!(check(dir.path()).unwrap().size, 13);
    std::fs::remove_file(&log).unwrap();
    assert!(matches!(
        check(dir.path()),
        Err(VerifyError::Truncated {
            has: 11,
            signed: 13
        })
    ));
    assert!(Journal::open(dir.path(), &key()).is_err());
}

#[test]
fn a_checkpoint_file_lost_in_a_power_cut_is_made_again_and_a_forged_one_is_not() {
    for lost in ["", "\0\0\0"] {
        let dir = small();
        let path = dir.path().join("checkpoint");
        let note = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, lost).unwrap();
        assert_eq!(check(dir.path()).unwrap().size, 11);
        drop(Journal::open(dir.path(), &key()).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), note);
        std::fs::write(&path, note.replacen("11", "10", 1)).unwrap();
        assert!(check(dir.path()).is_err());
        assert!(Journal::open(dir.path(), &key()).is_err());
    }
}

#[test]
fn going_back_to_an_older_head_is_noticed_by_who_kept_a_newer_checkpoint() {
    let dir = small();
    let kept = Journal::open(dir.path(), &key())
        .unwrap()
        .checkpoint()
        .unwrap();
    let back = "DELETE FROM entries WHERE idx >= 9; DELETE FROM checkpoints WHERE size > 9;
        UPDATE head SET note = (SELECT note FROM checkpoints WHERE size = 9);";
    sql(dir.path(), back);
    let truncated = |has, signed| move |e: &VerifyError| matches!(e, VerifyError::Truncated { has: h, signed: s } if (*h, *s) == (has, signed));
    assert!(
        check(dir.path()).is_err_and(|e| truncated(9, 11)(&e)),
        "by the file"
    );
    assert!(Journal::open(dir.path(), &key()).is_err());
    std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
    let expected = verify(dir.path(), &verifier(), Some(&kept), &mut |_, _| {});
    assert!(
        expected.is_err_and(|e| truncated(9, 11)(&e)),
        "by the expected one"
    );
}

#[test]
fn a_gap_and_a_swap_name_the_entry() {
    let dir = small();
    sql(dir.path(), "DELETE FROM entries WHERE idx = 4");
    assert!(matches!(
        check(dir.path()),
        Err(VerifyError::Entry { index: 4, .. })
    ));
    let dir = small();
    let swap = "UPDATE entries SET bytes = (SELECT bytes FROM entries WHERE idx = 1) WHERE idx = 7";
    sql(dir.path(), swap);
    assert!(matches!(
        check(dir.path()),
        Err(VerifyError::Entry { index: 7, .. })
    ));
}

#[test]
fn hiding_an_entry_from_its_index_names_it() {
    let hide = ["run = NULL", "task = 'other'", "at = 12", "kind = 'logged'"];
    for change in hide {
        let dir = small();
        sql(
            dir.path(),
            &format!("UPDATE entries SET {change} WHERE idx = 4"),
        );
        assert!(
            matches!(check(dir.path()), Err(VerifyError::Entry { index: 4, .. })),
            "{change}"
        );
    }
}

/// The tamperer rewrites a record and its leaf hash: the checkpoints around it tell where.
#[test]
fn a_rewritten_leaf_is_located_between_two_checkpoints() {
    let dir = small();
    let db = Connection::open(dir.path().join("journal.db")).unwrap();
    let row = |row: &rusqlite::Row<'_>| row.get::<_, Vec<u8>>(0);
    let bytes = db
        .query_row("SELECT bytes FROM entries WHERE idx = 4", [], row)
        .unwrap();
    let text = String::from_utf8(bytes)
        .unwrap()
        .replace("storage.walk", "storage.stat");
    let change = "UPDATE entries SET bytes = ?1, leaf = ?2 WHERE idx = 4";
    let leaf = leaf_hash(text.as_bytes());
    assert_eq!(db.execute(change, (text.as_bytes(), leaf)).unwrap(), 1);
    drop(db);
    assert!(matches!(
        check(dir.path()),
        Err(VerifyError::Range { after: 3, upto: 6 })
    ));
    assert!(Journal::open(dir.path(), &key()).is_err());
}

#[test]
fn entries_added_without_the_key_are_noticed() {
    let dir = small();
    let add = "INSERT INTO entries SELECT 11, leaf, at, kind, run, task, bytes FROM entries WHERE idx = 10";
    sql(dir.path(), add);
    assert!(matches!(
        check(dir.path()),
        Err(VerifyError::Unsigned { from: 11 })
    ));
}

#[test]
fn a_forged_checkpoint_and_a_foreign_journal_are_noticed() {
    let dir = small();
    sql(
        dir.path(),
        "UPDATE checkpoints SET note = replace(note, '6', '5') WHERE size = 6",
    );
    assert!(matches!(
        check(dir.path()),
        Err(VerifyError::Checkpoint { size: 6, .. })
    ));
    let dir = small();
    let other = keepwell_journal::NodeKey::from_bytes([9; 32]);
    let other = other.verifier(crate::common::ORIGIN).unwrap();
    assert!(verify(dir.path(), &other, None, &mut |_, _| {}).is_err());
}

#[test]
fn a_changed_table_is_noticed() {
    let changes = [
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
        "CREATE VIEW v AS SELECT 1",
        "DROP INDEX entries_run",
        "ALTER TABLE entries RENAME TO hidden; CREATE VIEW entries AS SELECT * FROM hidden",
    ];
    for change in changes {
        let dir = small();
        sql(dir.path(), change);
        assert!(check(dir.path()).is_err(), "{change}");
        assert!(Journal::open(dir.path(), &key()).is_err(), "{change}");
    }
}

/// What lists show of runs is as good as the records it was made from.
#[test]
fn a_changed_row_of_a_list_is_noticed() {
    let changes = [
        "UPDATE runs SET state = 'failed' WHERE run = ?",
        "UPDATE runs SET state = 'running' WHERE run = ?",
        "UPDATE runs SET task = 'other' WHERE run = ?",
        "UPDATE runs SET trigger = 'schedule' WHERE run = ?",
        "UPDATE runs SET mode = 'plan' WHERE run = ?",
        "UPDATE runs SET started = 11 WHERE run = ?",
        "UPDATE runs SET ended = 21 WHERE run = ?",
        "UPDATE runs SET ended = NULL WHERE run = ?",
        "UPDATE runs SET line = 'all is well' WHERE run = ?",
        "UPDATE runs SET reason = 'nobody knows' WHERE run = ?",
        "UPDATE runs SET actions_done = 1 WHERE run = ?",
        "UPDATE runs SET bytes = 1 WHERE run = ?",
        "UPDATE runs SET checkpoint = 'AAAA' WHERE run = ?",
        "UPDATE runs SET stored = stored + 1 WHERE run = ?",
        "DELETE FROM runs WHERE run = ?",
        "INSERT INTO runs SELECT x'00112233445566778899aabbccddeeff', task, state, trigger, mode, started, ended, line, reason, actions_done, bytes, checkpoint, stored FROM runs WHERE run = ?",
    ];
    for n in 0..3 {
        let run = data_encoding::HEXLOWER.encode(&run_id(n).to_bytes());
        for change in changes {
            let dir = small();
            sql(dir.path(), &change.replace('?', &format!("x'{run}'")));
            let found = check(dir.path());
            assert!(
                matches!(found, Err(VerifyError::State { table: "runs", .. })),
                "{change}: {found:?}"
            );
        }
    }
}

/// A run that goes on, one that waits, one that ended twice, and one that was cut off.
#[test]
fn rows_of_runs_at_every_stage_hold_and_are_compared() {
    let (dir, journal) = fresh();
    for n in 0..4 {
        journal.append(due(run_id(n))).unwrap();
        journal.append(called(run_id(n), "storage.walk")).unwrap();
    }
    let stage = "applying".to_owned();
    let interrupted = record(21, Some(run_id(1)), Event::Interrupted { stage });
    journal.commit(interrupted).unwrap();
    journal.commit(ended(run_id(2), RunState::Done)).unwrap();
    let undone = Event::UndoIntended { first: 0, last: 1 };
    journal.commit(record(22, Some(run_id(2)), undone)).unwrap();
    journal.commit(ended(run_id(2), RunState::Done)).unwrap();
    journal.commit(ended(run_id(3), RunState::Failed)).unwrap();
    let resumed = Event::RunResumed { from: 0 };
    journal
        .commit(record(23, Some(run_id(3)), resumed))
        .unwrap();
    // Beyond what its row has counted.
    journal.append(called(run_id(3), "storage.walk")).unwrap();
    journal.append(called(run_id(0), "storage.stat")).unwrap();
    journal.flush().unwrap();
    check(dir.path()).unwrap();
    drop(journal);
    check(dir.path()).unwrap();
    for n in 0..4 {
        let run = data_encoding::HEXLOWER.encode(&run_id(n).to_bytes());
        for change in ["state = 'limited'", "reason = 'x'", "started = 1"] {
            let set = format!("UPDATE runs SET {change} WHERE run = x'{run}'");
            let copy = tempfile::tempdir().unwrap();
            for file in std::fs::read_dir(dir.path()).unwrap() {
                let path = file.unwrap().path();
                std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
            }
            sql(copy.path(), &set);
            let found = check(copy.path());
            assert!(
                matches!(found, Err(VerifyError::State { table: "runs", .. })),
                "{set}: {found:?}"
            );
        }
    }
}

#[test]
fn stored_subtrees_are_compared() {
    let (dir, journal) = fresh();
    for n in 0..600 {
        journal.append(line(n)).unwrap();
    }
    drop(journal);
    assert_eq!(check(dir.path()).unwrap().size, 600);
    sql(
        dir.path(),
        "UPDATE nodes SET hash = zeroblob(32) WHERE idx = 1",
    );
    assert!(matches!(
        check(dir.path()),
        Err(VerifyError::Node { level: 8, index: 1 })
    ));
}

#[test]
fn a_copy_that_cannot_be_written_is_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = small();
    let mode =
        |mode| std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o500);
    let verified = check(dir.path());
    mode(0o700);
    assert_eq!(verified.unwrap().size, 11);
}
