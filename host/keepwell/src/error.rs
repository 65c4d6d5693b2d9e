//! What is said when a verb cannot do what was asked: one sentence, a hint, an exit code.

use keepwell_journal::measurements::DbError;
use keepwell_model::grant::Denial;
use keepwell_model::state::Exit;
use keepwell_model::words::{Code, Refusal};
use std::fmt;
use std::path::Path;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Opaque but for its exit code and hint. Printed once, at the edge.
#[derive(Debug)]
pub struct Error {
    pub exit: Exit,
    pub message: String,
    pub hint: Option<String>,
    /// The slot this was for is another run's already.
    pub taken: bool,
    /// Places in configuration files, shown with line and caret.
    pub places: Vec<crate::config::Problem>,
}

impl Error {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            taken: false,
            places: vec![],
        }
    }
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Exit::Denied, message)
    }
    pub fn not_now(message: impl Into<String>) -> Self {
        Self::new(Exit::NotNow, message)
    }
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Exit::Config, message)
    }
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An operation on a file or directory of the host's own failed.
    pub fn io(doing: &str, path: &Path, source: &std::io::Error) -> Self {
        let error = Self::failed(format!("cannot {doing} {}: {source}", path.display()));
        match source.kind() {
            std::io::ErrorKind::PermissionDenied => {
                error.hint("run it as the user that owns the node directory")
            }
            std::io::ErrorKind::StorageFull => error.hint("the disk is full; nothing was changed"),
            _ => error,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.code {
            Code::Denied => Exit::Denied,
            Code::Limit => Exit::Limited,
            Code::Busy => Exit::NotNow,
            Code::Gone | Code::Io | Code::Invalid => Exit::Failed,
        };
        Self {
            exit,
            message: refusal.message,
            hint: refusal.hint,
            taken: false,
            places: vec![],
        }
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        Self {
            exit: Exit::Denied,
            message: denial.message,
            hint: denial.hint,
            taken: false,
            places: vec![],
        }
    }
}

impl From<keepwell_journal::JournalError> for Error {
    fn from(e: keepwell_journal::JournalError) -> Self {
        use keepwell_journal::ErrorKind as Kind;
        let message = chain(&e);
        match e.kind() {
            Kind::Busy => Self::not_now(message).hint(
                "another keepwell process holds this node directory; try again when it is done",
            ),
            Kind::Unavailable => Self::failed(message)
                .hint("nothing was changed; make room or repair the disk, then run it again"),
            Kind::Broken => {
                Self::failed(message).hint("`keepwell audit verify` names the first bad entry")
            }
            Kind::NotFound => {
                Self::config(message).hint("`keepwell init DIR` makes a node directory")
            }
            Kind::Taken => Self {
                taken: true,
                ..Self::not_now(message)
                    .hint("somebody else was first; `keepwell runs list` shows what runs")
            },
            Kind::Usage => Self::usage(message),
        }
    }
}

impl From<DbError> for Error {
    fn from(e: DbError) -> Self {
        let error = Self::failed(chain(&e));
        match e.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<getrandom::Error> for Error {
    fn from(e: getrandom::Error) -> Self {
        Self::failed(format!("the system gives no randomness: {e}"))
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let more = e.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = e.source();
    }
    text
}
