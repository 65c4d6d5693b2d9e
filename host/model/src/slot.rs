//! Slots: the due instants of a task, and whether one may still be started. Pure: what is known of
//! a slot is an argument.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A due instant of a task, as the run that is started for it carries it. Together with the
/// record's task it is the identity of the start: at most one run has it, whatever crashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Which schedule made it due.
    pub schedule: String,
    /// The scheduled instant, in milliseconds since the Unix epoch.
    pub due: u64,
    /// 1 for the first start, one more for each retry.
    pub attempt: u32,
    pub via: Via,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// By which way a slot came to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// On time.
    Schedule,
    /// Late: the newest of those that were missed.
    CatchUp,
    /// After an attempt that failed.
    Retry,
    /// A person asked for it, although it was missed or skipped.
    Backfill,
}

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handled {
    Started,
    Missed,
    Skipped,
    ByHand,
}

impl Handled {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Missed => "missed",
            Self::Skipped => "skipped",
            Self::ByHand => "by-hand",
        }
    }
}

/// What is known of one slot before something is done about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Missed, skipped or done by hand.
    pub closed: Option<Handled>,
    /// The last attempt that was started; 0 for none.
    pub attempts: u32,
    /// That attempt has not ended.
    pub running: bool,
}

/// Why a slot cannot be started, or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// This attempt, or a later one, was started.
    Started { attempt: u32 },
    /// The attempt before it has not ended.
    Running { attempt: u32 },
    /// It was missed, skipped or done by hand.
    Closed(Handled),
    /// The attempts before it were never started.
    Early { attempts: u32 },
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { attempt } => write!(f, "attempt {attempt} of it was started"),
            Self::Running { attempt } => write!(f, "attempt {attempt} of it has not ended"),
            Self::Closed(Handled::ByHand) => f.write_str("it was done by hand"),
            Self::Closed(how) => write!(f, "it was {}", how.as_str()),
            Self::Early { attempts } => write!(f, "only {attempts} attempts were made before"),
        }
    }
}

impl Slot {
    /// Whether this start may be made. Of several that ask, the first makes it known to the rest.
    pub fn admit(&self, known: Known) -> Result<(), Taken> {
        match known.closed {
            Some(how @ Handled::ByHand) => return Err(Taken::Closed(how)),
            Some(how) if known.attempts == 0 && self.via != Via::Backfill => {
                return Err(Taken::Closed(how));
            }
            Some(_) | None => {}
        }
        let attempt = known.attempts;
        if self.attempt <= attempt {
            return Err(Taken::Started { attempt });
        }
        if known.running {
            return Err(Taken::Running { attempt });
        }
        if self.attempt - 1 != attempt {
            return Err(Taken::Early { attempts: attempt });
        }
        Ok(())
    }
}

/// Whether a slot can still be called missed, skipped or done by hand: nothing happened to it, or
/// (by hand) it was only missed or skipped. What was started has an end of its own.
pub fn close(how: Handled, known: Known) -> Result<(), Taken> {
    if known.attempts > 0 {
        let attempt = known.attempts;
        return Err(Taken::Started { attempt });
    }
    match known.closed {
        None => Ok(()),
        Some(Handled::Missed | Handled::Skipped) if how == Handled::ByHand => Ok(()),
        Some(before) => Err(Taken::Closed(before)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start(attempt: u32, via: Via) -> Slot {
        Slot {
            schedule: "nightly".into(),
            due: 1,
            attempt,
            via,
            reason: None,
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Start(Slot),
        End,
        Close(Handled),
    }

    fn step() -> impl Strategy<Value = Step> {
        let via = prop_oneof![
            Just(Via::Schedule),
            Just(Via::CatchUp),
            Just(Via::Retry),
            Just(Via::Backfill)
        ];
        let how = prop_oneof![
            Just(Handled::Missed),
            Just(Handled::Skipped),
            Just(Handled::ByHand)
        ];
        prop_oneof![
            (0_u32..4, via).prop_map(|(attempt, via)| Step::Start(start(attempt, via))),
            Just(Step::End),
            how.prop_map(Step::Close),
        ]
    }

    proptest! {
        /// However starts, ends and closings follow each other: no attempt is made twice, none
        /// while another goes on, none is left out, and none after a person did it by hand.
        #[test]
        fn never_two_starts_of_one_attempt(steps in proptest::collection::vec(step(), 0..40)) {
            let mut known = Known::default();
            let mut started = vec![];
            for step in steps {
                match step {
                    Step::Start(slot) => {
                        if slot.admit(known).is_ok() {
                            prop_assert!(!known.running);
                            prop_assert_ne!(known.closed, Some(Handled::ByHand));
                            started.push(slot.attempt);
                            (known.attempts, known.running) = (slot.attempt, true);
                        }
                    }
                    Step::End => known.running = false,
                    Step::Close(how) => {
                        if close(how, known).is_ok() {
                            prop_assert!(started.is_empty());
                            known.closed = Some(how);
                        }
                    }
                }
            }
            let expected: Vec<u32> = (1..).take(started.len()).collect();
            prop_assert_eq!(started, expected);
        }
    }

    #[test]
    fn what_was_missed_or_skipped_is_started_only_by_backfill() {
        for how in [Handled::Missed, Handled::Skipped] {
            let known = Known {
                closed: Some(how),
                ..Known::default()
            };
            for via in [Via::Schedule, Via::CatchUp, Via::Retry] {
                assert_eq!(start(1, via).admit(known), Err(Taken::Closed(how)));
            }
            assert_eq!(start(1, Via::Backfill).admit(known), Ok(()));
            assert_eq!(close(Handled::ByHand, known), Ok(()));
        }
    }
}
