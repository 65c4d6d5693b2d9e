//! The walk, usage and inventory against a slow oracle that knows `std::fs` and nothing else.

use super::*;
use crate::tree::MAX_DEPTH;
use keepwell_model::id::RootName;
use keepwell_model::words::Code;
use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};
use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::path::PathBuf;

/// Names that sort, escape and match in awkward ways; each depth may have any of them.
const NAMES: [&[u8]; 12] = [
    b"a",
    b"a-b",
    b"a.b",
    b"b",
    b"log",
    b"\xff\xfe",
    b"\x01",
    "\u{e9}".as_bytes(),
    b"a b",
    b"n\nl",
    b".keepwell",
    b"*",
];
const GLOBS: [&str; 10] = [
    "**", "*", "a*", "**/a*", "a/**", "**/?", "**/*.b", "log", "*/*", "a*/**/b",
];
/// Seconds from the moment of the test; those above zero lie in the future.
const AGES: [i64; 4] = [-1_000_000, -5_000, -60, 3_600];

#[derive(Debug, Clone)]
enum Made {
    Directory,
    File(usize),
    Link(usize),
    Fifo,
    HardLink,
}

/// One entry: below which of the directories made so far, its name, what, and how old.
type Node = (prop::sample::Index, usize, Made, usize);

fn node() -> impl Strategy<Value = Node> {
    let made = prop_oneof![
        3 => Just(Made::Directory),
        4 => (0_usize..5_000).prop_map(Made::File),
        1 => (0..NAMES.len()).prop_map(Made::Link),
        1 => Just(Made::Fifo),
        1 => Just(Made::HardLink),
    ];
    (
        any::<prop::sample::Index>(),
        0..NAMES.len(),
        made,
        0..AGES.len(),
    )
}

