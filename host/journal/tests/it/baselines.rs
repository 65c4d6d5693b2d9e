//! Baselines: versions, comparison, and that none follows what degrades.

use crate::measurements::{MINUTE, NOW, fresh, minutes, series};
use keepwell_journal::measurements::{BaselineRequest, Proposed, Sample};
use keepwell_model::baseline::{Comparison, Worse};
use keepwell_model::measure::{DAY_MS, SeriesKey};

fn request(key: &SeriesKey, from_ms: u64, to_ms: u64) -> BaselineRequest {
    BaselineRequest {
        name: "calm".into(),
        series: key.clone(),
        from_ms,
        to_ms,
        worse: Worse::Higher,
        noise_floor: 0.0,
        actor: "operator".into(),
    }
}

fn shifted(key: &SeriesKey, from_ms: u64, by: f64) -> Vec<Sample> {
    let mut all = minutes(key, from_ms, 60);
    for sample in &mut all {
        sample.point.value += by;
    }
    all
}

#[test]
fn a_baseline_has_versions_and_never_follows_what_degrades() {
    let (_dir, m) = fresh();
    let key = series("latency");
    let hour = 60 * MINUTE;
    let at = |n: u64| NOW - DAY_MS + n * hour;
    let made = |n| {
        m.make_baseline(&request(&key, at(n), at(n + 1)), NOW)
            .unwrap()
    };
    m.add(&minutes(&key, at(0), 19), NOW).unwrap();
    assert!(matches!(made(0), Proposed::NotEnough(_)));
    m.add(&shifted(&key, at(1), 100.0), NOW).unwrap();
    assert!(matches!(made(1), Proposed::Made(b) if b.version == 1 && b.samples.len() == 60));
    // Each a little worse than the last: judged by the first, too.
    m.add(&shifted(&key, at(2), 108.0), NOW).unwrap();
    assert!(matches!(made(2), Proposed::Made(b) if b.version == 2));
    m.add(&shifted(&key, at(3), 116.0), NOW).unwrap();
    assert!(matches!(made(3), Proposed::Degraded(e) if e.before < 104.0));
    let reader = m.reader().unwrap();
    assert_eq!(reader.baseline("calm").unwrap().unwrap().version, 2);
    assert_eq!(reader.baseline("other").unwrap(), None);
    let verdict = |n, hour| {
        reader
            .compare("calm", at(n), at(n + 1), hour)
            .unwrap()
            .unwrap()
    };
    assert!(matches!(verdict(3, None), Comparison::Same(_)));
    m.add(&shifted(&key, at(4), 160.0), NOW).unwrap();
    assert!(matches!(verdict(4, None), Comparison::Degraded(_)));
    m.add(&shifted(&key, at(5), 10.0), NOW).unwrap();
    assert!(matches!(verdict(5, None), Comparison::Better(_)));
    // Another hour of the week has no values in the baseline.
    assert!(matches!(verdict(4, Some(0)), Comparison::NotEnough(_)));
    let other = request(&series("other"), at(1), at(2));
    m.add(&shifted(&series("other"), at(1), 0.0), NOW).unwrap();
    assert_eq!(m.make_baseline(&other, NOW).unwrap(), Proposed::Taken);
    assert!(m.forget_baseline("calm").unwrap() && !m.forget_baseline("calm").unwrap());
}

#[test]
fn old_versions_of_a_baseline_go_and_the_first_stays() {
    let (dir, m) = fresh();
    let key = series("latency");
    m.add(&shifted(&key, NOW - DAY_MS, 100.0), NOW).unwrap();
    for _ in 0..40 {
        let made = m.make_baseline(&request(&key, 0, NOW), NOW).unwrap();
        assert!(matches!(made, Proposed::Made(_)));
    }
    drop(m);
    let db = rusqlite::Connection::open(dir.path().join("measurements.db")).unwrap();
    let sql = "SELECT count(*), min(version), max(version) FROM baselines";
    let found: (i64, i64, i64) = db
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    assert_eq!(found, (32, 1, 40));
}
