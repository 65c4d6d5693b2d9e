//! A call of a rehearsed plugin that ends otherwise than the host would answer it. No run of a node
//! has one.

use crate::bounds::Crossed;
use keepwell_model::limits::LimitName;
use keepwell_model::words::{Code, Refusal};
use serde::{Deserialize, Serialize};

/// Which call, and how it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fail {
    /// Only calls of this function are counted, as `storage.walk`; all calls when `None`.
    pub function: Option<String>,
    /// Which of them, from 1.
    pub at: u64,
    pub end: FailEnd,
}

impl Fail {
    /// What the guest is told.
    pub const MESSAGE: &str = "made to fail by the test";

    /// Whether a call of `function` is one of those that are counted.
    pub fn counts(&self, function: &str) -> bool {
        self.function.as_ref().is_none_or(|only| only == function)
    }
}

/// How a call ends instead of being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailEnd {
    /// The guest gets this refusal, and the host does nothing.
    Refused(Code),
    /// The run ends as if its instructions were used up.
    OutOfFuel,
    /// The run ends as if its time were over.
    OutOfTime,
    /// The worker waits until its host cancels the run.
    Cancelled,
}

impl FailEnd {
    pub const ALL: [Self; 9] = [
        Self::Refused(Code::Denied),
        Self::Refused(Code::Limit),
        Self::Refused(Code::Gone),
        Self::Refused(Code::Busy),
        Self::Refused(Code::Io),
        Self::Refused(Code::Invalid),
        Self::OutOfFuel,
        Self::OutOfTime,
        Self::Cancelled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused(code) => code.as_str(),
            Self::OutOfFuel => "out-of-fuel",
            Self::OutOfTime => "out-of-time",
            Self::Cancelled => "cancelled",
        }
    }

    /// What the journal says of the call. None that the host answered has such a result.
    pub fn result(self) -> String {
        format!("injected {}", self.as_str())
    }

    /// The run goes on: what it comes to is the task's own doing.
    pub const fn goes_on(self) -> bool {
        matches!(self, Self::Refused(_))
    }

    pub(crate) fn ends(self) -> Injected {
        let crossed = |limit| Injected::Crossed(Crossed::new(limit, Fail::MESSAGE));
        match self {
            Self::Refused(code) => Injected::Refused(Refusal::new(code, Fail::MESSAGE)),
            Self::OutOfFuel => crossed(LimitName::Fuel),
            Self::OutOfTime => crossed(LimitName::Wall),
            Self::Cancelled => Injected::Waits,
        }
    }
}

/// What the worker makes of it.
pub(crate) enum Injected {
    Refused(Refusal),
    Crossed(Crossed),
    /// Only the host can cancel.
    Waits,
}
