//! Measurements: what a series is, what a point is, how points roll up. No I/O, no clock.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest name or unit of a series: a line shows both beside a value.
pub const SERIES_WORD_MAX_BYTES: usize = 128;
/// Labels of one series. More than these are facts about one moment, and belong into a finding.
pub const LABELS_MAX: usize = 16;
/// Longest name or value of a label.
pub const LABEL_MAX_BYTES: usize = 256;
/// The label that says whose a series is. The host sets it; what a task says here is replaced.
pub const TASK_LABEL: &str = "task";
/// No larger value: a hundred million of them still add up to a number.
pub const VALUE_MAX: f64 = 1e300;
/// The end of the year 9999: what lies beyond is a mistake, and must not overflow sums of times.
pub const TIME_MAX_MS: u64 = 253_402_300_799_999;
/// A point may lie this far ahead of the host's time: clocks within a node differ by less.
pub const AHEAD_MAX_MS: u64 = 5 * 60_000;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// Why something cannot be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMeasurement {
    #[error("a series' {what} must have 1 to {most} printable bytes")]
    Word { what: &'static str, most: usize },
    #[error("a series has at most {LABELS_MAX} labels, not {count}")]
    Labels { count: usize },
    #[error("label `{label}` is given twice")]
    Twice { label: String },
    #[error("{value} is not a value: expected a finite number up to 1e300")]
    Value { value: String },
    #[error("the time {at_ms} lies beyond the year 9999")]
    Time { at_ms: u64 },
    #[error("the time {at_ms} lies more than five minutes ahead")]
    Ahead { at_ms: u64 },
}

/// The identity of a series: its name, its unit, its labels in canonical order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct SeriesKey {
    name: String,
    unit: String,
    labels: BTreeMap<String, String>,
}

/// A series as JSON has it; read back through the same checks.
#[derive(Serialize, Deserialize)]
struct Written {
    name: String,
    unit: String,
    labels: BTreeMap<String, String>,
}

impl TryFrom<Written> for SeriesKey {
    type Error = BadMeasurement;
    fn try_from(written: Written) -> Result<Self, BadMeasurement> {
        Self::new(written.name, written.unit, written.labels)
    }
}

impl From<SeriesKey> for Written {
    fn from(key: SeriesKey) -> Self {
        Self {
            name: key.name,
            unit: key.unit,
            labels: key.labels,
        }
    }
}

impl SeriesKey {
    pub fn new(
        name: impl Into<String>,
        unit: impl Into<String>,
        labels: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BadMeasurement> {
        let (name, unit) = (name.into(), unit.into());
        check("name", &name, 1, SERIES_WORD_MAX_BYTES)?;
        check("unit", &unit, 1, SERIES_WORD_MAX_BYTES)?;
        let mut sorted = BTreeMap::new();
        let mut count = 0;
        for (label, value) in labels {
            count += 1;
            if count > LABELS_MAX {
                return Err(BadMeasurement::Labels { count });
            }
            check("label", &label, 1, LABEL_MAX_BYTES)?;
            check("label's value", &value, 0, LABEL_MAX_BYTES)?;
            if sorted.insert(label.clone(), value).is_some() {
                return Err(BadMeasurement::Twice { label });
            }
        }
        Ok(Self {
            name,
            unit,
            labels: sorted,
        })
    }

    /// The series of a task's own metric: whatever it said itself, the label `task` is its name.
    pub fn of_task(
        task: &str,
        name: &str,
        unit: &str,
        labels: &[(String, String)],
    ) -> Result<Self, BadMeasurement> {
        let own = (TASK_LABEL.to_owned(), task.to_owned());
        let said = labels.iter().filter(|(label, _)| label != TASK_LABEL);
        Self::new(name, unit, said.cloned().chain([own]))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn unit(&self) -> &str {
        &self.unit
    }

    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// Whose it is; empty for the host's own.
    pub fn task(&self) -> &str {
        self.labels.get(TASK_LABEL).map_or("", String::as_str)
    }
}

fn check(what: &'static str, text: &str, least: usize, most: usize) -> Result<(), BadMeasurement> {
    let fits = (least..=most).contains(&text.len());
    if fits && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(BadMeasurement::Word { what, most })
}

/// One value at one time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub value: f64,
}

impl Point {
    /// Whether it can be stored at `now_ms`: a finite value, not from a future that a wrong clock
    /// told of.
    pub fn check(&self, now_ms: u64) -> Result<(), BadMeasurement> {
        let Self { at_ms, value } = *self;
        if !value.is_finite() || value.abs() > VALUE_MAX {
            let value = value.to_string();
            return Err(BadMeasurement::Value { value });
        }
        if at_ms > TIME_MAX_MS {
            return Err(BadMeasurement::Time { at_ms });
        }
        if at_ms > now_ms.saturating_add(AHEAD_MAX_MS) {
            return Err(BadMeasurement::Ahead { at_ms });
        }
        Ok(())
    }
}

/// The sizes of buckets that points roll up to. Buckets begin at multiples of their length since
/// the Unix epoch, so a day is a day of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    FiveMinutes,
    Hour,
    Day,
}

impl Tier {
    pub const ALL: [Self; 3] = [Self::FiveMinutes, Self::Hour, Self::Day];

    pub const fn length_ms(self) -> u64 {
        match self {
            Self::FiveMinutes => 5 * MINUTE_MS,
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
        }
    }

