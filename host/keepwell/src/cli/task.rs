//! `task`: what is configured, and the one-line check for monitoring.

use super::Global;
use super::ask::not_a_report;
use crate::api::{self, Answer, Control, Request};
use crate::config::{self, Config, Task};
use crate::error::{Error, Result};
use crate::node;
use crate::pipeline::{Brake, Silent};
use crate::plugins;
use crate::show;
use keepwell_journal::{PAUSED, RunQuery};
use keepwell_model::capability::Capability;
use keepwell_model::event::Mode;
use keepwell_model::grant::Grant;
use keepwell_model::id::ParamName;
use keepwell_model::report::Report;
use keepwell_model::state::{Exit, RunState};
use keepwell_model::words::{Severity, printable};
use serde::Serialize;
use std::fmt::Write as _;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The tasks of this node with their last run.
    #[command(after_help = "Example:\n  keepwell task list")]
    List,
    /// One task: its plugin, settings, grant and limits as they are in force.
    #[command(after_help = "Example:\n  keepwell task show temp-clean")]
    Show { task: String },
    /// Start no run of it until it is resumed.
    #[command(
        after_help = "Example:\n  keepwell task pause temp-clean --reason 'the disk is being replaced'"
    )]
    Pause {
        task: String,
        #[arg(long)]
        reason: String,
    },
    /// Let a paused task run again.
    #[command(after_help = "Example:\n  keepwell task resume temp-clean")]
    Resume {
        task: String,
        #[arg(long, default_value = "resumed by hand")]
        reason: String,
    },
    /// Leave out its next run.
    #[command(
        after_help = "Example:\n  keepwell task skip temp-clean --reason 'a release is under way'"
    )]
    Skip {
        task: String,
        #[arg(long)]
        reason: String,
    },
    /// Say that a person did what its newest due slot was for: it is not started any more.
    #[command(
        after_help = "Example:\n  keepwell task done full-backup --slot 2026-11-22T02:00:00Z --reason 'copied by hand'"
    )]
    Done {
        task: String,
        /// The slot, when it is not the newest that was due.
        #[arg(long, value_name = "TIME")]
        slot: Option<String>,
        #[arg(long)]
        reason: String,
    },
    /// Have the daemon run the slots of a time that nothing was started for, oldest first, each
    /// once. They start outside of windows too, for a person asked.
    #[command(
        after_help = "Example:\n  keepwell task backfill full-backup --from 2026-11-20 --to 2026-11-22 --reason 'the disk was away'"
    )]
    Backfill {
        task: String,
        /// Which of its schedules, when it has several.
        #[arg(long, value_name = "NAME/SLOT")]
        schedule: Option<String>,
        /// A time, a date, or a span ago such as 3d.
        #[arg(long, value_name = "TIME")]
        from: String,
        #[arg(long, value_name = "TIME")]
        to: String,
        #[arg(long)]
        reason: String,
    },
    /// Have the daemon start it as soon as it may, and do not wait for its end.
    #[command(
        after_help = "Example:\n  keepwell task run-now temp-clean --reason 'the disk fills up'"
    )]
    RunNow {
        task: String,
        #[arg(long, value_name = "KEY=VALUE", value_parser = super::parse_setting)]
        set: Vec<(String, serde_json::Value)>,
        #[arg(long)]
        reason: String,
    },
    /// What tasks keep for themselves between their runs.
    #[command(subcommand)]
    State(super::task_state::Verb),
    /// Run it and print one line as Nagios plugins do; exits 0, 1, 2 or 3 as that convention has it.
    #[command(after_help = "Example:\n  keepwell task check disk-check --set threshold=90")]
    Check {
        task: String,
        #[arg(long, value_name = "KEY=VALUE", value_parser = super::parse_setting)]
        set: Vec<(String, serde_json::Value)>,
    },
}

pub(super) fn task(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List => list(global),
        Verb::Show { task } => show_task(global, task),
        Verb::Pause { task, reason } => steer(global, task, Control::Pause, reason),
        Verb::Resume { task, reason } => steer(global, task, Control::Resume, reason),
        Verb::Skip { task, reason } => steer(global, task, Control::SkipNext, reason),
        Verb::Done { task, slot, reason } => {
            let slot = slot.as_deref().map(time).transpose()?;
            let (task, reason) = (task.clone(), reason.clone());
            global.show(&global.ask(Request::Done { task, slot, reason })?);
            Ok(Exit::Done)
        }
        Verb::Backfill {
            task,
            schedule,
            from,
            to,
            reason,
        } => {
            let (from, to) = (time(from)?, time(to)?);
            let request = Request::Backfill {
                task: task.clone(),
                schedule: schedule.clone(),
                from,
                to,
                reason: reason.clone(),
            };
            for_the_daemon(global, request)
        }
        Verb::RunNow { task, set, reason } => {
            let (task, set, reason) = (task.clone(), set.clone(), reason.clone());
            for_the_daemon(global, Request::RunNow { task, set, reason })
        }
        Verb::State(verb) => super::task_state::state(global, verb),
        Verb::Check { task, set } => check(global, task, set),
    }
}