fn selector() -> impl Strategy<Value = Selector> {
    let globs = |most| {
        prop::collection::vec(prop::sample::select(&GLOBS[..]), 0..most)
            .prop_map(|g| g.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let kinds = [
        EntryKind::File,
        EntryKind::Directory,
        EntryKind::Symlink,
        EntryKind::Other,
    ];
    // `**` as an exception leaves nothing, so exceptions are drawn rarely.
    let except = prop_oneof![3 => Just(Vec::new()), 1 => globs(2)];
    (
        globs(3),
        except,
        prop::sample::subsequence(kinds.to_vec(), 0..=4),
        prop::sample::select(&[0_u64, 30_000, 4_000_000][..]),
        prop::sample::select(&[AgeBy::Newest, AgeBy::Modified][..]),
        prop::sample::select(&[0_u64, 100, 3_000][..]),
        any::<bool>(),
    )
        .prop_map(
            |(globs, except, kinds, min_age_ms, age_by, min_size, empty)| Selector {
                globs,
                except,
                kinds,
                min_age_ms,
                age_by,
                min_size,
                only_empty_directories: empty,
            },
        )
}

/// Makes the tree; a node whose name is taken already is left out.
fn grow(top: &Path, spine: &[usize], nodes: &[Node]) {
    let mut folders = vec![top.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    let mut aged: Vec<(PathBuf, i64)> = Vec::new();
    for name in spine {
        let deeper = folders[folders.len() - 1].join(OsStr::from_bytes(NAMES[*name]));
        fs::create_dir(&deeper).unwrap();
        folders.push(deeper);
    }
    for (below, name, made, age) in nodes {
        let path = below.get(&folders).join(OsStr::from_bytes(NAMES[*name]));
        if fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match made {
            Made::Directory => {
                fs::create_dir(&path).unwrap();
                folders.push(path.clone());
            }
            Made::File(len) => {
                fs::write(&path, vec![1; *len]).unwrap();
                files.push(path.clone());
            }
            Made::Link(to) => symlink(OsStr::from_bytes(NAMES[*to]), &path).unwrap(),
            Made::Fifo => {
                rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
            }
            Made::HardLink => match files.first() {
                Some(first) => fs::hard_link(first, &path).unwrap(),
                None => continue,
            },
        }
        aged.push((path, AGES[*age]));
    }
    for (path, age) in &aged {
        let at = Timespec {
            tv_sec: now_ms().cast_signed() / 1_000 + age,
            tv_nsec: 7,
        };
        let times = Timestamps {
            last_access: at,
            last_modification: at,
        };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// The kernel's own idea of now, from a file just made.
fn now_ms() -> u64 {
    let file = tempfile::tempfile().unwrap();
    let m = file.metadata().unwrap();
    u64::try_from(m.mtime() * 1_000 + m.mtime_nsec() / 1_000_000).unwrap()
}

/// Bytewise shell globs, as slow as they come.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    match glob {
        [] => text.is_empty(),
        [b'*', b'*'] => true,
        [b'*', b'*', b'/', rest @ ..] => {
            let after = |i: usize| text[i] == b'/' && matches(rest, &text[i + 1..]);
            matches(rest, text) || (0..text.len()).any(after)
        }
        [b'*', rest @ ..] => {
            let part = text.split(|b| *b == b'/').next().unwrap_or(text).len();
            (0..=part).any(|i| matches(rest, &text[i..]))
        }
        [b'?', rest @ ..] => matches!(text, [c, more @ ..] if *c != b'/' && matches(rest, more)),
        [c, rest @ ..] => matches!(text, [d, more @ ..] if c == d && matches(rest, more)),
    }
}

struct Oracle<'a> {
    selector: &'a Selector,
    now_ms: u64,
    given: Vec<(Vec<u8>, Metadata)>,
    skipped: BTreeMap<String, u64>,
    all: Vec<(Vec<u8>, Metadata)>,
}

impl Oracle<'_> {
    fn look<'a>(selector: &'a Selector, now_ms: u64, top: &Path) -> Oracle<'a> {
        let mut oracle = Oracle {
            selector,
            now_ms,
            given: Vec::new(),
            skipped: BTreeMap::new(),
            all: Vec::new(),
        };
        oracle.below(top, b"", false);
        oracle
    }

    fn below(&mut self, at: &Path, path: &[u8], left_out: bool) -> usize {
        let names: BTreeSet<Vec<u8>> = fs::read_dir(at)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_vec())
            .filter(|n| !path.is_empty() || n != b".keepwell")
            .collect();
        for name in &names {
            let inner = at.join(OsStr::from_bytes(name));
            let mut full = path.to_vec();
            if !path.is_empty() {
                full.push(b'/');
            }
            full.extend_from_slice(name);
            let excepted = self.selector.except.iter();
            let excepted = excepted.clone().any(|g| matches(g.as_bytes(), &full));
            if excepted && !left_out {
                *self.skipped.entry("excepted".into()).or_default() += 1;
            }
            let mut held = 0;
            if fs::symlink_metadata(&inner).unwrap().is_dir() {
                held = self.below(&inner, &full, left_out || excepted);
            }
            // After reading it, which may have changed its access time.
            let m = fs::symlink_metadata(&inner).unwrap();
            if !excepted && !left_out {
                self.judge(&full, &m, held);
            }
            self.all.push((full, m));
        }
        names.len()
    }

    fn judge(&mut self, path: &[u8], m: &Metadata, held: usize) {
        let s = self.selector;
        let kind = kind(m);
        if !s.globs.is_empty() && !s.globs.iter().any(|g| matches(g.as_bytes(), path)) {
            return;
        }
        let wanted = s.kinds.contains(&kind) || s.kinds.is_empty();
        if !wanted {
            if kind == EntryKind::Other {
                *self.skipped.entry("special-file".into()).or_default() += 1;
            }
            return;
        }
        if m.is_dir() && s.only_empty_directories && held > 0 || m.len() < s.min_size {
            return;
        }
        let told = match s.age_by {
            AgeBy::Newest => touched(m),
            AgeBy::Modified => ms(m.mtime(), m.mtime_nsec()),
        };
        if s.min_age_ms > 0 && told > self.now_ms {
            *self.skipped.entry("future-time".into()).or_default() += 1;
        } else if s.min_age_ms == 0 || told + s.min_age_ms <= self.now_ms {
            self.given.push((path.to_vec(), m.clone()));
        }
    }
}

fn ms(seconds: i64, ns: i64) -> u64 {
    u64::try_from(seconds * 1_000 + ns / 1_000_000).unwrap()
}

fn touched(m: &Metadata) -> u64 {
    let changed = ms(m.ctime(), m.ctime_nsec());
    let modified = ms(m.mtime(), m.mtime_nsec());
    changed.max(modified).max(ms(m.atime(), m.atime_nsec()))
}

