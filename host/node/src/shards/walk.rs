//! Walking a store: every entry once, links not followed, bounded in depth and number.

use super::files;
use keepwell_model::words::Refusal;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;

/// Deeper than any layout known; each level holds a directory open.
const DEPTH_MAX: usize = 32;
/// Entries of all kinds: twice the most shards a listing holds, so that a store of that size may
/// have as many directories.
const ENTRIES_MAX: u64 = 2_000_000;
/// Where file systems put what they find after a crash; at the root of a mount, not of a store.
const LOST_AND_FOUND: &[u8] = b"lost+found";

/// One entry, by its path below the root.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry {
    File {
        bytes: u64,
        inode: u64,
    },
    Directory,
    /// A directory that was announced and could not be read.
    Blind(Errno),
    TooDeep,
    Other(FileType),
    /// A file whose size could not be asked for.
    Unseen(Errno),
}

/// Whether to look into a directory. Ignored for other entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Enter,
    Skip,
}

type Visit<'a> = dyn FnMut(&[u8], Entry) -> Result<Then, Refusal> + 'a;

struct Walk<'a> {
    root: BorrowedFd<'a>,
    entries: u64,
}

/// Visits every entry below `root`.
pub(super) fn walk(root: BorrowedFd<'_>, visit: &mut Visit<'_>) -> Result<(), Refusal> {
    let top = files::open_dir(root, b"").map_err(|e| {
        Refusal::io(format!(
            "cannot read the store's directory: {}",
            files::in_words(e)
        ))
    })?;
    Walk { root, entries: 0 }.directory(&mut Vec::new(), top, 0, visit)
}

impl Walk<'_> {
    fn directory(
        &mut self,
        path: &mut Vec<u8>,
        fd: OwnedFd,
        depth: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), Refusal> {
        let here = path.len();
        let mut dir = match Dir::new(fd) {
            Ok(dir) => dir,
            Err(errno) => return visit(path, Entry::Blind(errno)).map(|_| ()),
        };
        while let Some(entry) = dir.read() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => return visit(path, Entry::Blind(errno)).map(|_| ()),
            };
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || depth == 0 && name == LOST_AND_FOUND {
                continue;
            }
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(Refusal::limit(format!(
                    "the store has more than {ENTRIES_MAX} entries"
                ))
                .hint("split it into several `[stores]`, one for each part"));
            }
            if here > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            self.entry(path, &dir, entry.file_name(), depth, visit)?;
            path.truncate(here);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: &mut Vec<u8>,
        dir: &Dir,
        name: &std::ffi::CStr,
        depth: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), Refusal> {
        let stat = match dir
            .fd()
            .and_then(|fd| statat(fd, name, AtFlags::SYMLINK_NOFOLLOW))
        {
            Ok(stat) => stat,
            // It went while we looked.
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return visit(path, Entry::Unseen(errno)).map(|_| ()),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let bytes = u64::try_from(stat.st_size).unwrap_or(0);
                let inode = stat.st_ino;
                visit(path, Entry::File { bytes, inode }).map(|_| ())
            }
            FileType::Directory => {
                if visit(path, Entry::Directory)? == Then::Skip {
                    return Ok(());
                }
                if depth + 1 >= DEPTH_MAX {
                    return visit(path, Entry::TooDeep).map(|_| ());
                }
                match files::open_dir(self.root, path) {
                    Ok(fd) => self.directory(path, fd, depth + 1, visit),
                    Err(Errno::NOENT) => Ok(()),
                    Err(errno) => visit(path, Entry::Blind(errno)).map(|_| ()),
                }
            }
            other @ (FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown) => visit(path, Entry::Other(other)).map(|_| ()),
        }
    }
}
