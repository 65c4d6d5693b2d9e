//! What is under way: each piece of work with its brake, counted so that an end can wait for all.

use crate::pipeline::Brake;
use keepwell_model::state::RunState;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The work under way.
#[derive(Debug)]
pub(super) struct Running {
    work: Mutex<Work>,
    /// How much there is, for whoever waits for the end.
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Work {
    next: u64,
    under_way: BTreeMap<u64, Piece>,
    draining: bool,
}

#[derive(Debug)]
struct Piece {
    task: Option<String>,
    brake: Brake,
}

/// Held while a piece of work goes on; dropping it says that it ended.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    of: &'a Running,
    id: u64,
}

impl Running {
    pub(super) fn new() -> Self {
        Self {
            work: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` while the daemon ends: nothing new may begin.
    pub(super) fn begin(&self, task: Option<String>, brake: &Brake) -> Option<UnderWay<'_>> {
        let mut work = self.work();
        if work.draining {
            return None;
        }
        let id = work.next;
        work.next += 1;
        let brake = brake.clone();
        work.under_way.insert(id, Piece { task, brake });
        self.count.send_replace(work.under_way.len());
        Some(UnderWay { of: self, id })
    }

    pub(super) fn count(&self) -> usize {
        self.work().under_way.len()
    }

    /// The tasks that run now.
    pub(super) fn tasks(&self) -> Vec<String> {
        let work = self.work();
        work.under_way
            .values()
            .filter_map(|piece| piece.task.clone())
            .collect()
    }

    pub(super) fn drain(&self) {
        self.work().draining = true;
    }

    pub(super) fn stop_all(&self) {
        for piece in self.work().under_way.values() {
            let why = "the daemon was told twice to end";
            piece.brake.pull(RunState::Cancelled, why, None);
        }
    }

    /// Returns when nothing is under way.
    pub(super) async fn ended(&self) {
        let mut count = self.count.subscribe();
        // The sender lives as long as `self`.
        let _ = count.wait_for(|count| *count == 0).await;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut work = self.of.work();
        work.under_way.remove(&self.id);
        self.of.count.send_replace(work.under_way.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_begins_while_draining_and_the_end_waits_for_what_is_under_way() {
        let running = Running::new();
        let brake = Brake::default();
        let piece = running.begin(Some("a".into()), &brake).unwrap();
        running.drain();
        assert!(running.begin(None, &brake).is_none());
        assert_eq!(running.tasks(), ["a"]);
        running.stop_all();
        assert!(brake.is_pulled());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(piece));
            runtime.block_on(running.ended());
        });
        assert_eq!(running.count(), 0);
    }
}
