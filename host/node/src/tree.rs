//! Descending a directory tree by handle: sorted, bounded, never following, never crossing.

use crate::at::{Facts, kind_of, look, look_at, open_directory};
use keepwell_model::action::{EntryKind, OWN_FOLDER, PATH_MAX_BYTES};
use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Directories below directories. Real trees stay under 40; deeper ones are made to exhaust.
pub(crate) const MAX_DEPTH: usize = 128;
/// Directory handles kept open at once by one descent. Eight walks may be open in a worker, and
/// 1,024 files is the usual limit; those further up are opened again on the way back.
const MAX_OPEN: usize = 16;
/// Names held in memory for one directory: 4 million of them are about 150 MB. The rest of such a
/// directory is counted as skipped.
const MAX_NAMES: usize = 4_000_000;
/// What one read of a directory may bring: at 32 KiB the kernel's work dominates the call.
const READ_BYTES: usize = 64 << 10;

/// What to do with a name before it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Look at it and give it.
    Take,
    /// Do not give it, but enter it if it is a directory.
    Pass,
    /// Neither give nor enter it.
    Leave,
}

/// One entry as found.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) facts: Facts,
    /// For a directory: it had no entries when read.
    pub(crate) empty: bool,
}

/// A descent in progress.
pub(crate) struct Tree {
    base: OwnedFd,
    device: u64,
    mount: u64,
    /// The base is a root, whose own folder is not shown.
    is_root: bool,
    stack: Vec<Level>,
    path: Vec<u8>,
    skipped: BTreeMap<&'static str, u64>,
    buffer: Vec<u8>,
    started: bool,
}

/// One directory being gone through.
struct Level {
    /// `None` while so many below are open; opened again when it is its turn.
    fd: Option<OwnedFd>,
    facts: Facts,
    /// Give the directory itself once all below it is done.
    take: bool,
    names: Names,
    next: usize,
    /// Length of the path before this directory's name was added, and with it.
    outer_len: usize,
    path_len: usize,
}

/// The names of one directory in one piece of memory, each ended by a NUL.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    at: Vec<Place>,
}

/// Where a name stands. Its length is kept, so that sorting need not look for its end each time.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    /// Without the NUL. A record of a directory has at most 65,535 bytes.
    length: u16,
    kind: FileType,
}

impl Names {
    fn push(&mut self, name: &CStr, kind: FileType) {
        let Ok(length) = u16::try_from(name.count_bytes()) else {
            return;
        };
        let start = self.bytes.len();
        self.at.push(Place {
            start,
            length,
            kind,
        });
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
    }

    fn name(&self, index: usize) -> Option<(&CStr, FileType)> {
        let place = self.at.get(index)?;
        let end = place.start + usize::from(place.length);
        let name = CStr::from_bytes_with_nul(&self.bytes[place.start..=end]).ok()?;
        Some((name, place.kind))
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        let name = |it: &Place| &bytes[it.start..it.start + usize::from(it.length)];
        self.at.sort_unstable_by(|a, b| name(a).cmp(name(b)));
    }
}

impl Tree {
    /// Begins at the directory `base` (a handle of any kind).
    pub(crate) fn new(base: BorrowedFd<'_>, is_root: bool) -> Result<Self, Errno> {
        let base = base
            .try_clone_to_owned()
            .map_err(|e| e.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
        let facts = look_at(base.as_fd())?;
        Ok(Self {
            base,
            device: facts.device,
            mount: facts.mount,
            is_root,
            stack: Vec::new(),
            path: Vec::new(),
            skipped: BTreeMap::new(),
            buffer: Vec::with_capacity(READ_BYTES),
            started: false,
        })
    }

    /// What was seen but not given, by reason.
    pub(crate) const fn skipped(&self) -> &BTreeMap<&'static str, u64> {
        &self.skipped
    }

    pub(crate) fn skip(&mut self, why: &'static str) {
        *self.skipped.entry(why).or_default() += 1;
    }

