//! Baselines: how a series was in a window that was clean, by name and version.

use super::Measurements;
use super::error::Result;
use super::findings::severity_column;
use super::points::{known, labels_column, range};
use super::query::{MeasurementReader, point};
use crate::schema::{column, number};
use keepwell_model::baseline::{
    COMPARE_MIN, Comparison, Evidence, NotEnough, Worse, compare, hour_of_week,
};
use keepwell_model::measure::{Point, SeriesKey};
use keepwell_model::words::Severity;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// Points a baseline keeps; of more, every so-manieth. Enough for a median to a few per cent and
/// for ten in each hour of the week.
const SAMPLES_MAX: usize = 2_000;
/// Points read of a window, or of what is compared: a quarter of a year of minutes.
const WINDOW_MAX: i64 = 130_000;
/// Versions kept of a baseline: the first, and the newest of the others.
const VERSIONS_MAX: u64 = 32;
/// Names of baselines. Operators give them; more than these nobody compares with.
const BASELINES_MAX: i64 = 1_000;
/// A time and a value, little endian.
const SAMPLE_BYTES: usize = 16;

/// From what a baseline is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineRequest {
    pub name: String,
    pub series: SeriesKey,
    pub from_ms: u64,
    pub to_ms: u64,
    pub worse: Worse,
    /// In the series' unit: smaller shifts are how it is measured, not how it is.
    pub noise_floor: f64,
    /// Who wants it.
    pub actor: String,
}

/// One version of a baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    pub name: String,
    pub version: u64,
    pub from_ms: u64,
    pub to_ms: u64,
    pub made_ms: u64,
    pub actor: String,
    pub worse: Worse,
    pub noise_floor: f64,
    pub samples: Vec<Point>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Proposed {
    Made(Baseline),
    NotEnough(NotEnough),
    /// Something was wrong within the window: a critical finding of any task, or a warning of the
    /// series' own.
    NotClean {
        task: String,
        id: String,
        subject: String,
    },
    /// Worse than the version before, or than the first: a baseline that follows what degrades
    /// hides it. A new normal that is meant gets a new name.
    Degraded(Evidence),
    /// The name belongs to another series.
    Taken,
    /// There are as many baselines as are kept.
    Crowded,
}

impl Measurements {
    /// Makes the next version of a baseline, if the window is clean and not worse than before.
    pub fn make_baseline(&self, request: &BaselineRequest, now_ms: u64) -> Result<Proposed> {
        let window = range(request.from_ms, request.to_ms)?;
        self.write("make a baseline", |db| propose(db, request, window, now_ms))
    }

    /// Forgets all versions of a baseline; whether there were any.
    pub fn forget_baseline(&self, name: &str) -> Result<bool> {
        self.write("forget a baseline", |db| {
            db.execute("DELETE FROM baselines WHERE name = ?1", [name])
        })
        .map(|gone| gone > 0)
    }
}

fn propose(
    db: &Connection,
    request: &BaselineRequest,
    window: (i64, i64),
    now_ms: u64,
) -> rusqlite::Result<Proposed> {
    let points = read(db, &request.series, window)?;
    if points.len() < COMPARE_MIN {
        let (have, need) = (points.len(), COMPARE_MIN);
        return Ok(Proposed::NotEnough(NotEnough::Values { have, need }));
    }
    if let Some((task, id, subject)) = spoiled(db, request.series.task(), window)? {
        return Ok(Proposed::NotClean { task, id, subject });
    }
    let first = stored(db, &request.name, Which::First)?;
    let newest = stored(db, &request.name, Which::Newest)?;
    if first
        .as_ref()
        .is_some_and(|(of, _)| *of != series_column(&request.series))
    {
        return Ok(Proposed::Taken);
    }
    for (_, old) in [&first, &newest].into_iter().flatten() {
        let verdict = compare(
            &values(&old.samples),
            &values(&points),
            request.worse,
            request.noise_floor,
        );
        if let Comparison::Degraded(evidence) = verdict {
            return Ok(Proposed::Degraded(evidence));
        }
    }
    let sql = "SELECT count(DISTINCT name) FROM baselines";
    let names: i64 = db.query_row(sql, [], |row| row.get(0))?;
    if first.is_none() && names >= BASELINES_MAX {
        return Ok(Proposed::Crowded);
    }
    let baseline = Baseline {
        name: request.name.clone(),
        version: newest.map_or(1, |(_, old)| old.version + 1),
        from_ms: request.from_ms,
        to_ms: request.to_ms,
        made_ms: now_ms,
        actor: request.actor.clone(),
        worse: request.worse,
        noise_floor: request.noise_floor,
        samples: thinned(&points),
    };
    insert(db, &request.series, &baseline)?;
    Ok(Proposed::Made(baseline))
}

fn insert(db: &Connection, series: &SeriesKey, baseline: &Baseline) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO baselines VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            baseline.name,
            column(baseline.version),
            series_column(series),
            baseline.worse.as_str(),
            baseline.noise_floor,
            column(baseline.from_ms),
            column(baseline.to_ms),
            column(baseline.made_ms),
            baseline.actor,
            packed(&baseline.samples),
        ],
    )?;
    let kept = baseline.version.saturating_sub(VERSIONS_MAX - 1);
    let sql = "DELETE FROM baselines WHERE name = ?1 AND version <= ?2 AND version > 1";
    db.execute(sql, params![baseline.name, column(kept)])
        .map(drop)
}

