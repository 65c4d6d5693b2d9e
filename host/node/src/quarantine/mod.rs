//! The actuator for quarantine: moves entries aside within their root, and back.
//!
//! What run R moved lies in `<root>/.keepwell/quarantine/R/`, each entry named by its action's
//! number, beside `manifest.jsonl` (the sealed plan, so that the folder alone tells what was
//! where) and `parents.jsonl` (modification times of the directories they came from).
//!
//! `check`, `apply`, `undo` and `settled` may be repeated. Undo in reverse order of the actions:
//! a directory that was moved after its contents comes back before them.

mod expire;
mod folder;
mod parents;
#[cfg(test)]
mod tests;

pub use expire::{QuarantinedRun, expire, quarantined};

use crate::at::{Facts, look, look_at, open_directory, refused};
use crate::in_use::InUse;
use crate::root::Root;
use crate::survey::survey_by;
use crate::tree::{Interest, Tree};
use crate::walk::told_ms;
use folder::Folder;
use keepwell_model::action::{Action, Change, EntryKind, Identity, RelPath};
use keepwell_model::budget::CleanBudget;
use keepwell_model::id::RunId;
use keepwell_model::words::{Code, Refusal};
use parents::Parents;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many actions in a row may use one parent handle. A directory that is moved out of the root
/// in the meantime is noticed when it is opened again, so this bounds what happens in it.
const PARENT_REUSE_MAX: u32 = 64;

/// A seam for tests: asked before each step that changes something; an error is taken for the
/// kernel's.
pub trait Fault: Send + Sync + std::fmt::Debug {
    /// `step` is `rename`, `rename-back`, `undo` or `fsync`.
    fn before(&self, step: &'static str) -> Result<(), Errno>;
}

/// What became of an undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// Moved back now.
    Restored,
    /// It was in its place already.
    WasThere,
}

/// What a look after a crash tells about an action whose outcome is not in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The entry lies in quarantine.
    Applied,
    /// The entry is still in its place.
    NotApplied,
    /// It is in neither place, or in both.
    Unknown,
}

/// The quarantine of one run in one root.
#[derive(Debug)]
pub struct Quarantine {
    root: OwnedFd,
    root_name: String,
    mount: u64,
    device: u64,
    folder: Folder,
    inner: Mutex<Inner>,
    fault: Option<Arc<dyn Fault>>,
}

#[derive(Debug, Default)]
struct Inner {
    cached: Option<Cached>,
    parents: Parents,
}

#[derive(Debug)]
struct Cached {
    parent: Option<RelPath>,
    fd: Arc<OwnedFd>,
    left: u32,
}

impl Quarantine {
    /// Makes the run's folder and copies the sealed plan at `plan` into it, durably. A folder
    /// that is there already is taken up again if it holds the same plan.
    pub fn begin(root: &Root, run: RunId, plan: &Path) -> Result<Self, Refusal> {
        let before = Self::facts_of(root)?;
        let folder = Folder::make(root, run)?;
        let quarantine = Self::with_folder(root, folder)?;
        quarantine.folder.seal(plan)?;
        let after = Self::facts_of(root)?;
        let mut inner = quarantine.lock();
        inner.parents.moved(None, &before, &after);
        inner.parents.save(quarantine.folder.fd())?;
        drop(inner);
        quarantine.sync()?;
        Ok(quarantine)
    }

    /// Opens the folder of an earlier run, to undo or settle it. Refusals: `gone`.
    pub fn open(root: &Root, run: RunId) -> Result<Self, Refusal> {
        Self::with_folder(root, Folder::open(root, run)?)
    }

    /// Injects errors, for tests.
    #[must_use]
    pub fn with_fault(mut self, fault: Arc<dyn Fault>) -> Self {
        self.fault = Some(fault);
        self
    }

    fn with_folder(root: &Root, folder: Folder) -> Result<Self, Refusal> {
        let facts = Self::facts_of(root)?;
        let parents = Parents::load(folder.fd())?;
        let fd = root
            .fd()
            .try_clone_to_owned()
            .map_err(|e| Refusal::io(format!("cannot keep root `{}` open: {e}", root.name())))?;
        Ok(Self {
            root: fd,
            root_name: root.name().to_string(),
            mount: facts.mount,
            device: facts.device,
            folder,
            inner: Mutex::new(Inner {
                cached: None,
                parents,
            }),
            fault: None,
        })
    }

    fn facts_of(root: &Root) -> Result<Facts, Refusal> {
        look_at(root.fd()).map_err(|e| refused(e, format!("cannot look at root `{}`", root.name())))
    }

