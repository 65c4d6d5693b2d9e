//! Where an entry lies: its directory, opened beneath the root, and whether it is still the same.

use super::{Cached, Quarantine};
use crate::at::{Facts, look, look_at, open_directory, refused};
use keepwell_model::action::{Action, Change, EntryKind, Identity, RelPath};
use keepwell_model::words::Refusal;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

/// How many actions in a row may use one parent handle. A directory that is moved out of the root
/// in the meantime is noticed when it is opened again, so this bounds what happens in it.
const PARENT_REUSE_MAX: u32 = 64;

impl Quarantine {
    /// What the action is to move, if that lies in this root.
    pub(super) fn planned<'a>(&self, action: &'a Action) -> Result<Planned<'a>, Refusal> {
        let (root, planned) = match &action.change {
            Change::Quarantine {
                root,
                path,
                kind,
                identity,
            } => (root, (path, *kind, *identity)),
            Change::QuarantineTree {
                root,
                path,
                identity,
                ..
            } => (root, (path, EntryKind::Directory, *identity)),
            Change::ConfigWrite(_) => {
                return Err(Refusal::invalid(format!(
                    "action {} moves nothing",
                    action.id
                )));
            }
        };
        if root.as_str() == self.root_name {
            return Ok(planned);
        }
        Err(Refusal::invalid(format!(
            "action {} is about root `{root}`, this is the quarantine of `{}`",
            action.id, self.root_name
        )))
    }

    /// The directory the entry lies in, opened beneath the root.
    pub(super) fn parent(&self, path: &RelPath) -> Result<Arc<OwnedFd>, Refusal> {
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

    pub(super) fn look(&self, parent: &OwnedFd, path: &RelPath) -> Result<Facts, Refusal> {
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

    pub(super) fn look_at_parent(
        &self,
        parent: &OwnedFd,
        path: &RelPath,
    ) -> Result<Facts, Refusal> {
        let facts = look_at(parent.as_fd())
            .map_err(|e| refused(e, format!("cannot look at the directory of `{path}`")))?;
        if facts.device != self.device {
            return Err(Refusal::denied(format!(
                "`{path}` lies on another file system"
            )));
        }
        Ok(facts)
    }
}

/// Path, kind and identity of what is to be moved.
pub(super) type Planned<'a> = (&'a RelPath, EntryKind, Identity);

/// The same inode: what an entry stays through a rename and a change.
pub(super) const fn is_same(facts: &Facts, identity: &Identity) -> bool {
    facts.device == identity.device && facts.inode == identity.inode
}

/// The same inode with the same content. A rename changes ctime and nothing else. The times and
/// the size of a directory may be let through.
pub(super) const fn same_moved(facts: &Facts, identity: &Identity, any_times: bool) -> bool {
    is_same(facts, identity)
        && (any_times || facts.size == identity.size && facts.mtime_ns == identity.mtime_ns)
}
