//! Proposing entries for quarantine. Nothing moves until the plan has passed the gate.

use crate::storage::Entry;
use crate::task::{ActionId, Refusal};
use crate::wit::sys;

pub use crate::wit::keepwell::task::storage_clean::Proposal;

/// The most proposals in one call, from the contract.
pub const BATCH: usize = 4_096;

/// Files, links as such, and empty directories. Answers stand in the order asked.
pub fn quarantine(
    root: &str,
    proposals: &[Proposal],
) -> Result<Vec<Result<ActionId, Refusal>>, Refusal> {
    sys::storage_clean::quarantine(root, proposals)
}

/// A directory and all below it as one unit.
pub fn quarantine_tree(root: &str, top: &Entry, reason: &str) -> Result<ActionId, Refusal> {
    sys::storage_clean::quarantine_tree(root, top, reason)
}

impl Proposal {
    /// `entry`, and why in a few words.
    pub fn new(entry: Entry, reason: impl Into<String>) -> Self {
        Self {
            entry,
            reason: reason.into(),
        }
    }
}
