//! The host's own retention: what lies in quarantine longer than the node keeps it is deleted,
//! with an intent before and an outcome after.

use crate::error::Result;
use crate::node::Node;
use keepwell_model::event::{Event, Record};
use keepwell_model::id::RootName;
use keepwell_node::quarantine::QuarantinedRun;
use keepwell_node::root::Root;

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

/// Deletes these, whether or not they have expired. It cannot be undone.
pub fn expire(node: &Node, these: &[Kept]) -> Result<(u64, u64)> {
    let (mut entries, mut bytes) = (0, 0);
    for one in these {
        let Some(table) = node.config.node.roots.get(&one.root) else {
            continue;
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
        let (e, b) = keepwell_node::quarantine::expire(&root, one.run.run, &|| false)?;
        node.journal.commit(record(Event::Expired {
            root: one.root.to_string(),
            entries: e,
            bytes: b,
        }))?;
        entries += e;
        bytes += b;
    }
    Ok((entries, bytes))
}
