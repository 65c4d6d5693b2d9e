//! The one writer: takes what is queued, writes it in one transaction, signs the new head.

use crate::batch::Batch;
use crate::error::{JournalError, Result};
use crate::files::{Wait, WriterLock, write_checkpoint};
use crate::key::{NodeKey, VerifierKey};
use crate::merkle::Frontier;
use crate::note::Checkpoint;
use crate::projection::Projection;
use crate::queue::{Answer, Item, Queue, Write};
use crate::schema::{column, fold_log};
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
        let mut open = Batch {
            tx: &tx,
            frontier: self.frontier.clone(),
            projection: &mut self.projection,
            keep: false,
        };
        let answers = batch.iter().map(|item| open.write(&item.write));
        let mut answers: Vec<Result<Answer>> = answers.collect::<Result<_>>()?;
        let (frontier, keep) = (open.frontier, open.keep);
        self.projection
            .store(&tx)
            .map_err(JournalError::sqlite("store the runs"))?;
        let note = sign(&frontier, &self.key, &self.verifier);
        seal(&tx, frontier.size(), &note, keep).map_err(JournalError::sqlite("store the head"))?;
        tx.commit().map_err(JournalError::sqlite("commit"))?;
        self.frontier = frontier;
        self.projection.settle();
        self.untold = Some(note.clone());
        if keep {
            self.publish(batch, &mut answers, &note);
        }
        Ok(answers)
    }

    /// Puts a kept checkpoint into the file. The database has it already, so a failure here
    /// concerns only those who asked for the checkpoint; the next one tries again.
    fn publish(&mut self, batch: &[Item], answers: &mut [Result<Answer>], note: &str) {
        let asked = |item: &Item| matches!(item.write, Write::Checkpoint);
        let wait = if batch.iter().any(asked) {
            Wait::Disk
        } else {
            Wait::Nothing
        };
        self.fold |= wait == Wait::Disk;
        let published = write_checkpoint(&self.dir, note, wait);
        if published.is_ok() {
            self.untold = None;
        }
        for (item, answer) in batch.iter().zip(answers) {
            if asked(item) {
                *answer = published.clone().map(|()| Answer::Note(note.to_owned()));
            }
        }
    }
}

/// The signed head over what a tree holds.
pub(crate) fn sign(frontier: &Frontier, key: &NodeKey, verifier: &VerifierKey) -> String {
    let head = Checkpoint {
        origin: verifier.name().to_owned(),
        size: frontier.size(),
        root: frontier.root(),
    };
    head.sign(key, verifier)
}

/// Stores the signed head over what the tree now holds.
pub(crate) fn seal(tx: &Connection, size: u64, note: &str, keep: bool) -> rusqlite::Result<()> {
    tx.execute("INSERT OR REPLACE INTO head VALUES (0, ?1)", [note])?;
    if keep {
        let sql = "INSERT OR REPLACE INTO checkpoints VALUES (?1, ?2)";
        tx.execute(sql, params![column(size), note])?;
    }
    Ok(())
}
