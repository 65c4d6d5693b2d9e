//! What was measured under each value, and whether a value did worse than the one before it. Kept
//! by the task between its runs; nothing here reads or proposes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Measurements kept of one value: a median of more is no better, and a state is not a chart.
const SAMPLES_MAX: usize = 64;
/// Values whose measurements are kept: the one that stands, the one before, and some to go back to.
const VALUES_MAX: usize = 8;
/// Values that are known to do worse. Who tries more has no idea what to look for.
const WORSE_MAX: usize = 24;

/// What the task keeps of one parameter.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Memory {
    /// By value, each oldest first: milliseconds since the Unix epoch, and what was measured.
    measured: BTreeMap<String, Vec<(u64, f64)>>,
    /// Values that did worse, each with the value that stood before it.
    worse: BTreeMap<String, String>,
}

/// How a value did in its soak, by the medians of what was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Soaked {
    /// On the side that has the least.
    TooFew {
        have: usize,
    },
    NotWorse {
        before: f64,
        after: f64,
    },
    Worse {
        before: f64,
        after: f64,
    },
}

/// What it takes to call a value worse.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// Measurements on either side.
    pub(crate) samples: usize,
    /// The median must rise by more than this share of itself, and by [`FLOOR`].
    pub(crate) share: f64,
}

/// A smaller rise is how the kernel counts: a hundredth of the time.
const FLOOR: f64 = 0.01;

impl Memory {
    /// Takes in one measurement under `value`.
    pub(crate) fn add(&mut self, value: &str, at: u64, measured: f64) {
        if !measured.is_finite() {
            return;
        }
        let of_value = self.measured.entry(value.to_owned()).or_default();
        // A clock that was set back leaves what it measured before; what lies ahead is no more.
        of_value.retain(|(known, _)| *known < at);
        of_value.push((at, measured));
        let over = of_value.len().saturating_sub(SAMPLES_MAX);
        of_value.drain(..over);
        while self.measured.len() > VALUES_MAX {
            let newest = |all: &Vec<(u64, f64)>| all.last().map_or(0, |(at, _)| *at);
            let oldest = self.measured.iter().min_by_key(|(_, all)| newest(all));
            let Some(oldest) = oldest.map(|(value, _)| value.clone()) else {
                return;
            };
            self.measured.remove(&oldest);
        }
    }

    /// How many measurements there are under `value`.
    pub(crate) fn count(&self, value: &str) -> usize {
        self.measured.get(value).map_or(0, Vec::len)
    }

    /// What was measured under `new` since `changed_at` against what was under `old` before.
    pub(crate) fn judge(&self, old: &str, new: &str, changed_at: u64, rule: Rule) -> Soaked {
        let of = |value: &str, fits: &dyn Fn(u64) -> bool| -> Vec<f64> {
            let all = self.measured.get(value).into_iter().flatten();
            all.filter(|(at, _)| fits(*at)).map(|(_, v)| *v).collect()
        };
        let before = of(old, &|at| at <= changed_at);
        let after = of(new, &|at| at > changed_at);
        let have = before.len().min(after.len());
        let (Some(before), Some(after), true) =
            (median(before), median(after), have >= rule.samples)
        else {
            return Soaked::TooFew { have };
        };
        if after - before > (before.abs() * rule.share).max(FLOOR) {
            Soaked::Worse { before, after }
        } else {
            Soaked::NotWorse { before, after }
        }
    }

    /// Keeps that `value` did worse than `before`.
    pub(crate) fn failed(&mut self, value: &str, before: &str) {
        if self.worse.len() < WORSE_MAX || self.worse.contains_key(value) {
            self.worse.insert(value.to_owned(), before.to_owned());
        }
    }

    /// The value to go back to, if `value` did worse than that.
    pub(crate) fn better_than(&self, value: &str) -> Option<&str> {
        self.worse.get(value).map(String::as_str)
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(f64::midpoint(values[last / 2], values[last.div_ceil(2)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        samples: 3,
        share: 0.1,
    };

    fn measured(before: &[f64], after: &[f64]) -> Memory {
        let mut memory = Memory::default();
        for (at, v) in (1..).zip(before) {
            memory.add("10", at, *v);
        }
        for (at, v) in (1_000..).zip(after) {
            memory.add("20", at, *v);
        }
        memory
    }

    fn judged(before: &[f64], after: &[f64]) -> Soaked {
        measured(before, after).judge("10", "20", 500, RULE)
    }

    #[test]
    fn medians_of_enough_decide() {
        let calm = [0.2, 0.9, 0.2];
        assert_eq!(judged(&calm, &[0.2, 0.2]), Soaked::TooFew { have: 2 });
        let (before, after) = (0.2, 0.2);
        // One peak on either side changes nothing.
        let same = judged(&calm, &[0.2, 0.2, 1.0]);
        assert_eq!(same, Soaked::NotWorse { before, after });
        let after = 0.4;
        let worse = judged(&calm, &[0.4, 0.1, 0.5]);
        assert_eq!(worse, Soaked::Worse { before, after });
        assert!(matches!(judged(&[0.4; 4], &calm), Soaked::NotWorse { .. }));
        // More than nothing, and less than matters.
        assert!(matches!(
            judged(&[0.0; 3], &[0.009; 3]),
            Soaked::NotWorse { .. }
        ));
        assert!(matches!(
            judged(&[0.0; 3], &[0.02; 3]),
            Soaked::Worse { .. }
        ));
        assert!(matches!(
            judged(&[0.5; 3], &[0.54; 3]),
            Soaked::NotWorse { .. }
        ));
    }

    #[test]
    fn only_what_was_measured_on_its_side_of_the_change_counts() {
        let mut memory = measured(&[0.2; 3], &[0.9; 3]);
        for at in 2_000..2_003 {
            memory.add("10", at, 0.9);
        }
        let late = memory.judge("20", "10", 1_999, RULE);
        assert!(matches!(late, Soaked::NotWorse { .. }), "{late:?}");
        // Of the first time under 10 alone, whatever came later.
        let first = memory.judge("10", "20", 500, RULE);
        assert_eq!(
            first,
            Soaked::Worse {
                before: 0.2,
                after: 0.9
            }
        );
    }

    #[test]
    fn memory_is_bounded_and_survives_odd_clocks_and_numbers() {
        let mut memory = Memory::default();
        for at in 0..1_000 {
            memory.add(&format!("{}", at % 20), at, f64::MAX);
            memory.add("nan", at, f64::NAN);
            memory.failed(&at.to_string(), "1");
        }
        assert_eq!(memory.measured.len(), VALUES_MAX);
        assert!(memory.count("19") <= SAMPLES_MAX && memory.count("nan") == 0);
        assert_eq!(memory.worse.len(), WORSE_MAX);
        memory.add("19", 5, 0.1);
        assert_eq!(memory.count("19"), 1, "the clock was set back");
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    }

    /// The largest there can be fits one key of the state, with values as long as text may be.
    #[test]
    fn the_largest_memory_fits_a_key() {
        let mut memory = Memory::default();
        for n in 0..WORSE_MAX.max(VALUES_MAX) {
            let value = format!("{n:01024}");
            for at in 0..SAMPLES_MAX as u64 {
                memory.add(&value, u64::MAX / 2 + at, 0.123_456_789_012_345_68);
            }
            memory.failed(&value, &value);
        }
        let bytes = serde_json::to_vec(&memory).unwrap().len();
        assert!(bytes <= keepwell_sdk::state::VALUE_MAX_BYTES, "{bytes}");
    }
}
