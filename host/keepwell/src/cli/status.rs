//! `status`: the node at a glance, and what waits for somebody.

use super::Global;
use super::config::counted;
use crate::api::{Client, pin};
use crate::clock;
use crate::config::{self, Config, timetable};
use crate::error::Result;
use crate::node;
use crate::node_dir::NodeDir;
use crate::pipeline::{self, BrokenRun};
use crate::plugins;
use keepwell_journal::measurements::FindingQuery;
use keepwell_journal::{PAUSED, Reader, RunQuery, RunRow};
use keepwell_model::id::RunId;
use keepwell_model::param::CommitState;
use keepwell_model::state::{Exit, RunState};
use keepwell_model::units::Bytes;
use keepwell_model::words::{Severity, printable};
use serde::Serialize;
use std::fmt::Write as _;

/// Of the newest runs, as many as fit a glance.
const RUNS_SHOWN: u64 = 5;

#[derive(Debug, Serialize)]
struct Status {
    node: String,
    tasks: usize,
    plugins: usize,
    roots: usize,
    stores: usize,
    /// Whether a daemon answers at the node's socket.
    daemon: bool,
    next: Option<Next>,
    paused: Vec<String>,
    /// Runs whose plan waits for approval.
    waiting: Vec<String>,
    /// Changed parameters that revert unless confirmed.
    unconfirmed: usize,
    open_findings: Findings,
    journal_entries: u64,
    unfinished_runs: usize,
    quarantine: Quarantine,
    last_runs: Vec<RunRow>,
    /// Installed plugins that run no more, because what vouched for them was revoked.
    revoked_plugins: Vec<String>,
    /// Versions of plugins that wait to be accepted.
    plugins_waiting: Vec<String>,
    /// Versions of plugins that failed too often in their first runs.
    plugins_rolled_back: Vec<String>,
    /// Runs for which the glass was broken, and that nobody else has looked at.
    glass_broken: Vec<BrokenRun>,
    /// Why nothing is changed just now.
    changes_stopped: Option<String>,
}

/// The soonest slot of all schedules.
#[derive(Debug, Serialize)]
struct Next {
    schedule: String,
    at: u64,
}

#[derive(Debug, Default, Serialize)]
struct Findings {
    critical: usize,
    warning: usize,
    info: usize,
}

#[derive(Debug, Serialize)]
struct Quarantine {
    runs: usize,
    entries: u64,
    bytes: u64,
}

/// Exits 3 when the newest run failed, changes are stopped, a glass is broken or a plugin was revoked.
pub(super) fn status(global: &Global) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let reader = node::reader(&dir)?;
    let status = look(global, &dir, &config, &reader)?;
    global.out().document(&status, || lines(&status));
    let bad = status
        .last_runs
        .first()
        .is_some_and(|r| matches!(r.state, RunState::Failed | RunState::Limited));
    let loud = status.changes_stopped.is_some()
        || !status.glass_broken.is_empty()
        || !status.revoked_plugins.is_empty();
    Ok(if bad || loud {
        Exit::Warned
    } else {
        Exit::Done
    })
}

fn look(global: &Global, dir: &NodeDir, config: &Config, reader: &Reader) -> Result<Status> {
    let mut paused = vec![];
    for task in config.tasks.keys() {
        if reader.flag(task.as_str(), PAUSED)?.is_some() {
            paused.push(task.to_string());
        }
    }
    let waiting = reader.in_state(RunState::Waiting)?;
    let changes = pipeline::changes(reader)?;
    let armed = |c: &&pipeline::Changed| c.commit.state == CommitState::Armed;
    let kept = pipeline::kept(config);
    let mut glass_broken = pipeline::broken(reader)?;
    glass_broken.retain(|b| b.glass.acknowledged.is_none());
    let lock = plugins::lock(dir)?;
    let entries = lock.entries();
    let aside = entries.iter().filter_map(|entry| {
        let why = entry.quarantined.as_ref()?;
        Some(format!("{}@{}: {why}", entry.name, entry.version))
    });
    Ok(Status {
        revoked_plugins: aside.collect(),
        plugins_waiting: entries.iter().filter(|e| e.waits()).map(pin).collect(),
        plugins_rolled_back: entries.iter().filter_map(plugins::went_back).collect(),
        glass_broken,
        changes_stopped: pipeline::low(dir),
        node: config.node_name(),
        tasks: config.tasks.len(),
        plugins: entries.len(),
        roots: config.node.roots.len(),
        stores: config.node.stores.len(),
        daemon: Client::connect(dir)?.is_some(),
        next: next(config)?,
        paused,
        waiting: waiting.iter().map(RunId::short).collect(),
        unconfirmed: changes.iter().filter(armed).count(),
        open_findings: open_findings(global)?,
        journal_entries: reader.size()?,
        unfinished_runs: reader.unfinished()?.len(),
        quarantine: Quarantine {
            runs: kept.len(),
            entries: kept.iter().map(|k| k.run.entries).sum(),
            bytes: kept.iter().map(|k| k.run.bytes).sum(),
        },
        last_runs: reader.runs(&RunQuery {
            limit: Some(RUNS_SHOWN),
            ..RunQuery::default()
        })?,
    })
}

