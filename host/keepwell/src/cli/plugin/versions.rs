//! `plugin list|accept|reject`: the versions of plugins, and those that wait for somebody.

use super::Global;
use crate::api::{Answer, Request, waiting_version};
use crate::clock;
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::node;
use crate::pipeline;
use crate::plugins;
use crate::show;
use keepwell_bundle::{Lock, LockEntry, Standing};
use keepwell_model::glass::DIGITS_MIN;
use keepwell_model::id::{Digest, TaskName};
use keepwell_model::state::Exit;
use keepwell_model::trial::Verdict;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _};

/// One version, with what was found out about it.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    entry: LockEntry,
    /// Of one on trial: counted runs so far, and faults among them.
    trial_runs: Option<u32>,
    trial_faults: Option<u32>,
    /// Tasks that run it, and the digest of what each was last granted.
    tasks: BTreeMap<String, Option<Digest>>,
}

pub(super) fn list(global: &Global) -> Result<Exit> {
    let dir = global.dir();
    let lock = plugins::lock(&dir)?;
    let config = config::load(&dir)?;
    let mut rows = vec![];
    for entry in lock.entries() {
        let verdict = verdict(global, &config, entry)?;
        rows.push(Row {
            trial_runs: verdict.map(|(runs, _)| runs),
            trial_faults: verdict.map(|(_, faults)| faults),
            tasks: tasks(&config, &lock, entry),
            entry: entry.clone(),
        });
    }
    let columns = [
        "plugin",
        "version",
        "standing",
        "signer",
        "component",
        "installed",
    ];
    global.out().rows(&rows, &columns, |row| {
        let e = &row.entry;
        vec![
            e.name.to_string(),
            e.version.clone(),
            standing(row),
            e.signer_name.clone(),
            e.component.short(),
            clock::readable(e.installed_ms),
        ]
    });
    Ok(Exit::Done)
}

/// Runs and faults of a version on trial.
fn verdict(global: &Global, config: &Config, entry: &LockEntry) -> Result<Option<(u32, u32)>> {
    if entry.standing != Standing::Active || entry.trial.is_none() {
        return Ok(None);
    }
    let reader = node::reader(&global.dir())?;
    let tasks = config.tasks.keys().map(TaskName::as_str);
    let verdict = pipeline::judge_runs(&reader, &config.node.plugins, tasks, entry)?;
    Ok(Some(match verdict {
        Verdict::GoesOn { runs, faults } | Verdict::Back { runs, faults } => (runs, faults),
        Verdict::Proven { runs } => (runs, 0),
    }))
}

fn tasks(config: &Config, lock: &Lock, entry: &LockEntry) -> BTreeMap<String, Option<Digest>> {
    let used = config.tasks.values().filter(|t| {
        let runs = lock.find(&t.file.plugin);
        runs.is_some_and(|e| e == entry)
    });
    used.map(|t| (t.name.to_string(), lock.grants.get(&t.name).copied()))
        .collect()
}

fn standing(row: &Row) -> String {
    let entry = &row.entry;
    let mut text = entry.standing.as_str().to_owned();
    if let (Some(trial), Some(runs), Some(faults)) =
        (&entry.trial, row.trial_runs, row.trial_faults)
    {
        text = format!(
            "{text}, on trial since {}: {runs} runs, {faults} faults",
            trial.from
        );
    }
    if let Some(back) = &entry.rolled_back {
        text = format!(
            "{text} to {}: {} faults in {} runs",
            back.to, back.faults, back.runs
        );
    }
    if entry.standing != Standing::Held && !entry.wider.is_empty() {
        text.push_str(", waits to be accepted");
    }
    text
}

pub(super) fn accept(global: &Global, wanted: &str, digits: Option<&str>) -> Result<Exit> {
    let digits = match digits {
        Some(digits) => digits.to_owned(),
        None => ask(global, wanted)?,
    };
    let plugin = wanted.to_owned();
    let answer: Answer = global.ask(Request::Accept { plugin, digits })?;
    global.show(&answer);
    Ok(Exit::Done)
}

pub(super) fn reject(global: &Global, wanted: &str) -> Result<Exit> {
    let plugin = wanted.to_owned();
    global.show(&global.ask(Request::Reject { plugin })?);
    Ok(Exit::Done)
}

/// Shows what would run, and has its bundle's id typed.
fn ask(global: &Global, wanted: &str) -> Result<String> {
    let dir = global.dir();
    dir.must_exist()?;
    if !std::io::stdin().is_terminal() {
        return Err(Error::usage("nobody at a terminal can be asked")
            .hint("name the bundle by `--digest` and the first 8 digits of its id"));
    }
    let lock = plugins::lock(&dir)?;
    let entry = waiting_version(&lock, wanted)?;
    let lines: String = entry.wider.iter().map(|l| format!("\n    + {l}")).collect();
    show::say(&format!(
        "  {}@{} signed by `{}` becomes the active version.\n  beyond the one before:{lines}\n  bundle    {}\n  To go on, type the first {DIGITS_MIN} digits of the bundle's id:",
        entry.name,
        entry.version,
        entry.signer_name,
        entry.bundle.hex()
    ));
    let mut typed = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut typed)
        .map_err(|e| Error::usage(format!("nothing was typed: {e}")))?;
    Ok(typed.trim().to_owned())
}
