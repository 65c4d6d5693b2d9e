//! Guards: what was measured of them, by the host itself while it watches or by tasks in their runs.

use super::Changed;
use crate::error::{Error, Result, chain};
use crate::node::Node;
use keepwell_journal::ErrorKind;
use keepwell_journal::measurements::{DbError, MeasurementReader};
use keepwell_model::id::{RunId, TaskName};
use keepwell_model::measure::{SeriesKey, TASK_LABEL};
use keepwell_model::param::{Guard, Heard, Reading, Verdict};
use keepwell_node::pressure::{Contended, pressure};
use std::collections::BTreeMap;

/// Measurements kept of a guard that the host measures: those of the longest `for` that fits a day
/// are not needed one by one, as a breach counts from the first that is still kept.
const READINGS_MAX: usize = 20_000;
/// Points read of one series: a task that measures every second for a day.
const POINTS_MAX: u64 = 86_400;
/// Series of a task that one guard listens to: more are a guard that names no thing.
const SERIES_MAX: usize = 64;
/// What the host measures itself: the share of the last ten seconds in which some process waited.
pub const GUARD_METRICS: [&str; 3] = ["cpu-pressure", "io-pressure", "memory-pressure"];

/// What the host measured itself of the guards of changes that wait.
#[derive(Debug, Default)]
pub(super) struct Measured(BTreeMap<(RunId, u64), Vec<Reading>>);

impl Measured {
    /// What all measurements come to, with the figures behind it where it takes the change back.
    /// What the host measures is measured once more for this.
    pub(super) fn verdict(
        &mut self,
        node: &Node,
        changed: &Changed,
        now_ms: u64,
    ) -> (Verdict, Option<String>) {
        let Some(guard) = &changed.guard else {
            return (Verdict::None, None);
        };
        let mut since_ms = changed.commit.armed_at_ms;
        let heard = match &guard.task {
            None => Ok(vec![self.by_host(guard, changed, now_ms)]),
            Some(task) => {
                since_ms = since_ms.max(told_since(node, task, changed, now_ms));
                by_task(node, guard, task, since_ms, now_ms)
            }
        };
        // What cannot be read was not measured, and the figures say why.
        let (heard, trouble) = match heard {
            Ok(heard) => (heard, None),
            Err(e) => (vec![], Some(e.message)),
        };
        let verdict = guard.verdict(&heard, since_ms, now_ms);
        let figures = guard.figures(&heard, verdict);
        let figures = match (figures, trouble) {
            (Some(figures), Some(trouble)) => Some(format!("{figures} ({trouble})")),
            (figures, _) => figures,
        };
        (verdict, figures)
    }

    pub(super) fn forget(&mut self, key: (RunId, u64)) {
        self.0.remove(&key);
    }

    fn by_host(&mut self, guard: &Guard, changed: &Changed, now_ms: u64) -> Heard {
        let readings = self.0.entry(changed.key()).or_default();
        if let Some(value) = measure(&guard.metric) {
            readings.push(Reading {
                at_ms: now_ms,
                value,
            });
        }
        if readings.len() > READINGS_MAX {
            readings.remove(0);
        }
        Heard {
            series: String::new(),
            readings: readings.clone(),
        }
    }
}

fn measure(metric: &str) -> Option<f64> {
    let of = match metric {
        "cpu-pressure" => Contended::Cpu,
        "io-pressure" => Contended::Io,
        "memory-pressure" => Contended::Memory,
        _ => return None,
    };
    Some(pressure(of).ok().flatten()?.some.avg_10)
}

/// From when on a task's numbers tell of the change. A run's numbers carry the time of its end, so
/// those of the very run that made it may be from before.
fn told_since(node: &Node, task: &TaskName, changed: &Changed, now_ms: u64) -> u64 {
    if changed.task.as_deref() != Some(task.as_str()) {
        return changed.commit.armed_at_ms;
    }
    let report = node
        .reader()
        .ok()
        .and_then(|r| r.report(changed.commit.run).ok());
    let ended = report.flatten().and_then(|report| report.ended);
    ended.map_or(now_ms, |ended| ended.saturating_add(1))
}

/// What the task reported since, series by series.
fn by_task(
    node: &Node,
    guard: &Guard,
    task: &TaskName,
    since_ms: u64,
    now_ms: u64,
) -> Result<Vec<Heard>> {
    let failed = |e: DbError| Error::failed(format!("measurements cannot be read: {}", chain(&e)));
    let reader = match MeasurementReader::open(&node.dir.state()) {
        Ok(reader) => reader,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(failed(e)),
    };
    let all = reader.series(Some(task.as_str())).map_err(failed)?;
    let fits = |key: &SeriesKey| {
        let mut wanted = guard.labels.iter();
        key.name() == guard.metric && wanted.all(|(name, v)| key.labels().get(name) == Some(v))
    };
    let series: Vec<SeriesKey> = all.into_iter().map(|row| row.key).filter(fits).collect();
    if series.len() > SERIES_MAX {
        return Err(Error::failed(format!(
            "{} series fit, more than {SERIES_MAX}: narrow the guard by `labels`",
            series.len()
        )));
    }
    let from_ms = since_ms.max(now_ms.saturating_sub(guard.reach_ms()));
    let mut heard = Vec::with_capacity(series.len());
    for key in series {
        let points = reader.points(&key, from_ms, now_ms.saturating_add(1), POINTS_MAX);
        let points = points.map_err(failed)?;
        heard.push(Heard {
            series: labels(&key),
            readings: points
                .into_iter()
                .map(|p| Reading {
                    at_ms: p.at_ms,
                    value: p.value,
                })
                .collect(),
        });
    }
    Ok(heard)
}

/// What tells a series from the others of its task.
fn labels(key: &SeriesKey) -> String {
    let own = key.labels().iter().filter(|(name, _)| *name != TASK_LABEL);
    let words: Vec<String> = own.map(|(name, value)| format!("{name}={value}")).collect();
    words.join(" ")
}