fn kind(m: &Metadata) -> EntryKind {
    if m.is_file() {
        EntryKind::File
    } else if m.is_dir() {
        EntryKind::Directory
    } else if m.is_symlink() {
        EntryKind::Symlink
    } else {
        assert!(m.file_type().is_fifo());
        EntryKind::Other
    }
}

fn expected((path, m): &(Vec<u8>, Metadata)) -> Entry {
    Entry {
        path: RelPath::new(path.clone()).unwrap(),
        kind: kind(m),
        size: m.len(),
        touched_ms: touched(m),
        links: u32::try_from(m.nlink()).unwrap(),
        owner: m.uid(),
        in_use: m.ino() % 2 == 0,
        identity: Identity {
            device: m.dev(),
            inode: m.ino(),
            size: m.len(),
            mtime_ns: m.mtime() * 1_000_000_000 + m.mtime_nsec(),
            ctime_ns: m.ctime() * 1_000_000_000 + m.ctime_nsec(),
        },
    }
}

fn added_up(all: &[(Vec<u8>, Metadata)], below: &[u8]) -> Usage {
    let mut sum = Usage::default();
    let mut seen = HashSet::new();
    for (path, m) in all {
        if !path.starts_with(below) || path.len() == below.len().saturating_sub(1) {
            continue;
        }
        match kind(m) {
            EntryKind::File => sum.files += 1,
            EntryKind::Directory => sum.directories += 1,
            EntryKind::Symlink | EntryKind::Other => sum.others += 1,
        }
        if !m.is_file() || seen.insert(m.ino()) {
            sum.bytes += if m.is_file() { m.len() } else { 0 };
            sum.allocated_bytes += m.blocks() * 512;
        }
    }
    sum
}

fn opened(dir: &Path) -> Arc<Root> {
    Arc::new(Root::open(&RootName::new("tmp").unwrap(), dir).unwrap())
}

