//! The one writer: takes what is queued, writes it in one transaction, signs the new head.

use crate::entry::Entry;
use crate::error::{JournalError, Result};
use crate::files::{Wait, WriterLock, write_checkpoint};
use crate::key::{NodeKey, VerifierKey};
use crate::merkle::{Frontier, Node};
use crate::note::Checkpoint;
use crate::projection::Projection;
use crate::queue::{Answer, Item, Queue, Write};
use crate::schema::{column, fold_log};
use crate::tree::STORED_EVERY;
use keepwell_model::id::RunId;
use keepwell_model::store::Remembered;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::path::PathBuf;
use std::sync::Arc;

/// Everything the writer's thread owns. Fields are dropped in this order: the database is closed
/// before the lock is let go.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) db: Connection,
    pub(crate) dir: PathBuf,
    pub(crate) key: NodeKey,
    pub(crate) verifier: VerifierKey,
    pub(crate) frontier: Frontier,
    pub(crate) projection: Projection,
    /// The signed head, while the file `checkpoint` does not have it.
    pub(crate) untold: Option<String>,
    /// A checkpoint was asked for: whoever takes it away may take the database's file along.
    pub(crate) fold: bool,
    pub(crate) _lock: WriterLock,
}

/// Tells callers that nobody writes any more, also when the writer panics.
struct Stopped(Arc<Queue>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Writer {
    /// The writer's thread: until the last journal is dropped.
    pub(crate) fn run(mut self, queue: Arc<Queue>) {
        let stopped = Stopped(queue);
        let queue = &stopped.0;
        let mut released = 0;
        while let Some(batch) = queue.take(released) {
            released = match self.write(&batch) {
                Ok(answers) => queue.written(batch, answers),
                Err(e) => {
                    self.projection.forget();
                    queue.failed(batch, &e);
                    0
                }
            };
        }
        // Everything is durable where it is, so a failure here loses nothing. The file then tells
        // of a write-ahead log that is taken away, also one without a kept checkpoint in it.
        if let Some(note) = self.untold.take() {
            let _ = write_checkpoint(&self.dir, &note, Wait::Nothing);
        }
        let _ = fold_log(&self.db, &self.dir, self.fold);
    }

    /// One batch in one transaction. Answers stand in the order of the items.
    fn write(&mut self, batch: &[Item]) -> Result<Vec<Result<Answer>>> {
        let tx = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)
            .map_err(JournalError::sqlite("begin writing"))?;
        let mut frontier = self.frontier.clone();
        let mut answers = Vec::with_capacity(batch.len());
        let (mut keep, mut wait) = (false, Wait::Nothing);
        for item in batch {
            answers.push(Ok(match &item.write {
                Write::Entry { entry, keep: kept } => {
                    self.projection.add(&tx, &entry.record)?;
                    let index = frontier.size();
                    insert(&tx, &mut frontier, entry).map_err(JournalError::sqlite("append"))?;
                    keep |= *kept;
                    Answer::Index(index)
                }
                Write::Shards {
                    store,
                    shards,
                    gone,
                } => {
                    remember(&tx, store, shards, gone)
                        .map_err(JournalError::sqlite("remember shards"))?;
                    Answer::Done
                }
                Write::Flag { task, flag, value } => {
                    set_flag(&tx, task, flag, value.as_deref())
                        .map_err(JournalError::sqlite("set a flag"))?;
                    Answer::Done
                }
                Write::Checkpoint => {
                    (keep, wait) = (true, Wait::Disk);
                    Answer::Done
                }
                Write::Nothing => Answer::Done,
            }));
        }
        self.projection
            .store(&tx)
            .map_err(JournalError::sqlite("store the runs"))?;
        let head = Checkpoint {
            origin: self.verifier.name().to_owned(),
            size: frontier.size(),
            root: frontier.root(),
        };
        let note = head.sign(&self.key, &self.verifier);
        seal(&tx, head.size, &note, keep).map_err(JournalError::sqlite("store the head"))?;
        tx.commit().map_err(JournalError::sqlite("commit"))?;
        self.frontier = frontier;
        self.projection.settle();
        self.untold = Some(note.clone());
        if keep {
            self.publish(batch, &mut answers, &note, wait);
        }
        Ok(answers)
    }

    /// Puts a kept checkpoint into the file. The database has it already, so a failure here
    /// concerns only those who asked for the checkpoint; the next one tries again.
    fn publish(&mut self, batch: &[Item], answers: &mut [Result<Answer>], note: &str, wait: Wait) {
        self.fold |= wait == Wait::Disk;
        let published = write_checkpoint(&self.dir, note, wait);
        if published.is_ok() {
            self.untold = None;
        }
        for (item, answer) in batch.iter().zip(answers) {
            if matches!(item.write, Write::Checkpoint) {
                *answer = published.clone().map(|()| Answer::Note(note.to_owned()));
            }
        }
    }
}

/// Stores the signed head over what the tree now holds.
fn seal(tx: &Connection, size: u64, note: &str, keep: bool) -> rusqlite::Result<()> {
    tx.execute("INSERT OR REPLACE INTO head VALUES (0, ?1)", [note])?;
    if keep {
        let sql = "INSERT OR REPLACE INTO checkpoints VALUES (?1, ?2)";
        tx.execute(sql, params![column(size), note])?;
    }
    Ok(())
}

fn insert(tx: &Connection, frontier: &mut Frontier, entry: &Entry) -> rusqlite::Result<()> {
    let record = &entry.record;
    tx.prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            column(frontier.size()),
            entry.leaf,
            column(record.at),
            record.event.kind(),
            record.run.map(RunId::to_bytes),
            record.task,
            entry.bytes,
        ])?;
    let mut closed: Vec<Node> = vec![];
    frontier.push(entry.leaf, |node| {
        if node.level % STORED_EVERY == 0 {
            closed.push(node);
        }
    });
    for node in closed {
        tx.prepare_cached("INSERT INTO nodes VALUES (?1, ?2, ?3)")?
            .execute(params![node.level, column(node.index), node.hash])?;
    }
    Ok(())
}

fn remember(
    tx: &Connection,
    store: &str,
    shards: &[Remembered],
    gone: &[String],
) -> rusqlite::Result<()> {
    tx.execute("INSERT OR IGNORE INTO stores VALUES (?1)", [store])?;
    let mut put = tx.prepare_cached("INSERT OR REPLACE INTO shards VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for shard in shards {
        put.execute(params![
            store,
            shard.shard,
            column(shard.bytes),
            shard.verified_ms.map(column),
            shard.state.as_str(),
        ])?;
    }
    let mut remove = tx.prepare_cached("DELETE FROM shards WHERE store = ?1 AND shard = ?2")?;
    for name in gone {
        remove.execute([store, name])?;
    }
    Ok(())
}

fn set_flag(tx: &Connection, task: &str, flag: &str, value: Option<&str>) -> rusqlite::Result<()> {
    match value {
        Some(value) => {
            let sql = "INSERT OR REPLACE INTO flags VALUES (?1, ?2, ?3)";
            tx.execute(sql, [task, flag, value])?;
        }
        None => {
            let sql = "DELETE FROM flags WHERE task = ?1 AND flag = ?2";
            tx.execute(sql, [task, flag])?;
        }
    }
    Ok(())
}
