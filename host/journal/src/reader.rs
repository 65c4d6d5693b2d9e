//! Reading the journal and the state beside it. Any number of readers, also in other processes.

use crate::entry::read;
use crate::error::{JournalError, Result};
use crate::merkle::inclusion_path;
use crate::note::Checkpoint;
use crate::projection::fold;
use crate::proof::Proof;
use crate::query::{Filter, RunQuery, RunRow};
use crate::schema::{check, column, number, open_reader, origin};
use crate::tree::range_root;
use base64::Engine as _;
use keepwell_model::event::Record;
use keepwell_model::id::RunId;
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use keepwell_model::store::Remembered;
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};
use serde::de::DeserializeOwned;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A connection that only reads. It sees what is durable, each call anew.
#[derive(Debug)]
pub struct Reader {
    pub(crate) db: Connection,
    dir: PathBuf,
}

/// How many entries there are, by their indexes.
pub(crate) fn size(db: &Connection) -> Result<u64> {
    db.query_row("SELECT coalesce(max(idx) + 1, 0) FROM entries", [], |row| {
        row.get(0).map(number)
    })
    .map_err(JournalError::sqlite("count the entries"))
}

impl Reader {
    /// Opens the journal in `dir` for reading, whether or not it is being written.
    pub fn open(dir: &Path) -> Result<Self> {
        let db = open_reader(dir)?;
        check(&db, dir)?;
        let dir = dir.to_owned();
        Ok(Self { db, dir })
    }

    /// Entries.
    pub fn size(&self) -> Result<u64> {
        size(&self.db)
    }

    /// The latest time that the newest entries tell; `None` for an empty journal. Those before them
    /// may have been written by a clock that was set right since.
    pub fn newest_ms(&self) -> Result<Option<u64>> {
        let sql = "SELECT max(at) FROM (SELECT at FROM entries ORDER BY idx DESC LIMIT 1000)";
        let newest: Option<Option<i64>> = self.first(sql, [])?;
        Ok(newest.flatten().map(number))
    }

    /// The journal's name, which every checkpoint carries.
    pub fn origin(&self) -> Result<String> {
        origin(&self.db)
    }

