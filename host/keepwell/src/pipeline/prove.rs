//! A new version of a plugin is on trial in its first runs. At the end of each it is judged by the
//! journal: it goes on, has proven itself, or goes back to the version before.

use crate::api::{hold_plugins, pin};
use crate::error::Result;
use crate::node::Node;
use crate::plugins::{self, Add, Change, Installed, Shelf, What};
use keepwell_bundle::{Lock, LockEntry, RolledBack, Standing};
use keepwell_journal::{Reader, RunQuery};
use keepwell_model::event::Event;
use keepwell_model::id::TaskName;
use keepwell_model::manifest::parse_version;
use keepwell_model::report::Report;
use keepwell_model::trial::{PluginsTable, RUNS_MAX, Says, Verdict, judge};

/// After a run. What cannot be judged now is by the next run.
pub(super) fn prove(node: &Node, report: &Report) {
    if let Err(e) = judged(node, report) {
        crate::talk::say(&format!("  the plugin's trial was not judged: {e}"));
    }
}

fn judged(node: &Node, report: &Report) -> Result<()> {
    let on_trial = |lock: &Lock| -> Option<LockEntry> {
        let active = lock.active(report.plugin.as_deref()?)?;
        let ran = report.component == Some(active.component);
        (ran && active.trial.is_some()).then(|| active.clone())
    };
    if on_trial(&plugins::lock(&node.dir)?).is_none() {
        return Ok(());
    }
    let _one_at_a_time = hold_plugins(node);
    let shelf = Shelf::of(node);
    shelf.settle()?;
    // Another run may have ended the trial meanwhile.
    let lock = plugins::lock(&node.dir)?;
    let Some(entry) = on_trial(&lock) else {
        return Ok(());
    };
    match verdict(node, &entry)? {
        Verdict::GoesOn { .. } => Ok(()),
        Verdict::Proven { runs } => proven(node, &shelf, lock, &entry, runs),
        Verdict::Back { runs, faults } => back(node, &shelf, lock, &entry, (runs, faults)),
    }
}

/// What the runs of a version on trial come to so far.
fn verdict(node: &Node, entry: &LockEntry) -> Result<Verdict> {
    let tasks = node.config.tasks.keys();
    let table = &node.config.node.plugins;
    judge_runs(&node.reader()?, table, tasks.map(TaskName::as_str), entry)
}

/// The same for who only reads.
pub fn judge_runs<'a>(
    reader: &Reader,
    table: &PluginsTable,
    tasks: impl Iterator<Item = &'a str>,
    entry: &LockEntry,
) -> Result<Verdict> {
    let since = entry.trial.as_ref().map_or(u64::MAX, |t| t.since_ms);
    let mut runs = vec![];
    for task in tasks {
        let query = RunQuery {
            task: Some(task.to_owned()),
            limit: Some(u64::from(RUNS_MAX)),
            ..RunQuery::default()
        };
        for row in reader.runs(&query)? {
            if row.started < since {
                break;
            }
            let report = reader.report(row.run)?;
            let report = report.filter(|r| r.component == Some(entry.component));
            runs.extend(report.map(|r| (r.ended.unwrap_or(u64::MAX), r.run, Says::of(&r))));
        }
    }
    runs.sort_by_key(|(ended, run, _)| (*ended, *run));
    Ok(judge(table, runs.into_iter().map(|(_, _, says)| says)))
}

/// The trial is over. Older versions that no task names are not needed any more.
fn proven(
    node: &Node,
    shelf: &Shelf<'_>,
    mut lock: Lock,
    entry: &LockEntry,
    runs: u32,
) -> Result<()> {
    let older = |e: &&LockEntry| parse_version(&e.version) < parse_version(&entry.version);
    let pinned = |e: &LockEntry| {
        let mut tasks = node.config.tasks.values();
        tasks.any(|t| lock.find(&t.file.plugin).is_some_and(|used| used == e))
    };
    let gone: Vec<LockEntry> = lock
        .versions(entry.name.as_str())
        .filter(older)
        .filter(|e| e.standing != Standing::Held && !pinned(e))
        .cloned()
        .collect();
    let mut events = vec![Event::PluginProven {
        plugin: entry.name.to_string(),
        version: entry.version.clone(),
        runs,
    }];
    for old in &gone {
        lock.remove(&old.name, &old.version);
        events.push(Event::PluginRemoved {
            plugin: old.name.to_string(),
            version: old.version.clone(),
        });
    }
    if let Some(active) = lock.entry_mut(&entry.name, &entry.version) {
        active.trial = None;
    }
    shelf.change(&Change {
        what: What::Prove,
        entry: entry.clone(),
        lock,
        add: None,
        events,
    })
}

/// The version before is the active one again, if it still may run.
fn back(
    node: &Node,
    shelf: &Shelf<'_>,
    mut lock: Lock,
    entry: &LockEntry,
    (runs, faults): (u32, u32),
) -> Result<()> {
    let to = entry.trial.as_ref().map(|t| t.from.clone());
    let to = to.unwrap_or_default();
    let before = lock.find(&format!("{}@{to}", entry.name)).cloned();
    let opened = match &before {
        Some(before) => plugins::open_entry(&node.dir, &node.trust, node.latest_ms()?, before),
        None => Err(crate::error::Error::failed("it is not installed any more")),
    };
    let Installed { bundle, entry: old } = match opened {
        Ok(opened) => opened,
        Err(e) => return stays(node, shelf, lock, entry, &to, &e.message),
    };
    lock.activate(&old.name, &old.version);
    if let Some(failed) = lock.entry_mut(&entry.name, &entry.version) {
        failed.standing = Standing::RolledBack;
        failed.rolled_back = Some(RolledBack {
            at_ms: shelf.now_ms,
            to: to.clone(),
            faults,
            runs,
        });
    }
    plugins::note_grants(&node.config, &mut lock, &bundle);
    shelf.change(&Change {
        what: What::RollBack,
        entry: old,
        lock,
        add: Some(Add::compiled(&bundle)),
        events: vec![Event::PluginRolledBack {
            plugin: entry.name.to_string(),
            from: entry.version.clone(),
            to: to.clone(),
            faults,
            runs,
        }],
    })?;
    crate::talk::say(&format!(
        "  {} had {faults} faults in {runs} runs: rolled back to {to}",
        pin(entry)
    ));
    Ok(())
}

/// There is nothing to go back to: the version stays, and that is said.
fn stays(
    node: &Node,
    shelf: &Shelf<'_>,
    mut lock: Lock,
    entry: &LockEntry,
    to: &str,
    why: &str,
) -> Result<()> {
    if let Some(active) = lock.entry_mut(&entry.name, &entry.version) {
        active.trial = None;
    }
    let event = Event::PluginRefused {
        source: format!("roll back of {} to {to}", pin(entry)),
        reason: why.to_owned(),
    };
    node.journal.commit(node.record(None, event))?;
    crate::talk::say(&format!(
        "  {} fails too often and cannot go back to {to}: {why}",
        pin(entry)
    ));
    shelf.note(&lock)
}
