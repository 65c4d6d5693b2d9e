//! What a check of a whole journal can find wrong.

use crate::error::{ErrorKind, JournalError};
use crate::note::BadNote;

/// How a checkpoint that the caller brought is called: a bad one is the caller's mistake.
pub(super) const EXPECTED: &str = "the expected checkpoint";

/// The first thing found wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VerifyError {
    #[error("entry {index} is bad: {why}")]
    Entry { index: u64, why: String },
    #[error(
        "an entry was changed between {after} and {upto}: what was signed over the first {upto} entries is not what is stored"
    )]
    Range { after: u64, upto: u64 },
    #[error("{has} entries are stored, but {signed} were signed: entries are missing at the end")]
    Truncated { has: u64, signed: u64 },
    #[error("entries from {from} on were never signed")]
    Unsigned { from: u64 },
    #[error("the checkpoint over {size} entries does not hold")]
    Checkpoint {
        size: u64,
        #[source]
        why: BadNote,
    },
    #[error("{which} does not hold")]
    Note {
        which: &'static str,
        #[source]
        why: BadNote,
    },
    #[error("the journal's origin is `{found}`, and the key is that of `{expected}`")]
    Origin { found: String, expected: String },
    #[error("the stored hash of the subtree {index} at level {level} is not that of its entries")]
    Node { level: u32, index: u64 },
    #[error("the table of {table} is not what the records make it: {why}")]
    State { table: &'static str, why: String },
    #[error("the database is damaged: {why}")]
    Damaged { why: String },
    #[error("the journal cannot be read")]
    Journal(#[source] JournalError),
}

impl VerifyError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Journal(e) => e.kind(),
            Self::Note {
                which: EXPECTED, ..
            } => ErrorKind::Usage,
            Self::Entry { .. }
            | Self::Range { .. }
            | Self::Truncated { .. }
            | Self::Unsigned { .. }
            | Self::Checkpoint { .. }
            | Self::Note { .. }
            | Self::Origin { .. }
            | Self::Node { .. }
            | Self::State { .. }
            | Self::Damaged { .. } => ErrorKind::Broken,
        }
    }
}

impl From<JournalError> for VerifyError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}
