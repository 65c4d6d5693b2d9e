//! What stops a run at its next safe point: a person, the end of its window, the host's own end; and
//! what a person narrowed it to.

use super::apply::Stop;
use keepwell_model::bound::Bound;
use keepwell_model::state::RunState;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pulled once; the first reason counts. Clones are the same brake.
#[derive(Debug, Clone, Default)]
pub struct Brake {
    pulled: Arc<AtomicBool>,
    why: Arc<Mutex<Option<Stop>>>,
    bound: Arc<Mutex<Bound>>,
    /// The action of the plan that comes next.
    at: Arc<AtomicU64>,
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

    fn bounded(&self) -> MutexGuard<'_, Bound> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn bound(&self) -> Bound {
        *self.bounded()
    }

    /// Narrows what the run may still do; nothing widens it again.
    pub fn narrow(&self, bound: Bound) {
        let mut all = self.bounded();
        *all = all.and(bound);
    }

    /// Which action of the plan comes next.
    pub fn at(&self) -> u64 {
        self.at.load(Ordering::Relaxed)
    }

    /// The run comes to this action; says when it was narrowed to end before it.
    pub(super) fn reach(&self, action: u64) -> Option<Stop> {
        self.at.store(action, Ordering::Relaxed);
        let before = self.bound().before_action?;
        (action >= before)
            .then(|| adjusted(format!("it was adjusted to end before action {before}")))
    }

    /// Stops the run when it was narrowed to end by now.
    pub(super) fn end_by(&self, now_ms: u64) {
        if self.bound().until_ms.is_some_and(|until| now_ms >= until) {
            let Stop { state, why, hint } = adjusted("it was adjusted to end by now".into());
            self.pull(state, why, hint);
        }
    }
}

/// What was done stays, and the rest is for later.
fn adjusted(why: String) -> Stop {
    let goes_on = "the rest is done next time; `keepwell runs resume` goes on now";
    Stop {
        state: RunState::Interrupted,
        why,
        hint: Some(goes_on.into()),
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

    #[test]
    fn a_bound_stops_it_at_its_action_and_at_its_time() {
        let brake = Brake::default();
        assert!(brake.reach(1_000_000).is_none());
        brake.narrow(Bound {
            before_action: Some(10),
            until_ms: Some(500),
            rate: None,
        });
        assert!(brake.reach(9).is_none());
        assert_eq!(brake.at(), 9);
        assert_eq!(brake.reach(10).unwrap().state, RunState::Interrupted);
        brake.end_by(499);
        assert!(!brake.is_pulled());
        brake.end_by(500);
        assert_eq!(brake.stop("applying").unwrap().state, RunState::Interrupted);
    }
}
