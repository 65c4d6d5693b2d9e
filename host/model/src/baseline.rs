//! Is it worse than it was: comparison with a baseline. No I/O, no clock.
//!
//! A shift counts when it is unlikely to be chance (Mann-Whitney, p < 0.01), large enough to
//! matter (medians differ by more than 10 % and the noise floor), and seen often enough (20 values
//! on each side).

use crate::measure::median;
use serde::{Deserialize, Serialize};

/// Fewer values than this on either side say nothing, and the normal approximation needs them.
pub const COMPARE_MIN: usize = 20;
/// Chance must be less likely than this.
pub const P_MAX: f64 = 0.01;
/// A shift below this share of the baseline's median is not worth a person's attention.
pub const EFFECT_MIN: f64 = 0.10;
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

impl std::fmt::Display for NotEnough {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Values { have, need } => write!(f, "{have} values of the {need} it takes"),
            Self::Points { have, need } => write!(f, "{have} points of the {need} it takes"),
            Self::Days { have, need } => write!(f, "{have:.1} days of the {need:.0} it takes"),
        }
    }
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
    // Not a number where a sample is empty.
    let decides = variance > 0.0 && off != 0.0;
    if !decides {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::DAY_MS;
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
        fn no_numbers_make_it_panic(values in proptest::collection::vec(proptest::num::f64::ANY, 0..40)) {
            compare(&values, &values, Worse::Either, f64::NAN);
        }
    }
}
