//! Interface `storage`: looking at granted roots. The reading is done here, behind the walls.

use super::bindings::storage as wit;
use crate::ctx::{Answered, Ctx, No};
use keepwell_model::action::{EntryKind, RelPath};
use keepwell_model::budget::AgeBy;
use keepwell_model::capability::Capability;
use keepwell_model::id::NAME_MAX_BYTES;
use keepwell_model::words::{Refusal, printable};
use keepwell_node::root::Root;
use keepwell_node::walk::{Entry, Selector, Walk, stat, usage};
use std::sync::Arc;
use wasmtime::component::Resource;

/// As the contract says of `next`.
pub(super) const NEXT_MAX: u32 = 4_096;
/// As the contract says of `walk`: each holds a descriptor for each level it is deep.
const WALKERS_MAX: u32 = 8;
/// Bytes of entries in one answer, so that it stays within what a call may move whatever the
/// lengths of the paths.
const ANSWER_BYTES: usize = 4 << 20;
/// Of an entry, beside its path.
const ENTRY_BYTES: usize = 160;
/// Entries looked up at a time: small, so that an answer full of long paths is noticed early.
const STEP: usize = 256;

/// A walk in progress, as the guest holds it.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Walker {
    root: String,
    walk: Walk,
}

impl Ctx {
    /// The root, or a denial with the line to add.
    pub(crate) fn root(&self, name: &str) -> Result<Arc<Root>, No> {
        self.need(Capability::Storage)?;
        match self.roots.get(name) {
            Some(Ok(root)) => Ok(Arc::clone(root)),
            Some(Err(refusal)) => Err(refusal.clone().into()),
            None => {
                let name = printable(name, NAME_MAX_BYTES);
                Err(Refusal::denied(format!("root `{name}` is not granted"))
                    .hint(format!(
                        "add `storage.roots = [\"{name}\"]` to [grant] of this task"
                    ))
                    .into())
            }
        }
    }
}

pub(super) fn rel_path(path: Vec<u8>) -> Result<RelPath, Refusal> {
    RelPath::new(path).map_err(|e| Refusal::invalid(e.to_string()))
}

/// A root and a path below it, for the record.
pub(super) fn subject(root: &str, path: &[u8]) -> String {
    format!("{root}:{}", String::from_utf8_lossy(path))
}

pub(super) const fn kind(kind: wit::Kind) -> EntryKind {
    match kind {
        wit::Kind::File => EntryKind::File,
        wit::Kind::Directory => EntryKind::Directory,
        wit::Kind::Symlink => EntryKind::Symlink,
        wit::Kind::Other => EntryKind::Other,
    }
}

fn entry(entry: &Entry) -> wit::Entry {
    wit::Entry {
        path: entry.path.as_bytes().to_vec(),
        kind: match entry.kind {
            EntryKind::File => wit::Kind::File,
            EntryKind::Directory => wit::Kind::Directory,
            EntryKind::Symlink => wit::Kind::Symlink,
            EntryKind::Other => wit::Kind::Other,
        },
        size: entry.size,
        touched: entry.touched_ms,
        links: entry.links,
        owner: entry.owner,
        in_use: entry.in_use,
        identity: wit::Identity {
            device: entry.identity.device,
            inode: entry.identity.inode,
            mtime_ns: entry.identity.mtime_ns,
            ctime_ns: entry.identity.ctime_ns,
        },
    }
}

fn selector(selector: wit::Selector) -> Selector {
    Selector {
        globs: selector.globs,
        except: selector.except,
        kinds: selector.kinds.into_iter().map(kind).collect(),
        min_age_ms: selector.min_age_ms,
        age_by: match selector.age_by {
            wit::AgeBy::Newest => AgeBy::Newest,
            wit::AgeBy::Modified => AgeBy::Modified,
        },
        min_size: selector.min_size,
        only_empty_directories: selector.only_empty_directories,
    }
}

