//! What can go wrong with the journal, and what kind of wrong it is.

use keepwell_model::slot::Taken;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Kinds of [`JournalError`], for exit codes and hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Another process writes this journal.
    Busy,
    /// What is stored contradicts itself or its signature, or is of an unknown version.
    Broken,
    /// It cannot be written (or read) now: disk full, read-only, I/O error.
    Unavailable,
    /// There is no journal, or no such entry.
    NotFound,
    /// Somebody else was first: the slot is taken, or what was asked for is settled.
    Taken,
    /// The caller asked for something that cannot be.
    Usage,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    #[error("the journal in `{}` is being written by another process", dir.display())]
    Busy { dir: PathBuf },
    #[error("the journal in `{}` cannot be trusted: {why}", dir.display())]
    Broken { dir: PathBuf, why: String },
    #[error("the journal in `{}` has version {found}, this program knows version {known}", dir.display())]
    Version {
        dir: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("the journal in `{}` was made by an older version; the next verb that writes renews it, such as `keepwell audit checkpoint`", dir.display())]
    Old { dir: PathBuf },
    #[error("the journal cannot be written, so nothing may change: {cause}")]
    Unavailable { cause: Arc<str> },
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<std::io::Error>,
    },
    #[error("cannot {doing} in the journal's database")]
    Sqlite {
        doing: &'static str,
        #[source]
        source: Arc<rusqlite::Error>,
    },
    #[error("entry {index} of the journal cannot be read: {why}")]
    Entry { index: u64, why: String },
    #[error("there is no journal in `{}`", dir.display())]
    NotFound { dir: PathBuf },
    #[error("the last checkpoint covers {size} entries, and entry {index} is not among them")]
    NoSuchEntry { index: u64, size: u64 },
    #[error("the contents of entry {index} were pruned; its hash is all that is left")]
    Pruned { index: u64 },
    #[error("a journal already exists in `{}`", dir.display())]
    Exists { dir: PathBuf },
    #[error("the record cannot be journaled: {why}")]
    Record { why: String },
    #[error("the slot of task `{task}` at {due} ms is taken: {why}")]
    SlotTaken { task: String, due: u64, why: Taken },
    #[error("what entry {asked} asked for is settled already, or was never asked")]
    Settled { asked: u64 },
    #[error("`{origin}` is not an origin: {why}")]
    Origin { origin: String, why: &'static str },
}

/// The result of everything here.
pub type Result<T, E = JournalError> = std::result::Result<T, E>;

impl JournalError {
    /// What kind of wrong it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Busy { .. } => ErrorKind::Busy,
            Self::Broken { .. } | Self::Version { .. } | Self::Entry { .. } => ErrorKind::Broken,
            Self::Unavailable { .. } | Self::Io { .. } => ErrorKind::Unavailable,
            Self::Sqlite { source, .. } => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                    ErrorKind::Broken
                }
                Some(_) | None => ErrorKind::Unavailable,
            },
            Self::NotFound { .. } | Self::NoSuchEntry { .. } | Self::Pruned { .. } => {
                ErrorKind::NotFound
            }
            Self::SlotTaken { .. } | Self::Settled { .. } => ErrorKind::Taken,
            Self::Exists { .. } | Self::Old { .. } | Self::Record { .. } | Self::Origin { .. } => {
                ErrorKind::Usage
            }
        }
    }

    pub(crate) fn broken(dir: &Path, why: impl Into<String>) -> Self {
        Self::Broken {
            dir: dir.to_owned(),
            why: why.into(),
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    /// For `map_err` on statements.
    pub(crate) fn sqlite(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Sqlite {
            doing,
            source: Arc::new(source),
        }
    }

    /// The error and its causes on one line, as the sticky cause of [`Self::Unavailable`].
    pub(crate) fn line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(e) = cause {
            text.push_str(": ");
            text.push_str(&e.to_string());
            cause = e.source();
        }
        text
    }
}
