//! A tree such as temporary folders grow: aged and young, open and locked, linked and odd.
//!
//! Times can be set, except the time of the last change of the inode itself (ctime), which is
//! always now. So the demo's cleaning tells age by the time of modification alone.

use crate::error::{Error, Result};
use crate::figures::grouped;
use crate::noise::Noise;
use crate::places::{make_dir, write};
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, Timespec, Timestamps, flock, mknodat, utimensat,
};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

const DAY: i64 = 86_400;
/// What the demo calls aged: at least so old.
const AGED_DAYS: i64 = 2;
/// Folders of `cache/`, aged, and of `work/`, young, and the files in each.
const CACHE_FOLDERS: usize = 44;
const WORK_FOLDERS: usize = 30;
const FILES_IN_EACH: usize = 50;
/// Files of `logs/`, one for each day of the past.
const LOG_FILES: i64 = 200;
/// Levels of `deep/`, far more than anybody nests by hand.
const LEVELS: usize = 40;

/// What was made. Keeps open what must be seen as in use, until dropped.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) files: u64,
    /// Plain aged files that cleaning must take.
    pub(crate) must_go: Vec<PathBuf>,
    /// Young, open, locked, special or foreign: cleaning must leave these.
    pub(crate) must_stay: Vec<PathBuf>,
    held: Vec<File>,
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} files: {} aged; young, open, locked, linked and odd ones that must stay: {}",
            grouped(self.files),
            grouped(self.must_go.len() as u64),
            grouped(self.must_stay.len() as u64)
        )
    }
}

/// Fills `dir`. `outside` is a file next to it that links in the tree point to.
pub(crate) fn make(dir: &Path, outside: &Path) -> Result<Tree> {
    let mut maker = Maker::new(dir)?;
    maker.plain()?;
    maker.deep()?;
    maker.in_use()?;
    maker.links(outside)?;
    maker.odd()?;
    maker.folders()?;
    Ok(maker.tree)
}

struct Maker {
    dir: PathBuf,
    /// Seconds since the Unix epoch, as the file system told when the folder was made.
    now: i64,
    noise: Noise,
    tree: Tree,
}

impl Maker {
    fn new(dir: &Path) -> Result<Self> {
        let now = dir.metadata().map_err(Error::io("look at", dir))?.mtime();
        Ok(Self {
            dir: dir.to_owned(),
            now,
            noise: Noise::new(1),
            tree: Tree {
                files: 0,
                must_go: vec![],
                must_stay: vec![],
                held: vec![],
            },
        })
    }

