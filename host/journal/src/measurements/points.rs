//! Taking in points, and rolling them up in the same transaction.

use super::Measurements;
use super::error::{DbError, Result};
use super::schema::tier_column;
use crate::schema::column;
use keepwell_model::measure::{BadMeasurement, Point, Rollup, SeriesKey, TIME_MAX_MS, Tier};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeMap;

/// Points in one transaction: a few milliseconds, so that nobody waits for long.
const ADD_AT_ONCE: usize = 1_000;
/// Series of all tasks together. Names and labels come from guests: one that invents a new label
/// each time must not fill the disk with series of one point.
const SERIES_MAX: u64 = 20_000;
/// Series of one task, so that one cannot use up what is for all.
const SERIES_OF_TASK_MAX: u64 = 1_000;

/// A point of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub series: SeriesKey,
    pub point: Point,
}

/// What became of the points that were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Added {
    pub stored: u64,
    /// There was a point at this time already; the first stays.
    pub known: u64,
    /// Older than what retention has removed of the series.
    pub late: u64,
    /// Of a new series beyond the number that is kept.
    pub crowded: u64,
    /// No values, or from the future.
    pub refused: u64,
    /// Why the first of them was refused.
    pub why: Option<BadMeasurement>,
}

impl Measurements {
    /// Takes in points, in transactions of a thousand. After an error those before it are in, and
    /// giving all again counts none twice.
    pub fn add(&self, samples: &[Sample], now_ms: u64) -> Result<Added> {
        let mut added = Added::default();
        for batch in samples.chunks(ADD_AT_ONCE) {
            let part = self.write("add points", |db| add(db, batch, now_ms))?;
            added.stored += part.stored;
            added.known += part.known;
            added.late += part.late;
            added.crowded += part.crowded;
            added.refused += part.refused;
            added.why = added.why.or(part.why);
        }
        Ok(added)
    }
}

/// Adds within a transaction.
pub(super) fn add(db: &Connection, samples: &[Sample], now_ms: u64) -> rusqlite::Result<Added> {
    let mut added = Added::default();
    let mut by_series: BTreeMap<&SeriesKey, Vec<Point>> = BTreeMap::new();
    for sample in samples {
        match sample.point.check(now_ms) {
            Ok(()) => by_series
                .entry(&sample.series)
                .or_default()
                .push(sample.point),
            Err(why) => {
                added.refused += 1;
                added.why.get_or_insert(why);
            }
        }
    }
    for (key, points) in by_series {
        match known(db, key)? {
            Some((id, floor)) => put(db, id, floor, &points, &mut added)?,
            None if crowded(db, key)? => added.crowded += points.len() as u64,
            None => put(db, make(db, key)?, NO_FLOOR, &points, &mut added)?,
        }
    }
    Ok(added)
}

/// The floor of a series of which nothing was removed.
const NO_FLOOR: i64 = -1;

/// The canonical text of a series' labels.
pub(super) fn labels_column(key: &SeriesKey) -> String {
    // A map of texts always has a JSON form.
    serde_json::to_string(key.labels()).unwrap_or_default()
}

/// Number and floor of a series.
pub(super) fn known(db: &Connection, key: &SeriesKey) -> rusqlite::Result<Option<(i64, i64)>> {
    let sql = "SELECT id, floor FROM series WHERE name = ?1 AND unit = ?2 AND labels = ?3";
    db.prepare_cached(sql)?
        .query_row([key.name(), key.unit(), &labels_column(key)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
}

fn crowded(db: &Connection, key: &SeriesKey) -> rusqlite::Result<bool> {
    let all: i64 = db
        .prepare_cached("SELECT count(*) FROM series")?
        .query_row([], |row| row.get(0))?;
    let own: i64 = db
        .prepare_cached("SELECT count(*) FROM series WHERE task = ?1")?
        .query_row([key.task()], |row| row.get(0))?;
    // The host's own series are as many as it is written to have.
    let full = !key.task().is_empty() && own >= column(SERIES_OF_TASK_MAX);
    Ok(full || all >= column(SERIES_MAX))
}

fn make(db: &Connection, key: &SeriesKey) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO series(task, name, unit, labels, points, floor) VALUES (?1, ?2, ?3, ?4, 0, ?5)";
    db.prepare_cached(sql)?.insert(params![
        key.task(),
        key.name(),
        key.unit(),
        labels_column(key),
        NO_FLOOR
    ])
}

/// Stores the points of one series, and adds those that are new to their buckets.
fn put(
    db: &Connection,
    id: i64,
    floor: i64,
    points: &[Point],
    added: &mut Added,
) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO points VALUES (?1, ?2, ?3)")?;
    let mut buckets: BTreeMap<(i64, u64), Rollup> = BTreeMap::new();
    let mut stored = 0;
    for point in points {
        if column(point.at_ms) <= floor {
            added.late += 1;
            continue;
        }
        if insert.execute(params![id, column(point.at_ms), point.value])? == 0 {
            added.known += 1;
            continue;
        }
        stored += 1;
        for tier in Tier::ALL {
            let one = Rollup::of(tier, *point);
            buckets
                .entry((tier_column(tier), one.from_ms))
                .and_modify(|all| all.add(&one))
                .or_insert(one);
        }
    }
    let mut merge = db.prepare_cached(
        "INSERT INTO rollups VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT(series, tier, bucket) DO UPDATE SET \
         min = min(min, excluded.min), max = max(max, excluded.max), \
         sum = sum + excluded.sum, count = count + excluded.count, \
         last = CASE WHEN excluded.last_at > last_at THEN excluded.last ELSE last END, \
         last_at = max(last_at, excluded.last_at)",
    )?;
    for ((tier, bucket), all) in buckets {
        merge.execute(params![
            id,
            tier,
            column(bucket),
            all.min,
            all.max,
            all.sum,
            column(all.count),
            all.last,
            column(all.last_at_ms),
        ])?;
    }
    let sql = "UPDATE series SET points = points + ?2 WHERE id = ?1";
    db.prepare_cached(sql)?
        .execute(params![id, column(stored)])?;
    added.stored += stored;
    Ok(())
}

/// A range of time as columns have it: from `from_ms`, before `to_ms`.
pub(super) fn range(from_ms: u64, to_ms: u64) -> Result<(i64, i64), DbError> {
    if from_ms > TIME_MAX_MS {
        return Err(BadMeasurement::Time { at_ms: from_ms }.into());
    }
    Ok((column(from_ms), column(to_ms)))
}
