//! Opening a configuration file: by directory handle, without links, and only one whose owner and
//! mode leave no doubt who may change it.

use crate::at::{Facts, look, look_at, open_beneath, refused};
use keepwell_model::action::EntryKind;
use keepwell_model::id::Digest;
use keepwell_model::param::FileSeen;
use keepwell_model::words::Refusal;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Larger files hold data, not settings; all of it is held in memory several times.
pub(super) const FILE_MAX_BYTES: u64 = 1 << 20;
/// Bits of a mode by which everybody may write.
const ALL_WRITE: u16 = 0o002;
/// Set-user, set-group and sticky bits: no file of settings has them.
const ODD_BITS: u16 = 0o7000;

/// An open configuration file, its directory, and what it held when it was read.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) dir: OwnedFd,
    pub(super) name: OsString,
    pub(super) file: File,
    pub(super) facts: Facts,
    pub(super) text: String,
}

impl Opened {
    pub(super) fn seen(&self) -> FileSeen {
        FileSeen {
            identity: self.facts.identity(),
            digest: Digest::of(self.text.as_bytes()),
        }
    }

    /// Whether the open file still holds what was read. A file written in place within one tick of
    /// the clock shows in its bytes alone.
    pub(super) fn unchanged(&self) -> bool {
        let mut bytes = vec![0; self.text.len() + 1];
        let read = self.file.read_at(&mut bytes, 0);
        read.is_ok_and(|n| bytes[..n] == *self.text.as_bytes())
    }
}

/// Opens and reads the file. Refusals: `gone`, `denied` (a link, a special file, another name,
/// writable by all, another owner), `limit` (too large), `invalid` (not UTF-8), `busy` (being
/// written).
pub(super) fn open(path: &Path) -> Result<Opened, Refusal> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Refusal::invalid(format!(
            "`{}` names no file",
            path.display()
        )));
    };
    let dir = open_dir(parent)?;
    let opened = open_in(dir, name.to_owned());
    opened.map_err(|no| Refusal {
        message: format!("`{}`: {}", path.display(), no.message),
        ..no
    })
}

fn open_dir(path: &Path) -> Result<OwnedFd, Refusal> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve).map_err(|e| {
        // `O_DIRECTORY` answers for a link as the last part before the kernel names it one.
        let link = std::fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
        let e = if link { Errno::LOOP } else { e };
        let refusal = refused(e, format!("cannot open the directory `{}`", path.display()));
        match (e, std::fs::canonicalize(path)) {
            (Errno::LOOP, Ok(real)) => refusal.hint(format!(
                "write the path without links: it leads to `{}`",
                real.display()
            )),
            _ => refusal,
        }
    })
}

fn open_in(dir: OwnedFd, name: OsString) -> Result<Opened, Refusal> {
    // A look first: opening a device may already do something.
    let before = look(dir.as_fd(), &name).map_err(|e| refused(e, "cannot look at the file"))?;
    sane(
        &look_at(dir.as_fd()).map_err(|e| refused(e, "cannot look at its directory"))?,
        &before,
    )?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd =
        open_beneath(dir.as_fd(), &name, flags).map_err(|e| refused(e, "cannot open the file"))?;
    let facts = look_at(fd.as_fd()).map_err(|e| refused(e, "cannot look at the file"))?;
    let busy = || Refusal::busy("the file is being changed").hint("try again");
    if facts.kind != EntryKind::File || facts.identity() != before.identity() {
        return Err(busy());
    }
    let mut file = File::from(fd);
    let mut bytes = Vec::new();
    file.by_ref()
        .take(FILE_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Refusal::io(format!("cannot read the file: {e}")))?;
    let after = look_at(file.as_fd()).map_err(|e| refused(e, "cannot look at the file"))?;
    if after.identity() != facts.identity() || bytes.len() as u64 != facts.size {
        return Err(busy());
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Refusal::invalid(format!("it is not UTF-8 at byte {at}"))
    })?;
    if text.contains('\0') {
        return Err(Refusal::invalid("it holds a NUL byte"));
    }
    Ok(Opened {
        dir,
        name,
        file,
        facts,
        text,
    })
}

/// Whether only those may change the file who should.
fn sane(dir: &Facts, file: &Facts) -> Result<(), Refusal> {
    let us = rustix::process::geteuid().as_raw();
    match file.kind {
        EntryKind::File => {}
        EntryKind::Symlink => {
            return Err(Refusal::denied("it is a link")
                .hint("name the file itself; a task never follows a link"));
        }
        EntryKind::Directory | EntryKind::Other => {
            return Err(Refusal::denied("it is not a regular file"));
        }
    }
    if file.links != 1 {
        return Err(Refusal::denied(format!(
            "it has {} names, and replacing it would part them",
            file.links
        )));
    }
    if file.mount_root || file.mount != dir.mount {
        return Err(Refusal::denied("something is mounted on it"));
    }
    if file.size > FILE_MAX_BYTES {
        return Err(Refusal::limit(format!(
            "it is larger than {FILE_MAX_BYTES} bytes"
        )));
    }
    if file.mode & ODD_BITS != 0 {
        return Err(Refusal::denied(format!("its mode is odd: {:o}", file.mode)));
    }
    if file.mode & ALL_WRITE != 0 || dir.mode & ALL_WRITE != 0 {
        return Err(
            Refusal::denied("everybody may write to it or to its directory")
                .hint("take that right away: `chmod o-w`"),
        );
    }
    if us != 0 && file.owner != us {
        return Err(Refusal::denied(format!(
            "it belongs to user {}, and replacing it would make it ours",
            file.owner
        ))
        .hint("run keepwell as that user or as root"));
    }
    if ![0, us, file.owner].contains(&dir.owner) {
        return Err(Refusal::denied(format!(
            "its directory belongs to user {}, who owns neither the file nor the host",
            dir.owner
        )));
    }
    Ok(())
}
