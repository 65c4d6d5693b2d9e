//! Files of the simulated node.

use crate::Span;
use crate::storage::{Entry, Identity, Kind};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The device every simulated root lies on.
const DEVICE: u64 = 1;

/// One file, directory, link or special file.
#[derive(Debug, Clone)]
pub struct File {
    pub(super) kind: Kind,
    /// Milliseconds before now; negative in the future.
    age: i64,
    modified_age: Option<i64>,
    size: u64,
    links: u32,
    owner: u32,
    in_use: bool,
    device: u64,
    pub(super) unreadable: bool,
    pub(super) inode: u64,
    /// Made for something below it.
    implied: bool,
}

fn span(text: &str) -> i64 {
    let millis = Span::parse(text).expect("a span of time like 48h").millis();
    i64::try_from(millis).expect("an age within the range of time")
}

impl File {
    fn new(kind: Kind, size: u64) -> Self {
        Self {
            kind,
            age: 0,
            modified_age: None,
            size,
            links: 1,
            owner: 1_000,
            in_use: false,
            device: DEVICE,
            unreadable: false,
            inode: 0,
            implied: false,
        }
    }
    pub(super) fn regular() -> Self {
        Self::new(Kind::File, 0)
    }
    pub(super) fn directory() -> Self {
        Self::new(Kind::Directory, 4_096)
    }
    pub(super) fn symlink() -> Self {
        Self::new(Kind::Symlink, 8)
    }
    pub(super) fn special() -> Self {
        Self::new(Kind::Other, 0)
    }

    /// Last touched so long ago: `48h`.
    #[must_use]
    pub fn age(mut self, age: &str) -> Self {
        self.age = span(age);
        self
    }
    /// Touched in the future, so far ahead.
    #[must_use]
    pub fn ahead(mut self, by: &str) -> Self {
        self.age = -span(by);
        self
    }
    /// Written so long ago, though touched later.
    #[must_use]
    pub fn modified(mut self, age: &str) -> Self {
        self.modified_age = Some(span(age));
        self
    }
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = bytes;
        self
    }
    #[must_use]
    pub fn links(mut self, links: u32) -> Self {
        self.links = links;
        self
    }
    #[must_use]
    pub fn owner(mut self, owner: u32) -> Self {
        self.owner = owner;
        self
    }
    #[must_use]
    pub fn in_use(mut self) -> Self {
        self.in_use = true;
        self
    }
    /// Another file system is mounted here.
    #[must_use]
    pub fn other_file_system(mut self) -> Self {
        self.device = DEVICE + 1;
        self
    }
    /// The host may not look into it.
    #[must_use]
    pub fn unreadable(mut self) -> Self {
        self.unreadable = true;
        self
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.device != DEVICE
    }

    pub(super) fn entry(&self, path: &[u8], now: u64) -> Entry {
        let before = |age: i64| now.saturating_add_signed(age.saturating_neg());
        let nanos = |ms: u64| {
            i64::try_from(ms)
                .unwrap_or(i64::MAX)
                .saturating_mul(1_000_000)
        };
        Entry {
            path: path.into(),
            kind: self.kind,
            size: self.size,
            touched: before(self.age),
            links: self.links,
            owner: self.owner,
            in_use: self.in_use,
            identity: Identity {
                device: self.device,
                inode: self.inode,
                mtime_ns: nanos(before(self.modified_age.unwrap_or(self.age))),
                ctime_ns: nanos(before(self.age)),
            },
        }
    }
}

/// The files below one root, by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    files: BTreeMap<Vec<u8>, File>,
}

impl Tree {
    pub(super) fn add(&mut self, path: &[u8], mut file: File) {
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let next = self.files.len() as u64 + 1;
            let parent = self
                .files
                .entry(path[..at].to_vec())
                .or_insert_with(|| File {
                    implied: true,
                    inode: next,
                    age: file.age,
                    ..File::directory()
                });
            if parent.implied {
                parent.age = parent.age.min(file.age);
            }
        }
        file.inode = self.files.len() as u64 + 1;
        self.files.insert(path.to_vec(), file);
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&File> {
        self.files.get(path)
    }

    pub(super) fn is_empty_directory(&self, path: &[u8]) -> bool {
        self.below(path).next().is_none()
    }

    /// Everything below a directory (empty: the root), in no useful order.
    pub(super) fn below<'a>(
        &'a self,
        path: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a File)> {
        self.files
            .iter()
            .map(|(p, f)| (p.as_slice(), f))
            .filter(move |(p, _)| {
                path.is_empty()
                    || (p.len() > path.len() && p.starts_with(path) && p[path.len()] == b'/')
            })
    }

    /// Everything, in the order of a walk: names compared bytewise, part by part, a directory
    /// after what it holds.
    pub(super) fn walked(&self) -> Vec<(&[u8], &File)> {
        let mut all: Vec<_> = self.below(b"").collect();
        all.sort_by(|(a, _), (b, _)| in_walk(a, b));
        all
    }
}

fn in_walk(a: &[u8], b: &[u8]) -> Ordering {
    let [mut a, mut b] = [a, b].map(|path| path.split(|byte| *byte == b'/'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Greater,
            (Some(_), None) => return Ordering::Less,
            (Some(x), Some(y)) if x == y => {}
            (Some(x), Some(y)) => return x.cmp(y),
        }
    }
}
