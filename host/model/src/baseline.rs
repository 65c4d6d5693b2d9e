//! Is it worse than it was, and where does it go: comparison with a baseline, and trends. No I/O,
//! no clock.
//!
//! A shift counts when it is unlikely to be chance (Mann-Whitney, p < 0.01), large enough to
//! matter (medians differ by more than 10 % and the noise floor), and seen often enough (20 values
//! on each side). A trend is the Theil-Sen slope, which a jump or a daily sawtooth does not bend.

use crate::measure::{DAY_MS, Point, TIME_MAX_MS, median};
use serde::{Deserialize, Serialize};

/// Fewer values than this on either side say nothing, and the normal approximation needs them.
pub const COMPARE_MIN: usize = 20;
/// Chance must be less likely than this.
pub const P_MAX: f64 = 0.01;
/// A shift below this share of the baseline's median is not worth a person's attention.
pub const EFFECT_MIN: f64 = 0.10;
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

/// Which direction is bad for what a series measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Worse {
    Higher,
    Lower,
    /// Either way is a degradation: what should stay as it is.
    Either,
}

impl Worse {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
            Self::Either => "either",
        }
    }
}

/// Why there is no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum NotEnough {
    /// Values on either side of a comparison.
    Values { have: usize, need: usize },
    /// Points of a trend.
    Points { have: usize, need: usize },
    /// Days a trend's points span.
    Days { have: f64, need: f64 },
}

/// What a comparison rests on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub before: f64,
    pub after: f64,
    /// `after - before`, medians both, in the series' unit.
    pub shift: f64,
    /// What the shift had to exceed.
    pub floor: f64,
    pub p: f64,
    pub n_before: usize,
    pub n_after: usize,
}

/// How values now compare with those of a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Comparison {
    NotEnough(NotEnough),
    Same(Evidence),
    Better(Evidence),
    Degraded(Evidence),
}

/// Compares `after` with `before`. `noise_floor` is in the series' unit: shifts below it are how
/// the thing is measured, not how it is.
pub fn compare(before: &[f64], after: &[f64], worse: Worse, noise_floor: f64) -> Comparison {
    let have = before.len().min(after.len());
    let (Some(was), Some(is), true) = (
        median(before.to_vec()),
        median(after.to_vec()),
        have >= COMPARE_MIN,
    ) else {
        let need = COMPARE_MIN;
        return Comparison::NotEnough(NotEnough::Values { have, need });
    };
    let evidence = Evidence {
        before: was,
        after: is,
        shift: is - was,
        floor: (EFFECT_MIN * was.abs()).max(noise_floor),
        p: mann_whitney(before, after).p,
        n_before: before.len(),
        n_after: after.len(),
    };
    // A NaN anywhere compares as false, and so is no shift.
    let shifted = evidence.p < P_MAX && evidence.shift.abs() > evidence.floor;
    match (shifted, worse, evidence.shift > 0.0) {
        (false, _, _) => Comparison::Same(evidence),
        (true, Worse::Either, _) | (true, Worse::Higher, true) | (true, Worse::Lower, false) => {
            Comparison::Degraded(evidence)
        }
        (true, Worse::Higher, false) | (true, Worse::Lower, true) => Comparison::Better(evidence),
    }
}

/// The Mann-Whitney test of two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannWhitney {
    /// Pairs in which the first sample's value is larger, ties as halves.
    pub u: f64,
    /// Standard deviations from what chance would give, continuity corrected.
    pub z: f64,
    /// Two-sided.
    pub p: f64,
}

/// By the normal approximation with corrections for ties and continuity (as `wilcox.test` of R
/// with `exact = FALSE`). When all values are equal there is no difference: p is 1.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> MannWhitney {
    let (n, m) = (a.len() as f64, b.len() as f64);
    let mut all: Vec<(f64, bool)> = a.iter().map(|v| (*v, true)).collect();
    all.extend(b.iter().map(|v| (*v, false)));
    all.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
    let mut rank_sum = 0.0;
    let mut ties = 0.0;
    let mut below = 0.0;
    for group in all.chunk_by(|x, y| x.0 == y.0) {
        let t = group.len() as f64;
        // Ranks below+1 ..= below+t, shared by all in the group.
        let rank = below + f64::midpoint(1.0, t);
        rank_sum += rank * group.iter().filter(|(_, first)| *first).count() as f64;
        ties += t * t * t - t;
        below += t;
    }
    let u = rank_sum - n * (n + 1.0) / 2.0;
    let total = n + m;
    let variance = n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    let off = u - n * m / 2.0;
    if !(variance > 0.0) || off == 0.0 {
        return MannWhitney { u, z: 0.0, p: 1.0 };
    }
    let z = (off - 0.5 * off.signum()) / variance.sqrt();
    let p = erfc(z.abs() / std::f64::consts::SQRT_2).min(1.0);
    MannWhitney { u, z, p }
}

/// The complementary error function of `x >= 0`: Chebyshev fit with a relative error below
/// 1.2e-7 everywhere (Press et al., Numerical Recipes, 2nd ed., 6.2, `erfcc`).
fn erfc(x: f64) -> f64 {
    const FIT: [f64; 10] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ];
    let t = 1.0 / (1.0 + 0.5 * x);
    let sum = FIT.iter().fold(0.0, |sum, c| sum * t + c);
    t * (-x * x + sum).exp()
}

