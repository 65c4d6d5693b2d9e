//! What is remembered of each schedule, and what a decision leaves behind. The store keeps it, so
//! that pauses, slots done and slots that wait survive restarts.

use super::act::{Act, HoldWhy, Slots};
use super::shape::Criticality;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EntryState {
    /// When the schedule came to be, or when its pattern last changed: slots up to then are
    /// nobody's, so creating a schedule never runs it.
    pub created_at: u64,
    /// The newest slot that came to an end or was begun. It only grows, so that a clock that is
    /// set back cannot bring a slot a second time.
    pub handled: Option<u64>,
    /// Why a person, or a row of failures, paused it.
    pub paused: Option<String>,
    /// The next slot is to be left out.
    pub skip_next: bool,
    pub running: Option<Running>,
    /// A slot that waits for the run before it.
    pub buffered: Option<u64>,
    /// A try that is to be repeated.
    pub again: Option<Again>,
    /// Runs that failed, in a row.
    pub failures: u32,
    /// Put aside by the watchdog until then.
    pub aside_until: Option<u64>,
    pub extended: Option<Extension>,
    /// What a person said of the slot that waits, or of the next one.
    pub urgent: Option<Urgent>,
    /// The slot that is due and finds no room, and why.
    pub held: Option<Held>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub slot: u64,
    pub since: u64,
    /// It was told to stop, for the sake of the next slot.
    pub cancelling: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    pub slot: u64,
    pub attempt: u32,
    pub not_before: u64,
}

/// By how much the opening at `opens` was extended, in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    pub opens: u64,
    pub by_ms: u64,
}

/// One slot that goes sooner, or later, than its schedule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Urgent {
    pub slot: u64,
    pub criticality: Criticality,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub slot: u64,
    pub why: HoldWhy,
}

impl EntryState {
    pub fn created(at: u64) -> Self {
        Self {
            created_at: at,
            ..Self::default()
        }
    }

    /// No slot up to here is due any more.
    pub fn seen_to(&self) -> u64 {
        self.handled
            .map_or(self.created_at, |h| h.max(self.created_at))
    }

    /// The state after a decision made at `now` was carried out.
    #[must_use]
    pub fn after(&self, act: &Act, now: u64) -> Self {
        let mut next = self.clone();
        match act {
            Act::Start { slot, .. } => {
                next.handle(*slot);
                next.buffered = None;
                next.again = None;
                next.running = Some(Running {
                    slot: *slot,
                    since: now,
                    cancelling: false,
                });
            }
            Act::Miss { slots, .. } => next.pass(slots),
            Act::Skip { slots, why } => {
                next.pass(slots);
                if why.uses_up_skip_next() {
                    next.skip_next = false;
                }
            }
            Act::Buffer { slot } => {
                next.handle(*slot);
                next.buffered = Some(*slot);
            }
            Act::CancelOther { .. } => {
                if let Some(running) = &mut next.running {
                    running.cancelling = true;
                }
            }
            Act::NoRetry { .. } => next.again = None,
            Act::Hold { slot, why, .. } => {
                next.held = why.is_for_room().then(|| Held {
                    slot: *slot,
                    why: why.clone(),
                });
            }
            Act::Fault { .. } => {}
        }
        // What was held and is handled is held no more.
        let over = |held: &Held| {
            next.handled.is_some_and(|handled| held.slot <= handled) && !next.waits_for(held.slot)
        };
        if next.held.as_ref().is_some_and(over) {
            next.held = None;
        }
        next
    }

    /// The state after its run ended. `again` is what `retry::next` said of a failure.
    #[must_use]
    pub fn ended(&self, failed: bool, again: Option<Again>) -> Self {
        Self {
            running: None,
            again,
            failures: if failed {
                self.failures.saturating_add(1)
            } else {
                0
            },
            ..self.clone()
        }
    }

    /// The state after a person did the work of `slot` by hand: neither it nor one before it runs.
    #[must_use]
    pub fn done_by_hand(&self, slot: u64) -> Self {
        let mut next = self.clone();
        next.handle(slot);
        next.buffered = next.buffered.filter(|b| *b > slot);
        next.again = next.again.filter(|a| a.slot > slot);
        next
    }

    /// Whether a slot that counts as handled is still to be started.
    fn waits_for(&self, slot: u64) -> bool {
        self.buffered == Some(slot) || self.again.is_some_and(|again| again.slot == slot)
    }

    fn handle(&mut self, slot: u64) {
        self.handled = Some(self.handled.map_or(slot, |h| h.max(slot)));
    }

    fn pass(&mut self, slots: &Slots) {
        self.handle(slots.to);
        if self
            .buffered
            .is_some_and(|b| (slots.from..=slots.to).contains(&b))
        {
            self.buffered = None;
        }
    }
}
