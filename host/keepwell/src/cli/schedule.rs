//! `schedule`: what runs when, and whether it can; `schedule_edit` writes the files.

use super::Global;
use super::schedule_edit as edit;
use crate::clock::{self, readable};
use crate::config::{self, Config, Line, timetable};
use crate::error::{Error, Result, chain};
use crate::node;
use keepwell_journal::{PAUSED, Reader};
use keepwell_model::grant::nearest;
use keepwell_model::id::TaskName;
use keepwell_model::schedule::NoSlot;
use keepwell_model::slot::Handled;
use keepwell_model::state::Exit;
use serde::Serialize;
use std::fmt::Write as _;

/// As many runs as `schedule next` prints at most.
const COUNT_MAX: u64 = 1_000;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a named schedule of tasks that exist, and tell the daemon.
    #[command(
        after_help = "Example:\n  keepwell schedule create standard-maintenance --daily temp-clean --weekly shard-scrub --at 02:30 --zone Europe/Berlin"
    )]
    Create(edit::CreateArgs),
    /// Add and remove tasks of a named schedule, and tell the daemon.
    #[command(
        after_help = "Example:\n  keepwell schedule update standard-maintenance --add-quarterly disk-check"
    )]
    Update(edit::UpdateArgs),
    /// One schedule: its file, its slots and when they come next.
    #[command(after_help = "Example:\n  keepwell schedule view standard-maintenance")]
    View { name: String },
    /// Find what is wrong and what is doubtful; exits 78, 3 or 0. Then the next runs and the next
    /// daylight-saving edge.
    #[command(after_help = "Example:\n  keepwell schedule validate standard-maintenance -o json")]
    Validate {
        /// A named schedule, or a task with a schedule. Default: all.
        name: Option<String>,
        /// How many runs to print.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=COUNT_MAX))]
        count: u64,
    },
    /// The next runs, in local time and UTC, with those that daylight saving moves.
    #[command(after_help = "Example:\n  keepwell schedule next standard-maintenance --count 20")]
    Next {
        /// A named schedule, or a task with a schedule. Default: all.
        name: Option<String>,
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=COUNT_MAX))]
        count: u64,
    },
    /// Every schedule: pattern, zone, tasks, next and last slot.
    #[command(after_help = "Example:\n  keepwell schedule list -o json")]
    List,
}

pub(super) fn schedule(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Create(args) => edit::create(global, args),
        Verb::Update(args) => edit::update(global, args),
        Verb::View { name } => view(global, name),
        Verb::Validate { name, count } => {
            super::schedule_check::validate(global, name.as_deref(), *count)
        }
        Verb::Next { name, count } => next(global, name.as_deref(), *count),
        Verb::List => list(global),
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    schedule: String,
    pattern: String,
    zone: String,
    tasks: Vec<TaskName>,
    next: Option<u64>,
    last: Option<Last>,
    paused: Option<String>,
}

/// What became of the newest slot that anything became of.
#[derive(Debug, Serialize)]
struct Last {
    due: u64,
    how: String,
}

fn list(global: &Global) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    print_rows(global, &rows(&lines(&config, None)?, &node::reader(&dir)?)?);
    Ok(Exit::Done)
}

pub(super) fn print_rows(global: &Global, rows: &[Row]) {
    let columns = [
        "schedule", "pattern", "zone", "tasks", "next", "last", "state",
    ];
    global.out().rows(rows, &columns, cells);
}

fn cells(row: &Row) -> Vec<String> {
    let tasks: Vec<_> = row.tasks.iter().map(TaskName::as_str).collect();
    let last = row.last.as_ref();
    vec![
        row.schedule.clone(),
        row.pattern.clone(),
        row.zone.clone(),
        tasks.join(", "),
        row.next.map_or_else(String::new, readable),
        last.map_or_else(
            || "never".into(),
            |l| format!("{} {}", readable(l.due), l.how),
        ),
        row.paused
            .as_ref()
            .map_or_else(|| "ready".into(), |why| format!("paused: {why}")),
    ]
}

/// How each of these schedules stands.
pub(super) fn rows(lines: &[Line], reader: &Reader) -> Result<Vec<Row>> {
    let now = clock::now_ms();
    let mut rows = vec![];
    for line in lines {
        let mut paused = None;
        for task in &line.tasks {
            let why = reader.flag(task.as_str(), PAUSED)?;
            paused = paused.or(why.map(|why| {
                if line.inline {
                    why
                } else {
                    format!("{task}, {why}")
                }
            }));
        }
        rows.push(Row {
            schedule: line.key.clone(),
            pattern: line.wrote.clone(),
            zone: line.schedule.pattern.zone().to_string(),
            tasks: line.tasks.clone(),
            next: line.schedule.pattern.next_after(now).ok(),
            last: last(line, reader)?,
            paused,
        });
    }
    Ok(rows)
}

fn last(line: &Line, reader: &Reader) -> Result<Option<Last>> {
    let mut newest = None;
    for task in &line.tasks {
        let slot = reader.last_slot(task.as_str(), Some(&line.key))?;
        newest = newest.max(slot.map(|slot| (slot.due, slot.how, slot.run)));
    }
    let Some((due, how, run)) = newest else {
        return Ok(None);
    };
    let report = match run.filter(|_| how == Handled::Started) {
        Some(run) => reader.report(run)?,
        None => None,
    };
    let how = report.map_or_else(|| how.as_str().to_owned(), |r| r.state.to_string());
    Ok(Some(Last { due, how }))
}

