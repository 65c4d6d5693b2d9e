//! What can go wrong in a chore, and how it is told.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why a chore stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot start `{program}`")]
    Start {
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("`{command}` failed ({status})")]
    Failed { command: String, status: ExitStatus },
    #[error("{what}")]
    Missing { what: String, hint: String },
    #[error("{0}")]
    Usage(String),
    /// Something came out other than it must.
    #[error("{0}")]
    Unexpected(String),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with the path it is about; made for `map_err`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    /// The same for calls that answer with an error number.
    pub(crate) fn os(doing: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> Self {
        let io = Self::io(doing, path);
        move |errno| io(errno.into())
    }

    /// Prints it with its causes and what to do.
    pub(crate) fn tell(&self) {
        eprintln!("error: {self}");
        let mut cause = self.source();
        while let Some(because) = cause {
            eprintln!("  because: {because}");
            cause = because.source();
        }
        if let Self::Missing { hint, .. } = self {
            eprintln!("  hint: {hint}");
        }
    }

    /// 2 for what was typed wrong, 1 for all else.
    pub(crate) const fn exit(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Io { .. }
            | Self::Start { .. }
            | Self::Failed { .. }
            | Self::Missing { .. }
            | Self::Unexpected(_) => 1,
        }
    }
}
