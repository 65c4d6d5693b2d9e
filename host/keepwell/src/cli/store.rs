//! `store`: the shard stores of this node and how recently they were verified.

use super::{Global, native};
use crate::clock;
use crate::config;
use crate::error::Result;
use crate::node;
use keepwell_model::state::Exit;
use keepwell_model::store::State;
use keepwell_model::units::{Bytes, Span};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The configured stores.
    #[command(after_help = "Example:\n  keepwell store list")]
    List,
    /// What is known of each: shards, bytes, the oldest verification, shards in doubt. With PATH:
    /// of the native store there, objects and how many shards each can still lose.
    #[command(
        after_help = "Examples:\n  keepwell store status\n  keepwell store status /srv/shards --verify"
    )]
    Status {
        path: Option<PathBuf>,
        /// Read every shard; without it only lengths are looked at.
        #[arg(long, requires = "path")]
        verify: bool,
    },
    /// Make a native store, whose manifests this key signs.
    #[command(
        after_help = "Example:\n  keepwell bundle keygen store.key\n  keepwell store create /srv/shards --scheme 4+2 --key store.key"
    )]
    Create(native::Create),
    /// Cut a file or a folder into shards of a native store.
    #[command(
        after_help = "Example:\n  keepwell store import /srv/shards /srv/photos --key store.key"
    )]
    Import(native::Import),
    /// Give an object back, verified, from whatever shards are good.
    #[command(after_help = "Example:\n  keepwell store export /srv/shards photos /tmp/photos")]
    Export(native::Export),
    /// Verify every shard of a native store and make the bad ones anew from the others. What was there is moved
    /// into its quarantine; a group with too few good shards is reported and not touched.
    #[command(
        after_help = "Examples:\n  keepwell store repair /srv/shards --dry-run\n  keepwell store repair /srv/shards --unnamed"
    )]
    Repair(native::Repair),
}

pub(super) fn store(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List => list(global),
        Verb::Status { path: None, .. } => status(global),
        Verb::Status {
            path: Some(path),
            verify,
        } => native::status(global, path, *verify),
        Verb::Create(args) => native::create(global, args),
        Verb::Import(args) => native::import(global, args),
        Verb::Export(args) => native::export(global, args),
        Verb::Repair(args) => native::repair(global, args),
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
