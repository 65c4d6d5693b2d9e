//! Measurements as the host uses them: points, rollups, queries, retention.

use keepwell_journal::ErrorKind;
use keepwell_journal::measurements::{
    Added, BadRetention, MeasurementReader, Measurements, Retention, Sample,
};
use keepwell_model::measure::{DAY_MS, Point, Rollup, SeriesKey, Tier};
use keepwell_model::units::{Bytes, Span};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub(crate) const NOW: u64 = 100 * DAY_MS;
pub(crate) const MINUTE: u64 = 60_000;

pub(crate) fn fresh() -> (tempfile::TempDir, Measurements) {
    let dir = tempfile::tempdir().unwrap();
    let measurements = Measurements::open(dir.path()).unwrap();
    (dir, measurements)
}

pub(crate) fn series(name: &str) -> SeriesKey {
    SeriesKey::new(name, "seconds", []).unwrap()
}

pub(crate) fn sample(series: &SeriesKey, at_ms: u64, value: f64) -> Sample {
    Sample {
        series: series.clone(),
        point: Point { at_ms, value },
    }
}

/// One point a minute, `n` of them.
pub(crate) fn minutes(series: &SeriesKey, from_ms: u64, n: u64) -> Vec<Sample> {
    (0..n)
        .map(|i| sample(series, from_ms + i * MINUTE, (i % 7) as f64))
        .collect()
}

fn keeps_all() -> Retention {
    Retention {
        points: Span::secs(u64::from(u32::MAX)),
        five_minutes: Span::secs(u64::from(u32::MAX)),
        hours: Span::secs(u64::from(u32::MAX)),
        days: Span::secs(u64::from(u32::MAX)),
        points_max: u64::MAX,
        ..Retention::default()
    }
}

/// Every bucket there is holds exactly `points`.
pub(crate) fn assert_rolled_up(reader: &MeasurementReader, key: &SeriesKey, points: &[Point]) {
    for tier in Tier::ALL {
        let mut expected: BTreeMap<u64, Rollup> = BTreeMap::new();
        for point in points {
            let one = Rollup::of(tier, *point);
            expected
                .entry(one.from_ms)
                .and_modify(|all| all.add(&one))
                .or_insert(one);
        }
        let found = reader.rollups(key, tier, 0, u64::MAX, u64::MAX).unwrap();
        assert_eq!(
            found,
            expected.into_values().collect::<Vec<_>>(),
            "{tier:?}"
        );
    }
}

#[test]
fn what_is_added_is_found() {
    let (dir, m) = fresh();
    let key = series("latency");
    let day = 90 * DAY_MS;
    let added = m.add(&minutes(&key, day, 2 * 1_440), NOW).unwrap();
    assert_eq!(added.stored, 2 * 1_440);
    m.add(&[sample(&key, day + 90 * MINUTE + 1, 50.0)], NOW)
        .unwrap();
    let reader = m.reader().unwrap();
    let some = reader.points(&key, day, day + 10 * MINUTE, 100).unwrap();
    assert_eq!(some.len(), 10);
    assert_eq!(reader.points(&key, day, u64::MAX, 3).unwrap().len(), 3);
    assert_eq!(
        reader.daily_maxima(&key, 0, u64::MAX).unwrap(),
        [
            Point {
                at_ms: day,
                value: 50.0
            },
            Point {
                at_ms: day + DAY_MS,
                value: 6.0
            }
        ]
    );
    let last = reader.last(&key).unwrap().unwrap();
    assert_eq!(last.at_ms, day + (2 * 1_440 - 1) * MINUTE);
    let quartiles = reader.quantiles(&key, day, day + 7 * MINUTE, &[0.0, 0.5, 1.0]);
    assert_eq!(quartiles.unwrap(), Some(vec![0.0, 3.0, 6.0]));
    assert_eq!(reader.quantiles(&key, 0, 1, &[0.5]).unwrap(), None);
    assert_eq!(reader.last(&series("other")).unwrap(), None);
    assert_eq!(reader.series(Some("")).unwrap()[0].key, key);
    let all = reader.points(&key, 0, u64::MAX, u64::MAX).unwrap();
    assert_rolled_up(&reader, &key, &all);
    // And again after opening.
    drop((reader, m));
    let m = Measurements::open(dir.path()).unwrap();
    assert_eq!(m.take_replaced(), None);
    assert_eq!(m.reader().unwrap().last(&key).unwrap(), Some(last));
}

