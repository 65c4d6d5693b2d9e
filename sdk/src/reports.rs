//! What a task says besides its log: findings, metrics, progress, checkpoints; and what time
//! its run has.

use crate::wit::keepwell::task::core::Progress;
use crate::wit::sys::core;

pub use crate::wit::keepwell::task::core::Finding;
pub use crate::wit::keepwell::task::types::Severity;

/// The run's time.
pub mod clock {
    /// Milliseconds since the Unix epoch; it stands still while a task runs.
    pub fn now() -> u64 {
        crate::wit::sys::core::now()
    }
}

/// How far the task is, in `unit`; `total` 0 when unknown.
pub fn progress(done: u64, total: u64, unit: &str, note: &str) {
    core::report_progress(&Progress {
        done,
        total,
        unit: unit.into(),
        note: note.into(),
    });
}

/// A number worth keeping, in a base unit: `seconds`, `bytes`, `ratio`, `count`.
pub fn metric(name: &str, unit: &str, value: f64) {
    core::report_metric(name, unit, value, &[]);
}

/// A metric of one subject among several.
pub fn labelled_metric(name: &str, unit: &str, value: f64, label: &str, subject: &str) {
    core::report_metric(name, unit, value, &[(label.to_owned(), subject.to_owned())]);
}

/// Where the last run stopped, if it was interrupted after a [`checkpoint`].
pub fn last_checkpoint() -> Option<Vec<u8>> {
    core::last_checkpoint()
}

/// Remembers `state`, at most 64 KiB, in case the run is interrupted.
pub fn checkpoint(state: &[u8]) {
    core::checkpoint(state);
}

/// A finding of the kind `id` about `subject`: together its identity over time. Nothing is
/// reported before [`Finding::report`].
#[must_use = "a finding is only told by `.report()`"]
pub fn finding(severity: Severity, id: &str, subject: &str, title: impl Into<String>) -> Finding {
    Finding {
        id: id.into(),
        subject: subject.into(),
        severity,
        title: title.into(),
        detail: String::new(),
        data: Vec::new(),
    }
}

impl Finding {
    /// With more lines for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// With a fact for programs.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a plain number or text reads better at the call than a reference to it"
    )]
    pub fn fact(mut self, key: &str, value: impl ToString) -> Self {
        self.data.push((key.into(), value.to_string()));
        self
    }

    /// Tells the host.
    pub fn report(self) {
        core::report_finding(&self);
    }
}
