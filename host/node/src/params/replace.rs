//! Replacing a file by another, whole or not at all, and only if nobody changed it meanwhile.
//!
//! The new file is written beside the old one as `.keepwell-RUN-N.part`, then named `….swap`, and
//! the two change places in one step of the kernel. Only then is it certain what was replaced: if
//! it is not what was read, the two change places again and nothing is lost. A crash leaves at most
//! one of these names; [`leftover`] says whether it may go.

use super::file::Opened;
use crate::at::{look, look_at, refused};
use crate::quarantine::Fault;
use keepwell_model::id::RunId;
use keepwell_model::words::Refusal;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Uid, XattrFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd};

/// The names a replacement goes through.
#[derive(Debug)]
pub(super) struct Names {
    /// Holds a new file that is not complete, and never anything else.
    pub(super) part: String,
    /// Holds the complete new file, then the old one.
    pub(super) swap: String,
}

impl Names {
    /// `undo` keeps the two directions apart, so that each can tell what it left.
    pub(super) fn new(run: RunId, action: u64, undo: bool) -> Self {
        let way = if undo { "-undo" } else { "" };
        Self {
            part: format!(".keepwell-{run}-{action}{way}.part"),
            swap: format!(".keepwell-{run}-{action}{way}.swap"),
        }
    }
}

/// All extended attributes of a file together; the kernel's own bound for the list is the same.
const XATTRS_MAX_BYTES: usize = 64 << 10;
/// Attributes that are made from the content: a copy would not fit the new one.
const XATTRS_OF_CONTENT: [&[u8]; 3] = [b"security.ima", b"security.evm", b"security.capability"];
/// Attributes that the kernel's policy gives to new files.
const XATTRS_OF_KERNEL: &[u8] = b"security.";

type Asks<'a> = &'a dyn Fn(&'static str) -> Result<(), Errno>;

/// How [`Fault`] is asked.
pub(super) fn asks(fault: Option<&dyn Fault>, step: &'static str) -> Result<(), Errno> {
    fault.map_or(Ok(()), |f| f.before(step))
}

/// Replaces the content of `opened` by `text`. Refusals: `gone` when the file is no longer what
/// was read, `denied` when an attribute of it cannot be kept.
pub(super) fn replace(
    opened: &Opened,
    text: &str,
    names: &Names,
    fault: Asks<'_>,
) -> Result<(), Refusal> {
    let dir = opened.dir.as_fd();
    let cannot = |e| refused(e, "cannot replace the file");
    remove(dir, &names.part).map_err(cannot)?;
    let new = match write(opened, text, names, fault) {
        Ok(new) => new,
        Err(no) => {
            // What is incomplete is nobody's; if it stays, the next try removes it.
            let _ = remove(dir, &names.part);
            return Err(no);
        }
    };
    fault("rename")
        .and_then(|()| {
            rustix::fs::renameat_with(dir, &names.part, dir, &names.swap, RenameFlags::NOREPLACE)
        })
        .map_err(cannot)?;
    // Before the step that counts, so that an edit already made costs no exchange.
    if let Err(no) = still(opened) {
        remove(dir, &names.swap).map_err(cannot)?;
        return Err(no);
    }
    let exchange =
        || rustix::fs::renameat_with(dir, &names.swap, dir, &opened.name, RenameFlags::EXCHANGE);
    if let Err(e) = fault("exchange").and_then(|()| exchange()) {
        let _ = remove(dir, &names.swap);
        return Err(match e {
            Errno::INVAL | Errno::NOSYS => Refusal::io(
                "its file system cannot exchange two files, so a change by somebody else could be lost",
            ),
            e => cannot(e),
        });
    }
    let out = look(dir, &names.swap).map_err(cannot)?;
    let (was, is) = (opened.facts.identity(), out.identity());
    let same = (was.device, was.inode, was.size, was.mtime_ns)
        == (is.device, is.inode, is.size, is.mtime_ns);
    if !same || !opened.unchanged() {
        return Err(back(opened, &new, names, &exchange));
    }
    fault("fsync")
        .and_then(|()| rustix::fs::fsync(dir))
        .map_err(|e| refused(e, "cannot write the directory to disk"))?;
    fault("unlink")
        .and_then(|()| remove(dir, &names.swap))
        .map_err(|e| refused(e, "cannot remove the old file"))
}

/// Puts back what was exchanged although it was not what was read.
fn back(
    opened: &Opened,
    new: &File,
    names: &Names,
    exchange: &dyn Fn() -> Result<(), Errno>,
) -> Refusal {
    let dir = opened.dir.as_fd();
    let stuck = |e: Errno| {
        Refusal::io(format!(
            "it was changed at the last moment and could not be put back: {}",
            std::io::Error::from(e)
        ))
        .hint(format!("the change lies beside it as `{}`", names.swap))
    };
    let swapped = exchange().and_then(|()| look(dir, &names.swap));
    let ours = swapped.and_then(|out| Ok((out, look_at(new.as_fd())?)));
    match ours {
        Ok((out, new)) if (out.device, out.inode) == (new.device, new.inode) => {
            let _ = remove(dir, &names.swap);
            changed("it was changed at the last moment, and is left as it is")
        }
        Ok(_) => stuck(Errno::BUSY),
        Err(e) => stuck(e),
    }
}

pub(super) fn changed(how: &str) -> Refusal {
    Refusal::gone(format!("it is no longer what was read: {how}")).hint("plan again")
}

fn still(opened: &Opened) -> Result<(), Refusal> {
    match look(opened.dir.as_fd(), &opened.name) {
        Ok(now) if now.identity() == opened.facts.identity() && opened.unchanged() => Ok(()),
        Ok(_) => Err(changed("somebody wrote to it")),
        Err(e) => Err(refused(e, "cannot look at the file")),
    }
}

fn write(opened: &Opened, text: &str, names: &Names, fault: Asks<'_>) -> Result<File, Refusal> {
    let cannot = |e: Errno| refused(e, "cannot write the new file");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let owner_only = Mode::RUSR | Mode::WUSR;
    let fd = fault("create")
        .and_then(|()| rustix::fs::openat(&opened.dir, &names.part, flags, owner_only))
        .map_err(cannot)?;
    let mut new = File::from(fd);
    fault("write").map_err(cannot)?;
    new.write_all(text.as_bytes())
        .map_err(|e| cannot(e.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)))?;
    let (old, mine) = (
        rustix::fs::fstat(&opened.file).map_err(cannot)?,
        rustix::fs::fstat(&new).map_err(cannot)?,
    );
    if (old.st_uid, old.st_gid) != (mine.st_uid, mine.st_gid) {
        let owner = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
        rustix::fs::fchown(&new, Some(owner.0), Some(owner.1))
            .map_err(|e| refused(e, "cannot give the new file the owner and group of the old"))?;
    }
    // The mode last: with an access list of the directory's on it, it would let others in.
    keep_xattrs(&opened.file, &new)?;
    rustix::fs::fchmod(&new, Mode::from_raw_mode(u32::from(opened.facts.mode))).map_err(cannot)?;
    fault("fsync")
        .and_then(|()| rustix::fs::fsync(&new))
        .map_err(|e| refused(e, "cannot write the new file to disk"))?;
    Ok(new)
}

