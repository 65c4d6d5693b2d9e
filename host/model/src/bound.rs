//! What a person narrowed a running run to: fewer actions, less time, a lower rate.

use crate::event::{Event, Record};
use serde::{Deserialize, Serialize};

/// What a run may still do, before it stops at its next safe point and leaves the rest for later.
/// All of it is counted from outside the run, so that a crash in between changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Bound {
    /// It stops before this action of its plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_action: Option<u64>,
    /// It stops then, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Actions a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

impl Bound {
    /// The narrower of both, in each respect: nothing that was narrowed is widened again.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            before_action: least(self.before_action, other.before_action),
            until_ms: least(self.until_ms, other.until_ms),
            rate: least(self.rate, other.rate),
        }
    }

    /// Whether `other` narrows anything that is not as narrow already.
    pub fn is_narrowed_by(&self, other: &Self) -> bool {
        self.and(*other) != *self
    }

    /// What holds for a run with these records: all that it was narrowed to since it ended last. A
    /// run that was cut off did not end, so it is still held to it.
    pub fn of(records: &[Record]) -> Self {
        let mut bound = Self::default();
        for record in records {
            if let Event::RunAdjusted { bound: more, .. } = &record.event {
                bound = bound.and(*more);
            } else if matches!(record.event, Event::RunEnded { .. }) {
                bound = Self::default();
            }
        }
        bound
    }
}

fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::RunState;
    use proptest::prelude::*;

    fn bound() -> impl Strategy<Value = Bound> {
        let number = || proptest::option::of(0u64..10);
        (number(), number(), proptest::option::of(0u32..10)).prop_map(
            |(before_action, until_ms, rate)| Bound {
                before_action,
                until_ms,
                rate,
            },
        )
    }

    fn record(event: Event) -> Record {
        Record {
            at: 1,
            run: None,
            task: None,
            actor: "uid:1".into(),
            event,
        }
    }

    fn adjusted(bound: Bound) -> Record {
        let reason = "late".into();
        record(Event::RunAdjusted { bound, reason })
    }

    proptest! {
        #[test]
        fn a_bound_only_ever_narrows(a in bound(), b in bound()) {
            let both = a.and(b);
            prop_assert_eq!(both, b.and(a));
            prop_assert!(!both.is_narrowed_by(&a) && !both.is_narrowed_by(&b));
            for one in [a, b] {
                prop_assert!(one.before_action.is_none_or(|n| both.before_action.unwrap() <= n));
                prop_assert!(one.until_ms.is_none_or(|n| both.until_ms.unwrap() <= n));
                prop_assert!(one.rate.is_none_or(|n| both.rate.unwrap() <= n));
            }
        }
    }

    #[test]
    fn it_holds_through_a_crash_and_ends_with_the_run() {
        let ten = Bound {
            before_action: Some(10),
            ..Bound::default()
        };
        let soon = Bound {
            until_ms: Some(5),
            ..Bound::default()
        };
        let stage = "while its plan was applied".into();
        let mut records = vec![
            adjusted(ten),
            record(Event::Interrupted { stage }),
            record(Event::RunResumed { from: 3 }),
            adjusted(soon),
        ];
        assert_eq!(Bound::of(&records), ten.and(soon));
        records.push(record(Event::RunEnded {
            state: RunState::Interrupted,
            reason: None,
            hint: None,
            limit: None,
            again: false,
            fault: false,
        }));
        assert_eq!(Bound::of(&records), Bound::default());
    }
}
