//! `status`: the node at a glance.

use super::Global;
use crate::clock;
use crate::config;
use crate::error::Result;
use crate::node;
use crate::pipeline;
use crate::plugins;
use keepwell_journal::RunQuery;
use keepwell_model::state::{Exit, RunState};
use keepwell_model::units::Bytes;

pub(super) fn status(global: &Global) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let reader = node::reader(&dir)?;
    let plugins = plugins::lock(&dir)?.entries().len();
    let last = reader.runs(&RunQuery {
        limit: Some(5),
        ..RunQuery::default()
    })?;
    let unfinished = reader.unfinished()?.len();
    let kept = pipeline::kept(&config);
    let (entries, bytes) = kept
        .iter()
        .fold((0, 0), |(e, b), k| (e + k.run.entries, b + k.run.bytes));
    let size = reader.size()?;
    let low = pipeline::low(&dir);
    let mut broken = pipeline::broken(&reader)?;
    broken.retain(|b| b.glass.acknowledged.is_none());
    let value = serde_json::json!({
        "node": config.node_name(), "tasks": config.tasks.len(), "plugins": plugins,
        "roots": config.node.roots.len(), "stores": config.node.stores.len(),
        "journal_entries": size, "unfinished_runs": unfinished, "last_runs": last,
        "glass_broken": broken, "changes_stopped": low,
        "quarantine": { "runs": kept.len(), "entries": entries, "bytes": bytes },
    });
    global.out().document(&value, || {
        let mut text = String::new();
        for one in &broken {
            text.push_str(&format!("{}\n", super::break_glass::loud(one)));
        }
        if let Some(why) = &low {
            text.push_str(&format!("NOTHING IS CHANGED: {why}\n"));
        }
        text.push_str(&format!(
            "node `{}`: {} tasks, {plugins} plugins, {} roots, {} stores\njournal: {size} entries\nquarantine: {entries} entries of {} runs, {}\n",
            config.node_name(), config.tasks.len(), config.node.roots.len(), config.node.stores.len(), kept.len(), Bytes(bytes)
        ));
        for run in &last {
            let says = run.line.clone().or_else(|| run.reason.clone()).unwrap_or_default();
            let says = keepwell_model::words::printable(&says, 60);
            text.push_str(&format!("  {} {:<16} {:<11} {says}\n", clock::readable(run.started), run.task, run.state));
        }
        if last.is_empty() {
            text.push_str("nothing has run yet\n");
        }
        text
    });
    let bad = last
        .first()
        .is_some_and(|r| matches!(r.state, RunState::Failed | RunState::Limited));
    Ok(if bad || low.is_some() || !broken.is_empty() {
        Exit::Warned
    } else {
        Exit::Done
    })
}
