//! Where does it go: a straight line through a series, and when it reaches a level. No I/O, no
//! clock.
//!
//! The line is the Theil-Sen one, which a jump or a daily sawtooth does not bend.

use crate::baseline::NotEnough;
use crate::measure::{DAY_MS, Point, TIME_MAX_MS, median};
use serde::{Deserialize, Serialize};

/// A trend from fewer points is a guess.
pub const TREND_MIN_POINTS: usize = 7;
/// A trend over fewer days mistakes the week for growth.
pub const TREND_MIN_DAYS: f64 = 14.0;
/// Slopes are made of all pairs, so the work grows with the square: two years of days.
pub const TREND_MAX_POINTS: usize = 730;
/// How far beyond the history a trend may be drawn, as a multiple of it.
pub const HORIZON: f64 = 2.0;
/// Two-sided 95 % of the normal distribution.
const Z_95: f64 = 1.959_963_984_540_054;

/// A straight line through points over time, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Trend {
    NotEnough(NotEnough),
    Line(Line),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Change in a day, in the series' unit: the median of the slopes of all pairs.
    pub per_day: f64,
    /// Between these the slope lies with 95 % confidence.
    pub per_day_low: f64,
    pub per_day_high: f64,
    /// The newest point's time, and the line's height there.
    pub at_ms: u64,
    pub value: f64,
    pub days: f64,
    pub points: usize,
}

/// The Theil-Sen line through at most the newest [`TREND_MAX_POINTS`] points (one a day, best a
/// day's maximum), with Sen's interval for its slope. Points need not be in order; of several at
/// one time, pairs with others count all the same.
pub fn trend(points: &[Point]) -> Trend {
    let mut points: Vec<Point> = points
        .iter()
        .filter(|p| p.value.is_finite() && p.at_ms <= TIME_MAX_MS)
        .copied()
        .collect();
    points.sort_by_key(|p| p.at_ms);
    let points = &points[points.len().saturating_sub(TREND_MAX_POINTS)..];
    let (have, need) = (points.len(), TREND_MIN_POINTS);
    let (Some(first), Some(newest), true) = (points.first(), points.last(), have >= need) else {
        return Trend::NotEnough(NotEnough::Points { have, need });
    };
    let day = |p: &Point| (p.at_ms - first.at_ms) as f64 / DAY_MS as f64;
    let (days, need) = (day(newest), TREND_MIN_DAYS);
    if days < need {
        return Trend::NotEnough(NotEnough::Days { have: days, need });
    }
    let mut slopes = Vec::with_capacity(have * (have - 1) / 2);
    for (n, a) in points.iter().enumerate() {
        for b in &points[n + 1..] {
            if b.at_ms > a.at_ms {
                slopes.push((b.value - a.value) / (day(b) - day(a)));
            }
        }
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let Some(per_day) = middle(&slopes) else {
        return Trend::NotEnough(NotEnough::Days { have: days, need });
    };
    let (low, high) = interval(&slopes, have as f64);
    let heights = points.iter().map(|p| p.value - per_day * day(p)).collect();
    let Some(height) = median(heights) else {
        return Trend::NotEnough(NotEnough::Points { have, need: have });
    };
    Trend::Line(Line {
        per_day,
        per_day_low: low,
        per_day_high: high,
        at_ms: newest.at_ms,
        value: height + per_day * days,
        days,
        points: have,
    })
}

/// The median of what is sorted already.
fn middle(sorted: &[f64]) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]))
}

/// Sen's 95 % interval: the slopes at the ranks that Kendall's variance gives (Sen 1968, without
/// the correction for ties, which makes it a little wider).
fn interval(slopes: &[f64], n: f64) -> (f64, f64) {
    let count = slopes.len() as f64;
    let spread = Z_95 * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let last = slopes.len() - 1;
    let low = ((count - spread) / 2.0).floor().max(0.0) as usize;
    let high = ((count + spread) / 2.0).ceil().max(0.0) as usize;
    (slopes[low.min(last)], slopes[high.min(last)])
}

/// When a trend reaches a level, drawn at most twice as far as its history reaches back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Forecast {
    NotEnough(NotEnough),
    /// The line is at or beyond the level already.
    Reached,
    /// It goes the other way, or so slowly that the horizon comes first.
    NotWithin {
        horizon_days: f64,
    },
    Reaches {
        /// Days from the newest point, by the slope itself.
        days: f64,
        /// By the steepest slope of the interval.
        earliest_days: f64,
        /// By the flattest; `None` when that never reaches it within the horizon.
        latest_days: Option<f64>,
    },
}

