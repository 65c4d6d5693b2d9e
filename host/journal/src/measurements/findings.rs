//! Findings over time: when each was seen first and last, how often, and since when no more.

use super::Measurements;
use super::RunKey;
use super::error::Result;
use super::points::{Sample, add};
use super::query::MeasurementReader;
use crate::schema::{column, number};
use keepwell_model::event::Mode;
use keepwell_model::id::{Digest, RunId};
use keepwell_model::measure::{Point, SeriesKey};
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use keepwell_model::words::{Finding, Severity};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use std::collections::BTreeMap;

/// Findings kept of one task. A plugin that names each thing anew every day must not fill the
/// disk; what comes beyond it is counted, and lies in the journal.
const OF_TASK_MAX: u64 = 10_000;
/// Rows one answer holds.
const ROWS_MAX: u64 = 10_000;
/// The row in `floors` that says up to which run it is no longer known one by one what was folded.
pub(super) const FOLDED_FLOOR: &str = "folded";

/// What taking in a run's report changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Folded {
    /// Findings nobody had seen before.
    pub new: u64,
    /// Resolved before, and back.
    pub reopened: u64,
    /// Open before and seen again.
    pub seen: u64,
    pub resolved: u64,
    /// New ones beyond what is kept of a task.
    pub crowded: u64,
    /// Metrics that became points.
    pub points: u64,
}

/// Which findings. What is absent does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingQuery {
    pub task: Option<String>,
    /// Those that are not resolved.
    pub open: bool,
    /// This severe or worse.
    pub at_least: Option<Severity>,
    pub limit: Option<u64>,
}

/// A finding with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingRow {
    /// SHA-256 of task, id and subject, as a JSON array of texts: its identity over time.
    pub fingerprint: Digest,
    pub task: String,
    /// As the run that saw it last said it.
    pub finding: Finding,
    /// Milliseconds since the Unix epoch, all of them: the end of a run that saw it.
    pub first_seen: u64,
    pub last_seen: u64,
    /// Runs that saw it.
    pub count: u64,
    /// How often it came back after it was resolved.
    pub reopened: u64,
    /// The end of the first whole run that no longer saw it.
    pub resolved: Option<u64>,
    pub last_run: Option<RunId>,
}

impl Measurements {
    /// Takes in the findings and metrics of a run that ended. A run that looked at everything
    /// (done or warned, in apply mode) also resolves those of its task that it did not see; one
    /// that failed, was stopped, or was only planned (perhaps with other settings) does not.
    /// Taking in a run twice changes nothing; one that is resumed is taken in again at its end.
    pub fn fold_run(&self, report: &Report) -> Result<Folded> {
        if report.state == RunState::Running {
            return Ok(Folded::default());
        }
        self.write("fold a run", |db| fold(db, report))
    }
}

