//! What people asked of tasks: paused, skip the next, run now, backfill. A fold over the records,
//! kept in tables by the writer and held against them by `verify`.

use crate::error::{JournalError, Result};
use crate::schema::{column, number};
use keepwell_model::event::{Event, Record};
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use std::collections::BTreeMap;

/// The task does not start until it is resumed.
pub const PAUSED: &str = "paused";
/// The next start of the task is left out.
pub const SKIP_NEXT: &str = "skip-next";
/// When the task was resumed last: failures before are forgiven.
pub(crate) const RESUMED: &str = "resumed";

/// A control of a task: who set it, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Control {
    pub task: String,
    /// [`PAUSED`] or [`SKIP_NEXT`].
    pub control: String,
    pub reason: String,
    pub actor: String,
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// The entry that set it.
    pub entry: u64,
}

/// Something a person asked the host to run, and that it has not settled yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The entry that asks; what settles it names it.
    pub entry: u64,
    pub task: String,
    pub actor: String,
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    pub reason: String,
    pub what: Ask,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub enum Ask {
    Run {
        settings: String,
    },
    /// Slots in `from..=to`, in milliseconds since the Unix epoch.
    Backfill {
        schedule: String,
        from: u64,
        to: u64,
    },
}

/// What a record changes.
pub(crate) enum Change {
    Set(Control),
    Clear { task: String, control: &'static str },
    Resume(Control),
    Ask(Asked),
    Settle(u64),
}

/// Kinds of the events that [`change`] knows.
pub(crate) const KINDS: [&str; 8] = [
    "task-paused",
    "task-resumed",
    "task-skip",
    "task-skip-used",
    "slot-skipped",
    "run-asked",
    "backfill-asked",
    "ask-settled",
];

/// What the record that is entry `entry` changes. One without a task controls none.
pub(crate) fn change(record: &Record, entry: u64) -> Option<Change> {
    let control = |control: &str, reason: &str| {
        Some(Control {
            task: record.task.clone()?,
            control: control.into(),
            reason: reason.into(),
            actor: record.actor.clone(),
            at: record.at,
            entry,
        })
    };
    let used = || {
        let (task, control) = (record.task.clone()?, SKIP_NEXT);
        Some(Change::Clear { task, control })
    };
    let ask = |reason: &str, what| {
        Some(Change::Ask(Asked {
            entry,
            task: record.task.clone()?,
            actor: record.actor.clone(),
            at: record.at,
            reason: reason.into(),
            what,
        }))
    };
    match &record.event {
        Event::TaskPaused { reason } => control(PAUSED, reason).map(Change::Set),
        Event::TaskResumed { reason } => control(RESUMED, reason).map(Change::Resume),
        Event::TaskSkip { reason } => control(SKIP_NEXT, reason).map(Change::Set),
        Event::TaskSkipUsed { .. } => used(),
        Event::SlotSkipped { asked, .. } => used().filter(|_| *asked),
        Event::RunAsked { reason, settings } => {
            let settings = settings.clone();
            ask(reason, Ask::Run { settings })
        }
        Event::BackfillAsked {
            schedule,
            from,
            to,
            reason,
        } => {
            let (schedule, from, to) = (schedule.clone(), *from, *to);
            ask(reason, Ask::Backfill { schedule, from, to })
        }
        Event::AskSettled { asked, .. } => Some(Change::Settle(*asked)),
        Event::RunDue { asked, .. } => asked.map(Change::Settle),
        Event::NodeCreated { .. }
        | Event::PluginInstalled { .. }
        | Event::PluginRemoved { .. }
        | Event::PluginSwitched { .. }
        | Event::PluginHeld { .. }
        | Event::PluginAccepted { .. }
        | Event::PluginRejected { .. }
        | Event::PluginRolledBack { .. }
        | Event::PluginProven { .. }
        | Event::PluginCutOff { .. }
        | Event::PluginRefused { .. }
        | Event::PluginQuarantined { .. }
        | Event::TrustChanged { .. }
        | Event::DaemonStarted { .. }
        | Event::DaemonEnded
        | Event::ConfigReloaded { .. }
        | Event::ApprovalAsked { .. }
        | Event::ApprovalAnswered { .. }
        | Event::ApprovalRefused { .. }
        | Event::ScheduleBegan { .. }
        | Event::SlotMissed { .. }
        | Event::WindowExtended { .. }
        | Event::SlotPrioritized { .. }
        | Event::RunAdjusted { .. }
        | Event::SlotDoneByHand { .. }
        | Event::Pruned { .. }
        | Event::RunGranted { .. }
        | Event::WorkerStarted { .. }
        | Event::Called { .. }
        | Event::Refused { .. }
        | Event::Logged { .. }
        | Event::Found { .. }
        | Event::Measured { .. }
        | Event::Checkpointed { .. }
        | Event::Looked { .. }
        | Event::PlanSealed { .. }
        | Event::Approved { .. }
        | Event::GlassBroken { .. }
        | Event::GlassRefused { .. }
        | Event::GlassAcknowledged { .. }
        | Event::Intended { .. }
        | Event::Outcome { .. }
        | Event::Stopped { .. }
        | Event::Reviewed { .. }
        | Event::UndoIntended { .. }
        | Event::UndoOutcome { .. }
        | Event::Interrupted { .. }
        | Event::RunResumed { .. }
        | Event::RunEnded { .. }
        | Event::CommitArmed { .. }
        | Event::CommitConfirmed { .. }
        | Event::CommitReverted { .. }
        | Event::CommitOvertaken { .. }
        | Event::StateHeld { .. }
        | Event::StateIntended { .. }
        | Event::StateOutcome { .. }
        | Event::StateCleared { .. }
        | Event::ExpiryIntended { .. }
        | Event::Expired { .. } => None,
    }
}

/// The fold: what is in force.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Controls {
    pub(crate) set: BTreeMap<(String, String), Control>,
    pub(crate) asked: BTreeMap<u64, Asked>,
}