    /// A folder below the tree.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        make_dir(&dir)?;
        Ok(dir)
    }

    fn file(&mut self, path: &Path, max_bytes: u64) -> Result<()> {
        let length = usize::try_from(self.noise.below(max_bytes)).unwrap_or_default();
        write(path, self.noise.bytes(length))?;
        self.tree.files += 1;
        Ok(())
    }

    /// Sets both times of an entry, of a link itself, to so many seconds ago.
    fn age(&self, path: &Path, seconds: i64) -> Result<()> {
        let then = Timespec {
            tv_sec: self.now - seconds,
            tv_nsec: 123_456_789,
        };
        let times = Timestamps {
            last_access: then,
            last_modification: then,
        };
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::os("set the times of", path))
    }

    fn aged(&mut self, path: PathBuf, max_bytes: u64) -> Result<()> {
        self.file(&path, max_bytes)?;
        let days = AGED_DAYS + i64::try_from(self.noise.below(88)).unwrap_or_default();
        self.age(&path, days * DAY)?;
        self.tree.must_go.push(path);
        Ok(())
    }

    fn young(&mut self, path: PathBuf, max_bytes: u64) -> Result<()> {
        self.file(&path, max_bytes)?;
        self.tree.must_stay.push(path);
        Ok(())
    }

    fn plain(&mut self) -> Result<()> {
        for folder in 0..CACHE_FOLDERS {
            let dir = self.folder(&format!("cache/{folder:02}"))?;
            for file in 0..FILES_IN_EACH {
                self.aged(dir.join(format!("item-{file:03}.bin")), 4096)?;
            }
        }
        for folder in 0..WORK_FOLDERS {
            let dir = self.folder(&format!("work/{folder:02}"))?;
            for file in 0..FILES_IN_EACH {
                self.young(dir.join(format!("part-{file:03}.tmp")), 2048)?;
            }
        }
        let logs = self.folder("logs")?;
        for day in 0..LOG_FILES {
            let path = logs.join(format!("service.log.{day}"));
            let line = format!("day {day}: all quiet\n");
            write(&path, line.repeat(20))?;
            self.tree.files += 1;
            self.age(&path, day * DAY + 60)?;
            if day >= AGED_DAYS {
                self.tree.must_go.push(path);
            } else if day == 0 {
                self.tree.must_stay.push(path);
            }
        }
        Ok(())
    }

    fn deep(&mut self) -> Result<()> {
        let mut dir = self.folder("deep")?;
        for level in 0..LEVELS {
            dir.push(format!("level-{level}"));
            make_dir(&dir)?;
            self.aged(dir.join("aged"), 512)?;
            self.young(dir.join("young"), 512)?;
        }
        Ok(())
    }

    /// Aged, but open in this process, and some locked besides.
    fn in_use(&mut self) -> Result<()> {
        let dir = self.folder("in-use")?;
        for file in 0..12 {
            let locked = file >= 8;
            let word = if locked { "locked" } else { "open" };
            let path = dir.join(format!("{word}-{file}"));
            self.file(&path, 2048)?;
            self.age(&path, 30 * DAY)?;
            let open = File::open(&path).map_err(Error::io("open", &path))?;
            if locked {
                flock(&open, FlockOperation::NonBlockingLockExclusive)
                    .map_err(Error::os("lock", &path))?;
            }
            self.tree.held.push(open);
            self.tree.must_stay.push(path);
        }
        Ok(())
    }

    /// Links as such may go; what they point to must stay.
    fn links(&mut self, outside: &Path) -> Result<()> {
        let dir = self.folder("links")?;
        write(outside, "not below the root\n")?;
        self.age(outside, 60 * DAY)?;
        self.tree.must_stay.push(outside.to_owned());
        let targets: [(&str, &Path); 6] = [
            ("dangling", Path::new("nowhere/at/all")),
            ("to-itself", Path::new("to-itself")),
            ("outside", outside),
            ("system", Path::new("/etc/hostname")),
            ("above", Path::new("../../..")),
            ("to-folder", Path::new("../work")),
        ];
        for (name, target) in targets {
            let link = dir.join(name);
            symlink(target, &link).map_err(Error::io("link", &link))?;
            self.age(&link, 20 * DAY)?;
        }
        for pair in 0..10 {
            let first = dir.join(format!("pair-{pair}-a"));
            let second = dir.join(format!("pair-{pair}-b"));
            self.file(&first, 1024)?;
            std::fs::hard_link(&first, &second).map_err(Error::io("link", &second))?;
            self.tree.files += 1;
            self.age(&first, 25 * DAY)?;
        }
        Ok(())
    }

    fn odd(&mut self) -> Result<()> {
        let dir = self.folder("odd")?;
        let long = "n".repeat(255);
        let names: [&[u8]; 9] = [
            b"not \xff\xfe UTF-8",
            b"a\nline break",
            b" leading space",
            b"-rf",
            b"*",
            b"per%cent",
            b"quote'\"`$(true)",
            b"\xe2\x80\xaereversed",
            long.as_bytes(),
        ];
        for name in names {
            self.aged(dir.join(OsStr::from_bytes(name)), 256)?;
        }
        for mode in [0o000, 0o400, 0o111, 0o4755, 0o1777] {
            let path = dir.join(format!("mode-{mode:04o}"));
            self.aged(path.clone(), 256)?;
            std::fs::set_permissions(&path, Permissions::from_mode(mode))
                .map_err(Error::io("set the mode of", &path))?;
        }
        for (name, kind) in [("pipe", FileType::Fifo), ("socket", FileType::Socket)] {
            let path = dir.join(name);
            mknodat(CWD, &path, kind, Mode::from_raw_mode(0o644), 0)
                .map_err(Error::os("make", &path))?;
            self.age(&path, 50 * DAY)?;
            self.tree.must_stay.push(path);
        }
        let future = dir.join("from-the-future");
        self.young(future.clone(), 256)?;
        self.age(&future, -400 * DAY)
    }

    /// Empty folders, aged and young; and aged times on folders that lose files, because an undo
    /// must bring those times back too.
    fn folders(&mut self) -> Result<()> {
        for number in 0..20 {
            let dir = self.folder(&format!("empty/{number}"))?;
            if number < 10 {
                self.age(&dir, 15 * DAY)?;
            } else {
                self.tree.must_stay.push(dir);
            }
        }
        for number in 0..CACHE_FOLDERS {
            let dir = self.dir.join(format!("cache/{number:02}"));
            let days = 3 + i64::try_from(number).unwrap_or_default();
            self.age(&dir, days * DAY)?;
        }
        let private = self.dir.join("cache/00");
        std::fs::set_permissions(&private, Permissions::from_mode(0o750))
            .map_err(Error::io("set the mode of", &private))?;
        for name in ["cache", "logs", "odd", "links"] {
            self.age(&self.dir.join(name), 100 * DAY)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_go_is_old_and_what_must_stay_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        make_dir(&root).unwrap();
        let now = root.metadata().unwrap().mtime();
        let tree = make(&root, &dir.path().join("outside.txt")).unwrap();
        assert!((3_900..4_300).contains(&tree.files), "{}", tree.files);
        for path in &tree.must_go {
            let about = path.symlink_metadata().unwrap();
            assert!(about.is_file() && about.nlink() == 1);
            assert!(now - about.mtime() >= AGED_DAYS * DAY, "{}", path.display());
        }
        for path in &tree.must_stay {
            assert!(path.symlink_metadata().is_ok(), "{}", path.display());
            assert!(!tree.must_go.contains(path));
        }
        assert_eq!(tree.held.len(), 12);
    }
}
