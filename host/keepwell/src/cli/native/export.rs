//! `store export`: an object back from a native store, verified.

use super::progress;
use super::{Global, failed};
use crate::error::Result;
use keepwell_model::state::Exit;
use keepwell_store::Store;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The store.
    path: PathBuf,
    /// The object's name or id.
    object: String,
    /// Where it comes back; nothing may be there yet.
    to: PathBuf,
}

pub(crate) fn export(global: &Global, args: &Export) -> Result<Exit> {
    let store = Store::open(&args.path).map_err(failed)?;
    let listed = store.object(&args.object).map_err(failed)?;
    let bar = progress::bar(Some(listed.object.size));
    let mut told = |bytes| {
        if let Some(bar) = &bar {
            bar.inc(bytes);
        }
    };
    let done = store.export(&listed, &args.to, &mut told);
    progress::end(bar);
    let done = done.map_err(failed)?;
    let value = serde_json::json!({
        "object": listed.object, "to": args.to, "groups": done.groups,
        "bad-shards": done.bad_shards,
    });
    global.out().document(&value, || {
        let bad = match done.bad_shards {
            0 => String::new(),
            some => format!("; {some} bad shards were made good by others, and are bad still"),
        };
        format!(
            "{} is {}, verified: {}{bad}",
            args.to.display(),
            listed.object.name,
            listed.object.digest
        )
    });
    Ok(match done.bad_shards {
        0 => Exit::Done,
        _ => Exit::Warned,
    })
}
