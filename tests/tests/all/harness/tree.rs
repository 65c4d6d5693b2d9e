//! Trees of files: aging them, and telling whether two are the same to the last byte.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, FileTimes};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How old a file is made to look. Only its time of change (ctime) stays young.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aged(pub(crate) Duration);

impl Aged {
    pub(crate) const fn days(days: u64) -> Self {
        Self(Duration::from_secs(days * 86_400))
    }
}

/// Sets the times of a file or directory.
pub(crate) fn age(path: &Path, aged: Aged) {
    let then = SystemTime::now() - aged.0;
    let times = FileTimes::new().set_accessed(then).set_modified(then);
    File::open(path).unwrap().set_times(times).unwrap();
}

/// What one entry is, as far as a restore must bring it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    mode: u32,
    owner: (u32, u32),
    inode: u64,
    links: u64,
    mtime: (i64, i64),
    content: Vec<u8>,
}

impl Entry {
    /// The same, but that a directory may have another time.
    pub(crate) fn same_but_for_time(&self, other: &Self) -> bool {
        const DIRECTORY: u32 = 0o040_000;
        const KIND: u32 = 0o170_000;
        let mut same = self.clone();
        if self.mode & KIND == DIRECTORY {
            same.mtime = other.mtime;
        }
        same == *other
    }
}

/// Everything below a directory by its path, which need not be text.
pub(crate) type Snapshot = BTreeMap<Vec<u8>, Entry>;

pub(crate) fn snapshot(root: &Path) -> Snapshot {
    let mut all = Snapshot::new();
    walk(root, root, &mut all);
    all
}

fn walk(root: &Path, dir: &Path, all: &mut Snapshot) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_file() {
            Sha256::digest(std::fs::read(&path).unwrap()).to_vec()
        } else if meta.is_symlink() {
            let target = std::fs::read_link(&path).unwrap();
            target.as_os_str().as_bytes().to_vec()
        } else {
            vec![]
        };
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes();
        all.insert(
            name.to_vec(),
            Entry {
                mode: meta.mode(),
                owner: (meta.uid(), meta.gid()),
                inode: meta.ino(),
                links: if meta.is_dir() { 0 } else { meta.nlink() },
                mtime: (meta.mtime(), meta.mtime_nsec()),
                content,
            },
        );
        if meta.is_dir() {
            walk(root, &path, all);
        }
    }
}
