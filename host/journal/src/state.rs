//! Reading what the records made of tasks: their slots, what people asked, how runs went.

use crate::control::{ASKED, Asked, CONTROL, Control, PAUSED, SKIP_NEXT, asked_row, control_row};
use crate::error::Result;
use crate::reader::Reader;
use crate::schema::{column, number};
use crate::slots::{COLUMNS, SlotRow, slot_row};
use keepwell_model::id::RunId;
use keepwell_model::state::RunState;
use rusqlite::params;
use serde::Serialize;

/// Failures in a row are counted up to here: no limit anyone sets is higher.
const FAILURES_MAX: u64 = 1_000;

/// How a task's runs went lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct History {
    /// How long the last runs took that applied and finished, the newest first, in milliseconds.
    pub durations_ms: Vec<u64>,
    /// Runs that failed, were denied or hit a limit since one finished or the task was resumed.
    pub failures: u64,
    /// Runs that hit a limit, without another end between them, since the task was resumed.
    pub limited: u64,
}

/// Slots of a task, of one schedule or of any, from the newest at or before an instant on.
pub(crate) fn slots_statement(scheduled: bool) -> String {
    // The order of the attempts of one slot is that of the keys, and costs no sorting.
    let which = if scheduled {
        "INDEXED BY slots_schedule WHERE task = ? AND schedule = ?"
    } else {
        "WHERE task = ?"
    };
    format!(
        "SELECT {COLUMNS} FROM slots {which} AND due <= ? ORDER BY due DESC, attempt DESC, how DESC LIMIT ?"
    )
}

impl Reader {
    /// What happened last to a slot of a task, of one schedule or of any.
    pub fn last_slot(&self, task: &str, schedule: Option<&str>) -> Result<Option<SlotRow>> {
        let limit = Some(1);
        Ok(self.slots(task, schedule, None, limit)?.pop())
    }

    /// What happened to the slots of a task, the newest first; `before` continues a list.
    pub fn slots(
        &self,
        task: &str,
        schedule: Option<&str>,
        before: Option<u64>,
        limit: Option<u64>,
    ) -> Result<Vec<SlotRow>> {
        let before = before.map_or(i64::MAX, |due| column(due).saturating_sub(1));
        let limit = column(limit.unwrap_or(u64::MAX));
        let sql = slots_statement(schedule.is_some());
        match schedule {
            Some(schedule) => self.all(&sql, params![task, schedule, before, limit], slot_row),
            None => self.all(&sql, params![task, before, limit], slot_row),
        }
    }

    /// What happened to one slot: closed without a start first, then the attempts.
    pub fn slot(&self, task: &str, due: u64) -> Result<Vec<SlotRow>> {
        self.all(
            &format!(
                "SELECT {COLUMNS} FROM slots WHERE task = ?1 AND due = ?2 ORDER BY attempt, how"
            ),
            params![task, column(due)],
            slot_row,
        )
    }

    /// The reason for a control of a task, [`PAUSED`] or [`SKIP_NEXT`], while it is in force.
    pub fn flag(&self, task: &str, flag: &str) -> Result<Option<String>> {
        let sql = "SELECT reason FROM controls WHERE task = ?1 AND control = ?2";
        self.first(sql, [task, flag])
    }

    /// The controls in force, of one task or of all.
    pub fn controls(&self, task: Option<&str>) -> Result<Vec<Control>> {
        let sql = format!(
            "SELECT {CONTROL} FROM controls WHERE (?1 IS NULL OR task = ?1) AND control IN (?2, ?3) ORDER BY task, control"
        );
        self.all(&sql, params![task, PAUSED, SKIP_NEXT], control_row)
    }

    /// What people asked for and is not settled, in the order they did.
    pub fn asked(&self) -> Result<Vec<Asked>> {
        let sql = format!("SELECT {ASKED} FROM asked ORDER BY entry");
        self.all(&sql, [], asked_row)
    }

    /// How a task's last runs went: the durations of at most `runs`, and what ended badly in a row.
    pub fn history(&self, task: &str, runs: u64) -> Result<History> {
        let resumed: Option<i64> = self.first(
            "SELECT at FROM controls WHERE task = ?1 AND control = 'resumed'",
            [task],
        )?;
        let resumed = resumed.map_or(RunId::from_bytes([0; 16]), |at| {
            RunId::new(number(at), [0; 10])
        });
        let newest = |states: &[RunState]| -> Result<RunId> {
            let mut newest = resumed;
            for state in states {
                let sql = "SELECT run FROM runs INDEXED BY runs_task_state WHERE task = ?1 AND state = ?2 ORDER BY run DESC LIMIT 1";
                let run = self.first(sql, [task, state.as_str()])?;
                newest = newest.max(run.map_or(newest, RunId::from_bytes));
            }
            Ok(newest)
        };
        let since = |state: RunState, after: RunId| -> Result<u64> {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM runs INDEXED BY runs_task_state WHERE task = ?1 AND state = ?2 AND run > ?3 LIMIT ?4)";
            let most = column(FAILURES_MAX);
            let after = after.to_bytes();
            let found = self.first(sql, params![task, state.as_str(), after, most])?;
            Ok(found.map_or(0, number))
        };
        let finished = newest(&[RunState::Done, RunState::Warned])?;
        let other = newest(&[RunState::Failed, RunState::Denied])?.max(finished);
        let limited = since(RunState::Limited, other)?;
        let failures = since(RunState::Failed, finished)?
            + since(RunState::Denied, finished)?
            + since(RunState::Limited, finished)?;
        Ok(History {
            durations_ms: self.durations(task, runs)?,
            failures: failures.min(FAILURES_MAX),
            limited,
        })
    }

    fn durations(&self, task: &str, runs: u64) -> Result<Vec<u64>> {
        let mut found: Vec<(RunId, u64)> = vec![];
        for state in [RunState::Done, RunState::Warned] {
            let sql = "SELECT run, ended - started FROM runs INDEXED BY runs_task_state WHERE task = ?1 AND state = ?2
                 AND mode = 'apply' AND ended IS NOT NULL ORDER BY run DESC LIMIT ?3";
            found.extend(
                self.all(sql, params![task, state.as_str(), column(runs)], |row| {
                    // A clock that was put back makes no run shorter than nothing.
                    Ok((RunId::from_bytes(row.get(0)?), number(row.get(1)?)))
                })?,
            );
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        let runs = usize::try_from(runs).unwrap_or(usize::MAX);
        Ok(found.into_iter().take(runs).map(|(_, ms)| ms).collect())
    }
}
