//! The journal as the host holds it: append, commit, checkpoint.

use crate::entry::Entry;
use crate::error::{JournalError, Result};
use crate::files::{Wait, WriterLock, make_private, read_checkpoint, write_checkpoint};
use crate::key::NodeKey;
use crate::merkle::Frontier;
use crate::note::Checkpoint;
use crate::projection::Projection;
use crate::queue::{Answer, Queue, Write};
use crate::reader::Reader;
use crate::schema::{DATABASE, Version, create, open_writer, origin, version};
use crate::tree::frontier;
use crate::writer::Writer;
use keepwell_model::event::{Event, Record};
use keepwell_model::store::Remembered;
use rusqlite::{Connection, params};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Shards remembered in one transaction: bounds how long others wait for it.
const SHARDS_AT_ONCE: usize = 4_096;

/// The one writer of a journal. Clones share it; when the last is dropped, what is queued is
/// written and the writer ends.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has failed its callers already.
            let _ = writer.join();
        }
    }
}

impl Journal {
    /// Makes an empty journal in `dir`, with its first checkpoint, and opens it.
    pub fn create(dir: &Path, origin: &str, key: &NodeKey) -> Result<Self> {
        let verifier = key.verifier(origin)?;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |e| JournalError::io(doing, &path, e)
        };
        builder.create(dir).map_err(io("make", dir))?;
        let lock = WriterLock::take(dir)?;
        let path = dir.join(DATABASE);
        if path.exists() {
            return Err(JournalError::Exists {
                dir: dir.to_owned(),
            });
        }
        // Made under another name, so that a journal is either whole or not there.
        let fresh = dir.join(format!("{DATABASE}.new"));
        for suffix in ["", "-journal", "-wal"] {
            match std::fs::remove_file(dir.join(format!("{DATABASE}.new{suffix}"))) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(JournalError::io("remove", &fresh, e));
                }
                Ok(()) | Err(_) => {}
            }
        }
        make_private(&fresh).map_err(io("make", &fresh))?;
        let head = Checkpoint {
            origin: origin.to_owned(),
            size: 0,
            root: crate::merkle::empty_root(),
        };
        let note = head.sign(key, &verifier);
        fill(&fresh, origin, &note).map_err(JournalError::sqlite("make the tables"))?;
        std::fs::rename(&fresh, &path).map_err(io("name", &path))?;
        let folder = std::fs::File::open(dir).map_err(io("open", dir))?;
        folder.sync_all().map_err(io("sync", dir))?;
        drop(lock);
        Self::open(dir, key)
    }

    /// Opens the journal in `dir` for writing, and renews its tables if the version before made
    /// it. Its signed head must cover exactly what is stored,
    /// and the file `checkpoint` must not know of more.
    pub fn open(dir: &Path, key: &NodeKey) -> Result<Self> {
        if !dir.join(DATABASE).is_file() {
            return Err(JournalError::NotFound {
                dir: dir.to_owned(),
            });
        }
        let lock = WriterLock::take(dir)?;
        let db = open_writer(dir, false)?;
        let version = version(&db, dir)?;
        let verifier = key.verifier(&origin(&db)?)?;
        let note: String = db
            .query_row("SELECT note FROM head", [], |row| row.get(0))
            .map_err(JournalError::sqlite("read the head"))?;
        let broken = |why: String| JournalError::broken(dir, why);
        let head = Checkpoint::open(&note, &verifier)
            .map_err(|e| broken(format!("its head is not valid: {e}")))?;
        let frontier = covered(&db, dir, &head)?;
        match read_checkpoint(dir)? {
            // The head itself, which was just held against the entries.
            Some(known) if known == note => {}
            Some(known) => {
                let known = Checkpoint::open(&known, &verifier)
                    .map_err(|e| broken(format!("its file `checkpoint` is not valid: {e}")))?;
                if known.size > head.size {
                    return Err(broken(format!(
                        "it has {} entries, but its file `checkpoint` was signed over {}: entries are missing at the end",
                        head.size, known.size
                    )));
                }
                if crate::tree::frontier(&db, known.size)?.root() != known.root {
                    return Err(broken(format!(
                        "its first {} entries are not those its file `checkpoint` was signed over",
                        known.size
                    )));
                }
            }
            None => write_checkpoint(dir, &note, Wait::Disk)?,
        }
        let queue = Arc::new(Queue::default());
        let mut writer = Writer {
            db,
            dir: dir.to_owned(),
            key: key.clone(),
            verifier,
            frontier,
            projection: Projection::default(),
            untold: None,
            fold: false,
            _lock: lock,
        };
        match version {
            Version::Current => {}
            Version::Old => writer.migrate()?,
        }
        let shared = queue.clone();
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(shared))
            .map_err(|e| JournalError::io("start the writer of", dir, e))?;
        Ok(Self(Arc::new(Inner {
            dir: dir.to_owned(),
            queue,
            writer: Some(thread),
        })))
    }

    /// Queues a record, in order, without waiting for the disk. It is written within 50 ms, or
    /// with the next commit.
    ///
    /// A record that the journal may refuse (about a slot, or settling what was asked) must be
    /// committed, so that somebody is there to hear it.
    pub fn append(&self, record: Record) -> Result<()> {
        if crate::slots::is_about(&record.event) || crate::control::settles(&record.event) {
            let why = "it may be refused, so it is committed, not appended".into();
            return Err(JournalError::Record { why });
        }
        self.0.queue.append(write_of(record)?)
    }

    /// Writes a record; when this returns, it and everything appended before is durable. Returns
    /// its index. After an error the record is not in the journal: of several that start the same
    /// slot, one is written and the others fail with [`JournalError::SlotTaken`]. The end of a run keeps the
    /// signed head, as [`Self::commit_with_checkpoint`] does.
    pub fn commit(&self, record: Record) -> Result<u64> {
        self.commit_write(write_of(record)?)
    }

    /// Commits a record and keeps the signed head that covers it, all in one transaction. The
    /// file `checkpoint` follows without being waited for: it may lag after a power cut.
    pub fn commit_with_checkpoint(&self, record: Record) -> Result<u64> {
        let entry = Box::new(Entry::new(record)?);
        self.commit_write(Write::Entry { entry, keep: true })
    }

    fn commit_write(&self, write: Write) -> Result<u64> {
        match self.commit_answer(write)? {
            Answer::Index(index) => Ok(index),
            Answer::Note(_) | Answer::Pruned(_) | Answer::Done => {
                unreachable!("a record is answered by its index")
            }
        }
    }

    pub(crate) fn commit_answer(&self, write: Write) -> Result<Answer> {
        self.0.queue.commit(write)
    }

    /// Returns when everything appended before is durable.
    pub fn flush(&self) -> Result<()> {
        self.0.queue.commit(Write::Nothing).map(drop)
    }

    /// Tries to write although the last write failed (which the journal does by itself every
    /// second); `Ok` means it can be written again.
    pub fn probe(&self) -> Result<()> {
        self.0.queue.probe().map(drop)
    }

    /// Signs the head over everything appended before, keeps it, also in the file `checkpoint`,
    /// and returns the note when all of this is on the disk. The write-ahead log is folded into
    /// the database when the writer ends, so that the two files can be taken away alone.
    pub fn checkpoint(&self) -> Result<String> {
        match self.0.queue.commit(Write::Checkpoint)? {
            Answer::Note(note) => Ok(note),
            Answer::Index(_) | Answer::Pruned(_) | Answer::Done => {
                unreachable!("a checkpoint is answered by its note")
            }
        }
    }

    /// Remembers shards of a store between runs and forgets those that are `gone`; durable when
    /// it returns.
    pub fn remember(&self, store: &str, shards: Vec<Remembered>, gone: Vec<String>) -> Result<()> {
        let (mut shards, mut gone) = (shards.into_iter(), gone.into_iter());
        loop {
            let write = Write::Shards {
                store: store.to_owned(),
                shards: shards.by_ref().take(SHARDS_AT_ONCE).collect(),
                gone: gone.by_ref().take(SHARDS_AT_ONCE).collect(),
            };
            self.0.queue.commit(write)?;
            if shards.len() == 0 && gone.len() == 0 {
                return Ok(());
            }
        }
    }

    /// A connection of its own for reading. It sees what is durable.
    pub fn reader(&self) -> Result<Reader> {
        Reader::open(&self.0.dir)
    }
}