    /// Whether the entry is still what the plan saw, and may be moved now. Refusals: `gone`
    /// (changed or not there), `busy` (in use), `denied` (too young, a special file, a mount).
    pub fn check(
        &self,
        action: &Action,
        budget: &CleanBudget,
        now_ms: u64,
        in_use: &InUse,
    ) -> Result<(), Refusal> {
        let path = action.change.path();
        self.own_root(action)?;
        let parent = self.parent(path)?;
        let facts = self.look(&parent, path)?;
        let (kind, identity) = planned(&action.change);
        if facts.kind == EntryKind::Other {
            return Err(Refusal::denied(format!("`{path}` is a special file")));
        }
        if facts.kind != kind {
            return Err(self.changed(path, "it is of another kind"));
        }
        // Our own moves out of a directory, or of another name of the same file, change its times.
        let by_us = self.lock().parents.left_by_us(&facts);
        let emptied_by_us = by_us && kind == EntryKind::Directory;
        if !same_moved(&facts, &identity, emptied_by_us) {
            return Err(self.changed(path, "another entry has its name or its content changed"));
        }
        if !by_us && facts.ctime_ns != identity.ctime_ns {
            return Err(self.changed(path, "its owner, mode, links or content changed"));
        }
        if in_use.contains(facts.device, facts.inode) {
            return Err(Refusal::busy(format!("`{path}` is in use")));
        }
        let told = if by_us {
            // Only our own moves made it young; its access time and the planned times count.
            told_ms(
                &Facts {
                    mtime_ns: identity.mtime_ns,
                    ctime_ns: identity.ctime_ns,
                    ..facts
                },
                budget.age_by,
            )
        } else {
            told_ms(&facts, budget.age_by)
        };
        let told = match &action.change {
            Change::Quarantine { .. } => {
                if kind == EntryKind::Directory && !self.is_empty(&parent, path)? {
                    return Err(Refusal::busy(format!("directory `{path}` is not empty")));
                }
                told
            }
            Change::QuarantineTree { survey, .. } => {
                let fd = self.root.as_fd().try_clone_to_owned();
                let fd = fd.map_err(|e| Refusal::io(format!("cannot open the root again: {e}")))?;
                let root = Root::from_fd(action.change.root().clone(), fd)?;
                let (now, newest) = survey_by(&root, path, in_use, budget.age_by)?;
                if now.fingerprint != survey.fingerprint {
                    return Err(self.changed(path, "something in it changed"));
                }
                told.max(newest)
            }
        };
        match now_ms.checked_sub(told) {
            None => Err(
                Refusal::denied(format!("`{path}` has a time in the future"))
                    .hint("correct the clock, or the file's time with `touch`"),
            ),
            Some(age) if age < budget.min_age.as_millis() => Err(Refusal::denied(format!(
                "`{path}` was touched less than {} ago",
                budget.min_age
            ))),
            Some(_) => Ok(()),
        }
    }

    /// Moves the entry to quarantine. Applying again what was applied changes nothing. An entry
    /// that turns out to be another one than planned is moved back and refused as `gone`.
    pub fn apply(&self, action: &Action) -> Result<(), Refusal> {
        self.own_root(action)?;
        let path = action.change.path();
        let id = action.id.to_string();
        let (kind, identity) = planned(&action.change);
        let parent = self.parent(path)?;
        let before = self.look_at_parent(&parent, path)?;
        let moved = self.fault("rename").and_then(|()| {
            rustix::fs::renameat_with(
                parent.as_fd(),
                path.name(),
                self.folder.fd(),
                &id,
                RenameFlags::NOREPLACE,
            )
        });
        let cannot = format!("cannot move `{path}` to quarantine");
        match moved {
            Ok(()) => {}
            Err(e @ (Errno::EXIST | Errno::NOENT)) => {
                return match look(self.folder.fd(), &id) {
                    Ok(facts) if same_moved(&facts, &identity, false) => Ok(()),
                    Ok(_) => Err(Refusal::gone(format!(
                        "{cannot}: quarantine already holds something else as number {id}"
                    ))),
                    Err(_) => Err(refused(e, cannot)),
                };
            }
            Err(e) => return Err(refused(e, cannot)),
        }
        let after = self.look_at_parent(&parent, path)?;
        let mut inner = self.lock();
        inner.parents.moved(path.parent().as_ref(), &before, &after);
        let there = look(self.folder.fd(), &id).map_err(|e| refused(e, cannot))?;
        // A directory emptied by this run has newer times than planned; which it is still holds.
        let emptied = kind == EntryKind::Directory;
        if there.kind == kind && same_moved(&there, &identity, emptied) {
            inner.parents.taken(&there);
            return Ok(());
        }
        drop(inner);
        self.move_back(&parent, path, &id)
    }

