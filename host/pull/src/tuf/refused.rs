//! What `tough` refuses, in words that say which attack or mistake it looks like.

use crate::error::{Error, chain};
use std::error::Error as _;
use tough::TransportErrorKind;
use tough::error::Error as Tough;

/// Hint of everything that looks like an older state of the repository.
const ROLLED_BACK: &str = "the repository or a mirror of it was put back to an older state; ask its owner. What was \
     seen before is remembered and stays";

impl From<Tough> for Error {
    fn from(e: Tough) -> Self {
        let message = format!("the repository is refused: {}", chain(&e));
        match &e {
            Tough::ExpiredMetadata { .. } => Self::denied(message).hint(
                "somebody keeps back what is newer, or its owner has not run `keepwell-pull repo \
                 refresh` for too long; is this machine's clock right?",
            ),
            Tough::OlderMetadata { .. }
            | Tough::OlderSnapshotInTimestamp { .. }
            | Tough::SnapshotRoleRollback { .. }
            | Tough::SnapshotRoleMissing { .. } => Self::denied(message).hint(ROLLED_BACK),
            Tough::SystemTimeSteppedBackward { .. } => Self::denied(message)
                .hint("this machine's clock is behind what it was before; set it, then try again"),
            Tough::Transport { source, .. } => transport(source, message),
            // The list of another crate, which grows; all the rest is something that does not verify.
            _ => Self::denied(message),
        }
    }
}

/// A body that is too long, hashes to something else, is not there, or did not come.
fn transport(e: &tough::TransportError, message: String) -> Error {
    let mut cause = e.source();
    while let Some(of) = cause {
        if let Some(own) = of.downcast_ref::<super::reach::Unreached>() {
            return own.told();
        }
        match of.downcast_ref::<Tough>() {
            Some(Tough::MaxSizeExceeded { .. }) => return Error::limited(message),
            Some(Tough::HashMismatch { .. }) => {
                return Error::denied(message)
                    .hint("a file is not the one that its list names; ask another mirror");
            }
            Some(_) | None => {}
        }
        cause = of.source();
    }
    match e.kind() {
        TransportErrorKind::FileNotFound => {
            Error::failed(message).hint("is this the address of a repository?")
        }
        _ => Error::failed(message),
    }
}
