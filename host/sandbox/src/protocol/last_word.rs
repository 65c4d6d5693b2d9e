//! The worker's last word, as a frame holds it.

use keepwell_model::limits::LimitName;
use keepwell_model::words::{Failure, Refusal, Summary};
use serde::{Deserialize, Serialize};

/// The worker's last word.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Finished {
    Described(String),
    Summarized(Summary),
    Failed(WireFailure),
    Limited {
        limit: LimitName,
        detail: String,
    },
    Trapped {
        message: String,
    },
    Unwalled {
        detail: String,
    },
    /// The worker could not begin, or could not go on.
    Broken {
        detail: String,
    },
}

/// [`Failure`] as a frame holds it: the model's is tagged for JSON, which postcard cannot read.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum WireFailure {
    Transient(String),
    Permanent(String),
    Refused(Refusal),
}

impl From<Failure> for WireFailure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Transient(why) => Self::Transient(why),
            Failure::Permanent(why) => Self::Permanent(why),
            Failure::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl From<WireFailure> for Failure {
    fn from(failure: WireFailure) -> Self {
        match failure {
            WireFailure::Transient(why) => Self::Transient(why),
            WireFailure::Permanent(why) => Self::Permanent(why),
            WireFailure::Refused(refusal) => Self::Refused(refusal),
        }
    }
}
