//! Modification times of the directories that entries were taken from, so that undo puts back
//! those as well. Kept in `parents.jsonl`; what a crash loses of it is only such a time.
//!
//! A time is put back only when the directory's is the one our last move left. A change by
//! somebody else within the same tick of the kernel's clock as ours cannot be told apart.

use super::At;
use crate::at::{Facts, refused};
use keepwell_model::action::{EntryKind, RelPath};
use keepwell_model::words::Refusal;
use rustix::fs::{Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};

/// The file's name in the run's folder.
pub(super) const PARENTS: &str = "parents.jsonl";
/// What is read of the file at most: a line of a longest path for each of 10,000 directories.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// `None`: the root itself.
type Key = Option<RelPath>;

#[derive(Debug, Default)]
pub(super) struct Parents {
    times: HashMap<Key, Times>,
    unsaved: BTreeSet<Key>,
    /// Directories by device and inode as our last move in them left them: mtime and ctime.
    left: HashMap<(u64, u64), (i64, i64)>,
}

/// One line of the file. Of several for one path the last holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    path: Key,
    #[serde(flatten)]
    times: Times,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Times {
    before_ns: i64,
    after_ns: i64,
    /// Somebody else changed the directory between two of our moves.
    foreign: bool,
}

impl Parents {
    /// Notes one of our moves out of a directory.
    pub(super) fn moved(&mut self, path: Option<&RelPath>, before: &Facts, after: &Facts) {
        let key = path.cloned();
        let times = self.times.entry(key.clone()).or_insert(Times {
            before_ns: before.mtime_ns,
            after_ns: before.mtime_ns,
            foreign: false,
        });
        times.foreign |= times.after_ns != before.mtime_ns;
        times.after_ns = after.mtime_ns;
        self.unsaved.insert(key);
        let at = (after.device, after.inode);
        // A directory that somebody else touched in between stays out: it is theirs too.
        if times.foreign {
            self.left.remove(&at);
        } else {
            self.left.insert(at, (after.mtime_ns, after.ctime_ns));
        }
    }

    /// Whether the directory is just as our last move in it left it.
    pub(super) fn left_by_us(&self, facts: &Facts) -> bool {
        self.left.get(&(facts.device, facts.inode)) == Some(&(facts.mtime_ns, facts.ctime_ns))
    }

    /// Notes what was moved: another name of the same file now shows our move's ctime, while a
    /// directory that is gone needs no remembering.
    pub(super) fn taken(&mut self, facts: &Facts) {
        let at = (facts.device, facts.inode);
        if facts.kind != EntryKind::Directory && facts.links > 1 {
            self.left.insert(at, (facts.mtime_ns, facts.ctime_ns));
        } else {
            self.left.remove(&at);
        }
    }

    /// After a move back: gives the directory the time it had, if `now` (before that move) was
    /// ours. A failure leaves only a newer time and is not worth a refusal.
    pub(super) fn put_back(&mut self, path: Option<&RelPath>, fd: At<'_>, now: &Facts) {
        let Some(times) = self.times.get(&path.cloned()) else {
            return;
        };
        let ours = [times.after_ns, times.before_ns].contains(&now.mtime_ns);
        if times.foreign || !ours {
            return;
        }
        let second = 1_000_000_000;
        let omit = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        };
        let mtime = Timespec {
            tv_sec: times.before_ns.div_euclid(second),
            tv_nsec: times.before_ns.rem_euclid(second),
        };
        let put = Timestamps {
            last_access: omit,
            last_modification: mtime,
        };
        if let Err(e) = rustix::fs::futimens(fd, &put) {
            tracing::debug!(path = ?path, error = %e, "a directory keeps its newer time");
        }
    }

    pub(super) fn load(folder: At<'_>) -> Result<Self, Refusal> {
        let cannot = |e| {
            refused(
                e,
                format!("cannot read `{PARENTS}` of the quarantine folder"),
            )
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd =
            match rustix::fs::openat2(folder, PARENTS, flags, Mode::empty(), ResolveFlags::BENEATH)
            {
                Ok(fd) => fd,
                Err(Errno::NOENT) => return Ok(Self::default()),
                Err(e) => return Err(cannot(e)),
            };
        let mut parents = Self::default();
        for line in BufReader::new(File::from(fd).take(MAX_FILE_BYTES)).split(b'\n') {
            let Ok(line) = line else { break };
            // A line that a crash cut loses one time, no more.
            if let Ok(line) = serde_json::from_slice::<Line>(&line) {
                parents.times.insert(line.path, line.times);
            }
        }
        Ok(parents)
    }

    /// Appends what is new to the file.
    pub(super) fn save(&mut self, folder: At<'_>) -> Result<(), Refusal> {
        if self.unsaved.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for path in &self.unsaved {
            if let Some(times) = self.times.get(path).copied() {
                let line = Line {
                    path: path.clone(),
                    times,
                };
                serde_json::to_writer(&mut text, &line)
                    .map_err(|e| Refusal::io(format!("cannot write `{PARENTS}`: {e}")))?;
                text.push(b'\n');
            }
        }
        let flags =
            OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(folder, PARENTS, flags, Mode::RUSR | Mode::WUSR)
            .map_err(std::io::Error::from)
            .and_then(|fd| File::from(fd).write_all(&text))
            .map_err(|e| {
                let code = e.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
                refused(
                    code,
                    format!("cannot write `{PARENTS}` in the quarantine folder"),
                )
            })?;
        self.unsaved.clear();
        Ok(())
    }
}
