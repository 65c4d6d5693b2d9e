//! What stops a run at its next safe point: a person, the end of its window, the host's own end.

use super::apply::Stop;
use keepwell_model::state::RunState;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Pulled once; the first reason counts. Clones are the same brake.
#[derive(Debug, Clone, Default)]
pub struct Brake {
    pulled: Arc<AtomicBool>,
    why: Arc<Mutex<Option<Stop>>>,
}

impl Brake {
    /// The flag alone, for signal handlers and the sandbox, which only need to know whether.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.pulled
    }

    /// Stops the run; it ends in `state` unless it was stopped already.
    pub fn pull(&self, state: RunState, why: impl Into<String>, hint: Option<String>) {
        let mut first = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| Stop {
            state,
            why: why.into(),
            hint,
        });
        self.pulled.store(true, Ordering::Relaxed);
    }

    pub fn is_pulled(&self) -> bool {
        self.pulled.load(Ordering::Relaxed)
    }

    /// Why it was pulled. Without a reason it was a person's signal.
    pub(super) fn stop(&self, stage: &str) -> Option<Stop> {
        if !self.is_pulled() {
            return None;
        }
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        Some(why.clone().unwrap_or_else(|| Stop {
            state: RunState::Cancelled,
            why: format!("cancelled while {stage}"),
            hint: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts_and_a_bare_signal_is_a_cancel() {
        let brake = Brake::default();
        assert!(brake.stop("looking").is_none());
        brake.flag().store(true, Ordering::Relaxed);
        assert_eq!(brake.stop("looking").unwrap().state, RunState::Cancelled);
        brake.pull(RunState::Interrupted, "the window ended", None);
        brake.pull(RunState::Cancelled, "later", None);
        let stop = brake.clone().stop("looking").unwrap();
        assert_eq!(
            (stop.state, stop.why.as_str()),
            (RunState::Interrupted, "the window ended")
        );
    }
}