    /// The next entry that `interest` takes: in each directory by name, bytewise, a directory
    /// after what it holds.
    /// Fails only when the base itself cannot be read.
    pub(crate) fn next(
        &mut self,
        interest: &mut impl FnMut(&[u8], Option<EntryKind>) -> Interest,
    ) -> Result<Option<Visit<'_>>, Errno> {
        if !self.started {
            self.started = true;
            let fd = open_directory(self.base.as_fd(), c".")?;
            let facts = look_at(fd.as_fd())?;
            let names = self.read(fd.as_fd())?;
            self.stack.push(Level {
                fd: Some(fd),
                facts,
                take: false,
                names,
                next: 0,
                outer_len: 0,
                path_len: 0,
            });
        }
        loop {
            let Some(level) = self.stack.last_mut() else {
                return Ok(None);
            };
            self.path.truncate(level.path_len);
            let index = level.next;
            level.next += 1;
            let Some((name, file_type)) = level.names.name(index) else {
                let Some(done) = self.stack.pop() else {
                    return Ok(None);
                };
                if done.take {
                    // The path stays as long as the visit needs it.
                    return Ok(Some(Visit {
                        path: &self.path,
                        facts: done.facts,
                        empty: done.names.at.is_empty(),
                    }));
                }
                self.path.truncate(done.outer_len);
                continue;
            };
            if level.path_len > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            if self.path.len() > PATH_MAX_BYTES {
                self.skip("path-too-long");
                continue;
            }
            let known = (file_type != FileType::Unknown).then(|| kind_of(file_type));
            let mut wish = interest(&self.path, known);
            if wish == Interest::Leave {
                self.skip("excepted");
                continue;
            }
            if wish == Interest::Pass && known.is_some_and(|k| k != EntryKind::Directory) {
                continue;
            }
            let name = name.to_owned();
            if !self.reopen() {
                self.skip("changed");
                continue;
            }
            let Some(at) = self.stack.last().and_then(|l| l.fd.as_ref()) else {
                continue;
            };
            if known != Some(EntryKind::Directory) {
                let facts = match look(at.as_fd(), name.as_c_str()) {
                    Ok(facts) => facts,
                    Err(e) => {
                        self.skip(why_not(e));
                        continue;
                    }
                };
                if facts.mount != self.mount || facts.mount_root {
                    self.skip("other-file-system");
                    continue;
                }
                if facts.kind != EntryKind::Directory {
                    if known.is_none() {
                        wish = interest(&self.path, Some(facts.kind));
                    }
                    if wish == Interest::Take {
                        return Ok(Some(Visit {
                            path: &self.path,
                            facts,
                            empty: false,
                        }));
                    }
                    continue;
                }
                if known.is_none() {
                    wish = interest(&self.path, Some(EntryKind::Directory));
                }
            }
            if let Err(why) = self.enter(&name, wish == Interest::Take) {
                self.skip(why);
            }
        }
    }

    /// Goes into the directory `name` of the innermost level.
    fn enter(&mut self, name: &CStr, take: bool) -> Result<(), &'static str> {
        if self.stack.len() > MAX_DEPTH {
            return Err("too-deep");
        }
        let Some(outer) = self.stack.last() else {
            return Err("changed");
        };
        let (Some(at), outer_len) = (outer.fd.as_ref(), outer.path_len) else {
            return Err("changed");
        };
        let fd = open_directory(at.as_fd(), name).map_err(why_not)?;
        let facts = look_at(fd.as_fd()).map_err(why_not)?;
        if facts.device != self.device || facts.mount != self.mount {
            return Err("other-file-system");
        }
        let names = self.read(fd.as_fd()).map_err(why_not)?;
        // Close the one that just became too many.
        if let Some(far) = self.stack.len().checked_sub(MAX_OPEN) {
            self.stack[far].fd = None;
        }
        self.stack.push(Level {
            fd: Some(fd),
            facts,
            take,
            names,
            next: 0,
            outer_len,
            path_len: self.path.len(),
        });
        Ok(())
    }

    /// Makes sure that the innermost directory is open, and still the one it was.
    fn reopen(&mut self) -> bool {
        let Some(level) = self.stack.last_mut() else {
            return false;
        };
        if level.fd.is_none() {
            // The base itself has no path of its own.
            let path = (level.path_len > 0).then(|| &self.path[..level.path_len]);
            let again = open_below(self.base.as_fd(), path)
                .and_then(|fd| look_at(fd.as_fd()).map(|facts| (fd, facts)));
            match again {
                Ok((fd, facts))
                    if (facts.device, facts.inode) == (level.facts.device, level.facts.inode) =>
                {
                    level.fd = Some(fd);
                }
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    fn read(&mut self, fd: BorrowedFd<'_>) -> Result<Names, Errno> {
        let mut names = Names::default();
        let mut too_many = 0;
        let hide_own = self.is_root && self.stack.is_empty();
        let mut reader = RawDir::new(fd, self.buffer.spare_capacity_mut());
        while let Some(entry) = reader.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..")
                || hide_own && name.to_bytes() == OWN_FOLDER.as_bytes()
            {
                continue;
            }
            if names.at.len() >= MAX_NAMES {
                too_many += 1;
                continue;
            }
            names.push(name, entry.file_type());
        }
        if too_many > 0 {
            *self.skipped.entry("directory-too-large").or_default() += too_many;
        }
        names.sort();
        Ok(names)
    }
}

/// The reason under which an entry is counted that could not be looked at.
const fn why_not(errno: Errno) -> &'static str {
    match errno {
        Errno::XDEV => "other-file-system",
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE => "changed",
        _ => "unreadable",
    }
}

/// Opens `path` below `at`, a directory.
pub(crate) fn open_below(at: BorrowedFd<'_>, path: Option<&[u8]>) -> Result<OwnedFd, Errno> {
    path.map_or_else(|| open_directory(at, c"."), |p| open_directory(at, p))
}
