//! Thresholds as monitoring plugins write them, and the level a value has against two of them.
//! Ranges: <https://www.monitoring-plugins.org/doc/guidelines.html#THRESHOLDFORMAT>.

use crate::Severity;
use serde::{Deserialize, Deserializer, de::Error};

/// A range of good values: `85` is 0 to 85, `10:` at least 10, `~:10` at most 10, `@5:9` turns
/// it round: alert inside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    start: f64,
    end: f64,
    inside: bool,
}

impl Range {
    /// Reads a range; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (inside, text) = text
            .strip_prefix('@')
            .map_or((false, text), |rest| (true, rest));
        let (start, end) = text.split_once(':').unwrap_or(("0", text));
        let start = match start {
            "" => 0.0,
            "~" => f64::NEG_INFINITY,
            number => finite(number)?,
        };
        let end = match end {
            "" if text.contains(':') => f64::INFINITY,
            number => finite(number)?,
        };
        (start <= end).then_some(Self { start, end, inside })
    }

    /// Whether `value` calls for an alert.
    pub fn alerts(&self, value: f64) -> bool {
        self.alerts_within(value, 0.0)
    }

    /// The same with the good side of each bound moved by `margin`: a value must come back that
    /// far before it no longer alerts.
    pub fn alerts_within(&self, value: f64, margin: f64) -> bool {
        if self.inside {
            value >= self.start - margin && value <= self.end + margin
        } else {
            // A range from zero has no lower bound worth a margin: nothing measured is below.
            let low = if self.start == 0.0 {
                0.0
            } else {
                self.start + margin
            };
            value < low || value > self.end - margin
        }
    }
}

fn finite(text: &str) -> Option<f64> {
    text.trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom("expected a range, for example `85`, `10:` or `@5:9`"))
    }
}

/// How bad a value is. Ordered: unknown is worse than good, but never hides a known problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Ok,
    Unknown,
    Warning,
    Critical,
}

impl Level {
    /// The level of `value` against two ranges.
    pub fn of(value: f64, warn: &Range, crit: &Range) -> Self {
        Self::held(value, value, 0.0, warn, crit)
    }

    /// The level of a value known over a short and a long time. It rises only when both agree,
    /// and the short one must come back by `margin` before it falls: the long average is the
    /// memory of the state before.
    pub fn held(short: f64, long: f64, margin: f64, warn: &Range, crit: &Range) -> Self {
        let raised = |range: &Range| range.alerts(long) && range.alerts_within(short, margin);
        if !(short.is_finite() && long.is_finite()) {
            Self::Unknown
        } else if raised(crit) {
            Self::Critical
        } else if raised(warn) {
            Self::Warning
        } else {
            Self::Ok
        }
    }

    /// `ok`, `unknown`, `warning` or `critical`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of a finding at this level; `None` when there is nothing to find.
    pub const fn severity(self) -> Option<Severity> {
        match self {
            Self::Ok => None,
            Self::Unknown => Some(Severity::Info),
            Self::Warning => Some(Severity::Warning),
            Self::Critical => Some(Severity::Critical),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_the_guidelines_have_them() {
        for (range, alerts, quiet) in [
            ("10", vec![-1.0, 10.1], vec![0.0, 10.0]),
            ("10:", vec![9.9], vec![10.0, 1e9]),
            ("~:10", vec![10.1], vec![-1e9, 10.0]),
            ("10:20", vec![9.0, 21.0], vec![10.0, 20.0]),
            ("@10:20", vec![10.0, 20.0], vec![9.0, 21.0]),
        ] {
            let parsed = Range::parse(range).unwrap();
            assert!(alerts.iter().all(|v| parsed.alerts(*v)), "{range}");
            assert!(!quiet.iter().any(|v| parsed.alerts(*v)), "{range}");
        }
        for bad in ["", "x", "20:10", "@", "NaN", "inf", "1:2:3"] {
            assert_eq!(Range::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_level_rises_when_both_agree_and_falls_with_a_margin() {
        let [warn, crit] = ["10", "40"].map(|r| Range::parse(r).unwrap());
        let level = |short, long| Level::held(short, long, 2.0, &warn, &crit);
        assert_eq!(level(50.0, 5.0), Level::Ok, "a spike");
        assert_eq!(level(50.0, 15.0), Level::Warning);
        assert_eq!(level(50.0, 41.0), Level::Critical);
        assert_eq!(level(9.0, 12.0), Level::Warning, "within the margin");
        assert_eq!(level(7.9, 12.0), Level::Ok, "come back");
        assert_eq!(level(f64::NAN, 12.0), Level::Unknown);
        assert_eq!(Level::of(-3.0, &warn, &crit), Level::Critical);
    }

    #[test]
    fn a_known_problem_outranks_the_unknown() {
        assert!(Level::Warning > Level::Unknown && Level::Unknown > Level::Ok);
    }
}