#[test]
fn a_point_counts_once_and_a_bad_one_not_at_all() {
    let (_dir, m) = fresh();
    let key = series("latency");
    let twice = [sample(&key, 5, 1.0), sample(&key, 5, 2.0)];
    let added = m.add(&twice, NOW).unwrap();
    assert_eq!((added.stored, added.known), (1, 1));
    assert_eq!(m.add(&twice, NOW).unwrap().known, 2);
    let bad = [
        sample(&key, 6, f64::NAN),
        sample(&key, NOW + 6 * MINUTE, 1.0),
        sample(&key, 7, 1.0),
    ];
    let added = m.add(&bad, NOW).unwrap();
    assert_eq!((added.stored, added.refused), (1, 2));
    assert!(added.why.unwrap().to_string().contains("NaN"));
    let reader = m.reader().unwrap();
    let all = reader.points(&key, 0, u64::MAX, u64::MAX).unwrap();
    assert_eq!(all.len(), 2);
    assert_rolled_up(&reader, &key, &all);
}

#[test]
fn a_task_that_invents_series_is_stopped_and_others_are_not() {
    let (_dir, m) = fresh();
    let many: Vec<Sample> = (0..1_500)
        .map(|n| {
            let key = SeriesKey::of_task("loud", &format!("m{n}"), "count", &[]).unwrap();
            sample(&key, 5, 1.0)
        })
        .collect();
    let added = m.add(&many, NOW).unwrap();
    assert_eq!((added.stored, added.crowded), (1_000, 500));
    let quiet = SeriesKey::of_task("quiet", "m", "count", &[]).unwrap();
    assert_eq!(m.add(&[sample(&quiet, 5, 1.0)], NOW).unwrap().stored, 1);
    // What is known goes on.
    let known = SeriesKey::of_task("loud", "m0", "count", &[]).unwrap();
    assert_eq!(m.add(&[sample(&known, 6, 1.0)], NOW).unwrap().stored, 1);
    assert_eq!(
        m.reader().unwrap().series(Some("loud")).unwrap().len(),
        1_000
    );
}

#[test]
fn retention_removes_by_age_and_count_and_rollups_stay() {
    let (_dir, m) = fresh();
    let (one, two) = (series("one"), series("two"));
    let from = NOW - 20 * DAY_MS;
    m.add(&minutes(&one, from, 20 * 1_440), NOW).unwrap();
    m.add(&minutes(&two, NOW - DAY_MS, 1_440), NOW).unwrap();
    let keep = Retention {
        points_max: 1_000,
        five_minutes: Span::secs(15 * 86_400),
        ..Retention::default()
    };
    let swept = m.sweep(&keep, NOW, &|| false).unwrap();
    assert_eq!(swept.points, 19 * 1_440 + 440 + 440);
    assert_eq!(swept.rollups, 5 * 288);
    assert!(swept.batches > 3 && !swept.stopped);
    let reader = m.reader().unwrap();
    for key in [&one, &two] {
        let kept = reader.points(key, 0, u64::MAX, u64::MAX).unwrap();
        assert_eq!(kept.len(), 1_000);
        assert_eq!(kept.last().unwrap().at_ms, NOW - MINUTE);
    }
    let hours = reader.rollups(&one, Tier::Hour, 0, u64::MAX, u64::MAX);
    assert_eq!(
        hours.unwrap().iter().map(|h| h.count).sum::<u64>(),
        20 * 1_440
    );
    // What was removed does not come back to be counted twice.
    let late = m.add(&minutes(&one, from, 20), NOW).unwrap();
    assert_eq!((late.stored, late.late), (0, 20));
    let again = m.sweep(&keep, NOW, &|| false).unwrap();
    assert_eq!((again.points, again.rollups, again.batches), (0, 0, 0));
    // In the end nothing is left of a series, and the last value goes with it.
    let later = m.sweep(&keep, NOW + 11 * 366 * DAY_MS, &|| false).unwrap();
    assert_eq!(later.series, 2);
    assert_eq!(reader.last(&one).unwrap(), None);
}

