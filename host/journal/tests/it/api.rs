//! The journal as the host uses it: append, commit, read, prove, remember.

use crate::common::{called, due, ended, fresh, key, line, record, run_id, verifier};
use keepwell_journal::{ErrorKind, Filter, Journal, Reader, RunQuery, verify, verify_proof};
use keepwell_model::event::{Event, Record};
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use keepwell_model::store::{Remembered, State};
use keepwell_model::words::{Metric, Summary};
use std::ops::ControlFlow;

fn all(reader: &Reader, filter: &Filter) -> Vec<u64> {
    let mut found = vec![];
    reader
        .records(filter, &mut |index, _| {
            found.push(index);
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

#[test]
fn what_is_committed_is_there_in_order_and_again_after_opening() {
    let (dir, journal) = fresh();
    for n in 0..600 {
        journal.append(line(n)).unwrap();
    }
    assert_eq!(journal.commit(line(600)).unwrap(), 600);
    let before = journal.checkpoint().unwrap();
    drop(journal);
    let journal = Journal::open(dir.path(), &key()).unwrap();
    assert_eq!(journal.commit(line(601)).unwrap(), 601);
    let reader = journal.reader().unwrap();
    let mut next = 0;
    reader
        .records(&Filter::default(), &mut |index, record| {
            assert_eq!((index, record), (next, line(next)));
            next += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(next, 602);
    let verified = verify(dir.path(), &verifier(), Some(&before), &mut |_, _| {}).unwrap();
    assert_eq!(verified.size, 602);
}

#[test]
fn the_end_of_a_run_is_one_commit_with_its_checkpoint() {
    let (dir, journal) = fresh();
    let file = || std::fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    let reader = journal.reader().unwrap();
    journal.append(due(run_id(0))).unwrap();
    journal.commit(ended(run_id(0), RunState::Done)).unwrap();
    assert_eq!(reader.checkpoint().unwrap().unwrap(), file());
    assert!(file().starts_with(&format!("{}\n2\n", crate::common::ORIGIN)));
    journal.commit(line(20)).unwrap();
    assert!(
        file().contains("\n2\n"),
        "a record alone keeps no checkpoint"
    );
    assert_eq!(journal.commit_with_checkpoint(line(21)).unwrap(), 3);
    assert_eq!(reader.checkpoint().unwrap().unwrap(), file());
    let verified = verify(dir.path(), &verifier(), Some(&file()), &mut |_, _| {}).unwrap();
    // The first is that of the empty journal.
    assert_eq!((verified.size, verified.checkpoints), (4, 3));
}

/// The write-ahead log that short runs leave for the next must not grow without end.
#[test]
fn many_short_runs_leave_a_bounded_log_behind() {
    let (dir, journal) = fresh();
    drop(journal);
    let mut most = 0;
    for n in 0..60 {
        let journal = Journal::open(dir.path(), &key()).unwrap();
        journal.append(due(run_id(n))).unwrap();
        journal.commit(ended(run_id(n), RunState::Done)).unwrap();
        drop(journal);
        let log = dir.path().join("journal.db-wal").metadata();
        most = most.max(log.map_or(0, |log| log.len()));
    }
    assert!((1..=1 << 20).contains(&most), "{most} bytes");
    let verified = verify(dir.path(), &verifier(), None, &mut |_, _| {}).unwrap();
    assert_eq!((verified.size, verified.checkpoints), (120, 61));
}

#[test]
fn dropping_the_journal_writes_what_was_appended() {
    let (dir, journal) = fresh();
    journal.append(line(0)).unwrap();
    drop(journal);
    assert_eq!(Reader::open(dir.path()).unwrap().size().unwrap(), 1);
}

#[test]
fn appended_records_become_visible_by_themselves() {
    let (_dir, journal) = fresh();
    journal.append(line(0)).unwrap();
    let reader = journal.reader().unwrap();
    let since = std::time::Instant::now();
    while reader.size().unwrap() == 0 {
        assert!(since.elapsed().as_secs() < 20, "never written");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_second_writer_is_turned_away_and_readers_are_not() {
    let (dir, journal) = fresh();
    let busy = Journal::open(dir.path(), &key()).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
    assert_eq!(Reader::open(dir.path()).unwrap().size().unwrap(), 0);
    drop(journal);
    Journal::open(dir.path(), &key()).unwrap();
}

#[test]
fn what_cannot_be_opened_says_why() {
    let (dir, journal) = fresh();
    drop(journal);
    let kind = |e: keepwell_journal::JournalError| e.kind();
    let exists = Journal::create(dir.path(), crate::common::ORIGIN, &key());
    assert_eq!(exists.map_err(kind).unwrap_err(), ErrorKind::Usage);
    let empty = tempfile::tempdir().unwrap();
    let missing = Journal::open(empty.path(), &key());
    assert_eq!(missing.map_err(kind).unwrap_err(), ErrorKind::NotFound);
    let other = keepwell_journal::NodeKey::from_bytes([4; 32]);
    let foreign = Journal::open(dir.path(), &other);
    assert_eq!(foreign.map_err(kind).unwrap_err(), ErrorKind::Broken);
    let db = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    db.pragma_update(None, "user_version", 3).unwrap();
    drop(db);
    let newer = Journal::open(dir.path(), &key());
    assert_eq!(newer.map_err(kind).unwrap_err(), ErrorKind::Broken);
    assert!(Reader::open(dir.path()).is_err());
}

#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, journal) = fresh();
    journal.commit(line(0)).unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", entry.file_name());
    }
}

#[test]
fn records_that_could_not_be_read_back_are_refused() {
    let (_dir, journal) = fresh();
    let metric = Metric {
        name: "x".into(),
        unit: "ratio".into(),
        value: f64::NAN,
        labels: vec![],
    };
    let large = Event::TaskPaused {
        reason: "x".repeat(1 << 20),
    };
    for event in [Event::Measured { metric }, large] {
        let refused = journal.commit(record(1, None, event)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Usage);
    }
    assert_eq!(journal.commit(line(0)).unwrap(), 0);
}

#[test]
fn every_entry_can_be_proved_and_only_as_itself() {
    let (_dir, journal) = fresh();
    for n in 0..700 {
        journal.append(line(n)).unwrap();
    }
    journal.checkpoint().unwrap();
    journal.commit(line(700)).unwrap();
    let reader = journal.reader().unwrap();
    for index in (0..700).step_by(37).chain([255, 256, 511, 512, 699]) {
        let text = reader.proof(index).unwrap().to_string();
        let entry = reader.entry(index).unwrap();
        let head = verify_proof(&text, &entry, &verifier()).unwrap();
        assert_eq!(head.size, 700);
        let other = reader.entry((index + 1) % 700).unwrap();
        assert!(verify_proof(&text, &other, &verifier()).is_err());
        let moved = text.replacen(&format!("index {index}\n"), "index 1\n", 1);
        assert!(index == 1 || verify_proof(&moved, &entry, &verifier()).is_err());
    }
    let beyond = reader.proof(700).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::NotFound);
    let json = serde_json::to_value(reader.proof(0).unwrap()).unwrap();
    assert_eq!(json["path"].as_array().unwrap().len(), 10);
}

fn looked(run: u8, text: &str) -> Record {
    let summary = Some(Summary {
        status: keepwell_model::words::Status::Done,
        line: text.into(),
        data: "{}".into(),
    });
    let usage = keepwell_model::event::Usage::default();
    record(12, Some(run_id(run)), Event::Looked { summary, usage })
}

#[test]
fn runs_are_listed_from_the_newest_and_reported_by_folding() {
    let (dir, journal) = fresh();
    for n in 0..5 {
        journal.commit(due(run_id(n))).unwrap();
        journal.append(called(run_id(n), "storage.walk")).unwrap();
        journal.append(looked(n, "found nothing")).unwrap();
        if n != 3 {
            journal.commit(ended(run_id(n), RunState::Done)).unwrap();
        }
    }
    drop(journal);
    // The run that was going on is taken up again from the journal.
    let journal = Journal::open(dir.path(), &key()).unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!(reader.unfinished().unwrap(), [run_id(3)]);
    let stage = "applying".to_owned();
    let interrupted = record(30, Some(run_id(3)), Event::Interrupted { stage });
    journal.commit(interrupted).unwrap();
    assert_eq!(reader.unfinished().unwrap(), []);

    let page = |before, limit| {
        let query = RunQuery {
            before,
            limit: Some(limit),
            ..RunQuery::default()
        };
        let rows = reader.runs(&query).unwrap();
        rows.into_iter().map(|row| row.run).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), [run_id(4), run_id(3)]);
    assert_eq!(page(Some(run_id(3)), 9), [run_id(2), run_id(1), run_id(0)]);
    let last = reader.last_run("temp-clean").unwrap().unwrap();
    assert_eq!((last.run, last.state), (run_id(4), RunState::Done));
    assert_eq!(last.line.as_deref(), Some("found nothing"));
    assert_eq!((last.started, last.ended), (10, Some(20)));
    let state = Some(RunState::Interrupted);
    let query = RunQuery {
        state,
        ..RunQuery::default()
    };
    assert_eq!(reader.runs(&query).unwrap()[0].run, run_id(3));

    let records = reader.run(run_id(3)).unwrap();
    assert_eq!(records.len(), 4);
    let report = reader.report(run_id(3)).unwrap();
    assert_eq!(report, Report::fold(&records));
    assert_eq!(reader.report(run_id(9)).unwrap(), None);

    let id = run_id(2);
    let whole = id.to_string();
    let dashless = whole.replace('-', "").to_uppercase();
    for text in [whole.as_str(), &dashless, &id.short(), &whole[24..]] {
        assert_eq!(reader.find_runs(text).unwrap(), [id], "{text}");
    }
    assert_eq!(reader.find_runs("last").unwrap(), [run_id(4)]);
    assert_eq!(reader.find_runs("0000").unwrap().len(), 5);
    for text in ["", "%", "_", "x' OR 1", "deadbeef"] {
        assert_eq!(reader.find_runs(text).unwrap(), [], "{text}");
    }
}

#[test]
fn filters_find_by_run_task_kind_time_and_capability() {
    let (_dir, journal) = fresh();
    for n in 0..2 {
        journal.append(due(run_id(n))).unwrap();
        journal.append(called(run_id(n), "storage.walk")).unwrap();
        journal
            .append(called(run_id(n), "storage-clean.quarantine"))
            .unwrap();
        journal.append(ended(run_id(n), RunState::Done)).unwrap();
    }
    journal.commit(line(15)).unwrap();
    let reader = journal.reader().unwrap();
    let find = |set: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        set(&mut filter);
        all(&reader, &filter)
    };
    assert_eq!(find(&|f| f.run = Some(run_id(1))), [4, 5, 6, 7]);
    assert_eq!(find(&|f| f.task = Some("temp-clean".into())).len(), 8);
    let kinds = vec!["run-due".to_owned(), "run-ended".into()];
    assert_eq!(find(&|f| f.kinds.clone_from(&kinds)), [0, 3, 4, 7]);
    assert_eq!(find(&|f| f.capability = Some("storage".into())), [1, 5]);
    assert_eq!(
        find(&|f| f.capability = Some("storage-clean".into())),
        [2, 6]
    );
    assert_eq!(
        find(&|f| (f.since_ms, f.until_ms) = (Some(12), Some(20))),
        [8]
    );
    assert_eq!(
        find(&|f| (f.after_index, f.limit) = (Some(2), Some(3))),
        [3, 4, 5]
    );
}

#[test]
fn a_checkpoint_of_a_task_lasts_until_a_run_of_it_finishes() {
    let (_dir, journal) = fresh();
    let reader = journal.reader().unwrap();
    let last = || reader.last_checkpoint("temp-clean").unwrap();
    assert_eq!(last(), None);
    journal.append(due(run_id(0))).unwrap();
    let state = "aGVsbG8=".to_owned();
    journal
        .append(record(11, Some(run_id(0)), Event::Checkpointed { state }))
        .unwrap();
    journal
        .commit(ended(run_id(0), RunState::Cancelled))
        .unwrap();
    assert_eq!(last().unwrap(), b"hello");
    // The next run asks while it is itself under way.
    journal.commit(due(run_id(1))).unwrap();
    assert_eq!(last().unwrap(), b"hello");
    journal.commit(ended(run_id(1), RunState::Done)).unwrap();
    assert_eq!(last(), None);
}

#[test]
fn shards_are_remembered() {
    let (dir, journal) = fresh();
    let shard = |n: u64, verified_ms| Remembered {
        shard: format!("s{n:05}"),
        bytes: n,
        verified_ms,
        state: State::Ok,
    };
    let reader = journal.reader().unwrap();
    assert_eq!(reader.store_figures("a").unwrap(), (None, None, None));
    let many: Vec<_> = (0..5_000).map(|n| shard(n, Some(n + 7))).collect();
    journal.remember("a", many.clone(), vec![]).unwrap();
    assert_eq!(reader.remembered("a").unwrap(), many);
    let sum = (0..5_000).sum();
    assert_eq!(
        reader.store_figures("a").unwrap(),
        (Some(5_000), Some(sum), Some(7))
    );
    journal
        .remember("a", vec![shard(1, None)], vec!["s00000".into()])
        .unwrap();
    assert_eq!(
        reader.store_figures("a").unwrap(),
        (Some(4_999), Some(sum), None)
    );
    drop(journal);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.remembered("a").unwrap().len(), 4_999);
}
