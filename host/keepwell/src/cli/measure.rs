//! `measure` and `baseline`: numbers over time, and how they were when all was well.

use super::Global;
use crate::api::{MakeBaseline, Request};
use crate::clock;
use crate::error::{Error, Result};
use crate::node;
use crate::show;
use keepwell_journal::measurements::{MeasurementReader, SeriesRow};
use keepwell_model::baseline::{Comparison, Worse};
use keepwell_model::measure::{SeriesKey, Tier};
use keepwell_model::state::Exit;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The series there are, with their last value.
    #[command(after_help = "Example:\n  keepwell measure list --task resource-check")]
    List {
        #[arg(long)]
        task: Option<String>,
    },
    /// One series over time: its points, or a bucket a line.
    #[command(
        after_help = "Example:\n  keepwell measure show disk_used_ratio --label mount=/var --since 7d --per hour"
    )]
    Show {
        #[command(flatten)]
        which: Which,
        /// RFC 3339, a date, or a span ago.
        #[arg(long, default_value = "1d")]
        since: String,
        #[arg(long, value_enum)]
        per: Option<Per>,
        #[arg(long, default_value_t = 200)]
        limit: u64,
    },
    /// Where numbers go, by the line through each day's maximum (Theil-Sen), and when one reaches a
    /// level.
    #[command(
        after_help = "Exits 3 when the level is reached, or will be within twice the time measured.\n\nExample:\n  keepwell measure trend\n  keepwell measure trend disk_used --label mount=/var --reaches 0.95"
    )]
    Trend(super::trend::Args),
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum BaselineVerb {
    /// Make a version of a baseline from a window in which all was well.
    #[command(
        after_help = "Example:\n  keepwell baseline make quiet-load load --since 7d --worse higher"
    )]
    Make {
        name: String,
        #[command(flatten)]
        which: Which,
        #[arg(long)]
        since: String,
        /// Default: now.
        #[arg(long)]
        until: Option<String>,
        /// Which direction is bad.
        #[arg(long, value_enum, default_value = "higher")]
        worse: Direction,
        /// Smaller shifts, in the series' unit, are how it is measured and not how it is.
        #[arg(long, default_value_t = 0.0)]
        noise: f64,
    },
    /// How a window compares: Mann-Whitney below 0.01 and a shift that matters, of 20 values each.
    #[command(after_help = "Example:\n  keepwell baseline compare quiet-load --since 1h")]
    Compare {
        name: String,
        #[arg(long, default_value = "1d")]
        since: String,
        /// Only the same hour of the week as now.
        #[arg(long)]
        same_hour: bool,
    },
    /// Forget a baseline and all its versions.
    #[command(after_help = "Example:\n  keepwell baseline forget quiet-load")]
    Forget { name: String },
}

/// A series by its name, and by as much more as tells it apart.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    pub(super) series: String,
    #[arg(long)]
    pub(super) task: Option<String>,
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(super) labels: Vec<(String, String)>,
}

pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Per {
    FiveMinutes,
    Hour,
    Day,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Direction {
    Higher,
    Lower,
    Either,
}

/// `None`: nothing was measured yet.
pub(super) fn reader(global: &Global) -> Result<Option<MeasurementReader>> {
    let dir = global.dir();
    // Says what is wrong with a directory that is no node.
    node::reader(&dir)?;
    match MeasurementReader::open(&dir.state()) {
        Ok(reader) => Ok(Some(reader)),
        Err(e) if e.kind() == keepwell_journal::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

pub(super) fn needed(global: &Global) -> Result<MeasurementReader> {
    reader(global)?.ok_or_else(|| {
        Error::usage("nothing was measured yet")
            .hint("runs of tasks such as resource-check leave measurements")
    })
}

pub(super) fn measure(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List { task } => list(global, task.as_deref()),
        Verb::Show {
            which,
            since,
            per,
            limit,
        } => shown(global, which, since, *per, *limit),
        Verb::Trend(args) => super::trend::shown(global, args),
    }
}

pub(super) fn baseline(global: &Global, verb: &BaselineVerb) -> Result<Exit> {
    match verb {
        BaselineVerb::Make {
            name,
            which,
            since,
            until,
            worse,
            noise,
        } => {
            let make = MakeBaseline {
                series: find(&needed(global)?, which)?,
                from_ms: time(since)?,
                to_ms: until.as_deref().map_or_else(|| Ok(clock::now_ms()), time)?,
                worse: match worse {
                    Direction::Higher => Worse::Higher,
                    Direction::Lower => Worse::Lower,
                    Direction::Either => Worse::Either,
                },
                noise_floor: *noise,
            };
            let (name, make) = (name.clone(), Some(make));
            global.show(&global.ask(Request::Baseline { name, make })?);
            Ok(Exit::Done)
        }
        BaselineVerb::Compare {
            name,
            since,
            same_hour,
        } => compare(global, name, since, *same_hour),
        BaselineVerb::Forget { name } => {
            let (name, make) = (name.clone(), None);
            global.show(&global.ask(Request::Baseline { name, make })?);
            Ok(Exit::Done)
        }
    }
}

pub(super) fn time(text: &str) -> Result<u64> {
    clock::parse_time(text, clock::now_ms()).ok_or_else(|| {
        Error::usage(format!("`{text}` is no time"))
            .hint("write 2026-11-24T02:00:00Z, 2026-11-24, or a span ago such as 2h")
    })
}

/// The one series that fits.
pub(super) fn find(reader: &MeasurementReader, which: &Which) -> Result<SeriesKey> {
    let fits = |row: &SeriesRow| {
        row.key.name() == which.series
            && which
                .labels
                .iter()
                .all(|(name, value)| row.key.labels().get(name) == Some(value))
    };
    let all = reader.series(which.task.as_deref())?;
    let names: Vec<&str> = all.iter().map(|row| row.key.name()).collect();
    let near = keepwell_model::grant::nearest(&which.series, &names).map(str::to_owned);
    let mut found: Vec<SeriesKey> = all.into_iter().filter(fits).map(|row| row.key).collect();
    match (found.len(), found.pop()) {
        (1, Some(one)) => Ok(one),
        (0, _) => {
            let error = Error::usage(format!("there is no series `{}`", which.series));
            Err(match near {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("`keepwell measure list` names them"),
            })
        }
        (many, _) => Err(
            Error::usage(format!("`{}` names {many} series", which.series))
                .hint("tell them apart with --task or --label NAME=VALUE"),
        ),
    }
}

/// `mount=/var host=a`.
pub(super) fn labels(all: &serde_json::Value) -> String {
    let all = all.as_object().into_iter().flatten();
    let words: Vec<String> = all
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    words.join(" ")
}

fn list(global: &Global, task: Option<&str>) -> Result<Exit> {
    let mut rows = vec![];
    if let Some(reader) = reader(global)? {
        for row in reader.series(task)? {
            let last = reader.last(&row.key)?;
            rows.push(serde_json::json!({
                "name": row.key.name(), "unit": row.key.unit(), "labels": row.key.labels(),
                "points": row.points, "last": last.map(|p| p.value), "at": last.map(|p| p.at_ms),
            }));
        }
    }
    let columns = ["name", "unit", "points", "last", "at", "labels"];
    global.out().rows(&rows, &columns, |row| {
        let text = |key: &str| match &row[key] {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        };
        let at = row["at"].as_u64().map_or_else(String::new, clock::readable);
        vec![
            text("name"),
            text("unit"),
            text("points"),
            text("last"),
            at,
            labels(&row["labels"]),
        ]
    });
    if rows.is_empty() {
        show::say("nothing was measured yet");
    }
    Ok(Exit::Done)
}

fn shown(
    global: &Global,
    which: &Which,
    since: &str,
    per: Option<Per>,
    limit: u64,
) -> Result<Exit> {
    let reader = needed(global)?;
    let key = find(&reader, which)?;
    let (from, to) = (time(since)?, u64::MAX >> 1);
    let out = global.out();
    match per {
        None => {
            let points = reader.points(&key, from, to, limit)?;
            out.rows(&points, &["at", key.unit()], |p| {
                vec![clock::readable(p.at_ms), p.value.to_string()]
            });
        }
        Some(per) => {
            let tier = match per {
                Per::FiveMinutes => Tier::FiveMinutes,
                Per::Hour => Tier::Hour,
                Per::Day => Tier::Day,
            };
            let buckets = reader.rollups(&key, tier, from, to, limit)?;
            out.rows(&buckets, &["from", "min", "mean", "max", "count"], |b| {
                vec![
                    clock::readable(b.from_ms),
                    b.min.to_string(),
                    format!("{:.4}", b.mean()),
                    b.max.to_string(),
                    b.count.to_string(),
                ]
            });
        }
    }
    Ok(Exit::Done)
}

/// Exits 3 when it got worse.
fn compare(global: &Global, name: &str, since: &str, same_hour: bool) -> Result<Exit> {
    let reader = needed(global)?;
    let now = clock::now_ms();
    let hour = same_hour.then(|| keepwell_model::baseline::hour_of_week(now));
    let verdict = reader
        .compare(name, time(since)?, now, hour)?
        .ok_or_else(|| {
            Error::usage(format!("there is no baseline `{name}`"))
                .hint("`keepwell baseline make` makes one")
        })?;
    let (word, exit) = match &verdict {
        Comparison::NotEnough(why) => (format!("unknown: {why}"), Exit::Warned),
        Comparison::Same(_) => ("same".to_owned(), Exit::Done),
        Comparison::Better(_) => ("better".to_owned(), Exit::Done),
        Comparison::Degraded(_) => ("degraded".to_owned(), Exit::Warned),
    };
    let evidence = match &verdict {
        Comparison::NotEnough(_) => None,
        Comparison::Same(e) | Comparison::Better(e) | Comparison::Degraded(e) => Some(e),
    };
    let value = serde_json::json!({ "baseline": name, "verdict": word, "evidence": evidence });
    global.out().document(&value, || match evidence {
        Some(e) => format!(
            "{word}: median {} before, {} now (p {:.4}, a shift of {} would matter)",
            e.before, e.after, e.p, e.floor
        ),
        None => word.clone(),
    });
    Ok(exit)
}
