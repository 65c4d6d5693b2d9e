//! Runs that go on without anybody asking again: those a crash cut off, as their schedule says, and
//! those whose plans were approved, denied or have expired since.

use super::shared::Shared;
use crate::error::Result;
use crate::pipeline::{self, Asked, Brake, Silent};
use keepwell_model::approval::State;
use keepwell_model::id::{RunId, TaskName};
use keepwell_model::schedule::OnInterrupt;
use keepwell_model::state::RunState;
use std::sync::Arc;

/// Finishes what the crash before this start cut off, where the task's schedule says `resume`. The
/// rest stays interrupted, for a person to look at.
pub(super) fn after_a_crash(shared: &Arc<Shared>) {
    let node = shared.node();
    let Ok(reader) = node.reader() else { return };
    for (name, task) in &node.config.tasks {
        let wants = task
            .file
            .schedule
            .as_ref()
            .is_some_and(|s| s.on_interrupt == OnInterrupt::Resume);
        let last = reader.last_run(name.as_str()).ok().flatten();
        if let Some(last) = last.filter(|run| wants && run.state == RunState::Interrupted) {
            go_on(shared, last.run, name.clone());
        }
    }
}

/// Looks at every plan that waits: what is decided goes on, to be applied or to its end.
pub(super) fn approved(shared: &Arc<Shared>) -> Result<()> {
    let node = shared.node();
    let reader = node.reader()?;
    for (run, asked) in crate::api::all_waiting(&reader)? {
        if waits(&asked, &node)? {
            continue;
        }
        go_on(shared, run, asked.request.task.clone());
    }
    Ok(())
}

fn waits(asked: &Asked, node: &crate::node::Node) -> Result<bool> {
    // Whether anything has changed is looked at when it goes on; here only the answers count.
    let subject = asked.request.subject;
    Ok(matches!(
        asked.judge(node, &subject)?.state,
        State::Waiting { .. }
    ))
}

fn go_on(shared: &Arc<Shared>, run: RunId, task: TaskName) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let brake = Brake::default();
        let Some(_under_way) = shared.running.begin_once(run, &brake) else {
            return;
        };
        let node = shared.node();
        match pipeline::resume(&node, run, &mut Silent, &brake) {
            Ok(report) => {
                tracing::info!(run = run.short(), "{task} went on, ended {}", report.state);
            }
            Err(e) => tracing::warn!(run = run.short(), "{task} cannot go on: {e}"),
        }
        shared.wake.notify_one();
    });
}
