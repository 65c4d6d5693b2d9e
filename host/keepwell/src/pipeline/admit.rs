//! Whether a run may start now, and whether a plan fits the node it was made on.

use super::{Admitted, Due, Halt, SealedPlan};
use crate::node::Node;
use keepwell_journal::{PAUSED, SKIP_NEXT};
use keepwell_model::event::{Event, Record};
use keepwell_model::grant::Grant;
use keepwell_model::state::RunState;
use keepwell_node::root::Root;

/// The task is not paused, and its plugin verifies as of now.
pub(super) fn admit<'a>(node: &Node, due: Due<'a>) -> Result<Admitted<'a>, Halt> {
    let reader = node.journal.reader().map_err(|e| Halt::Journal(e.into()))?;
    let name = due.task.name.as_str();
    let flag = |flag: &str| reader.flag(name, flag).map_err(|e| Halt::Journal(e.into()));
    if let Some(reason) = flag(PAUSED)? {
        return Err(Halt::end(
            RunState::Skipped,
            format!("the task is paused: {reason}"),
            Some(format!("`keepwell task resume {name}` lets it run again")),
        ));
    }
    if let Some(reason) = flag(SKIP_NEXT)? {
        let used = Record {
            at: due.now_ms,
            run: Some(due.run),
            task: Some(name.to_owned()),
            actor: node.actor.clone(),
            event: Event::TaskSkipUsed {
                reason: reason.clone(),
            },
        };
        node.journal
            .commit(used)
            .map_err(|e| Halt::Journal(e.into()))?;
        return Err(Halt::end(
            RunState::Skipped,
            format!("skipped once: {reason}"),
            None,
        ));
    }
    let wanted = &due.task.file.plugin;
    let plugin = node.plugin(wanted).map_err(Halt::failed)?;
    Ok(Admitted { due, plugin })
}

/// A root that may be cleaned must be a place where a mistake is survivable.
pub(super) fn check_roots(node: &Node, grant: &Grant) -> Result<(), Halt> {
    let Some(clean) = &grant.clean else {
        return Ok(());
    };
    let stores: Vec<_> = node
        .config
        .stores()
        .values()
        .map(|s| s.path.clone())
        .collect();
    for (name, path) in &clean.roots {
        let root = Root::open(name, path)?;
        keepwell_node::check_cleanable(path, root.fd(), &stores, node.dir.path())?;
    }
    Ok(())
}

/// The share of each root that the plan takes. A root in which nothing is left to count, though
/// the plan was made a moment ago, is not the root the task looked at.
pub(super) fn check_shares(grant: &Grant, plan: &SealedPlan) -> Result<(), Halt> {
    let Some(clean) = &grant.clean else {
        return Ok(());
    };
    for (name, taken) in &plan.per_root {
        let Some(path) = clean.roots.get(name) else {
            continue;
        };
        let root = Root::open(name, path)?;
        let inventory = keepwell_node::inventory(&root)?;
        if inventory.entries == 0 {
            return Err(Halt::end(
                RunState::Skipped,
                format!("root `{name}` is empty now, though the plan has {taken} entries of it"),
                Some(format!(
                    "is everything mounted that belongs at {}?",
                    path.display()
                )),
            ));
        }
        clean
            .budget
            .check_share(name.as_str(), *taken, inventory.entries)?;
    }
    Ok(())
}
