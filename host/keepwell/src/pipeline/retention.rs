//! The host's own retention: what lies in quarantine longer than the node keeps it is deleted,
//! with an intent before and an outcome after.

use super::Brake;
use crate::error::{Error, Result, chain};
use crate::node::Node;
use keepwell_journal::{Reader, RunQuery};
use keepwell_model::event::{Event, Record};
use keepwell_model::id::{RootName, RunId};
use keepwell_node::quarantine::QuarantinedRun;
use keepwell_node::root::Root;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Runs that are read at a time.
const RUNS_AT_ONCE: u64 = 1_000;

/// What one sweep forgot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    pub runs: u64,
    pub entries: u64,
    pub bytes: u64,
    pub points: u64,
    pub findings: u64,
    pub quarantined: u64,
}

/// Keeps history within `[retention]`: expired quarantine first, then old runs with their plans,
/// then measurements; each in batches between which others go on.
pub fn sweep(node: &Node, stop: &dyn Fn() -> bool) -> Result<Forgotten> {
    let now = node.clock.now_ms();
    // A root that cannot be cleared must not keep the journal from staying small.
    let expired = expire_due(node, now);
    let table = &node.config.node.retention;
    let spare = spared(node)?;
    let pruned = node.journal.prune(
        &keepwell_journal::Retention {
            runs_per_task: Some(table.runs_per_task),
            age_ms: Some(table.runs.as_millis()),
            bytes: Some(table.run_bytes.0),
            spare: spare.clone(),
        },
        now,
    )?;
    if pruned.runs > 0 {
        drop_plans(node, &spare)?;
    }
    let swept = node
        .measurements()
        .and_then(|m| m.sweep(&table.measurements, now, stop))
        .map_err(|e| Error::failed(chain(&e)))?;
    Ok(Forgotten {
        runs: pruned.runs,
        entries: pruned.entries,
        bytes: pruned.bytes,
        points: swept.points,
        findings: swept.findings,
        quarantined: expired?.0,
    })
}

/// Runs that are not forgotten, however old: what they moved can be undone, or what they set still
/// has to go back, or nobody has looked at why the glass was broken.
fn spared(node: &Node) -> Result<BTreeSet<RunId>> {
    let reader = node.reader()?;
    let mut spare: BTreeSet<RunId> = kept(&node.config).iter().map(|k| k.run.run).collect();
    let mut roots = node.config.node.roots.iter();
    if roots.any(|(name, table)| Root::open(name, &table.path).is_err()) {
        // What lies in quarantine there comes back when it is mounted again.
        let keep = node.config.node.quarantine.keep.as_millis();
        young(
            &reader,
            node.clock.now_ms().saturating_sub(keep),
            &mut spare,
        )?;
    }
    spare.extend(super::changes::spared(&reader)?);
    let unseen = super::broken(&reader)?.into_iter();
    spare.extend(
        unseen
            .filter(|b| b.glass.acknowledged.is_none())
            .map(|b| b.run),
    );
    Ok(spare)
}

/// Runs that began at `since_ms` or later.
fn young(reader: &Reader, since_ms: u64, into: &mut BTreeSet<RunId>) -> Result<()> {
    let mut query = RunQuery {
        limit: Some(RUNS_AT_ONCE),
        ..RunQuery::default()
    };
    loop {
        let page = reader.runs(&query)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        query.before = Some(last.run);
        let old = last.started < since_ms;
        into.extend(page.iter().filter(|r| r.started >= since_ms).map(|r| r.run));
        if old {
            return Ok(());
        }
    }
}

/// Plans of runs that are forgotten. What still lies in quarantine has its manifest there.
fn drop_plans(node: &Node, spare: &BTreeSet<RunId>) -> Result<()> {
    let reader = node.reader()?;
    let dir = node.dir.runs();
    let entries = std::fs::read_dir(&dir).map_err(|e| Error::io("read", &dir, &e))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(run) = name.parse::<RunId>() else {
            continue;
        };
        if spare.contains(&run) || reader.report(run)?.is_some() {
            continue;
        }
        let known = ["plan.jsonl", "progress.json", "progress.new", "cancel"];
        for file in known.into_iter().chain([super::own::HELD]) {
            // What is not there need not be removed.
            let _ = std::fs::remove_file(entry.path().join(file));
        }
        // Only when it is empty: what somebody else left there is theirs.
        let _ = std::fs::remove_dir(entry.path());
    }
    Ok(())
}

/// What lies in quarantine below one root.
#[derive(Debug)]
pub struct Kept {
    pub root: RootName,
    pub run: QuarantinedRun,
    pub expires_ms: u64,
}

/// Everything in quarantine, oldest first within a root. Roots that are not there are left out.
pub fn kept(config: &crate::config::Config) -> Vec<Kept> {
    let keep = config.node.quarantine.keep.as_millis();
    let mut all = vec![];
    for (name, table) in &config.node.roots {
        let Ok(root) = Root::open(name, &table.path) else {
            continue;
        };
        for run in keepwell_node::quarantine::quarantined(&root).unwrap_or_default() {
            let expires_ms = run.since_ms.saturating_add(keep);
            all.push(Kept {
                root: name.clone(),
                run,
                expires_ms,
            });
        }
    }
    all
}

/// Deletes what has expired by `now_ms`.
pub fn expire_due(node: &Node, now_ms: u64) -> Result<(u64, u64)> {
    let due: Vec<Kept> = kept(&node.config)
        .into_iter()
        .filter(|k| k.expires_ms <= now_ms)
        .collect();
    expire(node, &due)
}

/// Deletes these, whether or not they have expired. It cannot be undone. What somebody undoes or
/// goes on with just now stays; of several errors the first is told, after the rest was deleted.
pub fn expire(node: &Node, these: &[Kept]) -> Result<(u64, u64)> {
    let (mut entries, mut bytes) = (0, 0);
    let mut failed = None;
    for one in these {
        let Ok(_hold) = node.in_hand.take(one.run.run, &Brake::default()) else {
            continue;
        };
        match expire_one(node, one) {
            Ok((e, b)) => {
                entries += e;
                bytes += b;
            }
            Err(e) => {
                failed.get_or_insert(e);
            }
        }
    }
    failed.map_or(Ok((entries, bytes)), Err)
}

fn expire_one(node: &Node, one: &Kept) -> Result<(u64, u64)> {
    let Some(table) = node.config.node.roots.get(&one.root) else {
        return Ok((0, 0));
    };
    let root = Root::open(&one.root, &table.path)?;
    let record = |event| Record {
        at: node.clock.now_ms(),
        run: Some(one.run.run),
        task: None,
        actor: node.actor.clone(),
        event,
    };
    node.journal.commit(record(Event::ExpiryIntended {
        root: one.root.to_string(),
    }))?;
    let (entries, bytes) = keepwell_node::quarantine::expire(&root, one.run.run, &|| false)?;
    node.journal.commit(record(Event::Expired {
        root: one.root.to_string(),
        entries,
        bytes,
    }))?;
    Ok((entries, bytes))
}