/// The schedules of a configuration without mistakes: all, or those of one file.
fn lines(config: &Config, name: Option<&str>) -> Result<Vec<Line>> {
    let problems = config::check_schedules(config);
    if !problems.is_empty() {
        return Err(config::bad(problems));
    }
    let mut lines = timetable(config)?;
    if let Some(name) = name {
        let known: Vec<_> = lines
            .iter()
            .map(|line| owner(&line.key).to_owned())
            .collect();
        lines.retain(|line| line.key == name || owner(&line.key) == name);
        if lines.is_empty() {
            return Err(unknown(name, &known));
        }
    }
    Ok(lines)
}

/// Whose file a schedule stands in: a named schedule's, or its task's.
pub(super) fn owner(key: &str) -> &str {
    key.split_once('/').map_or(key, |(name, _)| name)
}

pub(super) fn unknown(name: &str, known: &[String]) -> Error {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let error = Error::usage(format!("there is no schedule `{name}`"));
    match nearest(name, &known) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`keepwell schedule list` names them, `schedule create` makes one"),
    }
}

fn view(global: &Global, name: &str) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let lines = lines(&config, Some(name))?;
    let rows = rows(&lines, &node::reader(&dir)?)?;
    let doc = config
        .schedules
        .values()
        .find(|doc| doc.name.as_str() == owner(name));
    let task = config
        .tasks
        .values()
        .find(|task| task.name.as_str() == owner(name));
    // A named schedule and a task may bear one name; the schedule is what this verb is about.
    let (file, text) = match (doc, task) {
        (Some(doc), _) => (&doc.path, &doc.text),
        (None, Some(task)) => (&task.path, &task.text),
        (None, None) => return Err(unknown(name, &[])),
    };
    let value = serde_json::json!({ "name": name, "file": file, "text": text, "slots": rows });
    global.out().document(&value, || {
        let mut shown = format!("file  {}\n", file.display());
        for line in text.trim_end().lines() {
            let _ = writeln!(shown, "  {line}");
        }
        let columns = [
            "schedule", "pattern", "zone", "tasks", "next", "last", "state",
        ];
        shown + "\n" + &crate::show::table(&columns, rows.iter().map(cells))
    });
    Ok(Exit::Done)
}

/// A run to come, or the jump of a clock.
#[derive(Debug, Serialize)]
pub(super) struct Coming {
    pub(super) schedule: String,
    pub(super) at: u64,
    pub(super) local: String,
    pub(super) utc: String,
    /// What daylight saving does to it.
    pub(super) note: Option<String>,
}

fn next(global: &Global, name: Option<&str>, count: u64) -> Result<Exit> {
    let config = config::load(&global.dir())?;
    let lines = lines(&config, name)?;
    let now = clock::now_ms();
    let mut rows = coming(&lines, now, count)?;
    if name.is_some() {
        rows.extend(edges(&lines, now)?);
    }
    print_coming(global, &rows);
    Ok(Exit::Done)
}

pub(super) fn print_coming(global: &Global, rows: &[Coming]) {
    global.out().rows(rows, &COMING, coming_cells);
}

pub(super) const COMING: [&str; 4] = ["schedule", "local", "utc", "note"];

pub(super) fn coming_cells(row: &Coming) -> Vec<String> {
    let note = row.note.clone().unwrap_or_default();
    vec![
        row.schedule.clone(),
        row.local.clone(),
        row.utc.clone(),
        note,
    ]
}

/// The next `count` runs of all these, the soonest first.
pub(super) fn coming(lines: &[Line], now: u64, count: u64) -> Result<Vec<Coming>> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut all = vec![];
    for line in lines {
        for at in line.schedule.upcoming(now, count).map_err(|e| lost(&e))? {
            all.push((at, line));
        }
    }
    all.sort_by(|a, b| (a.0, &a.1.key).cmp(&(b.0, &b.1.key)));
    all.truncate(count);
    let row = |(at, line): (u64, &Line)| -> Result<Coming> {
        let pattern = &line.schedule.pattern;
        let moved = pattern.is_moved(at).map_err(|e| lost(&e))?;
        Ok(Coming {
            note: moved.then(|| "its own time of day is left out that day".into()),
            ..at_zone(line, at)?
        })
    };
    all.into_iter().map(row).collect()
}

/// The next jump of each schedule's clock, with the runs around it.
pub(super) fn edges(lines: &[Line], now: u64) -> Result<Vec<Coming>> {
    let mut rows = vec![];
    for line in lines {
        let Some(view) = line.schedule.next_edge(now).map_err(|e| lost(&e))? else {
            continue;
        };
        let zone = line.schedule.pattern.zone();
        let show = |at: u64| zone.show(at).map_err(|e| lost(&e));
        let minutes = (view.edge.after - view.edge.before).abs() / 60;
        let way = if view.edge.is_gap() {
            "forward"
        } else {
            "back"
        };
        let mut note = format!(
            "the clock goes {way} by {minutes} min; first run then {}",
            show(view.first)?
        );
        if view.moved {
            note.push_str(", moved");
        }
        if view.lost {
            note.push_str("; it does not run on that day");
        }
        rows.push(Coming {
            note: Some(note),
            ..at_zone(line, view.edge.at)?
        });
    }
    Ok(rows)
}

fn at_zone(line: &Line, at: u64) -> Result<Coming> {
    let zone = line.schedule.pattern.zone();
    Ok(Coming {
        schedule: line.key.clone(),
        at,
        local: format!("{} {zone}", zone.show(at).map_err(|e| lost(&e))?),
        utc: readable(at),
        note: None,
    })
}

pub(super) fn lost(why: &NoSlot) -> Error {
    Error::config(chain(why))
}
