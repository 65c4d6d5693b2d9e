//! How a run can end, and what the process says to its caller.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Every due slot ends in exactly one of these, but for `Running` and `Waiting`, which
/// are none of them yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    Running,
    /// Its plan waits for approval. Nothing runs, nothing was applied.
    Waiting,
    Done,
    Warned,
    Failed,
    Denied,
    Limited,
    Skipped,
    Missed,
    Cancelled,
    Interrupted,
}

impl RunState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Warned => "warned",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Limited => "limited",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    pub const fn exit(self) -> Exit {
        match self {
            Self::Done => Exit::Done,
            Self::Warned => Exit::Warned,
            Self::Failed => Exit::Failed,
            Self::Denied | Self::Waiting => Exit::Denied,
            Self::Limited => Exit::Limited,
            Self::Skipped | Self::Missed => Exit::NotNow,
            Self::Running | Self::Cancelled | Self::Interrupted => Exit::Interrupted,
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Exit codes: documented, stable, the same in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    /// A task failed, or a check is critical.
    Failed = 1,
    Usage = 2,
    Warned = 3,
    /// Grant, policy, signature or approval missing.
    Denied = 4,
    Limited = 5,
    /// Can be resumed.
    Interrupted = 6,
    /// Our bug.
    Internal = 70,
    /// Window closed, lock busy, pressure.
    NotNow = 75,
    /// Bad configuration.
    Config = 78,
}

impl Exit {
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The inverse; a code that is none of ours is a bug of ours.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::Failed,
            2 => Self::Usage,
            3 => Self::Warned,
            4 => Self::Denied,
            5 => Self::Limited,
            6 => Self::Interrupted,
            75 => Self::NotNow,
            78 => Self::Config,
            _ => Self::Internal,
        }
    }
}
