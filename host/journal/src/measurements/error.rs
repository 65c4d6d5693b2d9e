//! What can go wrong with the databases beside the journal.

use crate::error::ErrorKind;
use keepwell_model::measure::BadMeasurement;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    #[error("`{}` is being written by another process", path.display())]
    Busy { path: PathBuf },
    #[error("`{}` cannot be read: {why}", path.display())]
    Broken { path: PathBuf, why: String },
    #[error("`{}` has version {found}, this program knows version {known}", path.display())]
    Version {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("there is no `{}`", path.display())]
    NotFound { path: PathBuf },
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<std::io::Error>,
    },
    #[error("cannot {doing} in `{}`", path.display())]
    Sqlite {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<rusqlite::Error>,
    },
    #[error(transparent)]
    Measurement(#[from] BadMeasurement),
    #[error("{what} holds {found}, and at most {most} are read at once")]
    TooMany {
        what: &'static str,
        found: u64,
        most: u64,
    },
    #[error("the state of task `{task}` was changed by another run")]
    Changed { task: String },
    #[error("the state of task `{task}` is refused: {why}")]
    Refused { task: String, why: String },
}

/// The result of everything here.
pub(crate) type Result<T, E = DbError> = std::result::Result<T, E>;

impl DbError {
    /// What kind of wrong it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Busy { .. } => ErrorKind::Busy,
            Self::Broken { .. } | Self::Version { .. } => ErrorKind::Broken,
            Self::Io { .. } => ErrorKind::Unavailable,
            Self::Sqlite { source, .. } if broken(source) => ErrorKind::Broken,
            Self::Sqlite { .. } => ErrorKind::Unavailable,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Measurement(_)
            | Self::TooMany { .. }
            | Self::Changed { .. }
            | Self::Refused { .. } => ErrorKind::Usage,
        }
    }

    /// What a person would do.
    pub fn hint(&self) -> Option<&'static str> {
        match self.kind() {
            ErrorKind::Unavailable => {
                Some("free space, or make the folder writable; it goes on by itself then")
            }
            ErrorKind::Broken => Some("restore the file from a backup, or set it aside"),
            ErrorKind::Busy | ErrorKind::NotFound | ErrorKind::Usage | ErrorKind::Taken => None,
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
    pub(crate) fn sqlite(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Sqlite {
            doing,
            path,
            source: Arc::new(source),
        }
    }
}

/// Whether an error says that the file itself is no good, and not that it cannot be used now. A
/// value of another type than its column's is one: the tables are strict.
pub(crate) fn broken(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error {
        rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) => {
            true
        }
        other => matches!(
            other.sqlite_error_code(),
            Some(DatabaseCorrupt | NotADatabase)
        ),
    }
}
