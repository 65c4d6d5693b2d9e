//! Questions to the journal: which records, which runs.

use crate::schema::column;
use keepwell_model::capability::{Capability, Class};
use keepwell_model::event::{Event, Mode};
use keepwell_model::grant::Grant;
use keepwell_model::id::RunId;
use keepwell_model::state::RunState;
use rusqlite::types::Value;
use serde::Serialize;

/// Which records. What is absent (or empty) does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub run: Option<RunId>,
    pub task: Option<String>,
    /// As [`Event::kind`] spells them; any of these.
    pub kinds: Vec<String>,
    /// Only what a capability was asked, refused, granted, or did, by its name.
    pub capability: Option<String>,
    /// At or after, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Before, in milliseconds since the Unix epoch.
    pub until_ms: Option<u64>,
    /// Only records after this one: how a list is continued.
    pub after_index: Option<u64>,
    pub limit: Option<u64>,
}

/// Which runs, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunQuery {
    pub task: Option<String>,
    pub state: Option<RunState>,
    /// Only runs older than this one: how a list is continued.
    pub before: Option<RunId>,
    pub limit: Option<u64>,
}

/// A run as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRow {
    pub run: RunId,
    pub task: String,
    pub state: RunState,
    pub trigger: String,
    pub mode: Mode,
    /// Milliseconds since the Unix epoch.
    pub started: u64,
    pub ended: Option<u64>,
    /// The summary's line.
    pub line: Option<String>,
    pub reason: Option<String>,
    pub actions_done: u64,
    pub bytes: u64,
}

/// Conditions of a statement and the values they are about.
#[derive(Debug, Default)]
pub(crate) struct Where {
    text: String,
    pub(crate) values: Vec<Value>,
}

impl Where {
    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.text.push_str(self.glue());
        self.text.push_str(condition);
        self.values.push(value.into());
    }

    fn and_any(&mut self, column: &str, values: &[impl AsRef<str>]) {
        self.text.push_str(self.glue());
        let marks = vec!["?"; values.len()].join(", ");
        self.text.push_str(&format!("{column} IN ({marks})"));
        let values = values.iter().map(|v| Value::from(v.as_ref().to_owned()));
        self.values.extend(values);
    }

    fn glue(&self) -> &'static str {
        if self.text.is_empty() {
            " WHERE "
        } else {
            " AND "
        }
    }

    pub(crate) fn sql(&self, select: &str, order: &str) -> String {
        format!("{select}{}{order}", self.text)
    }
}

/// Kinds of events that can be about a capability.
const ABOUT: [&str; 14] = [
    "plugin-installed",
    "run-granted",
    "called",
    "refused",
    "plan-sealed",
    "intended",
    "outcome",
    "stopped",
    "undo-intended",
    "undo-outcome",
    "state-held",
    "state-intended",
    "state-outcome",
    "state-cleared",
];

impl Filter {
    pub(crate) fn conditions(&self) -> Where {
        let mut all = Where::default();
        if let Some(run) = self.run {
            all.and("run = ?", run.to_bytes().to_vec());
        }
        if let Some(task) = &self.task {
            all.and("task = ?", task.clone());
        }
        if !self.kinds.is_empty() {
            all.and_any("kind", &self.kinds);
        }
        if self.capability.is_some() {
            all.and_any("kind", &ABOUT);
        }
        if let Some(since) = self.since_ms {
            all.and("at >= ?", column(since));
        }
        if let Some(until) = self.until_ms {
            all.and("at < ?", column(until));
        }
        if let Some(index) = self.after_index {
            all.and("idx > ?", column(index));
        }
        // What was pruned is found by nothing.
        all.and("kind <> ?", String::new());
        all
    }

    /// What the columns cannot tell.
    pub(crate) fn fits(&self, event: &Event) -> bool {
        self.capability.as_ref().is_none_or(|c| about(event, c))
    }
}

/// Columns of a run as lists show it.
const RUN_COLUMNS: &str = "SELECT run, task, state, trigger, mode, started, ended, line, reason, actions_done, bytes FROM runs";

impl RunQuery {
    /// The statement and its values. Whatever is asked, an index has the runs in this order.
    pub(crate) fn statement(&self) -> (String, Vec<Value>) {
        let mut all = Where::default();
        if let Some(task) = &self.task {
            all.and("task = ?", task.clone());
        }
        if let Some(state) = self.state {
            all.and("state = ?", state.as_str().to_owned());
        }
        if let Some(run) = self.before {
            all.and("run < ?", run.to_bytes().to_vec());
        }
        let sql = all.sql(RUN_COLUMNS, " ORDER BY run DESC LIMIT ?");
        let mut values = all.values;
        values.push(column(self.limit.unwrap_or(u64::MAX)).into());
        (sql, values)
    }
}