fn write_of(record: Record) -> Result<Write> {
    let keep = matches!(record.event, Event::RunEnded { .. });
    let entry = Box::new(Entry::new(record)?);
    Ok(Write::Entry { entry, keep })
}

/// The tables and the first head, durable, in a file that is then given its name.
fn fill(path: &Path, origin: &str, note: &str) -> rusqlite::Result<()> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "synchronous", "full")?;
    create(&db, origin)?;
    let made = db.unchecked_transaction()?;
    made.execute("INSERT INTO head VALUES (0, ?1)", [note])?;
    made.execute("INSERT INTO checkpoints VALUES (0, ?1)", params![note])?;
    made.commit()?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.close().map_err(|(_, e)| e)
}

/// The frontier of what is stored, which must be what `head` was signed over.
fn covered(db: &Connection, dir: &Path, head: &Checkpoint) -> Result<Frontier> {
    let stored = crate::reader::size(db)?;
    if stored != head.size {
        return Err(JournalError::broken(
            dir,
            format!(
                "it has {stored} entries, but its head was signed over {}",
                head.size
            ),
        ));
    }
    let frontier = frontier(db, head.size)?;
    if frontier.root() != head.root {
        return Err(JournalError::broken(
            dir,
            "its entries are not those its head was signed over",
        ));
    }
    Ok(frontier)
}