fn all_of(walk: &mut Walk, most: usize) -> Vec<Entry> {
    let mut given = Vec::new();
    loop {
        let more = walk.next(most).unwrap();
        assert!(more.len() <= most);
        if more.is_empty() {
            return given;
        }
        given.extend(more);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn walks_usage_and_inventory_are_as_the_oracle_has_them(
        spine in prop::collection::vec(0..NAMES.len(), 0..40),
        nodes in prop::collection::vec(node(), 0..60),
        selector in selector(),
        later_ms in prop::sample::select(&[0_u64, 100_000, 5_000_000][..]),
        most in 1_usize..9,
    ) {
        let dir = tempfile::tempdir().unwrap();
        grow(dir.path(), &spine, &nodes);
        let root = opened(dir.path());
        let now = now_ms() + later_ms;
        let oracle = Oracle::look(&selector, now, dir.path());
        let even = oracle.all.iter().filter(|(_, m)| m.ino() % 2 == 0);
        let in_use = InUse::from_pairs(even.map(|(_, m)| (m.dev(), m.ino())).collect(), true);
        let in_use = Arc::new(in_use);
        let mut walk = Walk::new(Arc::clone(&root), &selector, now, Arc::clone(&in_use)).unwrap();
        let given = all_of(&mut walk, most);
        let wanted: Vec<Entry> = oracle.given.iter().map(expected).collect();
        prop_assert_eq!(given, wanted);
        let skipped: BTreeMap<String, u64> = walk.skipped().into_iter().collect();
        prop_assert_eq!(skipped, oracle.skipped);

        prop_assert_eq!(usage(&root, None).unwrap(), added_up(&oracle.all, b""));
        let counted = inventory(&root).unwrap();
        let has_own = dir.path().join(".keepwell").symlink_metadata().is_ok();
        prop_assert_eq!(counted.entries, oracle.all.len() as u64);
        prop_assert_eq!((counted.unreadable, counted.has_own_folder), (0, has_own));
        for (path, m) in &oracle.all {
            let rel = RelPath::new(path.clone()).unwrap();
            if m.is_dir() {
                let below = [path.as_slice(), b"/"].concat();
                prop_assert_eq!(usage(&root, Some(&rel)).unwrap(), added_up(&oracle.all, &below));
            }
            let one = stat(&root, &rel, &in_use).unwrap();
            prop_assert_eq!(one, expected(&(path.clone(), m.clone())));
        }
    }
}

/// `d/d/d…`, `depth` of them, each level with a file that sorts after the directory.
fn ladder(top: &Path, depth: usize) {
    let mut at = top.to_owned();
    for _ in 0..depth {
        fs::write(at.join("z"), "").unwrap();
        at.push("d");
        fs::create_dir(&at).unwrap();
    }
}

fn paths(walk: &mut Walk) -> Vec<String> {
    all_of(walk, 7).iter().map(|e| e.path.escaped()).collect()
}

#[test]
fn what_follows_a_deep_directory_is_given() {
    // More levels than stay open, so that all of them, the root's too, are opened again.
    for depth in [1, 15, 16, 17, 18, 33, 100] {
        let dir = tempfile::tempdir().unwrap();
        ladder(dir.path(), depth);
        let in_use = Arc::new(InUse::none());
        let mut walk = Walk::new(opened(dir.path()), &Selector::default(), 0, in_use).unwrap();
        let mut want = Vec::new();
        for level in (1..=depth).rev() {
            let up = vec!["d"; level].join("/");
            want.push(up.clone());
            want.push(format!("{}z", &up[..up.len() - 1]));
        }
        assert_eq!(paths(&mut walk), want, "{depth}");
        assert_eq!(walk.skipped(), [], "{depth}");
    }
}

#[test]
fn what_is_too_deep_is_counted_and_all_else_given() {
    let dir = tempfile::tempdir().unwrap();
    ladder(dir.path(), MAX_DEPTH + 12);
    let root = opened(dir.path());
    let in_use = Arc::new(InUse::none());
    let mut walk = Walk::new(Arc::clone(&root), &Selector::default(), 0, in_use).unwrap();
    let given = paths(&mut walk);
    // All directories to the bound; a file in the root and in each of them.
    assert_eq!(given.len(), MAX_DEPTH + MAX_DEPTH + 1);
    assert_eq!(walk.skipped(), [("too-deep".to_owned(), 1)]);
    assert_eq!(usage(&root, None).unwrap().unreadable, 1);
    assert_eq!(inventory(&root).unwrap().unreadable, 1);
    let no = survey(&root, &RelPath::new("d").unwrap(), &InUse::none()).unwrap_err();
    // One level less below `d` itself is still too many.
    assert_eq!(no.code, Code::Denied);
}

#[test]
fn a_time_in_the_future_is_told_by_the_time_that_counts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "x").unwrap();
    let now = now_ms();
    let given = |age_by, by_ms: i64| {
        let at = now.cast_signed() + by_ms;
        let time = Timespec {
            tv_sec: at.div_euclid(1_000),
            tv_nsec: at.rem_euclid(1_000) * 1_000_000,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, &file, &times, AtFlags::empty()).unwrap();
        let selector = Selector {
            min_age_ms: 60_000,
            age_by,
            ..Selector::default()
        };
        let in_use = Arc::new(InUse::none());
        let mut walk = Walk::new(opened(dir.path()), &selector, now, in_use).unwrap();
        (paths(&mut walk).len(), walk.skipped().len())
    };
    // Its status was changed just now, whatever the file claims.
    assert_eq!(given(AgeBy::Newest, -60_000).0, 0);
    assert_eq!(given(AgeBy::Modified, -60_000), (1, 0));
    assert_eq!(given(AgeBy::Modified, -59_000), (0, 0));
    assert_eq!(given(AgeBy::Modified, 1_000), (0, 1));
    // Before the epoch counts as the epoch.
    assert_eq!(given(AgeBy::Modified, -2 * now.cast_signed()), (1, 0));
}

#[test]
fn bad_globs_are_refused_before_anything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |globs: Vec<String>| {
        let selector = Selector {
            globs,
            ..Selector::default()
        };
        let in_use = Arc::new(InUse::none());
        Walk::new(opened(dir.path()), &selector, 0, in_use).map(drop)
    };
    for bad in ["[", "{a", "a\\"] {
        assert_eq!(
            refused(vec![bad.into()]).unwrap_err().code,
            Code::Invalid,
            "{bad}"
        );
    }
    assert!(refused(vec!["x".repeat(MAX_GLOB_BYTES + 1)]).is_err());
    assert!(refused(vec!["x".into(); MAX_GLOBS + 1]).is_err());
    assert!(refused(vec!["x".into(); MAX_GLOBS]).is_ok());
}
