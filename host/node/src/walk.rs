//! Walking a root: entries in order, filtered by a selector, with nothing hidden.

use crate::at::{Facts, look_at, open_beneath, refused, to_ms};
use crate::in_use::InUse;
use crate::root::Root;
use crate::tree::{Interest, Tree};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use keepwell_model::action::{EntryKind, Identity, RelPath};
use keepwell_model::budget::AgeBy;
use keepwell_model::words::Refusal;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

pub use crate::survey::{Inventory, Usage, inventory, survey, usage};

/// Globs in one selector: each costs time for each entry, and people write a handful.
pub const MAX_GLOBS: usize = 256;
/// Bytes in one glob: no longer than a path can be useful.
pub const MAX_GLOB_BYTES: usize = 1024;

/// Which entries a walk gives. Every condition must hold. Mirrors `storage.selector`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// Shell globs on the whole relative path; none means everything.
    pub globs: Vec<String>,
    /// What matches one of these is left out, and directories are not entered.
    pub except: Vec<String>,
    /// None means every kind.
    pub kinds: Vec<EntryKind>,
    /// Milliseconds before `now_ms`; 0 means no bound.
    pub min_age_ms: u64,
    /// By which time the age is told.
    pub age_by: AgeBy,
    /// Length in bytes; 0 means no bound.
    pub min_size: u64,
    /// Of directories, only those without entries; other kinds are not affected.
    pub only_empty_directories: bool,
}

/// One entry as looked at. Mirrors `storage.entry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the root.
    pub path: RelPath,
    /// What it is; a link is not followed.
    pub kind: EntryKind,
    /// Length in bytes.
    pub size: u64,
    /// Newest of mtime, atime and ctime, milliseconds since the Unix epoch.
    pub touched_ms: u64,
    /// Hard links to it.
    pub links: u32,
    /// Owner's numeric user id.
    pub owner: u32,
    /// Open, mapped, executed or locked by some process.
    pub in_use: bool,
    /// What an action compares before it acts.
    pub identity: Identity,
}

impl Entry {
    fn new(path: RelPath, facts: &Facts, in_use: &InUse) -> Self {
        Self {
            path,
            kind: facts.kind,
            size: facts.size,
            touched_ms: facts.touched_ms(),
            links: facts.links,
            owner: facts.owner,
            in_use: in_use.contains(facts.device, facts.inode),
            identity: facts.identity(),
        }
    }
}

/// A walk in progress.
pub struct Walk {
    tree: Tree,
    globs: Option<GlobSet>,
    except: Option<GlobSet>,
    selector: Selector,
    now_ms: u64,
    in_use: Arc<InUse>,
    root: Arc<Root>,
    skipped: BTreeMap<&'static str, u64>,
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk")
            .field("root", self.root.name())
            .field("selector", &self.selector)
            .finish_non_exhaustive()
    }
}

impl Walk {
    /// Begins a walk. Refusals: `invalid` (a glob), `gone`, `io`.
    pub fn new(
        root: Arc<Root>,
        selector: &Selector,
        now_ms: u64,
        in_use: Arc<InUse>,
    ) -> Result<Self, Refusal> {
        let tree = Tree::new(root.fd(), true)
            .map_err(|e| refused(e, format!("cannot open root `{}`", root.name())))?;
        Ok(Self {
            tree,
            globs: glob_set(&selector.globs)?,
            except: glob_set(&selector.except)?,
            selector: selector.clone(),
            now_ms,
            in_use,
            root,
            skipped: BTreeMap::new(),
        })
    }

    /// At most `max` entries; none means the end.
    pub fn next(&mut self, max: usize) -> Result<Vec<Entry>, Refusal> {
        let mut given = Vec::with_capacity(max.min(4_096));
        let Self {
            tree,
            globs,
            except,
            selector,
            now_ms,
            in_use,
            root,
            skipped,
        } = self;
        let mut special = 0;
        let mut interest = |path: &[u8], kind: Option<EntryKind>| {
            let path = as_path(path);
            if except.as_ref().is_some_and(|set| set.is_match(path)) {
                return Interest::Leave;
            }
            let wanted = kind.is_none_or(|kind| selector.wants(kind));
            if globs.as_ref().is_some_and(|set| !set.is_match(path)) {
                return Interest::Pass;
            }
            if !wanted {
                special += u64::from(kind == Some(EntryKind::Other));
                return Interest::Pass;
            }
            Interest::Take
        };
        while given.len() < max {
            let visit = tree
                .next(&mut interest)
                .map_err(|e| refused(e, format!("cannot read root `{}`", root.name())))?;
            let Some(visit) = visit else { break };
            match selector.judge(&visit.facts, visit.empty, *now_ms) {
                Judged::Given => match RelPath::new(visit.path) {
                    Ok(path) => given.push(Entry::new(path, &visit.facts, in_use)),
                    Err(_) => *skipped.entry("path-too-long").or_default() += 1,
                },
                Judged::Future => *skipped.entry("future-time").or_default() += 1,
                Judged::Filtered => {}
            }
        }
        if special > 0 {
            *skipped.entry("special-file").or_default() += special;
        }
        Ok(given)
    }