/// Gives the new file the extended attributes of the old, access lists and labels among them, and
/// no others. An attribute that cannot be kept is a refusal, never a loss.
fn keep_xattrs(old: &File, new: &File) -> Result<(), Refusal> {
    let (had, got) = (xattrs(old)?, xattrs(new)?);
    for name in &had {
        let said = String::from_utf8_lossy(name);
        if XATTRS_OF_CONTENT.contains(&name.as_slice()) {
            return Err(Refusal::denied(format!(
                "its attribute `{said}` vouches for its content"
            )));
        }
        let value = xattr(old, name).map_err(|e| refused(e, format!("cannot read `{said}`")))?;
        // What the kernel gave the new file by itself, a label mostly, need not be set.
        if xattr(new, name).is_ok_and(|now| now == value) {
            continue;
        }
        rustix::fs::fsetxattr(new, name.as_slice(), &value, XattrFlags::empty())
            .map_err(|e| refused(e, format!("cannot keep its attribute `{said}`")))?;
    }
    // The directory's default access list gives rights that the old file did not. A label is the
    // kernel's own to give, and cannot be taken away.
    let extra = |name: &&Vec<u8>| !had.contains(name) && !name.starts_with(XATTRS_OF_KERNEL);
    for name in got.iter().filter(extra) {
        let said = String::from_utf8_lossy(name);
        rustix::fs::fremovexattr(new, name.as_slice())
            .map_err(|e| refused(e, format!("cannot take away `{said}`, which it had not")))?;
    }
    Ok(())
}

fn xattrs(file: &File) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut names = vec![0u8; XATTRS_MAX_BYTES];
    let length = match rustix::fs::flistxattr(file, &mut names) {
        Ok(length) => length,
        // A file system without attributes has none to keep.
        Err(Errno::OPNOTSUPP) => 0,
        Err(e) => return Err(refused(e, "cannot list its extended attributes")),
    };
    let names = names[..length].split(|b| *b == 0);
    let names = names.filter(|n| !n.is_empty());
    Ok(names.map(<[u8]>::to_vec).collect())
}

fn xattr(file: &File, name: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0u8; XATTRS_MAX_BYTES];
    let length = rustix::fs::fgetxattr(file, name, &mut value)?;
    value.truncate(length);
    Ok(value)
}

pub(super) fn remove(dir: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e),
    }
}
