//! What tasks used of what they were granted, from the node's journal.

use crate::config::{Config, Task};
use crate::error::Result;
use keepwell_bundle::{Bundle, Lock};
use keepwell_journal::{Filter, Reader, RunQuery};
use keepwell_model::event::{Event, Record};
use keepwell_model::id::Digest;
use keepwell_model::state::RunState;
use keepwell_model::used::{RUNS_READ, Used};
use std::ops::ControlFlow;

/// Records that tell of use; those of a run that only logs are not read.
const KINDS: [&str; 4] = ["run-granted", "called", "plan-sealed", "outcome"];

/// What the newest whole runs of a task with this component used.
pub fn used(reader: &Reader, task: &str, component: Digest) -> Result<Used> {
    let query = RunQuery {
        task: Some(task.to_owned()),
        limit: Some(RUNS_READ),
        ..RunQuery::default()
    };
    let mut used = Used::default();
    for row in reader.runs(&query)? {
        if !matches!(row.state, RunState::Done | RunState::Warned) {
            continue;
        }
        let filter = Filter {
            run: Some(row.run),
            kinds: KINDS.map(ToOwned::to_owned).into(),
            ..Filter::default()
        };
        let mut records: Vec<Record> = vec![];
        reader.records(&filter, &mut |_, record| {
            records.push(record);
            ControlFlow::Continue(())
        })?;
        let ran = records.iter().any(|r| match &r.event {
            Event::RunGranted { grant, .. } => grant.component == component,
            _ => false,
        });
        if ran {
            used.add(&records);
        }
    }
    Ok(used)
}

/// Tasks of the configuration that run this task of this bundle.
pub fn users<'a>(
    config: &'a Config,
    lock: &'a Lock,
    bundle: &'a Bundle,
    plugin_task: &'a str,
) -> impl Iterator<Item = &'a Task> {
    config.tasks.values().filter(move |task| {
        let runs = lock.find(&task.file.plugin);
        task.plugin_task() == plugin_task && runs.is_some_and(|e| e.bundle == bundle.id)
    })
}