/// A finding that was open at some time within the window and spoils it.
fn spoiled(
    db: &Connection,
    task: &str,
    (from, to): (i64, i64),
) -> rusqlite::Result<Option<(String, String, String)>> {
    let sql = "SELECT task, id, subject FROM findings \
               WHERE first_seen < ?2 AND (resolved IS NULL OR resolved > ?1) \
               AND (severity = ?3 OR severity = ?4 AND task = ?5) ORDER BY first_seen LIMIT 1";
    let critical = severity_column(Severity::Critical);
    let warning = severity_column(Severity::Warning);
    db.query_row(sql, params![from, to, critical, warning, task], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })
    .optional()
}

impl MeasurementReader {
    /// The newest version of a baseline.
    pub fn baseline(&self, name: &str) -> Result<Option<Baseline>> {
        let found = stored(&self.db, name, Which::Newest);
        let found = found.map_err(self.wrap("read a baseline"))?;
        Ok(found.map(|(_, baseline)| baseline))
    }

    /// How the series of a baseline was in a window, compared with its newest version; of both
    /// only the given hour of the week, if one is given. `None`: there is no such baseline.
    pub fn compare(
        &self,
        name: &str,
        from_ms: u64,
        to_ms: u64,
        hour: Option<u64>,
    ) -> Result<Option<Comparison>> {
        let window = range(from_ms, to_ms)?;
        let wrap = || self.wrap("compare with a baseline");
        let Some((text, baseline)) = stored(&self.db, name, Which::Newest).map_err(wrap())? else {
            return Ok(None);
        };
        let series: SeriesKey =
            serde_json::from_str(&text).map_err(|e| self.broken(e.to_string()))?;
        let mut now = read(&self.db, &series, window).map_err(wrap())?;
        let mut before = baseline.samples;
        if let Some(hour) = hour {
            now.retain(|p| hour_of_week(p.at_ms) == hour);
            before.retain(|p| hour_of_week(p.at_ms) == hour);
        }
        let verdict = compare(
            &values(&before),
            &values(&now),
            baseline.worse,
            baseline.noise_floor,
        );
        Ok(Some(verdict))
    }
}

fn values(points: &[Point]) -> Vec<f64> {
    points.iter().map(|p| p.value).collect()
}

/// The newest points of a window, oldest first.
fn read(
    db: &Connection,
    series: &SeriesKey,
    (from, to): (i64, i64),
) -> rusqlite::Result<Vec<Point>> {
    let Some((id, _)) = known(db, series)? else {
        return Ok(vec![]);
    };
    let sql = "SELECT at, value FROM points WHERE series = ?1 AND at >= ?2 AND at < ?3 \
               ORDER BY at DESC LIMIT ?4";
    let mut rows = db.prepare_cached(sql)?;
    let rows = rows.query_map(params![id, from, to, WINDOW_MAX], point)?;
    let mut points: Vec<Point> = rows.collect::<rusqlite::Result<_>>()?;
    points.reverse();
    Ok(points)
}

fn thinned(points: &[Point]) -> Vec<Point> {
    let every = points.len().div_ceil(SAMPLES_MAX).max(1);
    points.iter().step_by(every).copied().collect()
}

#[derive(Debug, Clone, Copy)]
enum Which {
    First,
    Newest,
}

/// One version of a baseline, and the series it is of.
fn stored(
    db: &Connection,
    name: &str,
    which: Which,
) -> rusqlite::Result<Option<(String, Baseline)>> {
    let order = match which {
        Which::First => "ASC",
        Which::Newest => "DESC",
    };
    let sql = format!(
        "SELECT series, name, version, worse, noise_floor, from_ms, to_ms, made_ms, actor, samples \
         FROM baselines WHERE name = ?1 ORDER BY version {order} LIMIT 1"
    );
    db.prepare_cached(&sql)?
        .query_row([name], |row| Ok((row.get(0)?, baseline(row)?)))
        .optional()
}

fn baseline(row: &Row<'_>) -> rusqlite::Result<Baseline> {
    let worse: String = row.get(3)?;
    let samples: Vec<u8> = row.get(9)?;
    let odd = |at, kind, what: &str| {
        rusqlite::Error::FromSqlConversionFailure(at, kind, what.to_owned().into())
    };
    use rusqlite::types::Type::{Blob, Text};
    Ok(Baseline {
        name: row.get(1)?,
        version: number(row.get(2)?),
        worse: [Worse::Higher, Worse::Lower, Worse::Either]
            .into_iter()
            .find(|known| known.as_str() == worse)
            .ok_or_else(|| odd(3, Text, "not a direction"))?,
        noise_floor: row.get(4)?,
        from_ms: number(row.get(5)?),
        to_ms: number(row.get(6)?),
        made_ms: number(row.get(7)?),
        actor: row.get(8)?,
        samples: unpacked(&samples).ok_or_else(|| odd(9, Blob, "not samples"))?,
    })
}

fn packed(samples: &[Point]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(samples.len() * SAMPLE_BYTES);
    for sample in samples {
        bytes.extend_from_slice(&sample.at_ms.to_le_bytes());
        bytes.extend_from_slice(&sample.value.to_le_bytes());
    }
    bytes
}

fn unpacked(bytes: &[u8]) -> Option<Vec<Point>> {
    let (samples, rest) = bytes.as_chunks::<SAMPLE_BYTES>();
    if !rest.is_empty() || samples.len() > SAMPLES_MAX {
        return None;
    }
    let read = |sample: &[u8; SAMPLE_BYTES]| {
        let (at, value) = sample.split_first_chunk::<8>()?;
        let value = value.first_chunk::<8>()?;
        Some(Point {
            at_ms: u64::from_le_bytes(*at),
            value: f64::from_le_bytes(*value),
        })
    };
    samples.iter().map(read).collect()
}

/// The identity of a series as one text.
fn series_column(key: &SeriesKey) -> String {
    serde_json::to_string(key).unwrap_or_else(|_| labels_column(key))
}
