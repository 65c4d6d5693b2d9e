//! The folder of one run in a root: made, opened, sealed with its plan, and removed when empty.

use super::At;
use super::parents::PARENTS;
use crate::at::{look, look_at, open_directory, refused};
use crate::root::Root;
use keepwell_model::action::{EntryKind, OWN_FOLDER};
use keepwell_model::id::RunId;
use keepwell_model::words::Refusal;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The folder below the host's own that holds one folder for each run.
pub(super) const QUARANTINE: &str = "quarantine";
/// The sealed plan's name in a run's folder.
pub(super) const MANIFEST: &str = "manifest.jsonl";
/// The plan while it is being copied.
const UNFINISHED: &str = "manifest.tmp";
/// What one read of the plan brings.
const COPY_BYTES: usize = 64 << 10;
/// Bits of a mode that let others write.
const OTHERS_WRITE: u16 = 0o022;

#[derive(Debug)]
pub(super) struct Folder {
    run: RunId,
    fd: OwnedFd,
}

impl Folder {
    pub(super) fn make(root: &Root, run: RunId) -> Result<Self, Refusal> {
        let own = step(root.fd(), OWN_FOLDER, true)?;
        let all = step(own.as_fd(), QUARANTINE, true)?;
        let fd = step(all.as_fd(), &run.to_string(), true)?;
        for made in [&all, &own] {
            rustix::fs::fsync(made).map_err(|e| refused(e, "cannot write `.keepwell` to disk"))?;
        }
        Ok(Self { run, fd })
    }

    pub(super) fn open(root: &Root, run: RunId) -> Result<Self, Refusal> {
        let own = step(root.fd(), OWN_FOLDER, false)?;
        let all = step(own.as_fd(), QUARANTINE, false)?;
        let fd = step(all.as_fd(), &run.to_string(), false)?;
        Ok(Self { run, fd })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Copies the plan into the folder, complete or not at all.
    pub(super) fn seal(&self, plan: &Path) -> Result<(), Refusal> {
        let cannot = |e: std::io::Error| {
            let code = e.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
            refused(
                code,
                format!("cannot copy the plan `{}` to quarantine", plan.display()),
            )
        };
        let mut source = File::open(plan).map_err(cannot)?;
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match rustix::fs::openat(&self.fd, MANIFEST, read, Mode::empty()) {
            Ok(there) => {
                if same(&mut source, &mut File::from(there)).map_err(cannot)? {
                    return Ok(());
                }
                return Err(Refusal::denied(format!(
                    "the quarantine folder of run {} holds another plan",
                    self.run
                ))
                .hint("undo that run, or move its folder away, before applying again"));
            }
            Err(Errno::NOENT) => {}
            Err(e) => return Err(cannot(e.into())),
        }
        let write =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, UNFINISHED, write, Mode::RUSR | Mode::WUSR)
            .map_err(|e| cannot(e.into()))?;
        let mut copy = File::from(fd);
        std::io::copy(&mut source, &mut copy).map_err(cannot)?;
        copy.sync_all().map_err(cannot)?;
        rustix::fs::renameat(&self.fd, UNFINISHED, &self.fd, MANIFEST)
            .and_then(|()| rustix::fs::fsync(&self.fd))
            .map_err(|e| cannot(e.into()))
    }

    /// Removes the folder if it holds nothing but our own notes, and the empty folders above.
    pub(super) fn remove_if_empty(&self, root: At<'_>) -> Result<bool, Refusal> {
        let cannot = |e| {
            refused(
                e,
                format!("cannot remove the quarantine folder of run {}", self.run),
            )
        };
        if !held(self.fd.as_fd()).map_err(cannot)?.is_empty() {
            return Ok(false);
        }
        remove(root, self.run, self.fd.as_fd()).map_err(cannot)?;
        Ok(true)
    }
}

/// Removes a run's folder that holds only notes, then `quarantine` and `.keepwell` if they are
/// empty.
pub(super) fn remove(root: At<'_>, run: RunId, fd: At<'_>) -> Result<(), Errno> {
    for note in [PARENTS, UNFINISHED, MANIFEST] {
        match rustix::fs::unlinkat(fd, note, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(e),
        }
    }
    let own = open_directory(root, OWN_FOLDER)?;
    let all = open_directory(own.as_fd(), QUARANTINE)?;
    for (at, name) in [
        (all.as_fd(), run.to_string().as_str()),
        (own.as_fd(), QUARANTINE),
        (root, OWN_FOLDER),
    ] {
        match rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) if name != run.to_string() => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Names in a run's folder that are not our own notes.
pub(super) fn held(folder: At<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let notes = [PARENTS, MANIFEST, UNFINISHED];
        if name != b"." && name != b".." && !notes.iter().any(|n| n.as_bytes() == name) {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

/// Opens one of our folders, making it if asked. It must be a real directory on the same file
/// system, ours, and writable by nobody else.
pub(super) fn step(at: At<'_>, name: &str, make: bool) -> Result<OwnedFd, Refusal> {
    if make {
        match rustix::fs::mkdirat(at, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(refused(e, format!("cannot make the folder `{name}`"))),
        }
    }
    let cannot = |e| refused(e, format!("cannot open the host's own folder `{name}`"));
    let foreign = look(at, name).map_err(cannot)?;
    if foreign.kind != EntryKind::Directory {
        return Err(Refusal::denied(format!(
            "`{name}`, the host's own folder, is not a directory"
        ))
        .hint("somebody else made it; look what it is and move it away"));
    }
    let fd = open_directory(at, name).map_err(cannot)?;
    let facts = look_at(fd.as_fd()).map_err(cannot)?;
    let above = look_at(at).map_err(cannot)?;
    let ours = facts.owner == rustix::process::geteuid().as_raw();
    if !ours || facts.mode & OTHERS_WRITE != 0 || facts.device != above.device || foreign.mount_root
    {
        return Err(Refusal::denied(format!(
            "the folder `{name}` is not the host's own: it must belong to the user that runs \
             keepwell, be writable by nobody else and lie on the root's file system"
        ))
        .hint("somebody else made it; look what is in it and move it away"));
    }
    Ok(fd)
}

fn same(a: &mut File, b: &mut File) -> std::io::Result<bool> {
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; COPY_BYTES], vec![0; COPY_BYTES]);
    loop {
        let n = a.read(&mut left)?;
        if n == 0 {
            return Ok(true);
        }
        b.read_exact(&mut right[..n])?;
        if left[..n] != right[..n] {
            return Ok(false);
        }
    }
}
