//! What a period of time came to: a fold over rows of the journal. Pure.

use keepwell_journal::RunRow;
use keepwell_model::state::RunState;
use serde::Serialize;
use std::collections::BTreeMap;

/// The runs of one task in a period.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct TaskFigures {
    pub runs: u64,
    pub done: u64,
    pub warned: u64,
    pub failed: u64,
    /// Denied, limited, skipped, missed, cancelled, interrupted, or not at an end.
    pub other: u64,
    pub actions: u64,
    pub bytes: u64,
    /// Of the runs that ended done or warned.
    pub median_ms: Option<u64>,
    pub longest_ms: Option<u64>,
    /// The same median in the period of equal length before.
    pub median_before_ms: Option<u64>,
}

impl TaskFigures {
    /// Of the runs that did something; `None` when none did.
    pub fn success(&self) -> Option<f64> {
        let tried = self.done + self.warned + self.failed;
        (tried > 0).then(|| (self.done + self.warned) as f64 / tried as f64)
    }
}

/// Takes in runs one by one, so that a period of any length fits.
#[derive(Debug, Default)]
pub struct Fold {
    tasks: BTreeMap<String, TaskFigures>,
    took: BTreeMap<String, Vec<u64>>,
    before: BTreeMap<String, Vec<u64>>,
}

impl Fold {
    /// A run of the period.
    pub fn run(&mut self, row: &RunRow) {
        let task = self.tasks.entry(row.task.clone()).or_default();
        task.runs += 1;
        match row.state {
            RunState::Done => task.done += 1,
            RunState::Warned => task.warned += 1,
            RunState::Failed => task.failed += 1,
            RunState::Running
            | RunState::Waiting
            | RunState::Denied
            | RunState::Limited
            | RunState::Skipped
            | RunState::Missed
            | RunState::Cancelled
            | RunState::Interrupted => task.other += 1,
        }
        task.actions += row.actions_done;
        task.bytes += row.bytes;
        if let Some(ms) = took(row) {
            self.took.entry(row.task.clone()).or_default().push(ms);
        }
    }

    /// A run of the period before, which only its duration is taken from.
    pub fn run_before(&mut self, row: &RunRow) {
        if let Some(ms) = took(row) {
            self.before.entry(row.task.clone()).or_default().push(ms);
        }
    }

    pub fn end(mut self) -> BTreeMap<String, TaskFigures> {
        for (name, task) in &mut self.tasks {
            let took = self.took.remove(name).unwrap_or_default();
            task.longest_ms = took.iter().max().copied();
            task.median_ms = middle(took);
            task.median_before_ms = self.before.remove(name).and_then(middle);
        }
        self.tasks
    }
}

/// How long a run took that ended as it should.
fn took(row: &RunRow) -> Option<u64> {
    let well = matches!(row.state, RunState::Done | RunState::Warned);
    let ended = row.ended.filter(|_| well)?;
    Some(ended.saturating_sub(row.started))
}

/// The middle value, the lower of two.
fn middle(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    let at = values.len().checked_sub(1)? / 2;
    values.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_model::event::Mode;
    use keepwell_model::id::RunId;

    fn row(task: &str, state: RunState, ms: u64) -> RunRow {
        RunRow {
            run: RunId::new(1, [0; 10]),
            task: task.into(),
            state,
            trigger: "manual".into(),
            mode: Mode::Apply,
            started: 1_000,
            ended: Some(1_000 + ms),
            line: None,
            reason: None,
            actions_done: 2,
            bytes: 10,
        }
    }

    #[test]
    fn runs_are_counted_by_task_and_state() {
        let mut fold = Fold::default();
        for (state, ms) in [
            (RunState::Done, 10),
            (RunState::Warned, 30),
            (RunState::Failed, 9_000),
            (RunState::Skipped, 0),
            (RunState::Done, 20),
        ] {
            fold.run(&row("a", state, ms));
        }
        fold.run(&row("b", RunState::Skipped, 0));
        fold.run_before(&row("a", RunState::Done, 5));
        fold.run_before(&row("c", RunState::Done, 5));
        let all = fold.end();
        let a = &all["a"];
        assert_eq!(
            (a.runs, a.done, a.warned, a.failed, a.other),
            (5, 2, 1, 1, 1)
        );
        assert_eq!((a.actions, a.bytes), (10, 50));
        assert_eq!((a.median_ms, a.longest_ms), (Some(20), Some(30)));
        assert_eq!(a.median_before_ms, Some(5));
        assert_eq!(a.success(), Some(0.75));
        assert_eq!(all["b"].success(), None);
        assert!(!all.contains_key("c"), "nothing of it is in the period");
    }
}