    /// Tells `each` the index and record of what fits, in order, until it breaks.
    pub fn records(
        &self,
        filter: &Filter,
        each: &mut dyn FnMut(u64, Record) -> ControlFlow<()>,
    ) -> Result<()> {
        let wrap = || JournalError::sqlite("read the records");
        let conditions = filter.conditions();
        let sql = conditions.sql("SELECT idx, bytes FROM entries", " ORDER BY idx");
        let mut rows = self.db.prepare(&sql).map_err(wrap())?;
        let mut rows = rows
            .query(params_from_iter(conditions.values))
            .map_err(wrap())?;
        let mut left = filter.limit.unwrap_or(u64::MAX);
        while left > 0 {
            let Some(row) = rows.next().map_err(wrap())? else {
                break;
            };
            let (index, record) = read(row)?;
            if filter.fits(&record.event) {
                left -= 1;
                if each(index, record).is_break() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// All records of one run.
    pub fn run(&self, run: RunId) -> Result<Vec<Record>> {
        let filter = Filter {
            run: Some(run),
            ..Filter::default()
        };
        let mut all = vec![];
        self.records(&filter, &mut |_, record| {
            all.push(record);
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    /// The report of one run, folded from its records.
    pub fn report(&self, run: RunId) -> Result<Option<Report>> {
        Ok(fold(&self.db, run)?.map(|live| live.report))
    }

    /// The bytes of one entry: the leaf that [`Self::proof`] is about.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>> {
        let sql = "SELECT bytes FROM entries WHERE idx = ?1";
        let bytes: Option<Vec<u8>> = self.first(sql, [column(index)])?;
        match bytes {
            Some(bytes) if bytes.is_empty() => Err(JournalError::Pruned { index }),
            Some(bytes) => Ok(bytes),
            None => Err(JournalError::NoSuchEntry {
                index,
                size: self.size()?,
            }),
        }
    }

    /// Runs as lists show them, newest first.
    pub fn runs(&self, query: &RunQuery) -> Result<Vec<RunRow>> {
        let (sql, values) = query.statement();
        self.all(&sql, params_from_iter(values), run_row)
    }

    /// Runs that began and have no end yet.
    pub fn unfinished(&self) -> Result<Vec<RunId>> {
        self.in_state(RunState::Running)
    }

    /// Runs in this state, oldest first.
    pub fn in_state(&self, state: RunState) -> Result<Vec<RunId>> {
        let sql = "SELECT run FROM runs WHERE state = ?1 ORDER BY run";
        self.all(sql, [state.as_str()], |row| run_at(row, 0))
    }

    /// The newest run of a task.
    pub fn last_run(&self, task: &str) -> Result<Option<RunRow>> {
        let query = RunQuery {
            task: Some(task.to_owned()),
            limit: Some(1),
            ..RunQuery::default()
        };
        Ok(self.runs(&query)?.pop())
    }

    /// What the last run of a task asked to be reminded of, unless a run finished since.
    pub fn last_checkpoint(&self, task: &str) -> Result<Option<Vec<u8>>> {
        let found: Option<Option<String>> = self.first(
            "SELECT CASE WHEN state IN ('done', 'warned') THEN NULL ELSE checkpoint END FROM runs
             WHERE task = ?1 AND (checkpoint IS NOT NULL OR state IN ('done', 'warned'))
             ORDER BY run DESC LIMIT 1",
            [task],
        )?;
        let Some(state) = found.flatten() else {
            return Ok(None);
        };
        let bytes = base64::engine::general_purpose::STANDARD.decode(state);
        bytes.map(Some).map_err(|_| {
            let why = format!("the checkpoint of the last run of `{task}` is not base64");
            JournalError::broken(&self.dir, why)
        })
    }

    /// What is remembered of a store's shards, by name.
    pub fn remembered(&self, store: &str) -> Result<Vec<Remembered>> {
        let sql =
            "SELECT shard, bytes, verified_ms, state FROM shards WHERE store = ?1 ORDER BY shard";
        self.all(sql, [store], |row| {
            Ok(Remembered {
                shard: row.get(0)?,
                bytes: number(row.get(1)?),
                verified_ms: row.get::<_, Option<i64>>(2)?.map(number),
                state: word(row, 3)?,
            })
        })
    }

    /// Shards, bytes, and the time of the oldest verification; all `None` for a store that was
    /// never listed, the last also when some shard was never verified.
    pub fn store_figures(&self, store: &str) -> Result<(Option<u64>, Option<u64>, Option<u64>)> {
        let listed: Option<i64> = self.first("SELECT 1 FROM stores WHERE store = ?1", [store])?;
        if listed.is_none() {
            return Ok((None, None, None));
        }
        let sql = "SELECT count(*), coalesce(sum(bytes), 0), CASE WHEN count(verified_ms) = count(*) THEN min(verified_ms) END FROM shards WHERE store = ?1";
        let row = |row: &Row<'_>| {
            let oldest = row.get::<_, Option<i64>>(2)?.map(number);
            Ok((Some(number(row.get(0)?)), Some(number(row.get(1)?)), oldest))
        };
        self.db
            .query_row(sql, [store], row)
            .map_err(JournalError::sqlite("add up a store"))
    }

    /// The last checkpoint that was kept, as a signed note.
    pub fn checkpoint(&self) -> Result<Option<String>> {
        self.first(
            "SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1",
            [],
        )
    }

    /// That the entry `index` is in the journal, for whoever has the last checkpoint.
    pub fn proof(&self, index: u64) -> Result<Proof> {
        // One view for checkpoint and hashes: what is deleted in between would look broken.
        let _view = self
            .db
            .unchecked_transaction()
            .map_err(JournalError::sqlite("begin reading"))?;
        let broken = |why: &str| JournalError::broken(&self.dir, why);
        let note = self
            .checkpoint()?
            .ok_or_else(|| broken("it has no checkpoint"))?;
        let head = Checkpoint::read(&note).map_err(|e| broken(&e.to_string()))?;
        let size = head.size;
        if index >= size {
            return Err(JournalError::NoSuchEntry { index, size });
        }
        let path = inclusion_path(index, size, &mut |start, end| {
            range_root(&self.db, start, end)
        })?;
        Ok(Proof {
            index,
            path,
            checkpoint: note,
        })
    }

    pub(crate) fn first<T: rusqlite::types::FromSql>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
    ) -> Result<Option<T>> {
        self.db
            .query_row(sql, params, |row| row.get(0))
            .optional()
            .map_err(JournalError::sqlite("read the state"))
    }

    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let read = || -> rusqlite::Result<Vec<T>> {
            let mut rows = self.db.prepare(sql)?;
            rows.query_map(params, row)?.collect()
        };
        read().map_err(JournalError::sqlite("read the state"))
    }
}

fn run_at(row: &Row<'_>, at: usize) -> rusqlite::Result<RunId> {
    row.get(at).map(RunId::from_bytes)
}

/// A word of the model, as its JSON spells it.
pub(crate) fn word<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    let text: String = row.get(at)?;
    serde_json::from_value(text.into()).map_err(|_| conversion(at, "a known word"))
}

fn conversion(at: usize, expected: &str) -> rusqlite::Error {
    let why = FromSqlError::Other(format!("expected {expected}").into());
    rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(why))
}

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        run: run_at(row, 0)?,
        task: row.get(1)?,
        state: word(row, 2)?,
        trigger: row.get(3)?,
        mode: word(row, 4)?,
        started: number(row.get(5)?),
        ended: row.get::<_, Option<i64>>(6)?.map(number),
        line: row.get(7)?,
        reason: row.get(8)?,
        actions_done: number(row.get(9)?),
        bytes: number(row.get(10)?),
    })
}
