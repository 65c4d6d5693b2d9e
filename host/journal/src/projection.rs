//! The table of runs: what lists show of each, folded from its records in the same transaction
//! that journals them.

use crate::entry::read;
use crate::error::{JournalError, Result};
use crate::schema::column;
use keepwell_model::event::Record;
use keepwell_model::id::RunId;
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::{HashMap, HashSet};

/// Reports kept in memory while their runs go on. Far more than run at a time; beyond it they are
/// folded again from the journal when needed.
const LIVE_MAX: usize = 256;

/// The folds of the runs that go on, and which of them the current batch touched.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    live: HashMap<RunId, Live>,
    touched: HashSet<RunId>,
}

/// A run's report so far, and the bytes of its records.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) report: Report,
    pub(crate) bytes: u64,
}

/// A run as the table has it, but for its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    task: String,
    state: String,
    trigger: String,
    mode: String,
    started: i64,
    ended: Option<i64>,
    line: Option<String>,
    reason: Option<String>,
    actions_done: i64,
    bytes: i64,
    checkpoint: Option<String>,
    stored: i64,
}

/// Columns as [`run_row`] reads them.
pub(crate) const RUN_ROW: &str = "task, state, trigger, mode, started, ended, line, reason, actions_done, bytes, checkpoint, stored";

pub(crate) fn run_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        task: row.get(0)?,
        state: row.get(1)?,
        trigger: row.get(2)?,
        mode: row.get(3)?,
        started: row.get(4)?,
        ended: row.get(5)?,
        line: row.get(6)?,
        reason: row.get(7)?,
        actions_done: row.get(8)?,
        bytes: row.get(9)?,
        checkpoint: row.get(10)?,
        stored: row.get(11)?,
    })
}

impl Row {
    /// The same, but that the row of a run that goes on does not count what no list shows of it yet.
    pub(crate) fn is_row_of(&self, live: &Live) -> bool {
        let should = live.row();
        let lags = live.goes_on() && self.stored <= should.stored;
        let stored = if lags { self.stored } else { should.stored };
        *self == Row { stored, ..should }
    }

    /// The same run in the same state, though less is left of one of them to be folded from.
    pub(crate) fn same_run(&self, other: &Self) -> bool {
        let of = |row: &Self| {
            let Self {
                task,
                state,
                trigger,
                mode,
                started,
                ..
            } = row;
            (
                task.clone(),
                state.clone(),
                trigger.clone(),
                mode.clone(),
                *started,
            )
        };
        of(self) == of(other)
    }
}

impl Live {
    /// The run that a record begins, which has so many bytes.
    pub(crate) fn begin(record: &Record, bytes: u64) -> Option<Self> {
        Report::begin(record).map(|report| Self { report, bytes })
    }

    pub(crate) fn goes_on(&self) -> bool {
        matches!(self.report.state, RunState::Running | RunState::Waiting)
    }

    pub(crate) fn row(&self) -> Row {
        let report = &self.report;
        Row {
            task: report.task.clone(),
            state: report.state.as_str().to_owned(),
            trigger: report.trigger.clone(),
            mode: mode_name(report).to_owned(),
            started: column(report.started),
            ended: report.ended.map(column),
            line: report.summary.as_ref().map(|s| s.line.clone()),
            reason: report.reason.clone(),
            actions_done: column(report.applied.done),
            bytes: column(report.applied.bytes),
            checkpoint: report.checkpoint.clone(),
            stored: column(self.bytes),
        }
    }

    pub(crate) fn add(&mut self, record: &Record, bytes: u64) {
        self.report.add(record);
        self.bytes += bytes;
    }
}

