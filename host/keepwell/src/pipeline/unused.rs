//! Grants that nobody uses end, where the policy says so. When one was granted is the time of the
//! task's file: saving it again grants anew.

use super::Halt;
use crate::config::Task;
use crate::error::{Error, Result};
use crate::node::Node;
use keepwell_journal::Reader;
use keepwell_model::capability::Capability;
use keepwell_model::state::RunState;
use keepwell_model::units::Span;
use keepwell_model::used::{Unused, unused};
use std::time::UNIX_EPOCH;

/// A granted capability of a task that has ended, or is about to.
#[derive(Debug)]
pub struct Idle {
    pub capability: Capability,
    pub unused: Unused,
}

/// All of a task's that were not used for long.
pub fn idle(reader: &Reader, task: &Task, after: Span, now_ms: u64) -> Result<Vec<Idle>> {
    let granted = saved_ms(task)?;
    let span = u64::try_from(after.0.as_millis()).unwrap_or(u64::MAX);
    let since = now_ms.saturating_sub(span);
    let mut found = vec![];
    // Nothing that was granted within the span has ended; the journal need not be asked.
    if unused(after, granted, None, now_ms) == Unused::Fresh {
        return Ok(found);
    }
    let rule = &task.file.grant;
    for capability in Capability::ALL.into_iter().filter(|c| rule.holds(*c)) {
        let last = reader.last_use(task.name.as_str(), capability, since)?;
        match unused(after, granted, last, now_ms) {
            Unused::Fresh => {}
            unused => found.push(Idle { capability, unused }),
        }
    }
    Ok(found)
}

/// When the task's file was written last, in milliseconds since the Unix epoch.
fn saved_ms(task: &Task) -> Result<u64> {
    let modified = std::fs::metadata(&task.path).and_then(|meta| meta.modified());
    let modified = modified.map_err(|e| Error::io("read", &task.path, &e))?;
    // Before 1970 is long ago.
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Denies a run that holds what has ended. A clock in doubt ends nothing, unless the policy takes any.
pub(super) fn check(node: &Node, task: &Task) -> Result<(), Halt> {
    let policy = &node.config.node.policy;
    let Some(after) = policy.unused_grants else {
        return Ok(());
    };
    if !policy.any_clock && node.clock_doubt().map_err(Halt::failed)?.is_some() {
        return Ok(());
    }
    let reader = node.reader().map_err(Halt::failed)?;
    let all = idle(&reader, task, after, node.clock.now_ms()).map_err(Halt::failed)?;
    let ended = all
        .iter()
        .filter(|i| matches!(i.unused, Unused::Ended { .. }));
    let names: Vec<String> = ended.map(|i| format!("`{}`", i.capability)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let name = &task.name;
    Err(Halt::end(
        RunState::Denied,
        format!(
            "task `{name}` did not use {} for {after}, after which the policy ends a grant",
            names.join(", ")
        ),
        Some(format!(
            "take it out of [grant], which `keepwell plugin tighten {name}` proposes, or save {} again to grant it anew",
            task.path.display()
        )),
    ))
}
