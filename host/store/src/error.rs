//! What can be wrong with a store, and what to do about it.

use std::path::{Path, PathBuf};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{}` is no native store: {why}", path.display())]
    NoStore { path: PathBuf, why: String },
    #[error("`{}` is not empty", path.display())]
    NotEmpty { path: PathBuf },
    /// Something in the store is not what its format says.
    #[error("{what} is damaged: {why}")]
    Damaged { what: String, why: String },
    #[error("{what} is signed by nobody whom the store names")]
    Unsigned { what: String },
    #[error("the scheme `{0}` is none: K+M with 1 to 128 shards together, or xN for N copies")]
    Scheme(String),
    #[error("the store has no object `{0}`")]
    NoObject(String),
    #[error("the store has an object `{0}` already")]
    Taken(String),
    /// Fewer shards than it takes are good. Nothing was touched.
    #[error("group {group} is lost: {good} good shards, and it takes {needed}")]
    Lost {
        group: String,
        good: usize,
        needed: usize,
    },
    #[error("group {group} of the object is not there, or its manifest is damaged")]
    Incomplete { group: String },
    #[error("`{}` changed while it was read", .0.display())]
    Changed(PathBuf),
    #[error("`{}` is there already", .0.display())]
    Exists(PathBuf),
    #[error("nothing is signed: {0}")]
    Signer(String),
    #[error("the system gives no randomness")]
    Random,
    #[error("{0}")]
    Limit(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// With what was done to which path; made for `map_err`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    pub(crate) fn damaged(what: impl Into<String>, why: &(impl ToString + ?Sized)) -> Self {
        Self::Damaged {
            what: what.into(),
            why: why.to_string(),
        }
    }

    /// What to do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoStore { .. } => Some(
                "is its file system mounted? `keepwell store create PATH` makes a new one in an \
                 empty folder",
            ),
            Self::NotEmpty { .. } => Some("a store is made in a folder of its own"),
            Self::Unsigned { .. } => Some(
                "`format.json` names who may sign; was the manifest put there by somebody else?",
            ),
            Self::Taken(_) => Some("give it another name: `--name NAME`"),
            Self::NoObject(_) => Some("`keepwell store status PATH` lists what is there"),
            Self::Lost { .. } => {
                Some("look for its shards on other disks and holders; nothing was changed")
            }
            Self::Changed(_) => Some("import a snapshot, or stop what writes to it"),
            Self::Exists(_) => Some("name a path that is not there yet; nothing is overwritten"),
            Self::Io { .. }
            | Self::Damaged { .. }
            | Self::Scheme(_)
            | Self::Incomplete { .. }
            | Self::Random
            | Self::Signer(_)
            | Self::Limit(_) => None,
        }
    }
}
