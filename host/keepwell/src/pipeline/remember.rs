//! What is remembered of a run beside the journal: its findings over time and its measurements.
//! They are made from its report, so a run is none the worse when they cannot be written.

use crate::node::Node;
use crate::talk::say;
use keepwell_journal::measurements::{DbError, Measurements};
use keepwell_model::report::Report;

impl Node {
    /// The measurements, opened when first asked for.
    pub fn measurements(&self) -> Result<Measurements, DbError> {
        if let Some(open) = self.measured.get() {
            return Ok(open.clone());
        }
        let opened = Measurements::open(&self.dir.state())?;
        if let Some(replaced) = opened.take_replaced() {
            say(&format!("  {replaced}"));
        }
        // Somebody may have been faster; then theirs is used and this one closed.
        Ok(self.measured.get_or_init(|| opened).clone())
    }
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
