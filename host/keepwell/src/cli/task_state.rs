//! `task state`: what tasks keep for themselves between their runs, looked at and cleared by a person.

use super::Global;
use crate::api::Request;
use crate::config;
use crate::error::{Error, Result};
use crate::node;
use keepwell_journal::measurements::{TaskStateReader, TaskUsage};
use keepwell_model::own_state::cost;
use keepwell_model::state::Exit;
use keepwell_model::units::Bytes;
use keepwell_model::words::printable;
use serde::Serialize;

/// Of a value, in the table; the JSON has all of it.
const SHOWN_BYTES: usize = 60;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The tasks that keep something, those too that are configured no more.
    #[command(after_help = "Example:\n  keepwell task state list")]
    List,
    /// All that a task keeps, key by key. In JSON values are Base64.
    #[command(after_help = "Example:\n  keepwell task state show health-score --json")]
    Show { task: String },
    /// Remove all that a task keeps: its next run begins anew.
    #[command(
        after_help = "Example:\n  keepwell task state clear quick-check --reason 'the disks were replaced'"
    )]
    Clear {
        task: String,
        #[arg(long)]
        reason: String,
    },
}

pub(super) fn state(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List => list(global),
        Verb::Show { task } => show(global, task),
        Verb::Clear { task, reason } => {
            let (task, reason) = (task.clone(), reason.clone());
            global.show(&global.ask(Request::ClearState { task, reason })?);
            Ok(Exit::Done)
        }
    }
}

#[derive(Serialize)]
struct Row {
    task: String,
    configured: bool,
    keys: u64,
    /// As the quota counts.
    bytes: u64,
    version: u64,
    run: Option<String>,
}

fn list(global: &Global) -> Result<Exit> {
    let config = config::load(&global.dir())?;
    let usage = match open(global)? {
        Some(reader) => reader.usage()?,
        None => vec![],
    };
    let row = |u: TaskUsage| Row {
        configured: config.tasks.keys().any(|name| name.as_str() == u.task),
        task: u.task,
        keys: u.keys,
        bytes: u.bytes,
        version: u.version,
        run: u.run.map(|run| run.to_string()),
    };
    let rows: Vec<Row> = usage.into_iter().filter(|u| u.keys > 0).map(row).collect();
    let columns = ["task", "configured", "keys", "bytes", "version"];
    global.out().rows(&rows, &columns, |r| {
        vec![
            printable(&r.task, SHOWN_BYTES),
            if r.configured { "yes" } else { "no" }.to_owned(),
            r.keys.to_string(),
            Bytes(r.bytes).to_string(),
            r.version.to_string(),
        ]
    });
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Kept {
    key: String,
    /// As the quota counts: key, value, and what each key costs.
    bytes: u64,
    /// Base64.
    value: String,
    #[serde(skip)]
    shown: String,
}

fn show(global: &Global, task: &str) -> Result<Exit> {
    let stored = match open(global)? {
        Some(reader) => reader.stored(task)?,
        None => keepwell_model::own_state::Stored::default(),
    };
    if stored.keys.is_empty() && config::load(&global.dir())?.task(task).is_err() {
        return Err(Error::usage(format!("`{task}` keeps nothing"))
            .hint("`keepwell task state list` names the tasks that do"));
    }
    let kept = stored.keys.into_iter().map(|(key, value)| Kept {
        bytes: cost(&key, value.len()),
        shown: shown(&value),
        value: data_encoding::BASE64.encode(&value),
        key,
    });
    let rows: Vec<Kept> = kept.collect();
    global.out().rows(&rows, &["key", "bytes", "value"], |r| {
        vec![r.key.clone(), r.bytes.to_string(), r.shown.clone()]
    });
    Ok(Exit::Done)
}

/// Text as text, all else as what it is not.
fn shown(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => printable(text, SHOWN_BYTES),
        Err(_) => format!("{} bytes that are no text", value.len()),
    }
}

fn open(global: &Global) -> Result<Option<TaskStateReader>> {
    let dir = global.dir();
    // Says so where there is no node.
    drop(node::reader(&dir)?);
    Ok(TaskStateReader::open(&dir.state())?)
}
