//! What each task is granted, as the lock file remembers it: a grant that became another one shows.

use super::Installed;
use crate::config::{Config, check_task};
use keepwell_bundle::{Bundle, Lock};

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
