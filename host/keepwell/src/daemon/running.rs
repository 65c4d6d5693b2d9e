//! What is under way: each piece of work with its brake, counted so that an end can wait for all.

use crate::pipeline::Brake;
use keepwell_model::id::RunId;
use keepwell_model::state::RunState;
use keepwell_model::window::{MayGoOn, Occurrence};
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

/// What a piece of work is for. One for no schedule is what a person asked for and waits for.
#[derive(Debug, Clone, Default)]
pub(super) struct For {
    pub(super) schedule: Option<String>,
    pub(super) task: Option<String>,
    /// The run that goes on.
    pub(super) run: Option<RunId>,
    /// When it must stop.
    pub(super) window: Option<Occurrence>,
}

#[derive(Debug)]
struct Piece {
    what: For,
    brake: Brake,
}

/// Why a piece of work may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotNow {
    /// The daemon ends.
    Ending,
    /// That run goes on already.
    GoesOn,
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

    pub(super) fn begin(&self, what: For, brake: &Brake) -> Result<UnderWay<'_>, NotNow> {
        let mut work = self.work();
        if work.draining {
            return Err(NotNow::Ending);
        }
        let same = |piece: &Piece| what.run.is_some() && piece.what.run == what.run;
        if work.under_way.values().any(same) {
            return Err(NotNow::GoesOn);
        }
        let id = work.next;
        work.next += 1;
        let brake = brake.clone();
        work.under_way.insert(id, Piece { what, brake });
        self.count.send_replace(work.under_way.len());
        Ok(UnderWay { of: self, id })
    }

    pub(super) fn count(&self) -> usize {
        self.work().under_way.len()
    }

    /// How many pieces are runs of schedules, and how many of these go on with what was cut off.
    pub(super) fn scheduled(&self) -> (usize, usize) {
        let work = self.work();
        let mut all = (0, 0);
        for piece in work.under_way.values() {
            all.0 += usize::from(piece.what.schedule.is_some());
            all.1 += usize::from(piece.what.run.is_some());
        }
        all
    }

    /// Which schedules and which tasks are at work.
    pub(super) fn at_work(&self) -> Vec<(Option<String>, Option<String>)> {
        let work = self.work();
        let pieces = work.under_way.values();
        pieces
            .map(|piece| (piece.what.schedule.clone(), piece.what.task.clone()))
            .collect()
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

    /// The window of a schedule is open for longer, or no longer, than when its work began.
    pub(super) fn set_window(&self, schedule: &str, window: Occurrence) {
        for piece in self.work().under_way.values_mut() {
            if piece.what.schedule.as_deref() == Some(schedule) {
                piece.what.window = Some(window);
            }
        }
    }

    /// What is past the hard end of its window stops at its next safe point: the rest is for the
    /// next one. Gives when the next window ends.
    pub(super) fn end_windows(&self, now: u64) -> Option<u64> {
        let hint = "it goes on in the next window; `keepwell runs resume` goes on now";
        let mut next: Option<u64> = None;
        for piece in self.work().under_way.values() {
            let Some(window) = piece.what.window else {
                continue;
            };
            match window.may_go_on(now) {
                // Past the cutoff the set itself begins nothing new.
                MayGoOn::Yes | MayGoOn::NoNewStep => {
                    next = Some(next.map_or(window.hard_end, |next| next.min(window.hard_end)));
                }
                MayGoOn::Stop => {
                    let why = "the window is over";
                    piece
                        .brake
                        .pull(RunState::Interrupted, why, Some(hint.into()));
                }
            }
        }
        next
    }

    /// Of tasks that may not run any more.
    pub(super) fn stop_tasks(&self, tasks: &[String], why: &str) {
        for piece in self.work().under_way.values() {
            if piece
                .what
                .task
                .as_ref()
                .is_some_and(|task| tasks.contains(task))
            {
                piece.brake.pull(RunState::Cancelled, why, None);
            }
        }
    }

    /// The next slot is due and may not wait.
    pub(super) fn stop_for_next(&self, schedule: &str) {
        for piece in self.work().under_way.values() {
            if piece.what.schedule.as_deref() == Some(schedule) {
                let why = "the next slot is due, and this schedule lets it go first";
                piece.brake.pull(RunState::Cancelled, why, None);
            }
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

    fn of(schedule: &str) -> For {
        For {
            schedule: Some(schedule.into()),
            ..For::default()
        }
    }

    #[test]
    fn nothing_begins_while_draining_and_the_end_waits_for_what_is_under_way() {
        let running = Running::new();
        let brake = Brake::default();
        let piece = running.begin(of("a"), &brake).unwrap();
        running.drain();
        let late = running.begin(For::default(), &brake);
        assert_eq!(late.unwrap_err(), NotNow::Ending);
        assert_eq!(running.scheduled(), (1, 0));
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
    fn a_window_stops_the_runs_of_its_schedule_alone_and_later_when_it_was_extended() {
        let running = Running::new();
        let (own, other) = (Brake::default(), Brake::default());
        let window = Occurrence {
            opens: 0,
            cutoff: 5,
            ends: 10,
            hard_end: 10,
        };
        let within = For {
            window: Some(window),
            ..of("a")
        };
        let _own = running.begin(within, &own).unwrap();
        let _other = running.begin(of("b"), &other).unwrap();
        assert_eq!(running.end_windows(9), Some(10));
        running.set_window("a", window.extended(7));
        assert_eq!(running.end_windows(16), Some(17));
        assert!(!own.is_pulled());
        assert_eq!(running.end_windows(17), None);
        assert!(own.is_pulled() && !other.is_pulled());
    }

    #[test]
    fn a_run_goes_on_once_at_a_time() {
        let running = Running::new();
        let brake = Brake::default();
        let run = For {
            run: Some(RunId::new(1, [1; 10])),
            ..of("a")
        };
        let first = running.begin(run.clone(), &brake).unwrap();
        let second = running.begin(run.clone(), &brake);
        assert_eq!(second.unwrap_err(), NotNow::GoesOn);
        drop(first);
        assert!(running.begin(run, &brake).is_ok());
    }
}