#[derive(Serialize)]
struct Row {
    task: String,
    plugin: String,
    plugin_task: String,
    paused: Option<String>,
    schedule: Option<String>,
    last_state: Option<RunState>,
    last_began: Option<u64>,
}

fn list(global: &Global) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let reader = node::reader(&dir)?;
    let mut rows = vec![];
    for task in config.tasks.values() {
        let name = task.name.as_str();
        let query = RunQuery {
            task: Some(name.to_owned()),
            limit: Some(1),
            ..RunQuery::default()
        };
        let last = reader.runs(&query)?.into_iter().next();
        rows.push(Row {
            task: name.to_owned(),
            plugin: task.file.plugin.clone(),
            plugin_task: task.plugin_task().to_owned(),
            paused: reader.flag(name, PAUSED)?,
            schedule: task.file.schedule.as_ref().map(ToString::to_string),
            last_state: last.as_ref().map(|r| r.state),
            last_began: last.as_ref().map(|r| r.started),
        });
    }
    global.out().rows(
        &rows,
        &["task", "plugin", "state", "last run", "began"],
        |r| {
            vec![
                r.task.clone(),
                r.plugin.clone(),
                r.paused
                    .as_ref()
                    .map_or_else(|| "ready".into(), |why| format!("paused: {why}")),
                r.last_state
                    .map_or_else(|| "never".into(), |s| s.to_string()),
                r.last_began
                    .map_or_else(String::new, crate::clock::readable),
            ]
        },
    );
    Ok(Exit::Done)
}