    fn move_back(&self, parent: &OwnedFd, path: &RelPath, id: &str) -> Result<(), Refusal> {
        let back = self.fault("rename-back").and_then(|()| {
            rustix::fs::renameat_with(
                self.folder.fd(),
                id,
                parent.as_fd(),
                path.name(),
                RenameFlags::NOREPLACE,
            )
        });
        match back {
            Ok(()) => Err(self.changed(path, "it was replaced at the last moment; left in place")),
            Err(e) => Err(Refusal::io(format!(
                "`{path}` was replaced at the last moment and could not be put back: {}",
                std::io::Error::from(e)
            ))
            .hint(format!(
                "it lies as number {id} in this run's quarantine folder"
            ))),
        }
    }

    /// Makes what was applied durable: once for a batch. The folder's own sync is enough, as a
    /// rename is one transaction of the file system and what a crash loses shows in `settled`.
    pub fn sync(&self) -> Result<(), Refusal> {
        self.lock().parents.save(self.folder.fd())?;
        self.fault("fsync")
            .and_then(|()| rustix::fs::fsync(self.folder.fd()))
            .map_err(|e| refused(e, "cannot write the quarantine folder to disk"))
    }

    /// Moves the entry back to its place, never over anything. The parent's modification time is
    /// put back too when nobody but this run changed the parent.
    pub fn undo(&self, action: &Action) -> Result<Undone, Refusal> {
        self.own_root(action)?;
        let path = action.change.path();
        let (_, identity) = planned(&action.change);
        let id = action.id.to_string();
        let cannot = format!("cannot put back `{path}`");
        let held = match look(self.folder.fd(), &id) {
            Ok(facts) => facts,
            Err(Errno::NOENT) => {
                let there = self.parent(path).and_then(|p| self.look(&p, path));
                return match there {
                    Ok(facts) if is_same(&facts, &identity) => Ok(Undone::WasThere),
                    Ok(_) | Err(_) => Err(Refusal::gone(format!(
                        "{cannot}: it is neither in quarantine nor in its place"
                    ))
                    .hint("it may have expired, or been moved by hand")),
                };
            }
            Err(e) => return Err(refused(e, cannot)),
        };
        if !is_same(&held, &identity) {
            return Err(Refusal::gone(format!(
                "{cannot}: number {id} in quarantine is not the entry that was moved"
            )));
        }
        let parent = self.parent(path).map_err(|no| {
            if no.code == Code::Gone {
                Refusal::gone(format!("{cannot}: the directory it lay in is not there"))
                    .hint("make the directory again, then undo once more")
            } else {
                no
            }
        })?;
        let before = self.look_at_parent(&parent, path)?;
        self.fault("undo")
            .and_then(|()| {
                rustix::fs::renameat_with(
                    self.folder.fd(),
                    &id,
                    parent.as_fd(),
                    path.name(),
                    RenameFlags::NOREPLACE,
                )
            })
            .map_err(|e| match e {
                Errno::EXIST => Refusal::busy(format!("{cannot}: something new has its name"))
                    .hint("move that aside, then undo once more"),
                e => refused(e, cannot),
            })?;
        self.lock()
            .parents
            .put_back(path.parent().as_ref(), parent.as_fd(), &before);
        Ok(Undone::Restored)
    }

    /// Where the entry is now: after a crash this decides what the outcome was.
    pub fn settled(&self, action: &Action) -> Settled {
        let path = action.change.path();
        let (_, identity) = planned(&action.change);
        let held = look(self.folder.fd(), action.id.to_string());
        let there = self.parent(path).and_then(|p| self.look(&p, path));
        let in_place = matches!(&there, Ok(facts) if is_same(facts, &identity));
        match held {
            Ok(facts) if is_same(&facts, &identity) && !in_place => Settled::Applied,
            Err(Errno::NOENT) if in_place => Settled::NotApplied,
            Ok(_) | Err(_) => Settled::Unknown,
        }
    }

