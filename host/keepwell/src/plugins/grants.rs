//! What each task is granted, as the lock file remembers it: a grant that became another one shows.

use super::{Installed, Shelf};
use crate::api::hold_plugins;
use crate::config::{Config, Task, check_task};
use crate::error::Result;
use crate::node::Node;
use keepwell_bundle::{Bundle, Lock};
use keepwell_model::grant::Grant;

/// Notes in the next lock what the tasks that run this bundle are granted from here on.
pub fn note_grants(config: &Config, lock: &mut Lock, bundle: &Bundle) {
    lock.grants
        .retain(|task, _| config.tasks.contains_key(task));
    for task in config.tasks.values() {
        let entry = lock.find(&task.file.plugin);
        let Some(entry) = entry.filter(|e| e.bundle == bundle.id).cloned() else {
            continue;
        };
        let installed = Installed {
            bundle: bundle.clone(),
            entry,
        };
        match check_task(config, task, &installed) {
            Ok(grant) => lock.grants.insert(task.name.clone(), grant.digest()),
            // What is denied holds nothing.
            Err(_) => lock.grants.remove(&task.name),
        };
    }
}

/// Notes what a run of a task holds, when that is another grant than the lock knows: its file was
/// changed since. The journal has the grant itself.
pub fn note_grant(node: &Node, task: &Task, grant: &Grant) -> Result<()> {
    let digest = grant.digest();
    if super::lock(&node.dir)?.grants.get(&task.name) == Some(&digest) {
        return Ok(());
    }
    let _one_at_a_time = hold_plugins(node);
    let shelf = Shelf::of(node);
    shelf.settle()?;
    let mut lock = super::lock(&node.dir)?;
    lock.grants
        .retain(|task, _| node.config.tasks.contains_key(task));
    lock.grants.insert(task.name.clone(), digest);
    shelf.note(&lock)
}
