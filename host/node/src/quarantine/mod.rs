//! The actuator for quarantine: moves entries aside within their root, and back.
//!
//! What run R moved lies in `<root>/.keepwell/quarantine/R/`, each entry named by its action's
//! number, beside `manifest.jsonl` (the sealed plan, so that the folder alone tells what was
//! where) and `parents.jsonl` (modification times of the directories they came from).
//!
//! `check`, `apply`, `undo` and `settled` may be repeated. Undo in reverse order of the actions:
//! a directory that was moved after its contents comes back before them.

mod check;
mod expire;
mod folder;
mod moves;
mod parents;
mod place;
#[cfg(test)]
mod tests;

pub use expire::{QuarantinedRun, expire, quarantined};

use crate::at::{Facts, look_at, open_directory, refused};
use crate::root::Root;
use folder::Folder;
use keepwell_model::action::RelPath;
use keepwell_model::id::RunId;
use keepwell_model::words::Refusal;
use parents::Parents;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A seam for tests: asked before each step that changes something; an error is taken for the
/// kernel's.
pub trait Fault: Send + Sync + std::fmt::Debug {
    /// `step` is `rename`, `look` (after a rename), `rename-back`, `undo` or `fsync`; for parameters
    /// also `create`, `write`, `exchange`, `unlink` or `sysctl`.
    fn before(&self, step: &'static str) -> Result<(), Errno>;
}

/// What became of an undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// Put back now.
    Restored,
    /// It was in its place already.
    WasThere,
}

/// What a look after a crash tells about an action whose outcome is not in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The entry lies in quarantine; the new value stands.
    Applied,
    /// The entry is still in its place; the old value stands.
    NotApplied,
    /// It is in neither place, or in both; another value stands.
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

    /// Makes what was applied durable: once for a batch. The folder's own sync is enough, as a
    /// rename is one transaction of the file system and what a crash loses shows in `settled`.
    pub fn sync(&self) -> Result<(), Refusal> {
        self.lock().parents.save(self.folder.fd())?;
        self.fault("fsync")
            .and_then(|()| rustix::fs::fsync(self.folder.fd()))
            .map_err(|e| refused(e, "cannot write the quarantine folder to disk"))
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

/// What the folder's handle is asked for by its submodules.
type At<'a> = BorrowedFd<'a>;