impl Controls {
    pub(crate) fn add(&mut self, record: &Record, entry: u64) {
        match change(record, entry) {
            None => {}
            Some(Change::Set(control)) => self.put(control),
            Some(Change::Resume(control)) => {
                self.set.remove(&(control.task.clone(), PAUSED.into()));
                self.put(control);
            }
            Some(Change::Clear { task, control }) => {
                self.set.remove(&(task, control.into()));
            }
            Some(Change::Ask(asked)) => {
                self.asked.insert(asked.entry, asked);
            }
            Some(Change::Settle(asked)) => {
                self.asked.remove(&asked);
            }
        }
    }

    fn put(&mut self, control: Control) {
        let key = (control.task.clone(), control.control.clone());
        self.set.insert(key, control);
    }

    /// As the tables have it.
    pub(crate) fn stored(db: &Connection) -> rusqlite::Result<Self> {
        let mut this = Self::default();
        let mut rows = db.prepare(&format!("SELECT {CONTROL} FROM controls"))?;
        for control in rows.query_map([], control_row)? {
            this.put(control?);
        }
        let mut rows = db.prepare(&format!("SELECT {ASKED} FROM asked"))?;
        for asked in rows.query_map([], asked_row)? {
            let asked = asked?;
            this.asked.insert(asked.entry, asked);
        }
        Ok(this)
    }
}

/// Columns as [`control_row`] and [`asked_row`] read them.
pub(crate) const CONTROL: &str = "task, control, reason, actor, at, entry";
pub(crate) const ASKED: &str = "entry, task, actor, at, reason, settings, schedule, since, upto";

pub(crate) fn control_row(row: &Row<'_>) -> rusqlite::Result<Control> {
    Ok(Control {
        task: row.get(0)?,
        control: row.get(1)?,
        reason: row.get(2)?,
        actor: row.get(3)?,
        at: number(row.get(4)?),
        entry: number(row.get(5)?),
    })
}

pub(crate) fn asked_row(row: &Row<'_>) -> rusqlite::Result<Asked> {
    let what = match row.get::<_, Option<String>>(5)? {
        Some(settings) => Ask::Run { settings },
        None => Ask::Backfill {
            schedule: row.get(6)?,
            from: number(row.get(7)?),
            to: number(row.get(8)?),
        },
    };
    Ok(Asked {
        entry: number(row.get(0)?),
        task: row.get(1)?,
        actor: row.get(2)?,
        at: number(row.get(3)?),
        reason: row.get(4)?,
        what,
    })
}

/// Whether an event settles what was asked, and may thus be refused by the journal.
pub(crate) fn settles(event: &Event) -> bool {
    matches!(
        event,
        Event::AskSettled { .. } | Event::RunDue { asked: Some(_), .. }
    )
}

/// Why a record must not be journaled: what it settles is settled already.
pub(crate) fn admit(tx: &Connection, record: &Record) -> Result<()> {
    let Some(Change::Settle(asked)) = change(record, 0) else {
        return Ok(());
    };
    let open = (|| {
        tx.prepare_cached("SELECT 1 FROM asked WHERE entry = ?1")?
            .exists([column(asked)])
    })()
    .map_err(JournalError::sqlite("look for what was asked"))?;
    if open {
        return Ok(());
    }
    Err(JournalError::Settled { asked })
}

/// Writes what a record changes.
pub(crate) fn store(tx: &Connection, record: &Record, entry: u64) -> rusqlite::Result<()> {
    match change(record, entry) {
        None => Ok(()),
        Some(Change::Set(control)) => put(tx, &control),
        Some(Change::Resume(control)) => {
            clear(tx, &control.task, PAUSED)?;
            put(tx, &control)
        }
        Some(Change::Clear { task, control }) => clear(tx, &task, control),
        Some(Change::Ask(asked)) => ask(tx, &asked),
        Some(Change::Settle(asked)) => tx
            .prepare_cached("DELETE FROM asked WHERE entry = ?1")?
            .execute([column(asked)])
            .map(drop),
    }
}

/// Writes a whole fold into empty tables.
pub(crate) fn store_all(tx: &Connection, controls: &Controls) -> rusqlite::Result<()> {
    controls
        .set
        .values()
        .try_for_each(|control| put(tx, control))?;
    controls.asked.values().try_for_each(|asked| ask(tx, asked))
}

fn put(tx: &Connection, control: &Control) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO controls VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            control.task,
            control.control,
            control.reason,
            control.actor,
            column(control.at),
            column(control.entry),
        ])
        .map(drop)
}

fn clear(tx: &Connection, task: &str, control: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM controls WHERE task = ?1 AND control = ?2")?
        .execute([task, control])
        .map(drop)
}

fn ask(tx: &Connection, asked: &Asked) -> rusqlite::Result<()> {
    let (settings, slots) = match &asked.what {
        Ask::Run { settings } => (Some(settings), None),
        Ask::Backfill { schedule, from, to } => {
            (None, Some((schedule, column(*from), column(*to))))
        }
    };
    tx.prepare_cached("INSERT INTO asked VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            column(asked.entry),
            asked.task,
            asked.actor,
            column(asked.at),
            asked.reason,
            settings,
            slots.map(|(schedule, _, _)| schedule),
            slots.map(|(_, from, _)| from),
            slots.map(|(_, _, to)| to),
        ])
        .map(drop)
}
