//! The files beside the database: the writer's lock, and the last checkpoint as text.

use crate::error::{JournalError, Result};
use crate::note::NOTE_MAX_BYTES;
use crate::schema::{CHECKPOINT, LOCK};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Only the host's own user reads the journal: subjects of calls are paths of the node.
const FILE_MODE: u32 = 0o600;

/// Held by the one writer; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct WriterLock {
    _file: File,
}

/// A process that is being started holds our open files with it between fork and exec, and with them
/// a lock that was just given up. That passes in moments; who holds it longer is somebody else.
const HELD_BY_A_START: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Locks the file, or says `WOULDBLOCK` when another process goes on holding it.
pub(crate) fn lock_soon(file: &File) -> rustix::io::Result<()> {
    let since = Instant::now();
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if since.elapsed() < HELD_BY_A_START => {
                std::thread::sleep(LOOK_EVERY);
            }
            locked => return locked,
        }
    }
}

impl WriterLock {
    pub(crate) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|e| JournalError::io("open", &path, e))?;
        match lock_soon(&file) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::Busy {
                dir: dir.to_owned(),
            }),
            Err(e) => Err(JournalError::io("lock", &path, e.into())),
        }
    }
}

/// Makes `path` as an empty file of our own; an existing one is an error.
pub(crate) fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).mode(FILE_MODE);
    options.open(path).map(drop)
}

/// Whether a file is waited for until it is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Disk,
    /// The kernel writes it within seconds. A power cut before leaves the old file or, on some
    /// file systems, an empty one.
    Nothing,
}

/// Replaces `dir/checkpoint`: whoever reads it sees the old note or the new one, whole. The
/// database has the note already, so the file is never ahead of it, and may lag behind.
pub(crate) fn write_checkpoint(dir: &Path, note: &str, wait: Wait) -> Result<()> {
    let fresh = dir.join(format!("{CHECKPOINT}.new"));
    let write = || {
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        let mut file = options.mode(FILE_MODE).open(&fresh)?;
        file.write_all(note.as_bytes())?;
        match wait {
            Wait::Disk => file.sync_all()?,
            Wait::Nothing => {}
        }
        std::fs::rename(&fresh, dir.join(CHECKPOINT))
    };
    write().map_err(|e| JournalError::io("write", &fresh, e))
}

/// The note in `dir/checkpoint`, if there is such a file. One without content was lost in a power
/// cut and says as little as a missing one; anything else must be a note.
pub(crate) fn read_checkpoint(dir: &Path) -> Result<Option<String>> {
    let path = dir.join(CHECKPOINT);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(JournalError::io("open", &path, e)),
    };
    let mut bytes = vec![];
    let most = NOTE_MAX_BYTES as u64 + 1;
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(|e| JournalError::io("read", &path, e))?;
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| JournalError::broken(dir, "its file `checkpoint` is not text"))
}
