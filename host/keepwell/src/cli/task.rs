//! `task`: what is configured, and the one-line check for monitoring.

use super::Global;
use crate::config::{self, Config, Task};
use crate::error::Result;
use crate::node;
use crate::pipeline::{self, Due, Silent};
use crate::plugins;
use crate::show;
use keepwell_journal::{PAUSED, RunQuery, SKIP_NEXT};
use keepwell_model::event::{Event, Mode, Record};
use keepwell_model::gate::Consent;
use keepwell_model::report::Report;
use keepwell_model::state::{Exit, RunState};
use keepwell_model::words::{Severity, printable};
use serde::Serialize;
use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The tasks of this node with their last run.
    List,
    /// One task: its plugin, settings, grant and limits as they are in force.
    Show { task: String },
    /// Start no run of it until it is resumed.
    Pause {
        task: String,
        #[arg(long)]
        reason: String,
    },
    /// Let a paused task run again.
    Resume {
        task: String,
        #[arg(long, default_value = "resumed by hand")]
        reason: String,
    },
    /// Leave out its next run.
    Skip {
        task: String,
        #[arg(long)]
        reason: String,
    },
    /// Run it and print one line as Nagios plugins do; exits 0, 1, 2 or 3 as that convention has it.
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
        Verb::Pause { task, reason } => flag(
            global,
            task,
            PAUSED,
            "set",
            Event::TaskPaused {
                reason: reason.clone(),
            },
        ),
        Verb::Resume { task, reason } => flag(
            global,
            task,
            PAUSED,
            "cleared",
            Event::TaskResumed {
                reason: reason.clone(),
            },
        ),
        Verb::Skip { task, reason } => flag(
            global,
            task,
            SKIP_NEXT,
            "set",
            Event::TaskSkip {
                reason: reason.clone(),
            },
        ),
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
            schedule: task.file.schedule.as_ref().map(|s| s.cron.clone()),
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
        "grant_digest": grant.digest(),
    });
    global.out().document(&value, || {
        let mut text = format!("task      {name} ({})\n", task.path.display());
        let _ = writeln!(
            text,
            "runs      {} of {}@{}, signed by {}",
            grant.plugin_task, grant.plugin, grant.version, grant.signer.name
        );
        let _ = writeln!(text, "component {}", grant.component);
        let _ = writeln!(text, "grant     {}", grant.digest());
        let pretty = |value: &dyn erased::Pretty| value.pretty();
        if grant.metrics {
            let _ = writeln!(text, "  metrics");
        }
        if let Some(storage) = &grant.storage {
            let _ = writeln!(text, "  storage       {}", pretty(&storage.roots));
        }
        if let Some(clean) = &grant.clean {
            let _ = writeln!(
                text,
                "  storage-clean {} {}",
                pretty(&clean.roots),
                pretty(&clean.budget)
            );
        }
        if let Some(shards) = &grant.shards {
            let _ = writeln!(text, "  shards        {}", pretty(&shards.stores));
        }
        let _ = writeln!(text, "settings  {}", pretty(&task.file.settings));
        let _ = write!(text, "limits    {}", pretty(&grant.limits));
        text
    });
    Ok(Exit::Done)
}

/// One-line JSON of anything, for the table view.
mod erased {
    pub(super) trait Pretty {
        fn pretty(&self) -> String;
    }
    impl<T: serde::Serialize> Pretty for T {
        fn pretty(&self) -> String {
            serde_json::to_string(self).unwrap_or_default()
        }
    }
}

pub(super) fn granted(
    dir: &crate::node_dir::NodeDir,
    config: &Config,
    task: &Task,
) -> Result<keepwell_model::grant::Grant> {
    let trust = plugins::trust(dir)?;
    let plugin = plugins::open(dir, &trust, &task.file.plugin)?;
    config::check_task(config, task, &plugin).map_err(config::bad)
}

fn flag(global: &Global, name: &str, flag: &str, is: &str, event: Event) -> Result<Exit> {
    let node = pipeline::open(global.dir())?;
    let task = node.config.task(name)?;
    node.journal.commit(Record {
        at: crate::clock::now_ms(),
        run: None,
        task: Some(task.name.to_string()),
        actor: node.actor.clone(),
        event,
    })?;
    node.journal.checkpoint()?;
    show::say(&format!("`{flag}` of task {name} is {is}"));
    Ok(Exit::Done)
}

/// Nagios: `SERVICE STATUS - text | 'label'=value[unit]`; 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
fn check(global: &Global, name: &str, set: &[(String, serde_json::Value)]) -> Result<Exit> {
    let report = match run_once(global, name, set) {
        Ok(report) => report,
        Err(e) => {
            show::line(&format!("{} UNKNOWN - {e}", name.to_uppercase()));
            std::process::exit(3);
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
    show::line(&line);
    std::process::exit(code)
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
            | RunState::Cancelled
            | RunState::Interrupted,
            _,
        ) => ("UNKNOWN", 3),
    }
}

fn run_once(global: &Global, name: &str, set: &[(String, serde_json::Value)]) -> Result<Report> {
    let node = pipeline::open(global.dir())?;
    let task = node.config.task(name)?;
    let consent = Consent {
        person: false,
        policy: false,
    };
    let due = Due::now(task, "check", Mode::Plan, consent, task.settings_json(set))?;
    pipeline::run(&node, due, &mut Silent, &AtomicBool::new(false))
}
