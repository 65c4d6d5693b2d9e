//! The moves themselves: aside, back at the last moment, back by undo; and where an entry is.

use super::place::{is_same, same_moved};
use super::{Quarantine, Settled, Undone};
use crate::at::{look, refused};
use keepwell_model::action::{Action, EntryKind, RelPath};
use keepwell_model::words::{Code, Refusal};
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use std::os::fd::{AsFd as _, OwnedFd};

impl Quarantine {
    /// Moves the entry to quarantine. Applying again what was applied changes nothing. An entry
    /// that turns out to be another one than planned is moved back and refused as `gone`.
    pub fn apply(&self, action: &Action) -> Result<(), Refusal> {
        let (path, kind, identity) = self.planned(action)?;
        let id = action.id.to_string();
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
        let cannot = || format!("cannot move `{path}` to quarantine");
        match moved {
            Ok(()) => {}
            Err(e @ (Errno::EXIST | Errno::NOENT)) => {
                return match look(self.folder.fd(), &id) {
                    Ok(facts) if same_moved(&facts, &identity, false) => Ok(()),
                    Ok(_) => Err(Refusal::gone(format!(
                        "{}: quarantine already holds something else as number {id}",
                        cannot()
                    ))),
                    Err(_) => Err(refused(e, cannot())),
                };
            }
            Err(e) => return Err(refused(e, cannot())),
        }
        // From here on a refusal must leave the entry in its place, for a refused action is not
        // undone later.
        let looked = self.fault("look").map_err(|e| refused(e, cannot()));
        let looked = looked.and_then(|()| {
            let after = self.look_at_parent(&parent, path)?;
            let there = look(self.folder.fd(), &id).map_err(|e| refused(e, cannot()))?;
            Ok((after, there))
        });
        let (after, there) = match looked {
            Ok(both) => both,
            Err(no) => return self.move_back(&parent, path, &id, no),
        };
        let mut inner = self.lock();
        inner.parents.moved(path.parent().as_ref(), &before, &after);
        // A directory emptied by this run has newer times than planned; which it is still holds.
        let emptied = kind == EntryKind::Directory;
        if there.kind == kind && same_moved(&there, &identity, emptied) {
            inner.parents.taken(&there);
            return Ok(());
        }
        drop(inner);
        let replaced = self.changed(path, "it was replaced at the last moment; left in place");
        self.move_back(&parent, path, &id, replaced)
    }

    /// Puts back what should not have been moved, and refuses with `why`.
    fn move_back(
        &self,
        parent: &OwnedFd,
        path: &RelPath,
        id: &str,
        why: Refusal,
    ) -> Result<(), Refusal> {
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
            Ok(()) => Err(why),
            Err(e) => Err(Refusal::io(format!(
                "{}; and `{path}` could not be put back: {}",
                why.message,
                std::io::Error::from(e)
            ))
            .hint(format!(
                "it lies as number {id} in this run's quarantine folder"
            ))),
        }
    }

    /// Moves the entry back to its place, never over anything. The parent's modification time is
    /// put back too when nobody but this run changed the parent.
    pub fn undo(&self, action: &Action) -> Result<Undone, Refusal> {
        let (path, _, identity) = self.planned(action)?;
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
        let Ok((path, _, identity)) = self.planned(action) else {
            return Settled::Unknown;
        };
        let held = look(self.folder.fd(), action.id.to_string());
        let there = self.parent(path).and_then(|p| self.look(&p, path));
        let in_place = matches!(&there, Ok(facts) if is_same(facts, &identity));
        match held {
            Ok(facts) if is_same(&facts, &identity) && !in_place => Settled::Applied,
            Err(Errno::NOENT) if in_place => Settled::NotApplied,
            Ok(_) | Err(_) => Settled::Unknown,
        }
    }
}