impl wit::Host for Ctx {
    fn roots(&mut self) -> Answered<Vec<wit::RootInfo>> {
        self.call("storage.roots", "", |ctx| {
            ctx.need(Capability::Storage)?;
            if let Some(infos) = &ctx.root_infos {
                return Ok(infos.clone());
            }
            let mut infos = Vec::new();
            for (name, root) in &ctx.roots {
                let root = root.as_ref().map_err(Clone::clone)?;
                let space = rustix::fs::fstatvfs(root.fd())
                    .map_err(|e| Refusal::io(format!("cannot look at root `{name}`: {e}")))?;
                // As `df` counts: reserved blocks belong to neither.
                let used = space.f_blocks.saturating_sub(space.f_bfree);
                let total = used.saturating_add(space.f_bavail);
                infos.push(wit::RootInfo {
                    name: name.clone(),
                    available_bytes: space.f_bavail.saturating_mul(space.f_frsize),
                    total_bytes: total.saturating_mul(space.f_frsize),
                });
            }
            ctx.root_infos = Some(infos.clone());
            Ok(infos)
        })
    }

    fn walk(&mut self, root: String, chosen: wit::Selector) -> Answered<Resource<Walker>> {
        self.call("storage.walk", &root, |ctx| {
            let opened = ctx.root(&root)?;
            if ctx.walkers_open >= WALKERS_MAX {
                return Err(Refusal::limit(format!("{WALKERS_MAX} walkers are open"))
                    .hint("finish one walk before the next")
                    .into());
            }
            let in_use = ctx.in_use()?;
            let walk = Walk::new(opened, &selector(chosen), ctx.assignment.now_ms, in_use)?;
            let walker = Walker {
                root: root.clone(),
                walk,
            };
            let held = ctx.table.push(walker).map_err(|e| No::Ended(e.into()))?;
            ctx.walkers_open += 1;
            Ok(held)
        })
    }

    fn stat(&mut self, root: String, path: Vec<u8>) -> Answered<wit::Entry> {
        self.call("storage.stat", &subject(&root, &path), |ctx| {
            let opened = ctx.root(&root)?;
            let path = rel_path(path)?;
            let in_use = ctx.in_use()?;
            Ok(entry(&stat(&opened, &path, &in_use)?))
        })
    }

    fn get_usage(&mut self, root: String, path: Vec<u8>) -> Answered<wit::Usage> {
        self.call("storage.get-usage", &subject(&root, &path), |ctx| {
            let opened = ctx.root(&root)?;
            let path = if path.is_empty() {
                None
            } else {
                Some(rel_path(path)?)
            };
            let sum = usage(&opened, path.as_ref())?;
            Ok(wit::Usage {
                files: sum.files,
                directories: sum.directories,
                others: sum.others,
                bytes: sum.bytes,
                allocated_bytes: sum.allocated_bytes,
                unreadable: sum.unreadable,
            })
        })
    }
}

impl wit::HostWalker for Ctx {
    fn next(&mut self, walker: Resource<Walker>, max: u32) -> Answered<Vec<wit::Entry>> {
        let root = self.table.get(&walker)?.root.clone();
        self.call("storage.walker.next", &root, |ctx| {
            let walk = &mut ctx
                .table
                .get_mut(&walker)
                .map_err(|e| No::Ended(e.into()))?
                .walk;
            let most = usize::try_from(max.min(NEXT_MAX)).unwrap_or(STEP);
            let (mut given, mut bytes) = (Vec::new(), 0);
            while given.len() < most && bytes < ANSWER_BYTES {
                let some = walk.next((most - given.len()).min(STEP))?;
                if some.is_empty() {
                    break;
                }
                bytes += some
                    .iter()
                    .map(|e| e.path.as_bytes().len() + ENTRY_BYTES)
                    .sum::<usize>();
                given.extend(some.iter().map(entry));
            }
            Ok(given)
        })
    }

    fn skipped(&mut self, walker: Resource<Walker>) -> wasmtime::Result<Vec<(String, u64)>> {
        Ok(self.table.get(&walker)?.walk.skipped())
    }

    fn drop(&mut self, walker: Resource<Walker>) -> wasmtime::Result<()> {
        self.table.delete(walker)?;
        self.walkers_open = self.walkers_open.saturating_sub(1);
        Ok(())
    }
}
