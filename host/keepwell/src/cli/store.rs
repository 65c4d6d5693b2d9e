//! `store`: the shard stores of this node and how recently they were verified.

use super::Global;
use crate::clock;
use crate::config;
use crate::error::Result;
use crate::node;
use keepwell_model::state::Exit;
use keepwell_model::store::State;
use keepwell_model::units::{Bytes, Span};
use std::collections::BTreeMap;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The configured stores.
    #[command(after_help = "Example:\n  keepwell store list")]
    List,
    /// What is known of each: shards, bytes, the oldest verification, shards in doubt.
    #[command(after_help = "Example:\n  keepwell store status")]
    Status,
}

pub(super) fn store(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List => list(global),
        Verb::Status => status(global),
    }
}

fn list(global: &Global) -> Result<Exit> {
    let config = config::load(&global.dir())?;
    let rows: Vec<_> = config
        .node
        .stores
        .iter()
        .map(|(name, store)| serde_json::json!({ "store": name, "kind": store.kind, "path": store.path }))
        .collect();
    global.out().rows(&rows, &["store", "kind", "path"], |row| {
        ["store", "kind", "path"]
            .iter()
            .map(|k| row[*k].as_str().unwrap_or_default().to_owned())
            .collect()
    });
    Ok(Exit::Done)
}

#[derive(serde::Serialize)]
struct Row {
    store: String,
    shards: Option<u64>,
    bytes: Option<u64>,
    oldest_verified: Option<u64>,
    states: BTreeMap<&'static str, u64>,
}

fn status(global: &Global) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let reader = node::reader(&dir)?;
    let now = clock::now_ms();
    let mut rows = vec![];
    for name in config.node.stores.keys() {
        let (shards, bytes, _) = reader.store_figures(name.as_str())?;
        let mut states = BTreeMap::new();
        let mut oldest_verified: Option<u64> = None;
        for shard in reader.remembered(name.as_str())? {
            *states.entry(shard.state.as_str()).or_insert(0) += 1;
            // What is in doubt is counted beside; it has no verification to be old.
            if let Some(at) = shard.verified_ms.filter(|_| shard.state == State::Ok) {
                oldest_verified = Some(oldest_verified.map_or(at, |o| o.min(at)));
            }
        }
        rows.push(Row {
            store: name.to_string(),
            shards,
            bytes,
            oldest_verified,
            states,
        });
    }
    global.out().rows(
        &rows,
        &["store", "shards", "bytes", "oldest check", "in doubt"],
        |row| {
            let age = |ms: u64| format!("{} ago", Span::secs(now.saturating_sub(ms) / 1_000));
            let doubt: Vec<String> = row
                .states
                .iter()
                .filter(|(state, _)| **state != State::Ok.as_str())
                .map(|(state, count)| format!("{count} {state}"))
                .collect();
            vec![
                row.store.clone(),
                row.shards.map_or_else(|| "?".into(), |n| n.to_string()),
                row.bytes
                    .map_or_else(|| "?".into(), |n| Bytes(n).to_string()),
                row.oldest_verified.map_or_else(|| "never".into(), age),
                if doubt.is_empty() {
                    "-".into()
                } else {
                    doubt.join(", ")
                },
            ]
        },
    );
    Ok(Exit::Done)
}