/// The hour of the week, 0 to 167, of a time in UTC; 0 is Monday from midnight. What happens every
/// Sunday night is to be compared with other Sunday nights.
pub const fn hour_of_week(at_ms: u64) -> u64 {
    const HOUR_MS: u64 = 3_600_000;
    // The epoch was a Thursday: three days after Monday.
    (at_ms / HOUR_MS + 3 * 24) % (7 * 24)
}

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

    #[test]
    fn erfc_as_tables_have_it() {
        // Abramowitz and Stegun, table 7.1 (erf).
        for (x, known) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_187),
            (1.0, 0.157_299_207_050),
            (2.0, 0.004_677_734_981),
            (3.0, 2.209_049_7e-5),
        ] {
            close(erfc(x) / known, 1.0, 1.3e-7);
        }
    }

    /// Hollander and Wolfe (1973), p. 69 f., permeability of membranes, as in R's manual of
    /// `wilcox.test`: W is 35. The exact two-sided p is 0.2544; the normal one is 0.2446.
    #[test]
    fn mann_whitney_as_published() {
        let x = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let y = [1.15, 0.88, 0.90, 0.74, 1.21];
        let found = mann_whitney(&x, &y);
        assert_eq!(found.u, 35.0);
        // z = (35 - 25 - 0.5) / sqrt(10 * 5 * 16 / 12)
        close(found.z, 9.5 / (800.0f64 / 12.0).sqrt(), 1e-12);
        close(found.p, 0.2446, 1e-4);
        let other = mann_whitney(&y, &x);
        assert_eq!(other.u, 15.0);
        close(other.p, found.p, 1e-12);
    }

    #[test]
    fn mann_whitney_with_ties_by_hand() {
        // Ranks: 1, 2.5, 2.5 | 5, 5, 5, 7. First sample {1, 2, 3}: 1 + 2.5 + 5 = 8.5, U = 2.5.
        let found = mann_whitney(&[1.0, 2.0, 3.0], &[2.0, 3.0, 3.0, 4.0]);
        assert_eq!(found.u, 2.5);
        // Ties: (8 - 2) + (27 - 3) = 30; variance = 12/12 * (8 - 30/42).
        close(found.z, -3.0 / (8.0f64 - 30.0 / 42.0).sqrt(), 1e-12);
        let same = mann_whitney(&[1.0; 30], &[1.0; 30]);
        assert_eq!((same.z, same.p), (0.0, 1.0));
    }

    fn ramp(n: usize, from: f64, step: f64) -> Vec<f64> {
        (0..n).map(|i| from + step * (i % 7) as f64).collect()
    }

    #[test]
    fn a_shift_must_be_unlikely_large_and_seen_often() {
        let before = ramp(40, 100.0, 0.5);
        let all = |after: &[f64], floor| compare(&before, after, Worse::Higher, floor);
        assert!(matches!(
            all(&ramp(19, 200.0, 0.5), 0.0),
            Comparison::NotEnough(NotEnough::Values { have: 19, need: 20 })
        ));
        let slower = ramp(20, 120.0, 0.5);
        assert!(matches!(all(&slower, 0.0), Comparison::Degraded(_)));
        // Certain, but small: within 10 %, or within the noise floor.
        assert!(matches!(all(&ramp(40, 108.0, 0.5), 0.0), Comparison::Same(e) if e.p < 1e-6));
        assert!(matches!(all(&slower, 25.0), Comparison::Same(_)));
        // Large, but chance: three quarters as before, and the median far off by a mixed rest.
        let mixed: Vec<f64> = (0..40)
            .map(|i| if i % 2 == 0 { 50.0 } else { 500.0 })
            .collect();
        assert!(matches!(all(&mixed, 0.0), Comparison::Same(e) if e.shift > 20.0 && e.p > 0.01));
        let faster = ramp(40, 50.0, 0.5);
        assert!(matches!(all(&faster, 0.0), Comparison::Better(_)));
        assert!(matches!(
            compare(&before, &faster, Worse::Lower, 0.0),
            Comparison::Degraded(_)
        ));
        assert!(matches!(
            compare(&before, &faster, Worse::Either, 0.0),
            Comparison::Degraded(_)
        ));
    }

    #[test]
    fn weeks_begin_on_monday() {
        // 1970-01-05 was a Monday.
        assert_eq!(hour_of_week(4 * DAY_MS), 0);
        assert_eq!(hour_of_week(0), 72);
        assert_eq!(hour_of_week(4 * DAY_MS - 1), 167);
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
        fn p_is_a_probability_and_sides_mirror(
            a in proptest::collection::vec(-9i8..9, 1..60),
            b in proptest::collection::vec(-9i8..9, 1..60),
        ) {
            let a: Vec<f64> = a.into_iter().map(f64::from).collect();
            let b: Vec<f64> = b.into_iter().map(f64::from).collect();
            let (one, two) = (mann_whitney(&a, &b), mann_whitney(&b, &a));
            prop_assert!((0.0..=1.0).contains(&one.p));
            prop_assert!((one.p - two.p).abs() < 1e-9);
            prop_assert!((one.u + two.u - (a.len() * b.len()) as f64).abs() < 1e-9);
            // U by its definition.
            let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x, y)));
            let u: f64 = pairs.map(|(x, y)| if x > y { 1.0 } else if x == y { 0.5 } else { 0.0 }).sum();
            prop_assert!((one.u - u).abs() < 1e-9);
        }

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
            compare(&values, &values, Worse::Either, f64::NAN);
            forecast(&trend(&daily(values)), 1.0, true);
        }
    }
}
