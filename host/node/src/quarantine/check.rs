//! Before a move: whether the entry is still what the plan saw, and may be moved now.

use super::Quarantine;
use super::place::same_moved;
use crate::at::{Facts, open_directory, refused};
use crate::in_use::InUse;
use crate::root::Root;
use crate::survey::survey_by;
use crate::tree::{Interest, Tree};
use crate::walk::told_ms;
use keepwell_model::action::{Action, Change, EntryKind, RelPath};
use keepwell_model::budget::CleanBudget;
use keepwell_model::words::Refusal;
use std::os::fd::{AsFd as _, OwnedFd};

impl Quarantine {
    /// Whether the entry is still what the plan saw, and may be moved now. Refusals: `gone`
    /// (changed or not there), `busy` (in use), `denied` (too young, a special file, a mount).
    pub fn check(
        &self,
        action: &Action,
        budget: &CleanBudget,
        now_ms: u64,
        in_use: &InUse,
    ) -> Result<(), Refusal> {
        let (path, kind, identity) = self.planned(action)?;
        let parent = self.parent(path)?;
        let facts = self.look(&parent, path)?;
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
            // What moves nothing was refused above.
            Change::Quarantine { .. } | Change::ConfigWrite(_) => {
                if kind == EntryKind::Directory && !self.is_empty(&parent, path)? {
                    return Err(Refusal::busy(format!("directory `{path}` is not empty")));
                }
                told
            }
            Change::QuarantineTree { root, survey, .. } => {
                let fd = self.root.as_fd().try_clone_to_owned();
                let fd = fd.map_err(|e| Refusal::io(format!("cannot open the root again: {e}")))?;
                let root = Root::from_fd(root.clone(), fd)?;
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
}
