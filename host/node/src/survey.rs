//! Adding up a tree: usage for people, surveys for actions, inventories for shares.

use crate::at::{Facts, refused, to_ms};
use crate::in_use::InUse;
use crate::root::Root;
use crate::tree::{Interest, Tree, open_below};
use crate::walk::told_ms;
use keepwell_model::action::{EntryKind, OWN_FOLDER, RelPath, Survey};
use keepwell_model::budget::AgeBy;
use keepwell_model::id::Digest;
use keepwell_model::words::Refusal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::os::fd::AsFd;

/// Files with several links that are remembered, so that each is counted once: 16 bytes each.
/// Beyond that many, further links are counted as files of their own.
const MAX_LINKED: usize = 4_000_000;

/// A directory added up. Mirrors `storage.usage`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Regular files, each name counted.
    pub files: u64,
    /// Directories below it.
    pub directories: u64,
    /// Links and special files.
    pub others: u64,
    /// Sum of lengths, a file with several links counted once.
    pub bytes: u64,
    /// What they occupy on disk.
    pub allocated_bytes: u64,
    /// What was there and could not be counted.
    pub unreadable: u64,
}

/// How many entries a root has, without looking at any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// All entries below the root, the host's own folder and what is in it left out.
    pub entries: u64,
    /// Directories that could not be read or were not entered.
    pub unreadable: u64,
    /// The host's own folder is there.
    pub has_own_folder: bool,
}

fn begin(root: &Root, path: Option<&RelPath>) -> Result<Tree, Refusal> {
    let shown = path.map_or_else(|| ".".to_owned(), RelPath::escaped);
    open_below(root.fd(), path.map(RelPath::as_bytes))
        .and_then(|fd| Tree::new(fd.as_fd(), path.is_none()))
        .map_err(|e| {
            refused(
                e,
                format!("cannot open `{shown}` in root `{}`", root.name()),
            )
        })
}

fn cannot_read(root: &Root) -> impl Fn(rustix::io::Errno) -> Refusal {
    let name = root.name().clone();
    move |e| refused(e, format!("cannot read a directory in root `{name}`"))
}

/// Adds up what is below a directory; `None` means the root itself.
pub fn usage(root: &Root, path: Option<&RelPath>) -> Result<Usage, Refusal> {
    let mut tree = begin(root, path)?;
    let mut sum = Usage::default();
    let mut linked = HashSet::new();
    while let Some(visit) = tree
        .next(&mut |_, _| Interest::Take)
        .map_err(cannot_read(root))?
    {
        let facts = &visit.facts;
        match facts.kind {
            EntryKind::File => sum.files += 1,
            EntryKind::Directory => sum.directories += 1,
            EntryKind::Symlink | EntryKind::Other => sum.others += 1,
        }
        let counted = facts.kind == EntryKind::File
            && facts.links > 1
            && linked.len() < MAX_LINKED
            && !linked.insert((facts.device, facts.inode));
        if !counted {
            if facts.kind == EntryKind::File {
                sum.bytes = sum.bytes.saturating_add(facts.size);
            }
            sum.allocated_bytes = sum.allocated_bytes.saturating_add(facts.allocated_bytes);
        }
    }
    sum.unreadable = tree.skipped().values().sum();
    Ok(sum)
}

/// Counts the entries of a root by their names alone.
pub fn inventory(root: &Root) -> Result<Inventory, Refusal> {
    let mut tree = begin(root, None)?;
    let mut entries = 0;
    let mut count = |_: &[u8], kind: Option<EntryKind>| {
        // Where the file system does not tell kinds, each name is asked about twice.
        entries += u64::from(kind.is_some());
        Interest::Pass
    };
    while tree.next(&mut count).map_err(cannot_read(root))?.is_some() {}
    let unreadable = tree.skipped().values().sum();
    Ok(Inventory {
        entries,
        unreadable,
        has_own_folder: crate::at::look(root.fd(), OWN_FOLDER).is_ok(),
    })
}