#[test]
fn retention_by_bytes_takes_from_the_longest_and_gives_space_back() {
    let (dir, m) = fresh();
    let (long, short) = (series("long"), series("short"));
    let seconds: Vec<Sample> = (0..60_000)
        .map(|n| sample(&long, NOW - DAY_MS + n * 1_000, 1.0))
        .collect();
    m.add(&seconds, NOW).unwrap();
    m.add(&minutes(&short, NOW - DAY_MS, 500), NOW).unwrap();
    let mut keep = keeps_all();
    keep.bytes = Bytes(600 << 10);
    let swept = m.sweep(&keep, NOW, &|| false).unwrap();
    assert!(swept.bytes <= keep.bytes.0, "{swept:?}");
    let reader = m.reader().unwrap();
    let count = |key| reader.points(key, 0, u64::MAX, u64::MAX).unwrap().len();
    assert_eq!(count(&short), 500);
    assert!((1_000..60_000).contains(&count(&long)), "{swept:?}");
    drop((reader, m));
    // Closed, the log is folded into the file; a megabyte of free pages may stay.
    let length = std::fs::metadata(dir.path().join("measurements.db"));
    let length = length.unwrap().len();
    assert!(length < (600 << 10) + (1 << 20), "{length}");
    // Rollups go when there are no points left to give.
    let m = Measurements::open(dir.path()).unwrap();
    m.add(&minutes(&series("many"), NOW - 30 * DAY_MS, 20_000), NOW)
        .unwrap();
    keep.bytes = Bytes(200 << 10);
    let swept = m.sweep(&keep, NOW, &|| false).unwrap();
    assert!(
        swept.rollups > 0 && swept.bytes <= keep.bytes.0,
        "{swept:?}"
    );
    assert!(m.reader().unwrap().last(&long).unwrap().is_some());
}

#[test]
fn a_sweep_stops_when_told_and_goes_on_later() {
    let (_dir, m) = fresh();
    let key = series("long");
    m.add(&minutes(&key, NOW - 60 * DAY_MS, 20_000), NOW)
        .unwrap();
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 5
    };
    let keep = Retention::default();
    let first = m.sweep(&keep, NOW, &stop).unwrap();
    assert!(first.stopped && first.points > 0 && first.points < 20_000);
    let second = m.sweep(&keep, NOW, &|| false).unwrap();
    assert_eq!(first.points + second.points, 20_000);
}

#[test]
fn others_write_while_a_sweep_goes_on() {
    let (_dir, m) = fresh();
    let (old, new) = (series("old"), series("new"));
    m.add(&minutes(&old, NOW - 90 * DAY_MS, 100_000), NOW)
        .unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let slowest = std::thread::scope(|scope| {
        let sweeping = scope.spawn(|| {
            let swept = m.sweep(&Retention::default(), NOW, &|| false);
            done.store(true, std::sync::atomic::Ordering::Release);
            swept.unwrap()
        });
        let mut waits = vec![];
        let mut at = NOW - DAY_MS;
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            let since = std::time::Instant::now();
            m.add(&[sample(&new, at, 1.0)], NOW).unwrap();
            waits.push(since.elapsed());
            at += 1;
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(sweeping.join().unwrap().points > 0);
        waits.sort_unstable();
        assert!(waits.len() > 10, "the sweep was over at once");
        waits[waits.len() * 9 / 10]
    });
    // The bench measures; here a busy machine shall not fail. Without batches it is seconds.
    assert!(slowest.as_millis() < 100, "{slowest:?}");
}

