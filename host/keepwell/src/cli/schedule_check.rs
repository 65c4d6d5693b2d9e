//! `schedule validate`: every mistake and doubt with its place, then what comes next.

use super::Global;
use super::schedule::{COMING, Coming, coming, coming_cells, edges, owner, unknown};
use crate::clock;
use crate::config::{self, Config, Problem, check_task, timetable};
use crate::error::Result;
use crate::node;
use crate::node_dir::NodeDir;
use crate::plugins;
use keepwell_model::id::TaskName;
use keepwell_model::schedule::check::{self, Flaw, Placed};
use keepwell_model::state::Exit;
use keepwell_model::window::p90;
use keepwell_model::words::Severity;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Runs that a usual duration is told from, as the daemon does.
const DURATIONS: u64 = 50;

/// A flaw with its file and line.
#[derive(Debug, Serialize)]
struct Found {
    severity: Severity,
    file: String,
    line: Option<usize>,
    message: String,
    hint: Option<String>,
}

impl Found {
    fn new(severity: Severity, problem: &Problem) -> Self {
        Self {
            severity,
            file: problem.file.clone(),
            line: problem.line_and_column().map(|(line, _)| line),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

pub(super) fn validate(global: &Global, name: Option<&str>, count: u64) -> Result<Exit> {
    let dir = global.dir();
    let mut config = config::load(&dir)?;
    let known: Vec<String> = known(&config);
    if let Some(name) = name {
        if !known.iter().any(|k| k == name) {
            return Err(unknown(name, &known));
        }
        config.schedules.retain(|k, _| k.as_str() == name);
        for task in config
            .tasks
            .values_mut()
            .filter(|task| task.name.as_str() != name)
        {
            (task.file.schedule, task.file.window) = (None, None);
        }
    }
    let now = clock::now_ms();
    let problems = config::check_schedules(&config);
    let mut found: Vec<Found> = problems
        .iter()
        .chain(&grants(&dir, &config)?)
        .map(|problem| Found::new(Severity::Critical, problem))
        .collect();
    let mut placed = placed(&config);
    usual(&dir, &config, &mut placed)?;
    for it in &placed {
        let flaws = check::alone(it, now);
        found.extend(
            flaws
                .into_iter()
                .map(|flaw| at_its_place(&config, &it.key, flaw)),
        );
    }
    for flaw in check::together(&placed, now) {
        let key = flaw.of.clone().unwrap_or_default();
        found.push(at_its_place(&config, &key, flaw));
    }
    found.sort_by_key(|found| std::cmp::Reverse(found.severity));
    // What comes next is only told of a timetable that the daemon would take.
    let (next, edges) = if problems.is_empty() {
        let lines = timetable(&config)?;
        (coming(&lines, now, count)?, edges(&lines, now)?)
    } else {
        (vec![], vec![])
    };
    let worst = found.iter().map(|found| found.severity).max();
    print(global, &found, &next, &edges);
    Ok(match worst {
        Some(Severity::Critical) => Exit::Config,
        Some(Severity::Warning) => Exit::Warned,
        Some(Severity::Info) | None => Exit::Done,
    })
}

fn known(config: &Config) -> Vec<String> {
    let tasks = config
        .tasks
        .values()
        .filter(|task| task.file.schedule.is_some());
    let named = config.schedules.keys().map(ToString::to_string);
    tasks
        .map(|task| task.name.to_string())
        .chain(named)
        .collect()
}

/// What the tasks of these schedules lack.
fn grants(dir: &NodeDir, config: &Config) -> Result<Vec<Problem>> {
    let slots = config
        .schedules
        .values()
        .flat_map(|doc| doc.file.slots.values());
    let named: BTreeSet<&TaskName> = slots.flat_map(|slot| &slot.tasks).collect();
    let (trust, now_ms) = (plugins::trust(dir)?, plugins::latest_ms(dir));
    let mut problems = vec![];
    for task in config.tasks.values() {
        if task.file.schedule.is_none() && !named.contains(&task.name) {
            continue;
        }
        match plugins::open(dir, &trust, now_ms, &task.file.plugin) {
            Ok(plugin) => {
                problems.extend(check_task(config, task, &plugin).err().unwrap_or_default());
            }
            Err(e) => problems.push(task.problem(e.message).at("plugin").hint(e.hint)),
        }
    }
    Ok(problems)
}

/// Those that compile; the others are told of already.
fn placed(config: &Config) -> Vec<Placed> {
    let mut placed = vec![];
    for task in config.tasks.values() {
        if let Some(table) = &task.file.schedule {
            placed.extend(check::task(&task.name, table, task.file.window.as_ref()));
        }
    }
    for doc in config.schedules.values() {
        let knows = |task: &TaskName| config.tasks.contains_key(task);
        placed.extend(check::file(doc.name.as_str(), &doc.file, knows).0);
    }
    placed
}

/// How long each usually takes, where the node has run it.
fn usual(dir: &NodeDir, config: &Config, placed: &mut [Placed]) -> Result<()> {
    let Ok(lines) = timetable(config) else {
        return Ok(());
    };
    let reader = node::reader(dir)?;
    for it in placed {
        let line = lines.iter().find(|line| line.key == it.key);
        let mut all = line.map(|_| 0);
        for task in line.iter().flat_map(|line| &line.tasks) {
            let one = p90(&reader.history(task.as_str(), DURATIONS)?.durations_ms);
            all = all
                .zip(one)
                .map(|(all, one): (u64, u64)| all.saturating_add(one));
        }
        it.p90_ms = all;
    }
    Ok(())
}

/// A doubt about the schedule `key`, in the file that it stands in.
fn at_its_place(config: &Config, key: &str, flaw: Flaw) -> Found {
    let doc = config
        .schedules
        .values()
        .find(|doc| key.contains('/') && doc.name.as_str() == owner(key));
    let task = config.tasks.values().find(|task| task.name.as_str() == key);
    // A task's window stands beside its schedule, not in it.
    let place = match flaw.place.strip_prefix("schedule.") {
        Some(window) if window.starts_with("window") => window,
        Some(_) | None => &flaw.place,
    };
    let problem = match (doc, task) {
        (Some(doc), _) => doc.problem(&flaw.message).at(place),
        (None, Some(task)) => task.problem(&flaw.message).at(place),
        (None, None) => Problem::new(&config.path, &config.text, &flaw.message),
    };
    Found::new(flaw.severity, &problem.hint(flaw.hint))
}

fn print(global: &Global, found: &[Found], next: &[Coming], edges: &[Coming]) {
    let bad = found
        .iter()
        .any(|found| found.severity == Severity::Critical);
    let value = serde_json::json!({ "ok": !bad, "flaws": found, "next": next, "edges": edges });
    global.out().document(&value, || {
        let mut text = String::new();
        for it in found {
            let word = match it.severity {
                Severity::Critical => "bad",
                Severity::Warning => "doubtful",
                Severity::Info => "note",
            };
            let line = it.line.map_or_else(String::new, |line| format!(":{line}"));
            let _ = writeln!(text, "{word}  {}{line}: {}", it.file, it.message);
            if let Some(hint) = &it.hint {
                let _ = writeln!(text, "  hint: {hint}");
            }
        }
        if found.is_empty() {
            let _ = writeln!(text, "nothing is wrong");
        }
        for rows in [next, edges].into_iter().filter(|rows| !rows.is_empty()) {
            let table = crate::show::table(&COMING, rows.iter().map(coming_cells));
            let _ = writeln!(text, "\n{table}");
        }
        text
    });
}
