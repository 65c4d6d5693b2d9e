//! Opening and looking by directory handle: beneath, without links, without crossing mounts.

use keepwell_model::action::{EntryKind, Identity};
use keepwell_model::words::Refusal;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::path::Arg;
use std::os::fd::{BorrowedFd, OwnedFd};

/// How every path is resolved that a guest or another program can influence.
pub(crate) const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// What a look at one entry tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) kind: EntryKind,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) allocated_bytes: u64,
    pub(crate) mtime_ns: i64,
    pub(crate) atime_ns: i64,
    pub(crate) ctime_ns: i64,
    pub(crate) links: u32,
    pub(crate) owner: u32,
    pub(crate) mode: u16,
    /// The mount it was reached through.
    pub(crate) mount: u64,
    /// Something is mounted right on it.
    pub(crate) mount_root: bool,
}

const NS_PER_SEC: i64 = 1_000_000_000;
const NS_PER_MS: i64 = 1_000_000;
/// The unit of `stx_blocks`, whatever the file system's own block is.
const STAT_BLOCK_BYTES: u64 = 512;

impl Facts {
    pub(crate) const fn identity(&self) -> Identity {
        Identity {
            device: self.device,
            inode: self.inode,
            size: self.size,
            mtime_ns: self.mtime_ns,
            ctime_ns: self.ctime_ns,
        }
    }

    pub(crate) fn newest_ns(&self) -> i64 {
        self.mtime_ns.max(self.atime_ns).max(self.ctime_ns)
    }

    pub(crate) fn touched_ms(&self) -> u64 {
        to_ms(self.newest_ns())
    }
}

/// Whole milliseconds since the Unix epoch; a time before it counts as the epoch, the oldest
/// there is.
pub(crate) fn to_ms(ns: i64) -> u64 {
    u64::try_from(ns / NS_PER_MS).unwrap_or(0)
}

pub(crate) const fn kind_of(file_type: FileType) -> EntryKind {
    match file_type {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink,
        _ => EntryKind::Other,
    }
}

/// Looks at the entry `name` of a directory, a link as such.
pub(crate) fn look(at: BorrowedFd<'_>, name: impl Arg) -> Result<Facts, Errno> {
    statx(at, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
}

/// Looks at what is open.
pub(crate) fn look_at(fd: BorrowedFd<'_>) -> Result<Facts, Errno> {
    statx(fd, c"", AtFlags::EMPTY_PATH)
}

fn statx(at: BorrowedFd<'_>, name: impl Arg, flags: AtFlags) -> Result<Facts, Errno> {
    let s = rustix::fs::statx(
        at,
        name,
        flags,
        StatxFlags::BASIC_STATS | StatxFlags::MNT_ID,
    )?;
    let ns = |t: rustix::fs::StatxTimestamp| {
        t.tv_sec
            .saturating_mul(NS_PER_SEC)
            .saturating_add(i64::from(t.tv_nsec))
    };
    Ok(Facts {
        kind: kind_of(FileType::from_raw_mode(u32::from(s.stx_mode))),
        device: rustix::fs::makedev(s.stx_dev_major, s.stx_dev_minor),
        inode: s.stx_ino,
        size: s.stx_size,
        allocated_bytes: s.stx_blocks.saturating_mul(STAT_BLOCK_BYTES),
        mtime_ns: ns(s.stx_mtime),
        atime_ns: ns(s.stx_atime),
        ctime_ns: ns(s.stx_ctime),
        links: s.stx_nlink,
        owner: s.stx_uid,
        mode: s.stx_mode & 0o7777,
        mount: s.stx_mnt_id,
        mount_root: s.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
    })
}

/// Opens a directory below `at` for reading, without a trace in its access time where the kernel
/// permits that (it does for the owner and for root).
pub(crate) fn open_directory(at: BorrowedFd<'_>, path: impl Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match open_beneath(at, path, flags | OFlags::NOATIME) {
        Err(Errno::PERM) => open_beneath(at, path, flags),
        other => other,
    }
}

/// How often an open is tried again that the kernel could not prove to stay beneath, because
/// something was renamed at that moment.
const RACE_TRIES: u32 = 16;

pub(crate) fn open_beneath(
    at: BorrowedFd<'_>,
    path: impl Arg + Copy,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(at, path, flags, Mode::empty(), BENEATH) {
            Err(Errno::AGAIN) if tries < RACE_TRIES => tries += 1,
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// The refusal for what the kernel answered. `doing` says what and where: ``cannot open `a/b` ``.
pub(crate) fn refused(errno: Errno, doing: impl Into<String>) -> Refusal {
    let doing = doing.into();
    match errno {
        Errno::NOENT | Errno::NOTDIR => Refusal::gone(format!("{doing}: it is not there")),
        Errno::LOOP => Refusal::denied(format!("{doing}: a part of the path is a link")),
        Errno::XDEV => Refusal::denied(format!("{doing}: it lies on another file system or mount")),
        Errno::ACCESS | Errno::PERM => Refusal::denied(format!("{doing}: {}", said(errno)))
            .hint("the user that runs keepwell needs the right to do this"),
        Errno::NOSPC | Errno::DQUOT => {
            Refusal::io(format!("{doing}: no space is left on its file system"))
                .hint("free a few megabytes or inodes by hand; moving to quarantine needs a little")
        }
        Errno::ROFS => Refusal::io(format!("{doing}: its file system is read-only"))
            .hint("look in the kernel's log why, then mount it writable"),
        Errno::MFILE | Errno::NFILE => Refusal::io(format!("{doing}: too many open files"))
            .hint("raise `LimitNOFILE` of the service"),
        Errno::BUSY | Errno::TXTBSY | Errno::AGAIN => {
            Refusal::busy(format!("{doing}: {}", said(errno)))
        }
        Errno::NAMETOOLONG | Errno::INVAL => Refusal::invalid(format!("{doing}: {}", said(errno))),
        other => Refusal::io(format!("{doing}: {}", said(other))),
    }
}

fn said(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}
