//! Runs that this process has in hand, each with its brake. A run is in one hand at a time: two that
//! carried out one plan would take each other's work for somebody else's.

use super::Brake;
use crate::error::{Error, Result};
use keepwell_model::id::RunId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Clones are the same hands.
#[derive(Debug, Clone, Default)]
pub struct InHand(Arc<Mutex<BTreeMap<RunId, Brake>>>);

/// Held while the run is carried out or undone.
#[derive(Debug)]
pub(crate) struct Hold<'a> {
    of: &'a InHand,
    run: RunId,
}

impl InHand {
    fn all(&self) -> MutexGuard<'_, BTreeMap<RunId, Brake>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, run: RunId, brake: &Brake) -> Result<Hold<'_>> {
        let mut all = self.all();
        if all.contains_key(&run) {
            return Err(Error::not_now("the run is under way")
                .hint(format!("`keepwell runs follow {}` watches it", run.short())));
        }
        all.insert(run, brake.clone());
        Ok(Hold { of: self, run })
    }

    /// The brake of a run that is under way.
    pub fn brake(&self, run: RunId) -> Option<Brake> {
        self.all().get(&run).cloned()
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.of.all().remove(&self.run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_model::state::Exit;

    #[test]
    fn a_run_is_in_one_hand_at_a_time() {
        let hands = InHand::default();
        let (run, brake) = (RunId::new(1, [1; 10]), Brake::default());
        let hold = hands.take(run, &brake).unwrap();
        assert_eq!(
            hands.clone().take(run, &brake).unwrap_err().exit,
            Exit::NotNow
        );
        assert!(hands.brake(run).is_some());
        drop(hold);
        assert!(hands.brake(run).is_none());
        assert!(hands.take(run, &brake).is_ok());
    }
}