/// `None` also when the schedules have mistakes, which `config check` tells.
fn next(config: &Config) -> Result<Option<Next>> {
    if !config::check_schedules(config).is_empty() {
        return Ok(None);
    }
    let now = clock::now_ms();
    let all = timetable(config)?.into_iter().filter_map(|line| {
        let at = line.schedule.pattern.next_after(now).ok()?;
        Some(Next {
            schedule: line.key,
            at,
        })
    });
    Ok(all.min_by_key(|next| next.at))
}

fn open_findings(global: &Global) -> Result<Findings> {
    let mut counts = Findings::default();
    let Some(reader) = super::measure::reader(global)? else {
        return Ok(counts);
    };
    let open = FindingQuery {
        open: true,
        ..FindingQuery::default()
    };
    for row in reader.findings(&open)? {
        match row.finding.severity {
            Severity::Critical => counts.critical += 1,
            Severity::Warning => counts.warning += 1,
            Severity::Info => counts.info += 1,
        }
    }
    Ok(counts)
}

fn lines(status: &Status) -> String {
    let mut text = String::new();
    for one in &status.glass_broken {
        let _ = writeln!(text, "{}", super::break_glass::loud(one));
    }
    for one in &status.revoked_plugins {
        let _ = writeln!(text, "PLUGIN IN QUARANTINE: {one}");
    }
    if let Some(why) = &status.changes_stopped {
        let _ = writeln!(text, "NOTHING IS CHANGED: {why}");
    }
    let _ = writeln!(
        text,
        "node `{}`: {}, {}, {}, {}",
        status.node,
        counted(status.tasks, "tasks"),
        counted(status.plugins, "plugins"),
        counted(status.roots, "roots"),
        counted(status.stores, "stores")
    );
    let mut say = |label: &str, what: String| {
        let _ = writeln!(text, "  {label:<11} {what}");
    };
    let daemon = if status.daemon {
        "runs"
    } else {
        "does not run"
    };
    let next = status.next.as_ref().map_or_else(
        || "nothing is scheduled".to_owned(),
        |next| format!("next {} at {}", next.schedule, clock::readable(next.at)),
    );
    say("daemon", format!("{daemon}; {next}"));
    let Findings {
        critical,
        warning,
        info,
    } = status.open_findings;
    if critical + warning + info > 0 {
        say(
            "open",
            format!("{critical} critical, {warning} warning, {info} info: keepwell findings"),
        );
    }
    for run in &status.waiting {
        say(
            "waits",
            format!("for approval: keepwell approvals show {run}"),
        );
    }
    for version in &status.plugins_waiting {
        say(
            "waits",
            format!("to be accepted: keepwell plugin accept {version}"),
        );
    }
    for back in &status.plugins_rolled_back {
        say("went back", back.clone());
    }
    if status.unconfirmed > 0 {
        let changes = counted(status.unconfirmed, "changes");
        say(
            "reverts",
            format!("{changes} unless confirmed: keepwell runs changes"),
        );
    }
    if !status.paused.is_empty() {
        say("paused", status.paused.join(", "));
    }
    say("journal", counted_entries(status.journal_entries));
    let kept = &status.quarantine;
    let runs = counted(kept.runs, "runs");
    let entries = counted_entries(kept.entries);
    say(
        "quarantine",
        format!("{entries} of {runs}, {}", Bytes(kept.bytes)),
    );
    for run in &status.last_runs {
        let says = run.line.clone().or_else(|| run.reason.clone());
        let says = printable(&says.unwrap_or_default(), 60);
        let at = clock::readable(run.started);
        let line = format!("  {at} {:<16} {:<11} {says}", run.task, run.state);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if status.last_runs.is_empty() {
        text.push_str("nothing has run yet\n");
    }
    text
}

fn counted_entries(count: u64) -> String {
    match count {
        1 => "1 entry".into(),
        _ => format!("{count} entries"),
    }
}