#[test]
fn a_retention_must_make_sense() {
    assert_eq!(Retention::default().check(), Ok(()));
    let odd = Retention {
        hours: Span::secs(60),
        ..Retention::default()
    };
    assert!(matches!(
        odd.check(),
        Err(BadRetention::Order {
            finer: "five-minutes",
            coarser: "hours"
        })
    ));
    let tiny = Retention {
        bytes: Bytes(4_096),
        ..Retention::default()
    };
    assert!(matches!(tiny.check(), Err(BadRetention::Bytes { .. })));
}

#[test]
fn one_process_writes_and_nothing_is_made_by_reading() {
    let (dir, m) = fresh();
    let busy = Measurements::open(dir.path()).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
    drop(m);
    Measurements::open(dir.path()).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let none = MeasurementReader::open(empty.path()).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Add(Vec<(u32, i8)>),
    Sweep { keep_minutes: u64, most: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let points = proptest::collection::vec((0..20_000u32, any::<i8>()), 0..60);
    let step = prop_oneof![
        3 => points.prop_map(Step::Add),
        1 => (1..400u64, 1..50u64).prop_map(|(keep_minutes, most)| Step::Sweep { keep_minutes, most }),
    ];
    proptest::collection::vec(step, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rollups_agree_with_every_point_ever_stored(steps in steps()) {
        let (_dir, m) = fresh();
        let key = series("any");
        // Twenty thousand seconds, up to now.
        let begin = NOW - 20_000_000;
        let mut ever: BTreeMap<u64, f64> = BTreeMap::new();
        let mut there: BTreeMap<u64, f64> = BTreeMap::new();
        let mut floor = None;
        for step in steps {
            match step {
                Step::Add(points) => {
                    let mut expected = Added::default();
                    let mut samples = vec![];
                    for (second, value) in points {
                        let at = begin + u64::from(second) * 1_000;
                        samples.push(sample(&key, at, f64::from(value)));
                        if floor.is_some_and(|floor| at <= floor) {
                            expected.late += 1;
                        } else if let Entry::Vacant(free) = there.entry(at) {
                            expected.stored += 1;
                            free.insert(f64::from(value));
                            ever.insert(at, f64::from(value));
                        } else {
                            expected.known += 1;
                        }
                    }
                    prop_assert_eq!(m.add(&samples, NOW).unwrap(), expected);
                }
                Step::Sweep { keep_minutes, most } => {
                    let mut keep = keeps_all();
                    keep.points = Span::secs(keep_minutes * 60);
                    keep.points_max = most;
                    let before = NOW - keep_minutes * MINUTE;
                    let count = there.len();
                    while there.len() as u64 > most || there.keys().next().is_some_and(|at| *at < before) {
                        floor = floor.max(there.pop_first().map(|(at, _)| at));
                    }
                    let swept = m.sweep(&keep, NOW, &|| false).unwrap();
                    prop_assert_eq!(swept.points as usize, count - there.len());
                }
            }
            let reader = m.reader().unwrap();
            let listed = |map: &BTreeMap<u64, f64>| -> Vec<Point> {
                map.iter().map(|(at, value)| Point { at_ms: *at, value: *value }).collect()
            };
            prop_assert_eq!(reader.points(&key, 0, u64::MAX, u64::MAX).unwrap(), listed(&there));
            assert_rolled_up(&reader, &key, &listed(&ever));
            prop_assert_eq!(reader.last(&key).unwrap(), listed(&ever).last().copied());
        }
    }
}
