//! Keepwell's durable state: the Merkle journal, and the tables made from it.
//!
//! SQLite holds the journal in one file: each record is a leaf of an RFC 6962 tree, each batch of
//! records is one transaction with a newly signed head, and the table of runs is folded from the
//! records in the same transaction. [`Journal`] is the one writer, [`Reader`] reads beside it,
//! [`verify`] trusts neither. What is remembered over time lies in [`measurements`], in files of
//! their own.

mod batch;
mod control;
mod entry;
mod error;
mod files;
mod find;
mod journal;
mod key;
pub mod measurements;
pub mod merkle;
mod migrate;
mod note;
mod projection;
mod proof;
mod prune;
mod query;
mod queue;
mod reader;
mod schema;
mod slots;
mod state;
mod tree;
mod uses;
mod verify;
mod writer;

pub use control::{Ask, Asked, Control, PAUSED, SKIP_NEXT};
pub use error::{ErrorKind, JournalError, Result};
pub use journal::Journal;
pub use key::{BadVerifierKey, NodeKey, VerifierKey};
pub use note::{BadNote, Checkpoint};
pub use proof::{BadProof, Proof, verify_proof};
pub use prune::{Pruned, Retention};
pub use query::{Filter, RunQuery, RunRow};
pub use reader::Reader;
pub use schema::RECORD_MAX_BYTES;
pub use slots::SlotRow;
pub use state::History;
pub use verify::{Verified, VerifyError, verify};