    /// The beginning of the bucket that holds `at_ms`.
    pub const fn bucket_ms(self, at_ms: u64) -> u64 {
        at_ms - at_ms % self.length_ms()
    }
}

/// What is known of all points in one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rollup {
    /// The bucket's beginning, in milliseconds since the Unix epoch.
    pub from_ms: u64,
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub count: u64,
    /// The value of the newest point, and its time.
    pub last: f64,
    pub last_at_ms: u64,
}

impl Rollup {
    /// The bucket of `tier` that holds this one point.
    pub fn of(tier: Tier, point: Point) -> Self {
        Self {
            from_ms: tier.bucket_ms(point.at_ms),
            min: point.value,
            max: point.value,
            sum: point.value,
            count: 1,
            last: point.value,
            last_at_ms: point.at_ms,
        }
    }

    /// Takes in what another part of the same bucket holds. Parts may come in any order.
    pub fn add(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
        if other.last_at_ms > self.last_at_ms {
            self.last = other.last;
            self.last_at_ms = other.last_at_ms;
        }
    }

    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// Quantiles of `values`, in the order asked: linear interpolation between the two nearest ranks
/// (type 7 of Hyndman and Fan, as most programs compute it). `None` without values; a quantile
/// outside of 0 to 1 is drawn to the nearer end.
pub fn quantiles(mut values: Vec<f64>, asked: &[f64]) -> Option<Vec<f64>> {
    if values.is_empty() {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len() - 1;
    let at = |q: f64| {
        let place = q.clamp(0.0, 1.0) * last as f64;
        let below = (place.floor() as usize).min(last);
        let above = (below + 1).min(last);
        let part = place - below as f64;
        values[below] + part * (values[above] - values[below])
    };
    Some(asked.iter().map(|q| at(*q)).collect())
}

/// The value in the middle; `None` without values.
pub fn median(values: Vec<f64>) -> Option<f64> {
    quantiles(values, &[0.5]).map(|found| found[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn the_order_of_labels_does_not_matter_and_none_is_given_twice() {
        let one = SeriesKey::new("m", "bytes", labels(&[("b", "2"), ("a", "1")])).unwrap();
        let two = SeriesKey::new("m", "bytes", labels(&[("a", "1"), ("b", "2")])).unwrap();
        assert_eq!(one, two);
        let json = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<SeriesKey>(&json).unwrap(), one);
        let twice = SeriesKey::new("m", "bytes", labels(&[("a", "1"), ("a", "2")]));
        assert!(matches!(twice, Err(BadMeasurement::Twice { .. })));
        let many = (0..17).map(|n| (n.to_string(), String::new()));
        assert!(SeriesKey::new("m", "bytes", many).is_err());
        assert!(SeriesKey::new("a\x1bb", "bytes", []).is_err());
        assert!(SeriesKey::new("m", "", []).is_err());
        assert!(SeriesKey::new("m", "x".repeat(129), []).is_err());
    }

    #[test]
    fn a_task_cannot_speak_for_another() {
        let key = SeriesKey::of_task("mine", "m", "count", &labels(&[("task", "yours")])).unwrap();
        assert_eq!(key.task(), "mine");
    }

    #[test]
    fn a_point_is_finite_and_not_from_the_future() {
        let point = |at_ms, value| Point { at_ms, value };
        assert!(point(0, 1.5).check(0).is_ok());
        assert!(point(AHEAD_MAX_MS, 1.5).check(0).is_ok());
        assert!(point(AHEAD_MAX_MS + 1, 1.5).check(0).is_err());
        assert!(point(u64::MAX, 1.5).check(u64::MAX).is_err());
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e301, -1e301] {
            assert!(point(0, value).check(0).is_err(), "{value}");
        }
    }

    #[test]
    fn quantiles_as_the_definition_has_them() {
        let found = quantiles(vec![4.0, 1.0, 3.0, 2.0], &[0.0, 0.25, 0.5, 0.9, 1.0, 7.0]).unwrap();
        let known = [1.0, 1.75, 2.5, 3.7, 4.0, 4.0];
        for (found, known) in found.iter().zip(known) {
            assert!((found - known).abs() < 1e-12, "{found} {known}");
        }
        assert_eq!(quantiles(vec![], &[0.5]), None);
        assert_eq!(median(vec![7.0]), Some(7.0));
    }

    proptest! {
        #[test]
        fn rolling_up_in_parts_and_any_order_is_the_same(
            values in proptest::collection::btree_map(0..300_000u64, -1_000i32..1_000, 1..50),
            cut in 0..50usize,
        ) {
            let points: Vec<Point> = values
                .into_iter()
                .map(|(at_ms, v)| Point { at_ms, value: f64::from(v) })
                .collect();
            let fold = |points: &[Point]| {
                points.iter().map(|p| Rollup::of(Tier::FiveMinutes, *p)).reduce(|mut a, b| {
                    a.add(&b);
                    a
                })
            };
            let whole = fold(&points).unwrap();
            let (a, b) = points.split_at(cut.min(points.len()));
            let mut parts = [fold(b), fold(a)].into_iter().flatten();
            let mut both = parts.next().unwrap();
            if let Some(other) = parts.next() {
                both.add(&other);
            }
            prop_assert_eq!(whole, both);
            prop_assert_eq!(whole.count as usize, points.len());
            prop_assert_eq!(whole.last, points.last().unwrap().value);
        }
    }
}