    /// Removes the folder when nothing is left in it, and the host's own folder with it when that
    /// is empty too. Says whether the run's folder is gone.
    pub fn finish_undo(&self) -> Result<bool, Refusal> {
        let root = self.root.as_fd();
        let cannot = || format!("cannot look at root `{}`", self.root_name);
        let before = look_at(root).map_err(|e| refused(e, cannot()))?;
        self.lock().parents.save(self.folder.fd())?;
        if !self.folder.remove_if_empty(root)? {
            return Ok(false);
        }
        if let Ok(fd) = open_directory(root, c".") {
            self.lock().parents.put_back(None, fd.as_fd(), &before);
        }
        Ok(true)
    }

    fn own_root(&self, action: &Action) -> Result<(), Refusal> {
        if action.change.root().as_str() == self.root_name {
            return Ok(());
        }
        Err(Refusal::invalid(format!(
            "action {} is about root `{}`, this is the quarantine of `{}`",
            action.id,
            action.change.root(),
            self.root_name
        )))
    }

    /// The directory the entry lies in, opened beneath the root.
    fn parent(&self, path: &RelPath) -> Result<Arc<OwnedFd>, Refusal> {
        let parent = path.parent();
        let mut inner = self.lock();
        if let Some(cached) = &mut inner.cached
            && cached.parent == parent
            && cached.left > 0
        {
            cached.left -= 1;
            return Ok(Arc::clone(&cached.fd));
        }
        inner.cached = None;
        let bytes = parent.as_ref().map_or(&b"."[..], RelPath::as_bytes);
        let fd = open_directory(self.root.as_fd(), bytes)
            .map(Arc::new)
            .map_err(|e| {
                refused(
                    e,
                    format!(
                        "cannot open the directory of `{path}` in root `{}`",
                        self.root_name
                    ),
                )
            })?;
        inner.cached = Some(Cached {
            parent,
            fd: Arc::clone(&fd),
            left: PARENT_REUSE_MAX,
        });
        Ok(fd)
    }

    fn look(&self, parent: &OwnedFd, path: &RelPath) -> Result<Facts, Refusal> {
        let facts = look(parent.as_fd(), path.name()).map_err(|e| {
            refused(
                e,
                format!("cannot look at `{path}` in root `{}`", self.root_name),
            )
        })?;
        if facts.mount != self.mount || facts.mount_root {
            return Err(Refusal::denied(format!(
                "`{path}` lies on another file system or mount"
            )));
        }
        Ok(facts)
    }

    fn look_at_parent(&self, parent: &OwnedFd, path: &RelPath) -> Result<Facts, Refusal> {
        let facts = look_at(parent.as_fd())
            .map_err(|e| refused(e, format!("cannot look at the directory of `{path}`")))?;
        if facts.device != self.device {
            return Err(Refusal::denied(format!(
                "`{path}` lies on another file system"
            )));
        }
        Ok(facts)
    }

    fn is_empty(&self, parent: &OwnedFd, path: &RelPath) -> Result<bool, Refusal> {
        let mut any = false;
        let failed = |e| refused(e, format!("cannot read directory `{path}`"));
        open_directory(parent.as_fd(), path.name())
            .and_then(|fd| Tree::new(fd.as_fd(), false))
            .and_then(|mut tree| {
                tree.next(&mut |_, _| {
                    any = true;
                    Interest::Leave
                })
                .map(drop)
            })
            .map_err(failed)?;
        Ok(!any)
    }

    fn changed(&self, path: &RelPath, how: &str) -> Refusal {
        Refusal::gone(format!(
            "`{path}` in root `{}` is no longer what the plan saw: {how}",
            self.root_name
        ))
        .hint("plan again")
    }

    fn fault(&self, step: &'static str) -> Result<(), Errno> {
        self.fault.as_ref().map_or(Ok(()), |f| f.before(step))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What is inside is a cache and times to put back: usable after a panic elsewhere.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn planned(change: &Change) -> (EntryKind, Identity) {
    match change {
        Change::Quarantine { kind, identity, .. } => (*kind, *identity),
        Change::QuarantineTree { identity, .. } => (EntryKind::Directory, *identity),
    }
}

/// The same inode: what an entry stays through a rename and a change.
const fn is_same(facts: &Facts, identity: &Identity) -> bool {
    facts.device == identity.device && facts.inode == identity.inode
}

/// The same inode with the same content. A rename changes ctime and nothing else. The times and
/// the size of a directory may be let through.
const fn same_moved(facts: &Facts, identity: &Identity, any_times: bool) -> bool {
    is_same(facts, identity)
        && (any_times || facts.size == identity.size && facts.mtime_ns == identity.mtime_ns)
}

/// What the folder's handle is asked for by its submodules.
type At<'a> = BorrowedFd<'a>;