/// Adds up a directory that is to be moved as one unit. Refusals: `busy` (something in it is in
/// use or changes), `denied` (special files, a mount or something unreadable in it, or too deep),
/// `gone`. A time in the future shows as a `touched_ms` after the caller's now: refuse it there.
pub fn survey(root: &Root, path: &RelPath, in_use: &InUse) -> Result<Survey, Refusal> {
    survey_by(root, path, in_use, AgeBy::Newest).map(|(survey, _)| survey)
}

/// As [`survey`], with the newest of the times by which age is told, in milliseconds.
pub fn survey_by(
    root: &Root,
    path: &RelPath,
    in_use: &InUse,
    age_by: AgeBy,
) -> Result<(Survey, u64), Refusal> {
    survey_unless(root, path, in_use, age_by, &|_| None)
}

/// The same, unless `forbids` has a reason against one of the paths, which begin at the root.
pub fn survey_unless(
    root: &Root,
    path: &RelPath,
    in_use: &InUse,
    age_by: AgeBy,
    forbids: &dyn Fn(&[u8]) -> Option<Refusal>,
) -> Result<(Survey, u64), Refusal> {
    let mut tree = begin(root, Some(path))?;
    let here = format!("`{path}` in root `{}`", root.name());
    let mut hash = Sha256::new();
    let (mut files, mut bytes, mut newest_ns, mut told) = (0_u64, 0_u64, 0, 0);
    while let Some(visit) = tree
        .next(&mut |_, _| Interest::Take)
        .map_err(cannot_read(root))?
    {
        let facts = &visit.facts;
        let what = || format!("{here} holds `{}`", visit.path.escape_ascii());
        if facts.kind == EntryKind::Other {
            return Err(Refusal::denied(format!("{}, a special file", what())));
        }
        if in_use.contains(facts.device, facts.inode) {
            return Err(Refusal::busy(format!("{}, which is in use", what())));
        }
        let whole = [path.as_bytes(), b"/", visit.path].concat();
        if let Some(refusal) = forbids(&whole) {
            return Err(refusal);
        }
        add(&mut hash, visit.path, facts);
        files = files.saturating_add(1);
        if facts.kind == EntryKind::File {
            bytes = bytes.saturating_add(facts.size);
        }
        newest_ns = newest_ns.max(facts.newest_ns());
        told = told.max(told_ms(facts, age_by));
    }
    if let Some((why, count)) = tree.skipped().first_key_value() {
        let message = format!("{here} holds {count} entries that cannot be taken along: {why}");
        // Not `limit`, which says that the budget is used up: here no budget would help.
        return Err(match *why {
            "changed" => Refusal::busy(message),
            _ => Refusal::denied(message).hint("look what is in it, and move it by hand if meant"),
        });
    }
    let top = crate::walk::stat(root, path, in_use)?;
    if top.in_use {
        return Err(Refusal::busy(format!("{here} is in use")));
    }
    let survey = Survey {
        // The directory itself is one of the entries that go.
        files: files.saturating_add(1),
        bytes,
        touched_ms: to_ms(newest_ns).max(top.touched_ms),
        fingerprint: Digest::from_bytes(hash.finalize().into()),
    };
    let top_told = match age_by {
        AgeBy::Newest => top.touched_ms,
        AgeBy::Modified => to_ms(top.identity.mtime_ns),
    };
    Ok((survey, told.max(top_told)))
}

/// One entry of the fingerprint: the path with its length before it, the kind, the identity.
fn add(hash: &mut Sha256, path: &[u8], facts: &Facts) {
    hash.update((path.len() as u64).to_le_bytes());
    hash.update(path);
    hash.update([match facts.kind {
        EntryKind::File => b'f',
        EntryKind::Directory => b'd',
        EntryKind::Symlink => b'l',
        EntryKind::Other => b'o',
    }]);
    for number in [facts.device, facts.inode, facts.size] {
        hash.update(number.to_le_bytes());
    }
    hash.update(facts.mtime_ns.to_le_bytes());
    hash.update(facts.ctime_ns.to_le_bytes());
}
