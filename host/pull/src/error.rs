//! What is said when something cannot be pulled: one sentence, a hint, an exit code.

use keepwell_model::state::Exit;
use std::path::Path;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Opaque but for its exit code and hint. Printed once, at the edge.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// What was asked for does not exist, which can be an answer too.
    pub(crate) not_there: bool,
}

impl Error {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            not_there: false,
        }
    }
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
    /// What came is not what was signed, listed or allowed.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(Exit::Denied, message)
    }
    pub(crate) fn limited(message: impl Into<String>) -> Self {
        Self::new(Exit::Limited, message)
    }
    pub(crate) fn not_now(message: impl Into<String>) -> Self {
        Self::new(Exit::NotNow, message)
    }
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(Exit::Config, message)
    }
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn io(doing: &str, path: &Path, source: &std::io::Error) -> Self {
        Self::failed(format!("cannot {doing} {}: {source}", path.display()))
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
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
