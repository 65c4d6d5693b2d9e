//! Opening below the store's directory handle: never through a link, never onto another file
//! system, never waiting for the other end of a FIFO, never for writing.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Advice, FileType, Mode, OFlags, ResolveFlags, Stat, fadvise, fstat, openat2};
use rustix::io::Errno;

/// Someone who renames without pause must not keep us here.
const OPEN_TRIES: u32 = 16;

/// What was found where a regular file should be.
#[derive(Debug)]
pub(super) enum OpenError {
    Gone,
    /// Something else lies there, in words.
    NotAFile(&'static str),
    Errno(Errno),
}

/// A file's identity in time: when these differ, it was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    mtime: (i64, u64),
}

fn open(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut tries = 0;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            // EAGAIN: the kernel could not rule out a race with a rename, and asks to try again;
            // or someone holds a lease on the file.
            Err(Errno::INTR | Errno::AGAIN) if tries < OPEN_TRIES => tries += 1,
            other => return other,
        }
    }
}

/// A directory below `root`; an empty path is `root` itself.
pub(super) fn open_dir(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let noatime = open(root, path, OFlags::DIRECTORY | OFlags::NOATIME);
    match noatime {
        // Only the owner may read without leaving a trace.
        Err(Errno::PERM) => open(root, path, OFlags::DIRECTORY),
        other => other,
    }
}

/// A regular file below `root`, with what it looked like when it was opened.
pub(super) fn open_file(root: BorrowedFd<'_>, path: &[u8]) -> Result<(OwnedFd, Seen), OpenError> {
    let opened = match open(root, path, OFlags::NONBLOCK | OFlags::NOATIME) {
        Err(Errno::PERM) => open(root, path, OFlags::NONBLOCK),
        other => other,
    };
    let file = opened.map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => OpenError::Gone,
        Errno::LOOP => OpenError::NotAFile("a symbolic link, which is not followed"),
        Errno::NXIO => OpenError::NotAFile("a socket or a device without a driver"),
        other => OpenError::Errno(other),
    })?;
    let stat = fstat(&file).map_err(OpenError::Errno)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != FileType::RegularFile {
        return Err(OpenError::NotAFile(kind_in_words(kind)));
    }
    Ok((file, Seen::of(&stat)))
}

impl Seen {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: (stat.st_mtime, stat.st_mtime_nsec),
        }
    }

    pub(super) fn now(file: &OwnedFd) -> Result<Self, Errno> {
        Ok(Self::of(&fstat(file)?))
    }
}

/// One read, signals aside.
pub(super) fn read(file: &OwnedFd, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
    let read = loop {
        match rustix::io::pread(file, &mut *buffer, at) {
            Err(Errno::INTR) => {}
            other => break other,
        }
    };
    #[cfg(test)]
    let read = super::tests::disk::spoiled(read, buffer);
    read
}

/// Says that the file will be read once from start to end. Advice only: an error means less speed.
pub(super) fn will_stream(file: &OwnedFd) {
    let _slower = fadvise(file.as_fd(), 0, None, Advice::Sequential);
}

/// Asks the kernel to forget what it cached of the file, so that reading again asks the disk.
pub(super) fn forget_cached(file: &OwnedFd) {
    let _still_cached = fadvise(file.as_fd(), 0, None, Advice::DontNeed);
}

pub(super) fn kind_in_words(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link, which is not followed",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Unknown => "something of unknown type",
    }
}

/// An error number as people know it.
pub(super) fn in_words(errno: Errno) -> String {
    match errno {
        Errno::ACCESS | Errno::PERM => "permission denied".to_owned(),
        Errno::IO => "the disk reports an input/output error".to_owned(),
        Errno::XDEV => "another file system is mounted here, which is not entered".to_owned(),
        other => std::io::Error::from(other).to_string(),
    }
}
