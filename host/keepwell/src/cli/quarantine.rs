//! `quarantine`: what was moved aside, until it expires.

use super::Global;
use crate::api::Request;
use crate::clock;
use crate::config;
use crate::error::{Error, Result};
use crate::pipeline::{self, Kept};
use crate::show;
use keepwell_model::state::Exit;
use keepwell_model::units::Bytes;
use std::io::IsTerminal as _;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// What is kept, of which run, and until when.
    #[command(after_help = "Example:\n  keepwell quarantine list")]
    List,
    /// Delete what has expired. It cannot be undone.
    #[command(after_help = "Example:\n  keepwell quarantine expire --dry-run")]
    Expire {
        /// Only say what would be deleted.
        #[arg(long)]
        dry_run: bool,
        /// Also what has not expired yet; asks for --yes at a terminal.
        #[arg(long)]
        all: bool,
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn quarantine(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List => {
            list(global, &pipeline::kept(&config::load(&global.dir())?));
            Ok(Exit::Done)
        }
        Verb::Expire { dry_run, all, yes } => {
            if *all && !*dry_run && !(*yes && std::io::stdin().is_terminal()) {
                return Err(
                    Error::denied("deleting what has not expired cannot be undone")
                        .hint("look with --dry-run, then say --yes at a terminal"),
                );
            }
            expire(global, *dry_run, *all)
        }
    }
}

fn expire(global: &Global, dry_run: bool, all: bool) -> Result<Exit> {
    let now = clock::now_ms();
    let due = |kept: Vec<Kept>| -> Vec<Kept> {
        kept.into_iter()
            .filter(|k| all || k.expires_ms <= now)
            .collect()
    };
    if dry_run {
        list(global, &due(pipeline::kept(&config::load(&global.dir())?)));
        return Ok(Exit::Done);
    }
    global.show(&global.ask(Request::Expire { all })?);
    Ok(Exit::Done)
}

fn list(global: &Global, kept: &[Kept]) {
    let rows: Vec<Row<'_>> = kept.iter().map(Row).collect();
    global.out().rows(
        &rows,
        &["root", "run", "entries", "bytes", "since", "expires"],
        |row| {
            let k = row.0;
            vec![
                k.root.to_string(),
                k.run.run.short(),
                k.run.entries.to_string(),
                Bytes(k.run.bytes).to_string(),
                clock::readable(k.run.since_ms),
                clock::readable(k.expires_ms),
            ]
        },
    );
    if rows.is_empty() {
        show::say("nothing is in quarantine");
    }
}

/// One kept run, as JSON.
struct Row<'a>(&'a Kept);

impl serde::Serialize for Row<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Kept {
            root,
            run,
            expires_ms,
        } = self.0;
        serde_json::json!({
            "root": root, "run": run.run, "since": run.since_ms, "expires": expires_ms,
            "entries": run.entries, "bytes": run.bytes,
        })
        .serialize(s)
    }
}
