//! Looks, while a run goes on, whether it is to stop: another process left the file that cancels it,
//! or the time that a person narrowed it to has come.

use super::Brake;
use crate::error::{Error, Result};
use crate::node::Node;
use keepwell_model::id::RunId;
use keepwell_model::state::RunState;
use std::io::ErrorKind;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(100);
/// Beside the run's plan.
pub(crate) const CANCEL_FILE: &str = "cancel";

/// Dropping it ends the looking.
#[derive(Debug)]
pub(super) struct Watch {
    _until: Sender<()>,
}

impl Watch {
    /// For a run that goes on: a file that was left for the part before has had its effect.
    pub(super) fn again(node: &Node, run: RunId, brake: &Brake) -> Result<Self> {
        let file = node.dir.run(run).join(CANCEL_FILE);
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", &file, &e)),
            Ok(()) | Err(_) => Ok(Self::begin(node, run, brake)),
        }
    }

    pub(super) fn begin(node: &Node, run: RunId, brake: &Brake) -> Self {
        let file = node.dir.run(run).join(CANCEL_FILE);
        let (until, over) = channel::<()>();
        let (brake, clock) = (brake.clone(), node.clock.clone());
        std::thread::spawn(move || {
            while over.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                if file.exists() {
                    brake.pull(RunState::Cancelled, "cancelled by `runs cancel`", None);
                }
                brake.end_by(clock.now_ms());
            }
        });
        Self { _until: until }
    }
}