/// When `trend` reaches `level`. `rising` says which side is beyond it: `true` for a disk that
/// fills, `false` for free space that shrinks.
pub fn forecast(trend: &Trend, level: f64, rising: bool) -> Forecast {
    let line = match trend {
        Trend::NotEnough(why) => return Forecast::NotEnough(*why),
        Trend::Line(line) => line,
    };
    let sign = if rising { 1.0 } else { -1.0 };
    let gap = (level - line.value) * sign;
    if gap <= 0.0 {
        return Forecast::Reached;
    }
    let horizon_days = HORIZON * line.days;
    let reach = |slope: f64| {
        let days = gap / (slope * sign);
        (slope * sign > 0.0 && days <= horizon_days).then_some(days)
    };
    let (steep, flat) = if rising {
        (line.per_day_high, line.per_day_low)
    } else {
        (line.per_day_low, line.per_day_high)
    };
    match reach(line.per_day) {
        Some(days) => Forecast::Reaches {
            days,
            earliest_days: reach(steep).unwrap_or(days),
            latest_days: reach(flat),
        },
        None => Forecast::NotWithin { horizon_days },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(found: f64, known: f64, within: f64) {
        assert!((found - known).abs() <= within, "{found}, not {known}");
    }

    fn daily(values: impl IntoIterator<Item = f64>) -> Vec<Point> {
        let at = |(n, value)| Point {
            at_ms: n as u64 * DAY_MS,
            value,
        };
        values.into_iter().enumerate().map(at).collect()
    }

    fn line(points: &[Point]) -> Line {
        match trend(points) {
            Trend::Line(line) => line,
            Trend::NotEnough(why) => panic!("{why:?}"),
        }
    }

    #[test]
    fn a_trend_needs_seven_points_and_fourteen_days() {
        assert!(matches!(
            trend(&daily((0..6).map(f64::from))),
            Trend::NotEnough(NotEnough::Points { have: 6, need: 7 })
        ));
        assert!(matches!(
            trend(&daily((0..14).map(f64::from))),
            Trend::NotEnough(NotEnough::Days { .. })
        ));
        close(line(&daily((0..15).map(f64::from))).per_day, 1.0, 1e-12);
        let at_once = vec![
            Point {
                at_ms: 5,
                value: 1.0
            };
            50
        ];
        assert!(matches!(
            trend(&at_once),
            Trend::NotEnough(NotEnough::Days { .. })
        ));
    }

    /// Sen (1968), section 6: x = 1, 2, 3, 4, 10, 12, 18 and y = 9, 15, 19, 20, 45, 55, 78 give
    /// the slope 4.
    #[test]
    fn theil_sen_as_published() {
        let x = [1u64, 2, 3, 4, 10, 12, 18];
        let y = [9.0, 15.0, 19.0, 20.0, 45.0, 55.0, 78.0];
        let points: Vec<Point> = x
            .iter()
            .zip(y)
            .map(|(x, value)| Point {
                at_ms: x * DAY_MS,
                value,
            })
            .collect();
        let found = line(&points);
        close(found.per_day, 4.0, 1e-12);
        assert!(found.per_day_low < 4.0 && found.per_day_high > 4.0);
    }

    #[test]
    fn a_jump_does_not_bend_a_trend() {
        // A quarter of a percent a day, and eight points at once on the last day.
        let growing = (0..15).map(|n| 50.0 + 0.25 * f64::from(n) + if n == 14 { 8.0 } else { 0.0 });
        let found = trend(&daily(growing));
        close(
            line(&daily((0..15).map(|n| 50.0 + 0.25 * f64::from(n)))).value,
            53.5,
            1e-9,
        );
        let Trend::Line(bent) = found else {
            panic!("{found:?}")
        };
        close(bent.per_day, 0.25, 1e-9);
        assert_eq!(
            forecast(&found, 100.0, true),
            Forecast::NotWithin { horizon_days: 28.0 }
        );
    }

    #[test]
    fn a_forecast_says_when_or_that_it_cannot() {
        let filling = trend(&daily((0..21).map(|n| 40.0 + f64::from(n))));
        let Forecast::Reaches {
            days,
            earliest_days,
            latest_days,
        } = forecast(&filling, 90.0, true)
        else {
            panic!("never");
        };
        close(days, 30.0, 1e-9);
        assert!(earliest_days <= days && latest_days.unwrap() >= days);
        assert_eq!(forecast(&filling, 60.0, true), Forecast::Reached);
        assert_eq!(
            forecast(&filling, 101.0, true),
            Forecast::NotWithin { horizon_days: 40.0 }
        );
        assert_eq!(
            forecast(&filling, 10.0, false),
            Forecast::NotWithin { horizon_days: 40.0 }
        );
        let shrinking = trend(&daily((0..21).map(|n| 40.0 - f64::from(n))));
        assert!(matches!(
            forecast(&shrinking, 10.0, false),
            Forecast::Reaches { days, .. } if (days - 10.0).abs() < 1e-9
        ));
        let few = trend(&[]);
        assert!(matches!(forecast(&few, 1.0, true), Forecast::NotEnough(_)));
    }

    proptest! {
        #[test]
        fn a_trend_follows_scale_and_offset(
            values in proptest::collection::vec(-1_000i32..1_000, 15..40),
            scale in 1i32..50,
            offset in -1_000i32..1_000,
        ) {
            let plain = line(&daily(values.iter().map(|v| f64::from(*v))));
            let moved = line(&daily(values.iter().map(|v| f64::from(v * scale + offset))));
            prop_assert!((plain.per_day * f64::from(scale) - moved.per_day).abs() < 1e-6);
            prop_assert!(plain.per_day_low <= plain.per_day && plain.per_day <= plain.per_day_high);
        }

        #[test]
        fn no_numbers_make_it_panic(values in proptest::collection::vec(proptest::num::f64::ANY, 0..40)) {
            forecast(&trend(&daily(values)), 1.0, true);
        }
    }
}
