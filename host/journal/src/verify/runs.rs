//! The table of runs, held against the records: whoever changes a row of a list is found out.
//!
//! A run is folded while its entries pass and compared when it ends. What is told of it after its end
//! (an undo, an answer, going on) is rare, and such a run is folded again by itself at the end, so
//! that no more runs are in memory than go on at a time.

use super::{Result, VerifyError};
use crate::error::JournalError;
use crate::projection::{Live, RUN_ROW, Row, fold, run_row, shown};
use crate::prune::STAYS;
use crate::schema::number;
use keepwell_model::event::{Event, Record};
use keepwell_model::id::RunId;
use rusqlite::{Connection, OptionalExtension as _, Statement};
use std::collections::{BTreeSet, HashMap};

/// The comparison, going along with the entries.
pub(super) struct Runs<'a> {
    db: &'a Connection,
    row: Statement<'a>,
    /// Those that go on.
    live: HashMap<RunId, Live>,
    /// To be folded again.
    again: BTreeSet<RunId>,
    /// Begun, and without a row: forgotten, or hidden.
    gone: u64,
    /// What records say was forgotten.
    forgotten: u64,
    rows: u64,
}

impl<'a> Runs<'a> {
    pub(super) fn new(db: &'a Connection) -> Result<Self> {
        let sql = format!("SELECT {RUN_ROW} FROM runs WHERE run = ?1");
        let row = db
            .prepare(&sql)
            .map_err(JournalError::sqlite("read the runs"))?;
        Ok(Self {
            db,
            row,
            live: HashMap::new(),
            again: BTreeSet::new(),
            gone: 0,
            forgotten: 0,
            rows: 0,
        })
    }

    /// An entry with its contents; `run` is the one it is about.
    pub(super) fn add(
        &mut self,
        index: u64,
        kind: &str,
        run: Option<RunId>,
        bytes: &[u8],
    ) -> Result<()> {
        let read = || {
            let bad = |e: serde_json::Error| VerifyError::Entry {
                index,
                why: format!("it is not a record: {e}"),
            };
            serde_json::from_slice::<Record>(bytes).map_err(bad)
        };
        if kind == "pruned"
            && let Event::Pruned { runs, .. } = read()?.event
        {
            self.forgotten += runs;
        }
        let Some(run) = run else { return Ok(()) };
        if kind == "run-due" {
            return self.begin(run, &read()?, bytes);
        }
        let Some(live) = self.live.get_mut(&run) else {
            if !STAYS.contains(&kind) {
                self.again.insert(run);
            }
            return Ok(());
        };
        if !shown(kind) {
            live.bytes += bytes.len() as u64;
            return Ok(());
        }
        live.add(&read()?, bytes.len() as u64);
        if !live.goes_on()
            && let Some(live) = self.live.remove(&run)
        {
            let is = self.stored(run)?;
            if !is.is_some_and(|row| row.is_row_of(&live)) {
                self.again.insert(run);
            }
        }
        Ok(())
    }

    fn begin(&mut self, run: RunId, record: &Record, bytes: &[u8]) -> Result<()> {
        if self.stored(run)?.is_none() {
            self.gone += 1;
            return Ok(());
        }
        self.rows += 1;
        let live = Live::begin(record, bytes.len() as u64);
        self.live.extend(live.map(|live| (run, live)));
        Ok(())
    }

    fn stored(&mut self, run: RunId) -> Result<Option<Row>> {
        let row = self.row.query_row([run.to_bytes()], run_row).optional();
        Ok(row.map_err(JournalError::sqlite("read a run"))?)
    }

    /// After the last entry. `pruned` tells whether the contents of some entries between two are
    /// gone: a run that was being forgotten when the host stopped has less to be folded from.
    pub(super) fn finish(mut self, pruned: &dyn Fn(u64, u64) -> bool) -> Result<()> {
        let going = std::mem::take(&mut self.live);
        for (run, live) in going {
            let is = self.stored(run)?;
            if !is.is_some_and(|row| row.is_row_of(&live)) {
                self.again.insert(run);
            }
        }
        for run in std::mem::take(&mut self.again) {
            self.compare(run, pruned)?;
        }
        let count = "SELECT count(*) FROM runs";
        let stored: u64 = self
            .db
            .query_row(count, [], |row| row.get(0).map(number))
            .map_err(JournalError::sqlite("count the runs"))?;
        if stored != self.rows {
            let why = format!("it has {stored} rows, the records begin {}", self.rows);
            return Err(bad(why));
        }
        if self.gone != self.forgotten {
            let why = format!(
                "{} runs have no row, the records tell of {} that were forgotten",
                self.gone, self.forgotten
            );
            return Err(bad(why));
        }
        Ok(())
    }

    fn compare(&mut self, run: RunId, pruned: &dyn Fn(u64, u64) -> bool) -> Result<()> {
        let wrong = || bad(format!("the row of run {run} is missing or another"));
        // Without one it was forgotten, or is hidden, which the count of both tells.
        let Some(is) = self.stored(run)? else {
            return Ok(());
        };
        let should = fold(self.db, run)?.ok_or_else(wrong)?;
        if is.is_row_of(&should) {
            return Ok(());
        }
        let ends = "SELECT min(idx), max(idx) FROM entries WHERE run = ?1";
        let ends = self.db.query_row(ends, [run.to_bytes()], |row| {
            Ok((number(row.get(0)?), number(row.get(1)?)))
        });
        let (first, last) = ends.map_err(JournalError::sqlite("read a run"))?;
        if pruned(first, last) && is.same_run(&should.row()) {
            return Ok(());
        }
        Err(wrong())
    }
}

fn bad(why: String) -> VerifyError {
    let table = "runs";
    VerifyError::State { table, why }
}