fn fold(db: &Connection, report: &Report) -> rusqlite::Result<Folded> {
    let run = report.run.to_bytes();
    let whole =
        matches!(report.state, RunState::Done | RunState::Warned) && report.mode == Mode::Apply;
    let floor: Option<RunKey> = db
        .prepare_cached("SELECT run FROM floors WHERE name = ?1")?
        .query_row([FOLDED_FLOOR], |row| row.get(0))
        .optional()?;
    let before: Option<bool> = db
        .prepare_cached("SELECT whole FROM folded WHERE run = ?1")?
        .query_row([run], |row| row.get(0))
        .optional()?;
    let forgotten = before.is_none() && floor.is_some_and(|floor| run <= floor);
    if forgotten || before == Some(true) {
        return Ok(Folded::default());
    }
    let mut folded = Folded::default();
    let at = report.ended.unwrap_or(report.started);
    let mut kept = number(
        db.prepare_cached("SELECT count(*) FROM findings WHERE task = ?1")?
            .query_row([&report.task], |row| row.get(0))?,
    );
    for (fingerprint, finding) in worst(report) {
        let again = before.is_some();
        match stored(db, &fingerprint)? {
            Some(known) => {
                let seen = see(db, &fingerprint, finding, &known, run, at, again)?;
                folded.reopened += u64::from(seen == Seen::Reopened);
                folded.seen += u64::from(seen == Seen::Open);
            }
            None if kept >= OF_TASK_MAX => folded.crowded += 1,
            None => {
                insert(db, &fingerprint, &report.task, finding, run, at)?;
                kept += 1;
                folded.new += 1;
            }
        }
    }
    if whole {
        // Of runs folded out of order the later one knows better: `last_seen` may lie ahead.
        let sql = "UPDATE findings SET resolved = ?3 WHERE task = ?1 AND resolved IS NULL \
                   AND last_run <> ?2 AND last_seen <= ?3";
        let resolved = db.execute(sql, params![report.task, run, column(at)])?;
        folded.resolved = resolved as u64;
    }
    if !matches!(report.state, RunState::Interrupted | RunState::Waiting) {
        folded.points = add(db, &samples(report, at), at)?.stored;
    }
    let sql = "INSERT OR REPLACE INTO folded VALUES (?1, ?2)";
    db.execute(sql, params![run, whole])?;
    Ok(folded)
}

/// A run's findings by fingerprint; of one reported several times the most severe, then the last.
fn worst(report: &Report) -> BTreeMap<Digest, &Finding> {
    let mut all: BTreeMap<Digest, &Finding> = BTreeMap::new();
    for finding in &report.findings {
        let of = fingerprint(&report.task, finding);
        let other = all.entry(of).or_insert(finding);
        if finding.severity >= other.severity {
            *other = finding;
        }
    }
    all
}

/// A run's metrics; of several for one series the last. What cannot be one is left out: the
/// journal has it as it was said.
fn samples(report: &Report, at_ms: u64) -> Vec<Sample> {
    let mut all: BTreeMap<SeriesKey, f64> = BTreeMap::new();
    for metric in &report.metrics {
        let series = SeriesKey::of_task(&report.task, &metric.name, &metric.unit, &metric.labels);
        if let Ok(series) = series {
            all.insert(series, metric.value);
        }
    }
    all.into_iter()
        .map(|(series, value)| Sample {
            series,
            point: Point { at_ms, value },
        })
        .collect()
}

fn fingerprint(task: &str, finding: &Finding) -> Digest {
    let identity = [task, &finding.id, &finding.subject];
    // An array of texts always has a JSON form.
    Digest::of(&serde_json::to_vec(&identity).unwrap_or_default())
}

/// What of a stored finding the next sight depends on.
struct Known {
    last_seen: i64,
    resolved: Option<i64>,
    last_run: RunKey,
}

#[derive(PartialEq, Eq)]
enum Seen {
    Open,
    Reopened,
    /// A later run is folded already, and knows better; or this one was.
    Counted,
}

fn stored(db: &Connection, fingerprint: &Digest) -> rusqlite::Result<Option<Known>> {
    let sql = "SELECT last_seen, resolved, last_run FROM findings WHERE fingerprint = ?1";
    db.prepare_cached(sql)?
        .query_row([fingerprint.as_bytes()], |row| {
            Ok(Known {
                last_seen: row.get(0)?,
                resolved: row.get(1)?,
                last_run: row.get(2)?,
            })
        })
        .optional()
}

fn insert(
    db: &Connection,
    fingerprint: &Digest,
    task: &str,
    finding: &Finding,
    run: RunKey,
    at: u64,
) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO findings VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, 1, 0, NULL, ?10)";
    db.prepare_cached(sql)?
        .execute(params![
            fingerprint.as_bytes(),
            task,
            finding.id,
            finding.subject,
            severity_column(finding.severity),
            finding.title,
            finding.detail,
            facts_column(finding),
            column(at),
            run,
        ])
        .map(drop)
}

