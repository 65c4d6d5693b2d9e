//! What was seen of a repository before. Nothing older is accepted afterwards, by no process.
//!
//! `tough` keeps its own files while it looks, and would take one that is cut off for one that is
//! not there. So it looks with a copy, and only a look that ended well replaces what is known, in
//! one step.

use crate::error::{Error, Result};
use crate::files;
use keepwell_model::id::Digest;
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use std::fs::File;
use std::path::{Path, PathBuf};
use tough::schema::{Root, Signed};

/// What counts for the next look; the rest that `tough` leaves is about this one alone.
const KEPT: [&str; 4] = [
    ROOT,
    "timestamp.json",
    "snapshot.json",
    "latest_known_time.json",
];
const ROOT: &str = "root.json";
/// The digest of the root that the operator pinned, from which the known one was reached.
const PINNED: &str = "pinned";
const NOW: &str = "now";
const NEXT: &str = "next";
const LOCK: &str = "lock";

/// A directory of what is known of one repository, held by this process.
#[derive(Debug)]
pub(crate) struct Known {
    dir: PathBuf,
    _lock: File,
}

/// A look that has not ended yet.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    known: &'a Known,
    pinned: Digest,
    /// The root to begin with: the newest that was reached from the pinned one.
    pub(crate) root: Vec<u8>,
}

impl Known {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        files::make_dir(dir)?;
        let path = dir.join(LOCK);
        let mut options = File::options();
        let lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let lock = lock.map_err(|e| Error::io("open", &path, &e))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                dir: dir.to_owned(),
                _lock: lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::not_now(format!(
                "another process looks at this repository, with {}",
                dir.display()
            ))
            .hint("try again when it is done")),
            Err(e) => Err(Error::io("lock", &path, &e.into())),
        }
    }

    /// Begins a look from what is known, or from the pinned root alone.
    pub(crate) fn begin(&self, pinned: &[u8]) -> Result<Look<'_>> {
        let mut look = Look {
            known: self,
            pinned: Digest::of(pinned),
            root: pinned.to_owned(),
        };
        clear(&look.next())?;
        files::make_dir(&look.next())?;
        let now = self.dir.join(NOW);
        if !now.is_dir() {
            return Ok(look);
        }
        for name in KEPT {
            let path = now.join(name);
            match files::read(&path, super::ROLE_MAX_BYTES) {
                Ok(bytes) => {
                    self.sound(&path, &bytes)?;
                    files::write(&look.next().join(name), &bytes)?;
                    if name == ROOT && self.reached_from(look.pinned)? {
                        look.root = newer(bytes, look.root);
                    }
                }
                // Each look that ended well left all of them but for those of rotated keys.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("read", &path, &e)),
            }
        }
        Ok(look)
    }

    /// Whether the known root was reached from this pinned one. After the operator pinned
    /// another, it is gone through from there again.
    fn reached_from(&self, pinned: Digest) -> Result<bool> {
        let path = self.dir.join(NOW).join(PINNED);
        let text = files::read_told(&path, super::ROOT_MAX_BYTES)?;
        Ok(text == pinned.to_string().as_bytes())
    }

    /// A file that is not what was written must not count as one that never was.
    fn sound(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        serde_json::from_slice::<serde_json::Value>(bytes).map_err(|e| {
            Error::failed(format!("{} is damaged: {e}", path.display())).hint(format!(
                "remove {} to begin anew; until then an older state of the repository could not be told from a new one",
                self.dir.display()
            ))
        })?;
        Ok(())
    }
}

/// The pinned root when it is ahead of the known one.
fn newer(known: Vec<u8>, pinned: Vec<u8>) -> Vec<u8> {
    let version = |bytes: &[u8]| {
        let root = serde_json::from_slice::<Signed<Root>>(bytes).ok()?;
        Some(root.signed.version)
    };
    if version(&pinned) > version(&known) {
        pinned
    } else {
        known
    }
}

impl Look<'_> {
    /// Where `tough` keeps its files.
    pub(crate) fn next(&self) -> PathBuf {
        self.known.dir.join(NEXT)
    }

    /// The look ended well: it is what is known from now on.
    pub(crate) fn commit(self) -> Result<()> {
        let (dir, next) = (&self.known.dir, self.next());
        let now = dir.join(NOW);
        files::write(&next.join(PINNED), self.pinned.to_string().as_bytes())?;
        let entries = std::fs::read_dir(&next).map_err(|e| Error::io("read", &next, &e))?;
        for entry in entries {
            let path = entry.map_err(|e| Error::io("read", &next, &e))?.path();
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default();
            let done = match name == PINNED || KEPT.contains(&name) {
                true => File::open(&path).and_then(|file| file.sync_all()),
                false => std::fs::remove_file(&path),
            };
            done.map_err(|e| Error::io("keep", &path, &e))?;
        }
        let sync = |dir: &Path| File::open(dir).and_then(|d| d.sync_all());
        let replace = || -> std::io::Result<()> {
            sync(&next)?;
            match now.is_dir() {
                true => renameat_with(CWD, &next, CWD, &now, RenameFlags::EXCHANGE)?,
                false => std::fs::rename(&next, &now)?,
            }
            sync(dir)
        };
        replace().map_err(|e| Error::io("replace", &now, &e))?;
        clear(&next)?;
        // `tough` notes the time there again before it reads a bundle.
        files::make_dir(&next)
    }
}

/// Removes a directory of files, if it is there.
fn clear(dir: &Path) -> Result<()> {
    let clear = || -> std::io::Result<()> {
        for entry in std::fs::read_dir(dir)? {
            std::fs::remove_file(entry?.path())?;
        }
        std::fs::remove_dir(dir)
    };
    match clear() {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("clear", dir, &e)),
        Ok(()) | Err(_) => Ok(()),
    }
}
