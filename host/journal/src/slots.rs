//! The slots of tasks: at most one start each. The table is made from the records in the same
//! transaction that journals them, so whoever asks second finds the first.

use crate::error::{JournalError, Result};
use crate::projection::Projection;
use crate::schema::{column, number};
use keepwell_model::event::{Event, Record};
use keepwell_model::id::RunId;
use keepwell_model::slot::{Handled, Known, Taken, close};
use keepwell_model::state::RunState;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;

/// Something that happened to a slot, or to `count` of them from `first` to `due`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotRow {
    pub task: String,
    /// The scheduled instant, in milliseconds since the Unix epoch; of several, the last.
    pub due: u64,
    /// From 1; 0 when it was not started.
    pub attempt: u32,
    pub how: Handled,
    pub schedule: String,
    pub first: u64,
    pub count: u64,
    pub run: Option<RunId>,
    /// The entry that tells of it.
    pub entry: u64,
}

/// Columns as [`slot_row`] reads them, and their table has them.
pub(crate) const COLUMNS: &str = "task, due, attempt, how, schedule, first, count, run, entry";

/// Kinds of events that may make a row.
pub(crate) const KINDS: [&str; 4] = [
    "run-due",
    "slot-missed",
    "slot-skipped",
    "slot-done-by-hand",
];

pub(crate) fn slot_row(row: &Row<'_>) -> rusqlite::Result<SlotRow> {
    Ok(SlotRow {
        task: row.get(0)?,
        due: number(row.get(1)?),
        attempt: row.get(2)?,
        how: crate::reader::word(row, 3)?,
        schedule: row.get(4)?,
        first: number(row.get(5)?),
        count: number(row.get(6)?),
        run: row.get::<_, Option<[u8; 16]>>(7)?.map(RunId::from_bytes),
        entry: number(row.get(8)?),
    })
}

/// The row that a record makes as entry `entry`, if it is about a slot.
pub(crate) fn made_by(record: &Record, entry: u64) -> Option<SlotRow> {
    let one = |schedule: &str, due, how| {
        Some(SlotRow {
            task: record.task.clone()?,
            due,
            attempt: 0,
            how,
            schedule: schedule.into(),
            first: due,
            count: 1,
            run: None,
            entry,
        })
    };
    if let Event::RunDue {
        slot: Some(slot), ..
    } = &record.event
    {
        return Some(SlotRow {
            attempt: slot.attempt,
            run: record.run,
            ..one(&slot.schedule, slot.due, Handled::Started)?
        });
    }
    if let Event::SlotMissed {
        schedule,
        from,
        to,
        count,
        ..
    } = &record.event
    {
        return Some(SlotRow {
            first: *from,
            count: *count,
            ..one(schedule, *to, Handled::Missed)?
        });
    }
    if let Event::SlotSkipped { schedule, due, .. } = &record.event {
        return one(schedule, *due, Handled::Skipped);
    }
    if let Event::SlotDoneByHand { schedule, due, .. } = &record.event {
        return one(schedule, *due, Handled::ByHand);
    }
    None
}

/// Whether an event tells what became of a slot, and may thus be refused by the journal.
pub(crate) fn is_about(event: &Event) -> bool {
    matches!(
        event,
        Event::RunDue { slot: Some(_), .. }
            | Event::SlotMissed { .. }
            | Event::SlotSkipped { .. }
            | Event::SlotDoneByHand { .. }
    )
}

/// Why a record about a slot makes no sense, whatever is known of the slot.
pub(crate) fn senseless(record: &Record) -> Option<&'static str> {
    if !is_about(&record.event) {
        return None;
    }
    let Some(row) = made_by(record, 0) else {
        return Some("it is about a slot of no task");
    };
    if row.how == Handled::Started && row.run.is_none() {
        return Some("it starts a slot without a run");
    }
    if row.how == Handled::Started && row.attempt == 0 {
        return Some("attempts count from 1");
    }
    if i64::try_from(row.due).is_err() {
        return Some("its slot lies beyond all times");
    }
    if row.first > row.due || row.count == 0 || (row.first == row.due && row.count > 1) {
        return Some("no such slots lie in what it says was missed");
    }
    None
}

/// The record's slot may be handled so, by all that is journaled; says why not.
pub(crate) fn admit(tx: &Connection, projection: &Projection, record: &Record) -> Result<()> {
    let Some(row) = made_by(record, 0) else {
        return Ok(());
    };
    let known = known(tx, projection, &row).map_err(JournalError::sqlite("look for a slot"))?;
    let admitted = if let Event::RunDue {
        slot: Some(slot), ..
    } = &record.event
    {
        slot.admit(known)
    } else {
        close(row.how, known)
    };
    let taken = |why| JournalError::SlotTaken {
        task: row.task.clone(),
        due: row.due,
        why,
    };
    admitted.map_err(taken)?;
    if row.how == Handled::Missed
        && missed(tx, &row.task, &row.schedule, row.first)
            .map_err(JournalError::sqlite("look for a slot"))?
            .is_some_and(|(first, _)| first <= row.due)
    {
        return Err(taken(Taken::Closed(Handled::Missed)));
    }
    Ok(())
}

/// What is known of the slot that `row` is about.
fn known(tx: &Connection, projection: &Projection, row: &SlotRow) -> rusqlite::Result<Known> {
    let mut known = Known::default();
    let sql = "SELECT attempt, how, run FROM slots WHERE task = ?1 AND due = ?2 ORDER BY attempt";
    let mut rows = tx.prepare_cached(sql)?;
    let mut rows = rows.query(params![row.task, column(row.due)])?;
    let mut last = None;
    while let Some(found) = rows.next()? {
        let how: Handled = crate::reader::word(found, 1)?;
        if how == Handled::Started {
            known.attempts = found.get(0)?;
            last = found.get::<_, Option<[u8; 16]>>(2)?.map(RunId::from_bytes);
        } else {
            // Done by hand comes last, and counts before the others.
            known.closed = known.closed.max(Some(how));
        }
    }
    let covering = missed(tx, &row.task, &row.schedule, row.due)?;
    if covering.is_some_and(|(first, _)| first <= row.due) {
        known.closed = known.closed.max(Some(Handled::Missed));
    }
    if let Some(run) = last {
        known.running = projection.state(tx, run)? == Some(RunState::Running);
    }
    Ok(known)
}

/// The first span of missed slots that ends at or after `at`. Spans of a schedule do not overlap.
fn missed(
    tx: &Connection,
    task: &str,
    schedule: &str,
    at: u64,
) -> rusqlite::Result<Option<(u64, u64)>> {
    tx.prepare_cached(
        "SELECT first, due FROM slots INDEXED BY slots_missed WHERE task = ?1 AND schedule = ?2 AND due >= ?3
         AND how = 'missed' ORDER BY due LIMIT 1",
    )?
    .query_row(params![task, schedule, column(at)], |row| {
        Ok((number(row.get(0)?), number(row.get(1)?)))
    })
    .optional()
}

/// Writes the row of a record that was admitted.
pub(crate) fn store(tx: &Connection, record: &Record, entry: u64) -> rusqlite::Result<()> {
    let Some(row) = made_by(record, entry) else {
        return Ok(());
    };
    tx.prepare_cached("INSERT INTO slots VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            row.task,
            column(row.due),
            row.attempt,
            row.how.as_str(),
            row.schedule,
            column(row.first),
            column(row.count),
            row.run.map(RunId::to_bytes),
            column(row.entry),
        ])
        .map(drop)
}
