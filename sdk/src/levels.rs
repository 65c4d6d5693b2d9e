//! Thresholds as monitoring plugins write them, and the level a value has against two of them.
//! Ranges: <https://www.monitoring-plugins.org/doc/guidelines.html#THRESHOLDFORMAT>.

use crate::Severity;
use crate::units::read_as_written;

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

    /// The same with each bound moved towards the good side by `margin`, a share of the bound
    /// itself: a value must come back that far before it no longer alerts.
    pub fn alerts_within(&self, value: f64, margin: f64) -> bool {
        let (by_start, by_end) = (way(self.start, margin), way(self.end, margin));
        if self.inside {
            value >= self.start - by_start && value <= self.end + by_end
        } else {
            value < self.start + by_start || value > self.end - by_end
        }
    }
}

/// How far a bound moves. Zero does not, as nothing measured lies below it, and neither does
/// infinity, which is no bound.
fn way(bound: f64, margin: f64) -> f64 {
    if bound.is_finite() {
        bound.abs() * margin
    } else {
        0.0
    }
}

fn finite(text: &str) -> Option<f64> {
    text.trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

read_as_written!(Range, "range", "a range, for example `85`, `10:` or `@5:9`");

/// A value averaged over three times, as the kernel keeps load and pressure. A task has no memory
/// between its runs; the longer averages are one, for runs that are no further apart than they
/// reach back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Averages {
    pub short: f64,
    pub middle: f64,
    pub long: f64,
}

impl Averages {
    /// A value without a past.
    pub const fn steady(value: f64) -> Self {
        Self {
            short: value,
            middle: value,
            long: value,
        }
    }

    /// The level with hysteresis: it rises once the short and the middle average both alert, and
    /// stays up until the short or the middle one has come back by `margin` (a share of the bound)
    /// or neither the middle nor the long one alerts any more.
    pub fn level(&self, margin: f64, warn: &Range, crit: &Range) -> Level {
        let up = |range: &Range| {
            let back = |average| !range.alerts_within(average, margin);
            let not_back = !back(self.short) && !back(self.middle);
            not_back && (range.alerts(self.middle) || range.alerts(self.long))
        };
        if ![self.short, self.middle, self.long]
            .iter()
            .all(|a| a.is_finite())
        {
            Level::Unknown
        } else if up(crit) {
            Level::Critical
        } else if up(warn) {
            Level::Warning
        } else {
            Level::Ok
        }
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
        Averages::steady(value).level(0.0, warn, crit)
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
    fn a_margin_is_a_share_of_the_bound() {
        let within = |range: &str, value| Range::parse(range).unwrap().alerts_within(value, 0.1);
        assert!(within("50", 45.1) && !within("50", 44.9));
        assert!(within("50:", 54.9) && !within("50:", 55.1));
        assert!(within("@50:60", 45.1) && within("@50:60", 65.9) && !within("@50:60", 66.1));
        // Neither zero nor infinity has a margin.
        assert!(!within("50", 0.0) && !within("~:50", -1e300) && !within("10:", 1e300));
    }

    fn ranges() -> [Range; 2] {
        ["10", "40"].map(|r| Range::parse(r).unwrap())
    }

    #[test]
    fn a_level_rises_when_two_agree_and_falls_with_a_margin() {
        let [warn, crit] = ranges();
        let level = |short, middle, long| {
            let averages = Averages {
                short,
                middle,
                long,
            };
            averages.level(0.2, &warn, &crit)
        };
        assert_eq!(level(50.0, 5.0, 1.0), Level::Ok, "a spike");
        assert_eq!(level(50.0, 15.0, 1.0), Level::Warning);
        assert_eq!(level(50.0, 41.0, 1.0), Level::Critical);
        assert_eq!(level(9.0, 9.0, 12.0), Level::Warning, "within the margin");
        assert_eq!(level(9.0, 9.0, 9.0), Level::Ok, "the same without a past");
        assert_eq!(level(7.9, 9.0, 12.0), Level::Ok, "come back");
        assert_eq!(level(9.0, 7.9, 12.0), Level::Ok, "a spike while long is up");
        assert_eq!(level(f64::NAN, 12.0, 12.0), Level::Unknown);
        assert_eq!(level(12.0, 12.0, f64::INFINITY), Level::Unknown);
        assert_eq!(Level::of(-3.0, &warn, &crit), Level::Critical);
    }

    /// A minute's step of an exponential average over `minutes`, as the kernel takes it.
    fn step(average: &mut f64, value: f64, minutes: f64) {
        *average += (value - *average) * (1.0 - (-1.0 / minutes).exp());
    }

    /// How often the level changes over a check every minute, of a value that was high and then
    /// hangs about the bound.
    fn changes(margin: f64) -> usize {
        let [warn, crit] = ranges();
        let mut averages = Averages::steady(13.0);
        let mut levels = vec![];
        for minute in 0..30 {
            // Now above the bound, now below, never back by the margin.
            let value = if minute % 4 < 2 { 9.2 } else { 10.6 };
            step(&mut averages.short, value, 1.0);
            step(&mut averages.middle, value, 5.0);
            step(&mut averages.long, value, 15.0);
            levels.push(averages.level(margin, &warn, &crit));
        }
        levels.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    #[test]
    fn a_level_does_not_flap_from_run_to_run() {
        assert!(changes(0.0) > 4, "without a margin it flaps");
        assert!(changes(0.1) <= 1, "{}", changes(0.1));
    }

    #[test]
    fn a_known_problem_outranks_the_unknown() {
        assert!(Level::Warning > Level::Unknown && Level::Unknown > Level::Ok);
    }
}
