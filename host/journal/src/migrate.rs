//! Renewing a journal that the version before made: once, in one transaction.

use crate::batch::Batch;
use crate::control::{self, Controls, PAUSED, SKIP_NEXT};
use crate::entry::{Entry, read};
use crate::error::{JournalError, Result};
use crate::merkle::leaf_hash;
use crate::writer::{Writer, seal, sign};
use keepwell_model::event::{Event, Record};
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// The version that is renewed, and its tables. Never changed again.
pub(crate) const FROM: i64 = 1;
pub(crate) const TABLES: &str = "
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE entries(idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, run BLOB, task TEXT, bytes BLOB NOT NULL) STRICT;
CREATE INDEX entries_run ON entries(run) WHERE run IS NOT NULL;
CREATE INDEX entries_task ON entries(task) WHERE task IS NOT NULL;
CREATE INDEX entries_at ON entries(at);
CREATE INDEX entries_kind ON entries(kind);
CREATE TABLE nodes(level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY(level, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints(size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
CREATE TABLE head(id INTEGER PRIMARY KEY CHECK(id = 0), note TEXT NOT NULL) STRICT;
CREATE TABLE runs(run BLOB PRIMARY KEY, task TEXT NOT NULL, state TEXT NOT NULL, trigger TEXT NOT NULL, mode TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER, line TEXT, reason TEXT, actions_done INTEGER NOT NULL, bytes INTEGER NOT NULL, checkpoint TEXT) STRICT, WITHOUT ROWID;
CREATE INDEX runs_task ON runs(task, run);
CREATE INDEX runs_state ON runs(state, run);
CREATE TABLE stores(store TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE shards(store TEXT NOT NULL, shard TEXT NOT NULL, bytes INTEGER NOT NULL, verified_ms INTEGER, state TEXT NOT NULL, PRIMARY KEY(store, shard)) STRICT, WITHOUT ROWID;
CREATE TABLE flags(task TEXT NOT NULL, flag TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(task, flag)) STRICT, WITHOUT ROWID;
";

/// What makes the tables of today from them; nothing of an entry is touched.
const STEPS: &str = "
ALTER TABLE runs ADD COLUMN stored INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET stored = (SELECT coalesce(sum(length(bytes)), 0) FROM entries WHERE entries.run = runs.run);
DROP TABLE flags;
";

/// Why the records that reconcile the two say they were written.
const REASON: &str = "found set without a record when the journal's tables were renewed";

impl Writer {
    /// Renews the tables. What people had set is made from the records from now on; where the old
    /// table of flags says otherwise (its version did not record all changes), it is believed, and
    /// records say so.
    pub(crate) fn migrate(&mut self) -> Result<()> {
        let wrap = || JournalError::sqlite("renew the tables");
        let tx =
            Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate).map_err(wrap())?;
        let flags = flags(&tx).map_err(wrap())?;
        let controls = controls(&tx)?;
        tx.execute_batch(STEPS).map_err(wrap())?;
        for made in crate::schema::TABLES
            .lines()
            .filter(|line| !TABLES.contains(line))
        {
            if !made.starts_with("CREATE TABLE runs(") {
                tx.execute_batch(made).map_err(wrap())?;
            }
        }
        tx.pragma_update(None, "user_version", crate::schema::VERSION)
            .map_err(wrap())?;
        control::store_all(&tx, &controls).map_err(wrap())?;
        let mut batch = Batch {
            tx: &tx,
            frontier: self.frontier.clone(),
            projection: &mut self.projection,
            keep: false,
        };
        for record in reconcile(&flags, &controls, last_time(&tx).map_err(wrap())?) {
            batch.enter(&Entry::new(record)?)?;
        }
        let frontier = batch.frontier;
        let note = sign(&frontier, &self.key, &self.verifier);
        seal(&tx, frontier.size(), &note, false).map_err(wrap())?;
        tx.commit().map_err(wrap())?;
        self.frontier = frontier;
        self.untold = Some(note);
        Ok(())
    }
}

type Flag = (String, String, String);

fn flags(tx: &Connection) -> rusqlite::Result<Vec<Flag>> {
    let mut rows = tx.prepare("SELECT task, flag, value FROM flags ORDER BY task, flag")?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

/// The fold over what was recorded. The bytes are not trusted but through their hashes, which the
/// signed head was held against.
fn controls(tx: &Connection) -> Result<Controls> {
    let wrap = || JournalError::sqlite("read the controls");
    let kinds = control::KINDS.join("', '");
    let sql =
        format!("SELECT idx, bytes, leaf FROM entries WHERE kind IN ('{kinds}') ORDER BY idx");
    let mut rows = tx.prepare(&sql).map_err(wrap())?;
    let mut rows = rows.query([]).map_err(wrap())?;
    let mut controls = Controls::default();
    while let Some(row) = rows.next().map_err(wrap())? {
        let (index, record) = read(row)?;
        let leaf = row.get_ref(1).map_err(wrap())?.as_blob().map(leaf_hash);
        let stored = row.get_ref(2).map_err(wrap())?.as_blob();
        if leaf.as_ref().ok().map(<[u8; 32]>::as_slice) != stored.ok() {
            let why = "its bytes are not those its hash was made from".into();
            return Err(JournalError::Entry { index, why });
        }
        controls.add(&record, index);
    }
    Ok(controls)
}

/// Records that make the fold what the flags were.
fn reconcile(flags: &[Flag], controls: &Controls, at: u64) -> Vec<Record> {
    let record = |task: &str, event| Record {
        at,
        run: None,
        task: Some(task.to_owned()),
        actor: "host".into(),
        event,
    };
    let mut records = vec![];
    for (task, flag, value) in flags {
        if !controls.set.contains_key(&(task.clone(), flag.clone())) {
            let reason = format!("{value} ({REASON})");
            if flag == PAUSED {
                records.push(record(task, Event::TaskPaused { reason }));
            } else if flag == SKIP_NEXT {
                records.push(record(task, Event::TaskSkip { reason }));
            }
        }
    }
    for (task, control) in controls.set.keys() {
        let reason = REASON.replace("set", "cleared");
        if !flags.iter().any(|(t, f, _)| (t, f) == (task, control)) {
            if control == PAUSED {
                records.push(record(task, Event::TaskResumed { reason }));
            } else if control == SKIP_NEXT {
                records.push(record(task, Event::TaskSkipUsed { reason }));
            }
        }
    }
    records
}

/// The time of the last entry: there is no other clock here.
fn last_time(tx: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce((SELECT at FROM entries ORDER BY idx DESC LIMIT 1), 0)";
    tx.query_row(sql, [], |row| row.get(0).map(crate::schema::number))
}
