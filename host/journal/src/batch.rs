//! One transaction: records enter the tree and the tables made from them, or are refused alone.

use crate::control;
use crate::entry::Entry;
use crate::error::{ErrorKind, JournalError, Result};
use crate::merkle::{Frontier, Node};
use crate::projection::Projection;
use crate::queue::{Answer, Write};
use crate::schema::column;
use crate::slots;
use crate::tree::STORED_EVERY;
use keepwell_model::id::RunId;
use keepwell_model::store::Remembered;
use rusqlite::{Connection, Transaction, params};

/// The tree as this transaction leaves it.
pub(crate) struct Batch<'a> {
    pub(crate) tx: &'a Transaction<'a>,
    pub(crate) frontier: Frontier,
    pub(crate) projection: &'a mut Projection,
    /// The signed head is kept as a checkpoint.
    pub(crate) keep: bool,
}

impl Batch<'_> {
    /// One item. The outer error concerns the whole batch, the inner one this item alone, of
    /// which then nothing is written.
    pub(crate) fn write(&mut self, write: &Write) -> Result<Result<Answer>> {
        Ok(Ok(match write {
            Write::Entry { entry, keep } => {
                match self.admit(entry) {
                    Err(e) if e.kind() == ErrorKind::Taken => return Ok(Err(e)),
                    admitted => admitted?,
                }
                self.keep |= *keep;
                Answer::Index(self.enter(entry)?)
            }
            Write::Shards {
                store,
                shards,
                gone,
            } => {
                remember(self.tx, store, shards, gone)
                    .map_err(JournalError::sqlite("remember shards"))?;
                Answer::Done
            }
            Write::Prune(cut) => Answer::Pruned(crate::prune::cut(self, cut)?),
            Write::Checkpoint => {
                self.keep = true;
                Answer::Done
            }
            Write::Nothing => Answer::Done,
        }))
    }

    fn admit(&self, entry: &Entry) -> Result<()> {
        slots::admit(self.tx, self.projection, &entry.record)?;
        control::admit(self.tx, &entry.record)
    }

    /// Adds a record that was admitted; gives its index.
    pub(crate) fn enter(&mut self, entry: &Entry) -> Result<u64> {
        let record = &entry.record;
        let index = self.frontier.size();
        self.projection
            .add(self.tx, record, entry.bytes.len() as u64)?;
        slots::store(self.tx, record, index).map_err(JournalError::sqlite("store a slot"))?;
        control::store(self.tx, record, index).map_err(JournalError::sqlite("store a control"))?;
        self.insert(entry).map_err(JournalError::sqlite("append"))?;
        Ok(index)
    }

    fn insert(&mut self, entry: &Entry) -> rusqlite::Result<()> {
        let record = &entry.record;
        self.tx
            .prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![
                column(self.frontier.size()),
                entry.leaf,
                column(record.at),
                record.event.kind(),
                record.run.map(RunId::to_bytes),
                record.task,
                entry.bytes,
            ])?;
        let mut closed: Vec<Node> = vec![];
        self.frontier.push(entry.leaf, |node| {
            if node.level % STORED_EVERY == 0 {
                closed.push(node);
            }
        });
        for node in closed {
            self.tx
                .prepare_cached("INSERT INTO nodes VALUES (?1, ?2, ?3)")?
                .execute(params![node.level, column(node.index), node.hash])?;
        }
        Ok(())
    }
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