fn see(
    db: &Connection,
    fingerprint: &Digest,
    finding: &Finding,
    known: &Known,
    run: RunKey,
    at: u64,
    again: bool,
) -> rusqlite::Result<Seen> {
    let at = column(at);
    if known.last_seen > at {
        // Of a run folded before it may have been counted already; better once too few.
        let sql = "UPDATE findings SET count = count + ?2, first_seen = min(first_seen, ?3) \
                   WHERE fingerprint = ?1";
        let values = params![fingerprint.as_bytes(), !again, at];
        db.prepare_cached(sql)?.execute(values)?;
        return Ok(Seen::Counted);
    }
    let back = known.resolved.is_some_and(|resolved| resolved < at);
    let sql = "UPDATE findings SET severity = ?2, title = ?3, detail = ?4, facts = ?5, \
               last_seen = ?6, last_run = ?7, count = count + ?8, reopened = reopened + ?9, \
               resolved = CASE WHEN ?9 THEN NULL ELSE resolved END WHERE fingerprint = ?1";
    db.prepare_cached(sql)?.execute(params![
        fingerprint.as_bytes(),
        severity_column(finding.severity),
        finding.title,
        finding.detail,
        facts_column(finding),
        at,
        run,
        known.last_run != run,
        back,
    ])?;
    Ok(match known.resolved {
        Some(_) if back => Seen::Reopened,
        None if known.last_run != run => Seen::Open,
        Some(_) | None => Seen::Counted,
    })
}

impl MeasurementReader {
    /// Findings, those seen last first.
    pub fn findings(&self, query: &FindingQuery) -> Result<Vec<FindingRow>> {
        let sql = "SELECT fingerprint, task, id, subject, severity, title, detail, facts, \
                   first_seen, last_seen, count, reopened, resolved, last_run FROM findings \
                   WHERE (?1 IS NULL OR task = ?1) AND (NOT ?2 OR resolved IS NULL) \
                   AND severity IN (?3, ?4, ?5) \
                   ORDER BY last_seen DESC, fingerprint LIMIT ?6";
        let least = query.at_least.unwrap_or(Severity::Info);
        // A severity that is not asked for is replaced by one that is.
        let or_least = |severity: Severity| severity_column(severity.max(least));
        let limit = query.limit.unwrap_or(ROWS_MAX).min(ROWS_MAX);
        let values = params![
            query.task,
            query.open,
            or_least(Severity::Info),
            or_least(Severity::Warning),
            or_least(Severity::Critical),
            column(limit)
        ];
        let rows = self.all(sql, values, read)?;
        let whole: Option<Vec<FindingRow>> = rows.into_iter().collect();
        whole.ok_or_else(|| self.broken("a finding has words nobody wrote".into()))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<FindingRow>> {
    let severity: String = row.get(4)?;
    let facts: String = row.get(7)?;
    let (Some(severity), Ok(data)) = (severity_of(&severity), serde_json::from_str(&facts)) else {
        return Ok(None);
    };
    Ok(Some(FindingRow {
        fingerprint: Digest::from_bytes(row.get(0)?),
        task: row.get(1)?,
        finding: Finding {
            id: row.get(2)?,
            subject: row.get(3)?,
            severity,
            title: row.get(5)?,
            detail: row.get(6)?,
            data,
        },
        first_seen: number(row.get(8)?),
        last_seen: number(row.get(9)?),
        count: number(row.get(10)?),
        reopened: number(row.get(11)?),
        resolved: row.get::<_, Option<i64>>(12)?.map(number),
        last_run: Some(RunId::from_bytes(row.get(13)?)),
    }))
}

pub(super) const fn severity_column(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn severity_of(text: &str) -> Option<Severity> {
    [Severity::Info, Severity::Warning, Severity::Critical]
        .into_iter()
        .find(|severity| severity_column(*severity) == text)
}

fn facts_column(finding: &Finding) -> String {
    // Pairs of texts always have a JSON form.
    serde_json::to_string(&finding.data).unwrap_or_default()
}