fn show_task(global: &Global, name: &str) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let task = config.task(name)?;
    let grant = granted(&dir, &config, task)?;
    let value = serde_json::json!({
        "task": name, "file": task.path, "settings": task.file.settings, "grant": grant,
        "grant_digest": grant.digest(), "schedule": task.file.schedule, "window": task.file.window,
    });
    global.out().document(&value, || {
        let mut text = format!("task      {name} ({})\n", task.path.display());
        let _ = writeln!(
            text,
            "runs      {} of {}@{}, signed by {}",
            grant.plugin_task, grant.plugin, grant.version, grant.signer.name
        );
        if let Some(schedule) = &task.file.schedule {
            let _ = writeln!(text, "schedule  {schedule}");
        }
        if let Some(window) = &task.file.window {
            let _ = writeln!(text, "window    {}", compact(window));
        }
        let _ = writeln!(text, "component {}", grant.component);
        let _ = writeln!(text, "grant     {}", grant.digest());
        for (capability, scope) in held(&grant) {
            let line = format!("  {capability:<13} {scope}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let _ = writeln!(text, "settings  {}", compact(&task.file.settings));
        let _ = write!(text, "limits    {}", compact(&grant.limits));
        text
    });
    Ok(Exit::Done)
}

/// Every capability of a grant with where it applies and how much of it. Taken apart, so that one
/// more cannot be left out.
fn held(grant: &Grant) -> Vec<(Capability, String)> {
    let Grant {
        plugin: _,
        version: _,
        plugin_task: _,
        component: _,
        signer: _,
        metrics,
        storage,
        clean,
        shards,
        config_read,
        config_write,
        state,
        limits: _,
    } = grant;
    let names = |all: Vec<&ParamName>| {
        let all: Vec<&str> = all.into_iter().map(ParamName::as_str).collect();
        all.join(" ")
    };
    let mut all = vec![];
    if *metrics {
        all.push((Capability::Metrics, String::new()));
    }
    if let Some(storage) = storage {
        all.push((Capability::Storage, compact(&storage.roots)));
    }
    if let Some(clean) = clean {
        let scope = format!("{} {}", compact(&clean.roots), compact(&clean.budget));
        all.push((Capability::StorageClean, scope));
    }
    if let Some(shards) = shards {
        let scope = format!("{} {}", compact(&shards.stores), compact(&shards.budget));
        all.push((Capability::Shards, scope));
    }
    if let Some(read) = config_read {
        all.push((Capability::ConfigRead, names(read.params.keys().collect())));
    }
    if let Some(write) = config_write {
        let params = names(write.params.keys().collect());
        let most = write.max_changes;
        all.push((
            Capability::ConfigWrite,
            format!("{params}, at most {most} in a run"),
        ));
    }
    if let Some(state) = state {
        let scope = format!("{} in {} keys", state.max_bytes, state.max_keys);
        all.push((Capability::State, scope));
    }
    all
}

/// One-line JSON of anything, for the table view.
fn compact(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn granted(
    dir: &crate::node_dir::NodeDir,
    config: &Config,
    task: &Task,
) -> Result<Grant> {
    let trust = plugins::trust(dir)?;
    let plugin = plugins::open(dir, &trust, plugins::latest_ms(dir), &task.file.plugin)?;
    config::check_task(config, task, &plugin).map_err(config::bad)
}

fn steer(global: &Global, task: &str, control: Control, reason: &str) -> Result<Exit> {
    let (task, reason) = (task.to_owned(), reason.to_owned());
    let request = Request::Control {
        task,
        control,
        reason,
    };
    global.show(&global.ask(request)?);
    Ok(Exit::Done)
}

fn time(text: &str) -> Result<u64> {
    let now = crate::clock::now_ms();
    crate::clock::parse_time(text, now).ok_or_else(|| {
        Error::usage(format!("`{}` is no time", printable(text, 40)))
            .hint("write 2026-11-22T02:00:00Z, 2026-11-22, or a span ago such as 3d")
    })
}

/// Asks for what only a daemon starts, and says so where none is.
fn for_the_daemon(global: &Global, request: Request) -> Result<Exit> {
    let listens = api::Client::connect(&global.dir())?.is_some();
    global.show(&global.ask(request)?);
    if !listens {
        show::say("no daemon runs on this node: it is kept, and nothing starts it until one does");
    }
    Ok(Exit::Done)
}

/// Nagios' code for a check that could not be made.
const UNKNOWN: i32 = 3;

/// Nagios: `SERVICE STATUS - text | 'label'=value[unit]`; 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
fn check(global: &Global, name: &str, set: &[(String, serde_json::Value)]) -> Result<Exit> {
    let out = global.out();
    let tell = |word: &str, code: i32, line: String| -> ! {
        let value = serde_json::json!({ "status": word, "exit": code, "line": line });
        out.document(&value, || line);
        // A line that nobody got is no answer, and a check without an answer is unknown.
        std::process::exit(if show::lost().is_some() {
            UNKNOWN
        } else {
            code
        })
    };
    let report = match run_once(global, name, set) {
        Ok(report) => report,
        Err(e) => {
            let why = printable(&e.to_string(), 1_000).replace('|', "/");
            tell(
                "UNKNOWN",
                UNKNOWN,
                format!("{} UNKNOWN - {why}", name.to_uppercase()),
            )
        }
    };
    let (word, code) = nagios(&report);
    let text = report
        .summary
        .as_ref()
        .map(|s| s.line.clone())
        .or_else(|| report.reason.clone());
    let mut line = format!(
        "{} {word} - {}",
        name.to_uppercase(),
        printable(&text.unwrap_or_default(), 1_000)
    )
    .replace('|', "/");
    for (i, metric) in report.metrics.iter().enumerate() {
        let mut label = metric.name.clone();
        for (_, value) in &metric.labels {
            let _ = write!(label, " {value}");
        }
        let unit = match metric.unit.as_str() {
            "seconds" => "s",
            "bytes" => "B",
            _ => "",
        };
        let before = if i == 0 { " | " } else { " " };
        let _ = write!(
            line,
            "{before}'{}'={}{unit}",
            label.replace(['\'', '=', '|'], "_"),
            metric.value
        );
    }
    tell(word, code, line)
}

fn nagios(report: &Report) -> (&'static str, i32) {
    let worst = report.findings.iter().map(|f| f.severity).max();
    match (report.state, worst) {
        (RunState::Done | RunState::Warned, Some(Severity::Critical)) => ("CRITICAL", 2),
        (RunState::Warned, _) | (RunState::Done, Some(Severity::Warning)) => ("WARNING", 1),
        (RunState::Done, None | Some(Severity::Info)) => ("OK", 0),
        (
            RunState::Running
            | RunState::Failed
            | RunState::Denied
            | RunState::Limited
            | RunState::Skipped
            | RunState::Missed
            | RunState::Waiting
            | RunState::Cancelled
            | RunState::Interrupted,
            _,
        ) => ("UNKNOWN", UNKNOWN),
    }
}

fn run_once(global: &Global, name: &str, set: &[(String, serde_json::Value)]) -> Result<Report> {
    let request = Request::Run {
        task: name.to_owned(),
        set: set.to_vec(),
        mode: Mode::Plan,
        trigger: "check".into(),
        yes: false,
    };
    match api::ask(&global.dir(), request, &mut Silent, &Brake::default())? {
        Answer::Report(report) => Ok(*report),
        other => Err(not_a_report(&other)),
    }
}