/// Whether an event is about a capability: its calls and refusals, that it was requested or
/// granted, and, for one that changes something, the actions it led to.
fn about(event: &Event, name: &str) -> bool {
    let of = |function: &str| {
        let rest = function.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let capability = Capability::from_name(name);
    match event {
        Event::Called { calls, .. } => calls.iter().any(|call| of(&call.function)),
        Event::Refused { function, .. } => of(function),
        Event::RunGranted { grant, .. } => capability.is_some_and(|c| granted(grant, c)),
        Event::PluginInstalled { imports, .. } => imports.iter().any(|import| {
            let interface = import.rsplit('/').next().unwrap_or(import);
            interface.split('@').next() == Some(name)
        }),
        Event::PlanSealed { .. }
        | Event::Intended { .. }
        | Event::Outcome { .. }
        | Event::Stopped { .. }
        | Event::UndoIntended { .. }
        | Event::UndoOutcome { .. } => capability.is_some_and(|c| c.class() > Class::Read),
        Event::StateHeld { .. }
        | Event::StateIntended { .. }
        | Event::StateOutcome { .. }
        | Event::StateCleared { .. } => capability == Some(Capability::State),
        Event::NodeCreated { .. }
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
        | Event::TaskPaused { .. }
        | Event::TaskResumed { .. }
        | Event::TaskSkip { .. }
        | Event::DaemonStarted { .. }
        | Event::DaemonEnded
        | Event::ApprovalAsked { .. }
        | Event::ApprovalAnswered { .. }
        | Event::ApprovalRefused { .. }
        | Event::ConfigReloaded { .. }
        | Event::TaskSkipUsed { .. }
        | Event::RunAsked { .. }
        | Event::BackfillAsked { .. }
        | Event::AskSettled { .. }
        | Event::ScheduleBegan { .. }
        | Event::SlotMissed { .. }
        | Event::SlotSkipped { .. }
        | Event::WindowExtended { .. }
        | Event::SlotPrioritized { .. }
        | Event::RunAdjusted { .. }
        | Event::SlotDoneByHand { .. }
        | Event::Pruned { .. }
        | Event::RunDue { .. }
        | Event::WorkerStarted { .. }
        | Event::Logged { .. }
        | Event::Found { .. }
        | Event::Measured { .. }
        | Event::Checkpointed { .. }
        | Event::Looked { .. }
        | Event::Approved { .. }
        | Event::GlassBroken { .. }
        | Event::GlassRefused { .. }
        | Event::GlassAcknowledged { .. }
        | Event::Reviewed { .. }
        | Event::Interrupted { .. }
        | Event::RunResumed { .. }
        | Event::RunEnded { .. }
        | Event::CommitArmed { .. }
        | Event::CommitConfirmed { .. }
        | Event::CommitReverted { .. }
        | Event::CommitOvertaken { .. }
        | Event::ExpiryIntended { .. }
        | Event::Expired { .. } => false,
    }
}

fn granted(grant: &Grant, capability: Capability) -> bool {
    match capability {
        Capability::Metrics => grant.metrics,
        Capability::Storage => grant.storage.is_some(),
        Capability::StorageClean => grant.clean.is_some(),
        Capability::Shards => grant.shards.is_some(),
        Capability::ConfigRead => grant.config_read.is_some(),
        Capability::ConfigWrite => grant.config_write.is_some(),
        Capability::State => grant.state.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, params_from_iter};

    fn plan(db: &Connection, sql: &str, values: Vec<Value>) -> String {
        let mut rows = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let rows = rows.query_map(params_from_iter(values), |row| row.get::<_, String>(3));
        rows.unwrap().map(|row| row.unwrap() + "; ").collect()
    }

    /// A list over a million runs reads as many as it shows: no sorting, and no going through runs
    /// that are then left out.
    #[test]
    fn every_list_of_runs_follows_an_index() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(crate::schema::TABLES).unwrap();
        for which in 0..8 {
            let query = RunQuery {
                task: (which & 1 != 0).then(|| "t".into()),
                state: (which & 2 != 0).then_some(RunState::Failed),
                before: (which & 4 != 0).then(|| RunId::new(1, [1; 10])),
                limit: Some(50),
            };
            let (sql, values) = query.statement();
            let plan = plan(&db, &sql, values);
            let by = match which & 3 {
                1 => "INDEX runs_task (task=?",
                2 => "INDEX runs_state (state=?",
                3 => "INDEX runs_task_state (task=? AND state=?",
                // All runs, from the newest: the table itself has this order.
                _ if which & 4 == 0 => "SCAN runs; ",
                _ => "PRIMARY KEY (run<?)",
            };
            assert!(plan.contains(by), "{query:?}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{query:?}: {plan}");
            assert_eq!(plan.contains("run<?"), which & 4 != 0, "{query:?}: {plan}");
        }
    }

    #[test]
    fn what_happened_last_to_a_slot_is_found_by_an_index() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(crate::schema::TABLES).unwrap();
        let text = |text: &str| Value::from(text.to_owned());
        for (schedule, by) in [
            (None, "PRIMARY KEY (task=? AND due<?"),
            (Some("s"), "slots_schedule (task=? AND schedule=? AND due<?"),
        ] {
            let sql = crate::state::slots_statement(schedule.is_some());
            let values = std::iter::once(text("t")).chain(schedule.map(text));
            let plan = plan(&db, &sql, values.chain([9.into(), 1.into()]).collect());
            assert!(plan.contains(by), "{plan}");
            assert!(!plan.contains("SCAN"), "{plan}");
        }
    }
}
