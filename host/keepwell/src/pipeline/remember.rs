//! What is remembered of a run beside the journal: its findings over time and its measurements.
//! They are made from its report, so a run is none the worse when they cannot be written.

use crate::node::Node;
use crate::talk::say;
use keepwell_journal::measurements::{DbError, Measurements};
use keepwell_model::report::Report;
use std::sync::PoisonError;

impl Node {
    /// The measurements, opened when first asked for.
    pub fn measurements(&self) -> Result<Measurements, DbError> {
        // Held while it opens: whoever asks meanwhile waits for the one there can be.
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*measured {
            return Ok(open.clone());
        }
        let opened = Measurements::open(&self.dir.state())?;
        opened.leave_log()?;
        if let Some(replaced) = opened.take_replaced() {
            say(&format!("  {replaced}"));
        }
        Ok(measured.insert(opened).clone())
    }
}

/// Opens them while the task looks, so that its run need not wait at its end.
pub(super) fn prepare(node: &Node) {
    let node = node.clone();
    // What goes wrong is told by whoever needs it.
    std::thread::spawn(move || drop(node.measurements()));
}

/// Folds a report into what is known over time. Told when it fails, and done again with the next.
pub(super) fn remember(node: &Node, report: &Report) {
    let folded = node
        .measurements()
        .and_then(|measurements| measurements.fold_run(report));
    if let Err(e) = folded {
        say(&format!("  findings and measurements were not kept: {e}"));
    }
}
