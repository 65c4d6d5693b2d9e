//! Guards: a metric that must stay on its side of a bound while a change waits to be confirmed.

use super::literal::Decimal;
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// What must hold after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Guard {
    pub metric: String,
    pub bound: Bound,
    /// How long it must be on the wrong side, without a pause, to count as a breach.
    pub lasting: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    Most(Decimal),
    Least(Decimal),
}

/// One measurement of the guard's metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    pub at_ms: u64,
    pub value: f64,
}

/// What the measurements say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// There is no guard.
    None,
    /// The newest measurement is on the right side.
    Holds,
    /// It is on the wrong side, and not yet for long enough.
    Wavers,
    Breached {
        value: f64,
    },
    /// Nothing was measured since the change, or nothing lately.
    Unknown,
}

/// A measurement older than this says nothing about now: sensors measure at least every minute,
/// and one may be missed.
pub const READING_MAX_AGE: Span = Span::secs(120);

impl Guard {
    pub fn holds(&self, value: f64) -> bool {
        match self.bound {
            Bound::Most(most) => value <= most.as_f64(),
            Bound::Least(least) => value >= least.as_f64(),
        }
    }

    /// The verdict over `readings`, in the order measured. What was measured before `since_ms`,
    /// or after `now_ms`, is not heard. A value that is no number is on the wrong side.
    pub fn verdict(&self, readings: &[Reading], since_ms: u64, now_ms: u64) -> Verdict {
        let heard = |r: &&Reading| (since_ms..=now_ms).contains(&r.at_ms);
        let mut newest_first = readings.iter().rev().filter(heard);
        let Some(newest) = newest_first.next() else {
            return Verdict::Unknown;
        };
        if now_ms - newest.at_ms > READING_MAX_AGE.as_millis() {
            return Verdict::Unknown;
        }
        if self.holds(newest.value) {
            return Verdict::Holds;
        }
        let began = newest_first
            .take_while(|r| !self.holds(r.value))
            .map(|r| r.at_ms)
            .last()
            .unwrap_or(newest.at_ms);
        if newest.at_ms.saturating_sub(began) >= self.lasting.as_millis() {
            Verdict::Breached {
                value: newest.value,
            }
        } else {
            Verdict::Wavers
        }
    }
}
