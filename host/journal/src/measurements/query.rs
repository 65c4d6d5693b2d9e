//! Questions to the measurements, on a connection that cannot write.

use super::error::{DbError, Result};
use super::file::open_reader;
use super::points::{known, range};
use super::schema::{MEASUREMENTS, tier_column};
use crate::schema::{column, number};
use keepwell_model::measure::{Point, Rollup, SeriesKey, Tier, quantiles};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows one answer holds: a chart shows fewer, and memory stays bounded. Longer ranges are read
/// from where the last answer ended, or from a coarser tier.
const ROWS_MAX: u64 = 100_000;
/// Points quantiles are made of, all in memory.
const QUANTILE_POINTS_MAX: u64 = 1_000_000;

/// Reads beside the writer, or without one.
#[derive(Debug)]
pub struct MeasurementReader {
    pub(super) db: Connection,
    pub(super) path: PathBuf,
}

/// A series as lists show it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesRow {
    pub key: SeriesKey,
    /// Points that are there one by one.
    pub points: u64,
}

impl MeasurementReader {
    pub fn open(dir: &Path) -> Result<Self> {
        Ok(Self {
            db: open_reader(dir, MEASUREMENTS)?,
            path: dir.join(MEASUREMENTS.name),
        })
    }

    /// All series, or those of one task (the empty name means the host's own), by name.
    pub fn series(&self, task: Option<&str>) -> Result<Vec<SeriesRow>> {
        let sql = "SELECT name, unit, labels, points FROM series \
                   WHERE ?1 IS NULL OR task = ?1 ORDER BY name, unit, labels LIMIT ?2";
        let rows = self.all(sql, params![task, column(ROWS_MAX)], |row| {
            let labels: String = row.get(2)?;
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                labels,
                row.get(3)?,
            ))
        })?;
        let read = |(name, unit, labels, points): (_, _, String, i64)| {
            let labels: BTreeMap<String, String> =
                serde_json::from_str(&labels).map_err(|e| self.broken(e.to_string()))?;
            let key = SeriesKey::new(name, unit, labels);
            Ok(SeriesRow {
                key: key.map_err(|e| self.broken(e.to_string()))?,
                points: number(points),
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// The newest point of a series, also when only its rollups are left.
    pub fn last(&self, series: &SeriesKey) -> Result<Option<Point>> {
        let Some(id) = self.id(series)? else {
            return Ok(None);
        };
        let sql = "SELECT last_at, last FROM rollups WHERE series = ?1 AND tier = ?2 \
                   ORDER BY bucket DESC LIMIT 1";
        let found = self
            .db
            .query_row(sql, params![id, tier_column(Tier::Day)], point)
            .optional();
        found.map_err(self.wrap("read the last point"))
    }

    /// Points from `from_ms` and before `to_ms`, oldest first, at most `limit` and never more
    /// than 100,000.
    pub fn points(
        &self,
        series: &SeriesKey,
        from_ms: u64,
        to_ms: u64,
        limit: u64,
    ) -> Result<Vec<Point>> {
        let (from, to) = range(from_ms, to_ms)?;
        let Some(id) = self.id(series)? else {
            return Ok(vec![]);
        };
        let sql = "SELECT at, value FROM points WHERE series = ?1 AND at >= ?2 AND at < ?3 \
                   ORDER BY at LIMIT ?4";
        self.all(sql, params![id, from, to, rows(limit)], point)
    }

    /// Buckets that begin from `from_ms` and before `to_ms`, oldest first, bounded as points are.
    pub fn rollups(
        &self,
        series: &SeriesKey,
        tier: Tier,
        from_ms: u64,
        to_ms: u64,
        limit: u64,
    ) -> Result<Vec<Rollup>> {
        let (from, to) = range(from_ms, to_ms)?;
        let Some(id) = self.id(series)? else {
            return Ok(vec![]);
        };
        let sql = "SELECT bucket, min, max, sum, count, last, last_at FROM rollups \
                   WHERE series = ?1 AND tier = ?2 AND bucket >= ?3 AND bucket < ?4 \
                   ORDER BY bucket LIMIT ?5";
        let values = params![id, tier_column(tier), from, to, rows(limit)];
        self.all(sql, values, |row| {
            Ok(Rollup {
                from_ms: number(row.get(0)?),
                min: row.get(1)?,
                max: row.get(2)?,
                sum: row.get(3)?,
                count: number(row.get(4)?),
                last: row.get(5)?,
                last_at_ms: number(row.get(6)?),
            })
        })
    }

    /// The largest value of each day of UTC, at its beginning: what a trend is drawn through.
    pub fn daily_maxima(&self, series: &SeriesKey, from_ms: u64, to_ms: u64) -> Result<Vec<Point>> {
        let days = self.rollups(series, Tier::Day, from_ms, to_ms, ROWS_MAX)?;
        let maximum = |day: &Rollup| Point {
            at_ms: day.from_ms,
            value: day.max,
        };
        Ok(days.iter().map(maximum).collect())
    }

    /// Quantiles of the points in a range; `None` when there are none.
    pub fn quantiles(
        &self,
        series: &SeriesKey,
        from_ms: u64,
        to_ms: u64,
        asked: &[f64],
    ) -> Result<Option<Vec<f64>>> {
        let (from, to) = range(from_ms, to_ms)?;
        let Some(id) = self.id(series)? else {
            return Ok(None);
        };
        let sql = "SELECT value FROM points WHERE series = ?1 AND at >= ?2 AND at < ?3 LIMIT ?4";
        let values = params![id, from, to, column(QUANTILE_POINTS_MAX + 1)];
        let values: Vec<f64> = self.all(sql, values, |row| row.get(0))?;
        if values.len() as u64 > QUANTILE_POINTS_MAX {
            return Err(DbError::TooMany {
                what: "the range",
                found: values.len() as u64,
                most: QUANTILE_POINTS_MAX,
            });
        }
        Ok(quantiles(values, asked))
    }

    /// What is wrong with the file, if anything is.
    pub(super) fn check(&self) -> Result<Option<String>> {
        let sql = "PRAGMA quick_check(1)";
        let said: rusqlite::Result<String> = self.db.query_row(sql, [], |row| row.get(0));
        let said = said.map_err(self.wrap("check the pages"))?;
        Ok((said != "ok").then_some(said))
    }

    fn id(&self, series: &SeriesKey) -> Result<Option<i64>> {
        let found = known(&self.db, series).map_err(self.wrap("find a series"))?;
        Ok(found.map(|(id, _)| id))
    }

    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let read = || -> rusqlite::Result<Vec<T>> {
            let mut rows = self.db.prepare_cached(sql)?;
            rows.query_map(params, row)?.collect()
        };
        read().map_err(self.wrap("read"))
    }

    pub(super) fn wrap(
        &self,
        doing: &'static str,
    ) -> impl FnOnce(rusqlite::Error) -> DbError + use<> {
        DbError::sqlite(doing, &self.path)
    }

    pub(super) fn broken(&self, why: String) -> DbError {
        let path = self.path.clone();
        DbError::Broken { path, why }
    }
}

fn rows(limit: u64) -> i64 {
    column(limit.min(ROWS_MAX))
}

/// Of a row with a time and a value.
pub(super) fn point(row: &Row<'_>) -> rusqlite::Result<Point> {
    Ok(Point {
        at_ms: number(row.get(0)?),
        value: row.get(1)?,
    })
}