    /// What was seen but not given, by reason: `unreadable`, `other-file-system`, `future-time`,
    /// `special-file`, `too-deep`, `changed`, `excepted`, `path-too-long`, `directory-too-large`.
    pub fn skipped(&self) -> Vec<(String, u64)> {
        let mut all = self.tree.skipped().clone();
        for (why, count) in &self.skipped {
            *all.entry(why).or_default() += count;
        }
        all.into_iter()
            .map(|(why, n)| (why.to_owned(), n))
            .collect()
    }
}

enum Judged {
    Given,
    Filtered,
    Future,
}

impl Selector {
    fn wants(&self, kind: EntryKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    fn judge(&self, facts: &Facts, empty: bool, now_ms: u64) -> Judged {
        let full = facts.kind == EntryKind::Directory && self.only_empty_directories && !empty;
        if full || facts.size < self.min_size {
            return Judged::Filtered;
        }
        if self.min_age_ms == 0 {
            return Judged::Given;
        }
        match now_ms.checked_sub(told_ms(facts, self.age_by)) {
            None => Judged::Future,
            Some(age) if age < self.min_age_ms => Judged::Filtered,
            Some(_) => Judged::Given,
        }
    }
}

/// The time by which the age is told.
pub(crate) fn told_ms(facts: &Facts, age_by: AgeBy) -> u64 {
    match age_by {
        AgeBy::Newest => facts.touched_ms(),
        AgeBy::Modified => to_ms(facts.mtime_ns),
    }
}

/// Looks at one entry. Refusals: `gone`, `denied` (a link or a mount on the way), `io`.
pub fn stat(root: &Root, path: &RelPath, in_use: &InUse) -> Result<Entry, Refusal> {
    let failed = |e| {
        refused(
            e,
            format!("cannot look at `{path}` in root `{}`", root.name()),
        )
    };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // The last part may be a link, which is then what is looked at; the parts before may not.
    let facts = match path.parent() {
        None => crate::at::look(root.fd(), path.as_bytes()),
        Some(parent) => open_beneath(root.fd(), parent.as_bytes(), flags | OFlags::DIRECTORY)
            .and_then(|at| crate::at::look(at.as_fd(), path.name())),
    }
    .map_err(failed)?;
    let mount = look_at(root.fd()).map_err(failed)?.mount;
    if facts.mount != mount || facts.mount_root {
        return Err(failed(rustix::io::Errno::XDEV));
    }
    Ok(Entry::new(path.clone(), &facts, in_use))
}

fn as_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

fn glob_set(globs: &[String]) -> Result<Option<GlobSet>, Refusal> {
    if globs.is_empty() {
        return Ok(None);
    }
    if globs.len() > MAX_GLOBS {
        return Err(Refusal::invalid(format!(
            "{} globs are given, at most {MAX_GLOBS} are taken",
            globs.len()
        )));
    }
    let mut set = GlobSetBuilder::new();
    for text in globs {
        let bad = |why: String| {
            let shown: String = text.chars().take(80).collect();
            Refusal::invalid(format!("glob `{}` is refused: {why}", shown.escape_debug()))
        };
        if text.len() > MAX_GLOB_BYTES {
            return Err(bad(format!("it is longer than {MAX_GLOB_BYTES} bytes")));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .build()
            .map_err(|e| bad(e.kind().to_string()))?;
        set.add(glob);
    }
    set.build()
        .map(Some)
        .map_err(|e| Refusal::invalid(format!("the globs together are refused: {e}")))
}

#[cfg(test)]
mod tests;
