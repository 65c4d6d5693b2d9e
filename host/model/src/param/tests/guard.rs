//! Guards: what breaks one, what silence means, and guards of earlier journals.

use super::*;

pub(super) fn heard(series: &str, readings: &[(u64, f64)]) -> Heard {
    let reading = |(s, value): &(u64, f64)| Reading {
        at_ms: s * 1000,
        value: *value,
    };
    Heard {
        series: series.into(),
        readings: readings.iter().map(reading).collect(),
    }
}

pub(super) const fn breach(value: f64) -> Verdict {
    Verdict::Breached { value, series: 0 }
}

#[test]
fn a_guard_breaks_only_after_its_time_and_only_on_what_it_heard() {
    let guard = swappiness().guard.unwrap();
    let told = |readings: &[(u64, f64)], now: u64| {
        guard.verdict(&[heard("", readings)], 100_000, now * 1000)
    };
    assert_eq!(told(&[], 200), Verdict::Unknown);
    assert_eq!(told(&[(50, 0.9)], 110), Verdict::Unknown, "before it");
    assert_eq!(told(&[(110, 0.1)], 120), Verdict::Holds);
    assert_eq!(told(&[(110, 0.9), (170, 0.9)], 171), Verdict::Wavers);
    let bad = [(110, 0.9), (170, 0.9), (230, 0.9)];
    assert_eq!(told(&bad, 231), breach(0.9));
    let paused = [(110, 0.9), (170, 0.5), (230, 0.9)];
    assert_eq!(told(&paused, 231), Verdict::Wavers);
    assert_eq!(told(&[(110, f64::NAN)], 111), Verdict::Wavers);
    assert_eq!(told(&[(110, 0.1), (900, 0.9)], 111), Verdict::Holds);
}

#[test]
fn silence_is_a_breach_or_unknown_as_declared() {
    let loud = swappiness().guard.unwrap();
    let quiet = Guard {
        silent: Silent::Unknown,
        ..loud.clone()
    };
    let told = |guard: &Guard, readings: &[(u64, f64)], now: u64| {
        guard.verdict(&[heard("", readings)], 100_000, now * 1000)
    };
    for (readings, now, for_ms) in [
        (&[][..], 221, 121_000),
        (&[(50, 0.1)], 221, 121_000),
        (&[(110, 0.1)], 231, 121_000),
        // The last word of what has gone silent since is not heard, good or bad.
        (&[(110, 0.9)], 300, 190_000),
    ] {
        assert_eq!(told(&loud, readings, now), Verdict::Silent { for_ms });
        assert_eq!(told(&quiet, readings, now), Verdict::Unknown);
    }
    for guard in [&loud, &quiet] {
        assert_eq!(told(guard, &[], 220), Verdict::Unknown, "not yet");
        assert_eq!(told(guard, &[(110, 0.1)], 230), Verdict::Holds);
    }
    let said = loud.figures(&[], Verdict::Silent { for_ms: 121_900 });
    let known = "`stall` is to be measured every 2m, and was not for 2m1s";
    assert_eq!(said.as_deref(), Some(known));
}

#[test]
fn of_several_series_each_must_hold() {
    let mut guard = swappiness().guard.unwrap();
    guard.task = Some(crate::id::TaskName::new("disk-check").unwrap());
    let good = heard("mount=/", &[(110, 0.1), (230, 0.1)]);
    let bad = heard("mount=/srv", &[(110, 0.9), (230, 0.9)]);
    let gone = heard("mount=/old", &[(50, 0.9)]);
    let told = |all: &[Heard]| guard.verdict(all, 100_000, 240_000);
    let all = [good.clone(), gone.clone(), bad];
    let verdict = told(&all);
    assert_eq!(
        verdict,
        Verdict::Breached {
            value: 0.9,
            series: 2
        }
    );
    assert_eq!(
        guard.figures(&all, verdict).unwrap(),
        "`stall` of task `disk-check` may be at most 0.5 (mount=/srv), and it was 0.9 for 2m"
    );
    assert_eq!(told(&[good.clone(), gone.clone()]), Verdict::Holds);
    let wavers = heard("", &[(230, 0.9)]);
    assert_eq!(told(&[wavers, good]), Verdict::Wavers);
    assert_eq!(told(&[gone]), Verdict::Silent { for_ms: 140_000 });
}

/// A guard that was journaled before guards could name a task reads as it was meant.
#[test]
fn a_guard_of_an_earlier_journal_is_read() {
    let old = r#"{"metric":"cpu-pressure","bound":{"most":"0.8"},"lasting":"2m"}"#;
    let guard: Guard = serde_json::from_str(old).unwrap();
    assert_eq!((guard.task, guard.every), (None, GUARD_EVERY_DEFAULT));
}
