//! The simulated `storage-clean`: the checks a proposal meets before it is in the plan.

use super::outcome::Proposed;
use super::storage::{check_path, is_young, tree};
use super::{Run, call, refusal};
use crate::clean::{BATCH, Proposal};
use crate::storage::{Entry, Kind};
use crate::task::{ActionId, Refusal};

/// Longest reason, from the contract.
const REASON_MAX_BYTES: usize = 256;

pub(crate) fn quarantine(
    root: &str,
    proposals: &[Proposal],
) -> Result<Vec<Result<ActionId, Refusal>>, Refusal> {
    call("storage-clean", |run| {
        tree(run, root)?;
        if proposals.len() > BATCH {
            return Err(refusal("invalid", "more than 4096 proposals in a call"));
        }
        Ok(proposals
            .iter()
            .map(|p| one(run, root, &p.entry, &p.reason))
            .collect())
    })
}

fn one(run: &mut Run, root: &str, entry: &Entry, reason: &str) -> Result<ActionId, Refusal> {
    let now_there = current(run, root, entry, reason)?;
    match now_there.kind {
        Kind::Other => return Err(refusal("denied", "a special file")),
        Kind::Directory if !tree(run, root)?.is_empty_directory(&entry.path) => {
            return Err(refusal(
                "invalid",
                "a directory that is not empty; see quarantine-tree",
            ));
        }
        Kind::Directory | Kind::File | Kind::Symlink => {}
    }
    if now_there.in_use {
        return Err(refusal("busy", "it is open, mapped or locked"));
    }
    if is_young(&now_there, run.node.now, run.node.budget.min_age.millis()) {
        return Err(refusal("denied", "younger than the grant's minimum age"));
    }
    let bytes = bytes_of(&now_there);
    propose(run, root, &now_there.path, reason, false, 1, bytes)
}

/// What an entry costs of the budget's bytes, beside itself.
fn bytes_of(entry: &Entry) -> u64 {
    if entry.kind == Kind::File {
        entry.size
    } else {
        0
    }
}

/// What is there now; a proposal must be about exactly that.
fn current(run: &Run, root: &str, entry: &Entry, reason: &str) -> Result<Entry, Refusal> {
    check_path(&entry.path)?;
    if reason.len() > REASON_MAX_BYTES {
        return Err(refusal("invalid", "a reason is at most 256 bytes"));
    }
    let gone = || refusal("gone", "not there, or no longer what it was");
    let there = tree(run, root)?.get(&entry.path).ok_or_else(gone)?;
    let there = there.entry(&entry.path, run.node.now);
    let [a, b] = [&there, entry].map(|e| {
        let id = &e.identity;
        (id.device, id.inode, id.mtime_ns, id.ctime_ns, e.size)
    });
    if a == b { Ok(there) } else { Err(gone()) }
}

pub(crate) fn quarantine_tree(root: &str, top: &Entry, reason: &str) -> Result<ActionId, Refusal> {
    call("storage-clean", |run| {
        let there = current(run, root, top, reason)?;
        if there.kind != Kind::Directory {
            return Err(refusal("invalid", "not a directory"));
        }
        let (now, min_age) = (run.node.now, run.node.budget.min_age.millis());
        let (mut files, mut bytes) = (1, 0);
        for (path, file) in tree(run, root)?.below(&top.path) {
            let entry = file.entry(path, now);
            if entry.in_use || is_young(&entry, now, min_age) {
                return Err(refusal("busy", "something in it is in use or young"));
            }
            if entry.kind == Kind::Other || file.is_foreign() {
                return Err(refusal(
                    "denied",
                    "a special file or another file system is in it",
                ));
            }
            files += 1;
            bytes += bytes_of(&entry);
        }
        propose(run, root, &top.path, reason, true, files, bytes)
    })
}

fn propose(
    run: &mut Run,
    root: &str,
    path: &[u8],
    reason: &str,
    tree: bool,
    files: u64,
    bytes: u64,
) -> Result<ActionId, Refusal> {
    let said = &mut run.outcome.proposals;
    let [all_files, all_bytes] = said
        .iter()
        .fold([files, bytes], |[f, b], p| [f + p.files, b + p.bytes]);
    if all_files > run.node.budget.files || all_bytes > run.node.budget.bytes {
        return Err(refusal("limit", "the budget of this run is used up"));
    }
    said.push(Proposed {
        root: root.into(),
        path: String::from_utf8_lossy(path).into_owned(),
        reason: reason.into(),
        tree,
        files,
        bytes,
    });
    Ok(said.len() as u64 - 1)
}