impl Projection {
    /// Takes in a record that is about to be inserted (and is not yet, so that folding a run
    /// again from the journal does not count it twice).
    pub(crate) fn add(&mut self, db: &Connection, record: &Record, bytes: u64) -> Result<()> {
        let Some(run) = record.run else {
            return Ok(());
        };
        if let Some(live) = self.live.get_mut(&run) {
            live.add(record, bytes);
        } else if let Some(mut live) = fold(db, run)? {
            live.add(record, bytes);
            self.live.insert(run, live);
        } else if let Some(live) = Live::begin(record, bytes) {
            self.live.insert(run, live);
        } else {
            return Ok(());
        }
        if shown(record.event.kind()) {
            self.touched.insert(run);
        }
        Ok(())
    }

    /// The state of a run, also of one whose row this batch has not written yet.
    pub(crate) fn state(&self, db: &Connection, run: RunId) -> rusqlite::Result<Option<RunState>> {
        if let Some(live) = self.live.get(&run) {
            return Ok(Some(live.report.state));
        }
        db.prepare_cached("SELECT state FROM runs WHERE run = ?1")?
            .query_row([run.to_bytes()], |row| crate::reader::word(row, 0))
            .optional()
    }

    /// Writes the rows of the runs that were touched.
    pub(crate) fn store(&mut self, db: &Connection) -> rusqlite::Result<()> {
        if self.touched.is_empty() {
            return Ok(());
        }
        let mut put = db.prepare(
            "INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        for run in self.touched.drain() {
            let Some(live) = self.live.get(&run) else {
                continue;
            };
            let row = live.row();
            put.execute(params![
                run.to_bytes(),
                row.task,
                row.state,
                row.trigger,
                row.mode,
                row.started,
                row.ended,
                row.line,
                row.reason,
                row.actions_done,
                row.bytes,
                row.checkpoint,
                row.stored,
            ])?;
        }
        Ok(())
    }

    /// The run was forgotten: it must not be written again.
    pub(crate) fn let_go(&mut self, run: RunId) {
        self.live.remove(&run);
        self.touched.remove(&run);
    }

    /// After a batch is durable: lets go of the runs that ended.
    pub(crate) fn settle(&mut self) {
        self.live
            .retain(|_, live| live.report.state == RunState::Running);
        if self.live.len() > LIVE_MAX {
            self.live.clear();
        }
    }

    /// After a batch failed: what is in memory is ahead of the journal.
    pub(crate) fn forget(&mut self) {
        self.live.clear();
        self.touched.clear();
    }
}

fn mode_name(report: &Report) -> &'static str {
    match report.mode {
        keepwell_model::event::Mode::Plan => "plan",
        keepwell_model::event::Mode::Apply => "apply",
    }
}

/// Whether events of a kind may change what the table shows of a run. Calls and log lines, the most
/// frequent, do not.
pub(crate) fn shown(kind: &str) -> bool {
    const NOT: [&str; 6] = [
        "called", "refused", "logged", "found", "measured", "intended",
    ];
    !NOT.contains(&kind)
}

/// A run from its records; `None` when none of them begins it.
pub(crate) fn fold(db: &Connection, run: RunId) -> Result<Option<Live>> {
    let key = run.to_bytes();
    let wrap = || JournalError::sqlite("read the records of a run");
    let known = db
        .query_row("SELECT 1 FROM runs WHERE run = ?1", [key], |_| Ok(()))
        .optional()
        .map_err(wrap())?;
    if known.is_none() {
        return Ok(None);
    }
    let mut rows = db
        .prepare("SELECT idx, bytes FROM entries WHERE run = ?1 ORDER BY idx")
        .map_err(wrap())?;
    let mut rows = rows.query([key]).map_err(wrap())?;
    let mut live: Option<Live> = None;
    while let Some(row) = rows.next().map_err(wrap())? {
        let (_, record) = read(row)?;
        let bytes = row.get_ref(1).map_err(wrap())?.as_blob();
        let bytes = bytes.map_or(0, |bytes| bytes.len() as u64);
        match &mut live {
            Some(live) => live.add(&record, bytes),
            None => live = Live::begin(&record, bytes),
        }
    }
    Ok(live)
}
