//! Whether the machine's clock can be believed. What cannot be undone is not done by a clock that
//! nobody vouches for: ages, windows and the expiry of approvals are all told by it.

use crate::grant::Denial;
use crate::units::Span;
use std::fmt;
use std::time::Duration;

/// A smaller step is how a clock is set right; one beyond it was wrong before, or is now.
pub const STEP_MAX_MS: u64 = 300_000;
/// After a step the clock is looked at with doubt for so long: whoever set it, or the service that
/// keeps it, has seen by then what it did.
pub const DOUBT_MS: u64 = 3_600_000;

/// What is known of this machine's clock, without asking another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockFacts {
    /// The kernel says that something keeps it right; `None` where it cannot be asked.
    pub synchronised: Option<bool>,
    /// Its last step within `DOUBT_MS`, in milliseconds; forward is positive.
    pub stepped_ms: i64,
    /// By how much it is behind the newest entry of the journal.
    pub behind_ms: u64,
}

/// Why it cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    Unsynchronised,
    Stepped { by_ms: i64 },
    Behind { by_ms: u64 },
}

impl ClockFacts {
    /// The gravest doubt, if there is any.
    pub fn doubt(&self) -> Option<Doubt> {
        if self.behind_ms > STEP_MAX_MS {
            let by_ms = self.behind_ms;
            return Some(Doubt::Behind { by_ms });
        }
        if self.stepped_ms.unsigned_abs() > STEP_MAX_MS {
            let by_ms = self.stepped_ms;
            return Some(Doubt::Stepped { by_ms });
        }
        (self.synchronised == Some(false)).then_some(Doubt::Unsynchronised)
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsynchronised => {
                f.write_str("this machine's clock is not synchronised: its kernel says so")
            }
            Self::Stepped { by_ms } => {
                let way = if *by_ms < 0 { "back" } else { "forward" };
                let by = span(by_ms.unsigned_abs());
                write!(f, "this machine's clock was stepped {way} by {by}")
            }
            Self::Behind { by_ms } => write!(
                f,
                "this machine's clock is {} behind its own journal",
                span(*by_ms)
            ),
        }
    }
}

impl Doubt {
    /// The refusal of a plan that cannot be undone.
    pub fn denial(&self) -> Denial {
        Denial::new(
            "policy.any-clock",
            format!("what cannot be undone is not done now: {self}"),
        )
        .hint("see to the clock; or add `any-clock = true` to [policy] in keepwell.toml")
    }
}

/// Whole seconds: nobody reads the rest.
fn span(ms: u64) -> Span {
    Span(Duration::from_secs(ms / 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_doubt_says_whose_clock_and_by_how_much() {
        let told = |facts: ClockFacts| facts.doubt().map(|doubt| doubt.to_string());
        let fine = ClockFacts {
            synchronised: Some(true),
            stepped_ms: -300_000,
            behind_ms: 300_000,
        };
        assert_eq!(told(fine), None);
        assert_eq!(told(ClockFacts::default()), None);
        let unsure = ClockFacts {
            synchronised: Some(false),
            ..fine
        };
        assert!(
            told(unsure)
                .unwrap()
                .contains("this machine's clock is not synchronised")
        );
        let stepped = ClockFacts {
            stepped_ms: -7_200_000,
            ..unsure
        };
        assert_eq!(
            told(stepped).unwrap(),
            "this machine's clock was stepped back by 2h"
        );
        let behind = ClockFacts {
            behind_ms: 600_000,
            ..stepped
        };
        assert_eq!(
            told(behind).unwrap(),
            "this machine's clock is 10m behind its own journal"
        );
        let denial = unsure.doubt().unwrap().denial();
        assert!(denial.hint.unwrap().contains("any-clock = true"));
    }

    proptest! {
        #[test]
        fn a_clock_is_believed_as_long_as_it_moved_by_no_more_than_may_be(
            synchronised in proptest::option::of(any::<bool>()),
            stepped_ms in -600_000i64..600_000,
            behind_ms in 0u64..600_000,
        ) {
            let facts = ClockFacts { synchronised, stepped_ms, behind_ms };
            let fine = synchronised != Some(false)
                && stepped_ms.unsigned_abs() <= STEP_MAX_MS
                && behind_ms <= STEP_MAX_MS;
            prop_assert_eq!(facts.doubt().is_none(), fine);
        }
    }
}
