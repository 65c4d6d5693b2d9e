//! What is under way: each piece of work with its brake, counted so that an end can wait for all.

use crate::pipeline::Brake;
use keepwell_model::id::RunId;
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
    /// The schedule it is for, if it is for one.
    schedule: Option<String>,
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
    pub(super) fn begin(&self, schedule: Option<&str>, brake: &Brake) -> Option<UnderWay<'_>> {
        let mut work = self.work();
        if work.draining {
            return None;
        }
        let id = work.next;
        work.next += 1;
        let piece = Piece {
            schedule: schedule.map(str::to_owned),
            brake: brake.clone(),
        };
        work.under_way.insert(id, piece);
        self.count.send_replace(work.under_way.len());
        Some(UnderWay { of: self, id })
    }

    /// The same for a run that goes on: at most once at a time, and once refused not again soon.
    pub(super) fn begin_once(&self, run: RunId, brake: &Brake) -> Option<UnderWay<'_>> {
        let key = run.to_string();
        let busy = {
            let work = self.work();
            let mut pieces = work.under_way.values();
            pieces.any(|piece| piece.schedule.as_ref() == Some(&key))
        };
        (!busy).then(|| self.begin(Some(&key), brake)).flatten()
    }

    pub(super) fn count(&self) -> usize {
        self.work().under_way.len()
    }

    /// How many pieces are runs of schedules.
    pub(super) fn scheduled(&self) -> usize {
        let work = self.work();
        let pieces = work.under_way.values();
        pieces.filter(|piece| piece.schedule.is_some()).count()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.work().draining
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

    /// The window is past its hard end: the rest is for the next one.
    pub(super) fn stop_for_window(&self, schedule: &str) {
        let hint = "it goes on in the next window; `keepwell runs resume` goes on now";
        self.each(schedule, |piece| {
            let why = "the window is over";
            piece
                .brake
                .pull(RunState::Interrupted, why, Some(hint.into()));
        });
    }

    /// The next slot is due and may not wait.
    pub(super) fn stop_for_next(&self, schedule: &str) {
        self.each(schedule, |piece| {
            let why = "the next slot is due, and this schedule lets it go first";
            piece.brake.pull(RunState::Cancelled, why, None);
        });
    }

    fn each(&self, schedule: &str, what: impl FnMut(&Piece)) {
        let work = self.work();
        let pieces = work.under_way.values();
        pieces
            .filter(|piece| piece.schedule.as_deref() == Some(schedule))
            .for_each(what);
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
        let piece = running.begin(Some("a"), &brake).unwrap();
        running.drain();
        assert!(running.begin(None, &brake).is_none());
        assert_eq!(running.scheduled(), 1);
        running.stop_all();
        assert!(brake.is_pulled());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(piece));
            runtime.block_on(running.ended());
        });
        assert_eq!(running.count(), 0);
    }

    #[test]
    fn a_window_stops_the_runs_of_its_schedule_alone() {
        let running = Running::new();
        let (own, other) = (Brake::default(), Brake::default());
        let _own = running.begin(Some("a"), &own).unwrap();
        let _other = running.begin(Some("b"), &other).unwrap();
        running.stop_for_window("a");
        assert!(own.is_pulled() && !other.is_pulled());
    }
}
