//! The proposed change of one parameter: what a plan records of it.

use super::place::Place;
use super::value::ParamValue;
use crate::action::{Identity, Price};
use crate::capability::Class;
use crate::id::{Digest, ParamName};
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// A change of one parameter. Where it lives stands in it, so that it can be undone when the
/// operator's table has changed since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamChange {
    pub param: ParamName,
    pub place: Place,
    /// The file as the plan saw it; none for a sysctl.
    pub seen: Option<FileSeen>,
    pub old: Held,
    pub new: Held,
    /// From applying to reverting, unless confirmed. A span and no time: a plan's digest must
    /// not depend on when it was made.
    pub revert_after: Span,
}

/// A file as it was when looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSeen {
    pub identity: Identity,
    /// Of all its bytes.
    pub digest: Digest,
}

/// A value and the very bytes that stand for it in its place, quotes included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub value: ParamValue,
    pub spelling: String,
}

impl ParamChange {
    /// What an actuator can undo is reversible.
    pub const fn class(&self) -> Class {
        Class::Reversible
    }

    /// One parameter, whatever the size of its file.
    pub const fn price(&self) -> Price {
        Price {
            files: 0,
            bytes: 0,
            params: 1,
        }
    }
}
