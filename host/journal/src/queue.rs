//! What waits to be written, in order and bounded, between many callers and the one writer.

use crate::entry::Entry;
use crate::error::{JournalError, Result};
use crate::prune::{Cut, Cutting};
use keepwell_model::store::Remembered;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most that waits at a time. Beyond it callers wait, so a task that logs faster than the disk
/// writes is slowed and memory stays bounded.
const QUEUE_MAX: usize = 16_384;
const QUEUE_MAX_BYTES: usize = 32 << 20;
/// Most that one transaction takes, so that one fsync never makes callers wait for long.
const BATCH_MAX: usize = 4_096;
const BATCH_MAX_BYTES: usize = 8 << 20;
/// What nobody waits for is written at latest after this long.
const LAZY: Duration = Duration::from_millis(50);
/// Callers released by one batch come back within this; waiting for them makes the next batch as
/// large as the last instead of half as large.
const GATHER: Duration = Duration::from_millis(2);
/// After a failed write the next attempt comes this much later.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// A disk that does not answer for this long has failed, whatever it says later.
const HUNG: Duration = Duration::from_secs(60);
/// What an item costs beside its bytes, roughly.
const ITEM_BYTES: usize = 512;

/// One thing to write.
#[derive(Debug)]
pub(crate) enum Write {
    Entry {
        entry: Box<Entry>,
        /// Keep the signed head that covers it.
        keep: bool,
    },
    Shards {
        store: String,
        shards: Vec<Remembered>,
        gone: Vec<String>,
    },
    Prune(Cut),
    Checkpoint,
    /// Only that all before it is durable.
    Nothing,
}

/// What became of it.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Index(u64),
    Note(String),
    Pruned(Cutting),
    Done,
}

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) write: Write,
    bytes: usize,
    reply: Option<SyncSender<Result<Answer>>>,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    /// Items somebody waits for.
    waited: usize,
    oldest: Option<Instant>,
    failed: Option<Arc<str>>,
    /// Somebody asks for an attempt to write although the last failed.
    probe: bool,
    closed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    room: Condvar,
}

impl Queue {
    /// Nothing done under the lock can panic half-way, so a poisoned lock is still sound.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues without waiting for the disk.
    pub(crate) fn append(&self, write: Write) -> Result<()> {
        self.push(write, None)
    }

    /// Queues, and waits until it and all before it are durable.
    pub(crate) fn commit(&self, write: Write) -> Result<Answer> {
        let (reply, answer) = sync_channel(1);
        self.push(write, Some(reply))?;
        self.wait(&answer)
    }

    /// Attempts to write at once, even after a failure.
    pub(crate) fn probe(&self) -> Result<Answer> {
        let (reply, answer) = sync_channel(1);
        let mut state = self.lock();
        state.probe = true;
        put(&mut state, Write::Nothing, Some(reply));
        drop(state);
        self.changed.notify_one();
        self.wait(&answer)
    }

    fn wait(&self, answer: &Receiver<Result<Answer>>) -> Result<Answer> {
        answer.recv_timeout(HUNG).unwrap_or_else(|_| {
            let cause = self.lock().failed.clone();
            Err(JournalError::Unavailable {
                cause: cause.unwrap_or_else(|| "the disk does not answer".into()),
            })
        })
    }

    fn push(&self, write: Write, reply: Option<SyncSender<Result<Answer>>>) -> Result<()> {
        let bytes = size(&write);
        let mut state = self.lock();
        let since = Instant::now();
        loop {
            if let Some(cause) = &state.failed {
                let cause = cause.clone();
                return Err(JournalError::Unavailable { cause });
            }
            let full = state.items.len() >= QUEUE_MAX || state.bytes + bytes > QUEUE_MAX_BYTES;
            if !full || state.items.is_empty() {
                break;
            }
            let Some(left) = HUNG.checked_sub(since.elapsed()) else {
                let cause = "the disk does not keep up".into();
                return Err(JournalError::Unavailable { cause });
            };
            let waited = self.room.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        put(&mut state, write, reply);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The next batch; `None` when all is written and nobody will come. `last` is how many
    /// callers the batch before released.
    pub(crate) fn take(&self, last: usize) -> Option<Vec<Item>> {
        let since = Instant::now();
        let mut state = self.lock();
        while let Some(left) = state.not_yet(since, last) {
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.items.is_empty() && state.closed {
            return None;
        }
        state.probe = false;
        let mut batch = vec![];
        let mut bytes = 0;
        while let Some(item) = state.items.front() {
            let fits = batch.len() < BATCH_MAX && bytes + item.bytes <= BATCH_MAX_BYTES;
            if !fits && !batch.is_empty() {
                break;
            }
            bytes += item.bytes;
            batch.extend(state.items.pop_front());
        }
        state.bytes -= bytes;
        state.waited -= batch.iter().filter(|i| i.reply.is_some()).count();
        state.oldest = (!state.items.is_empty()).then(Instant::now);
        drop(state);
        self.room.notify_all();
        Some(batch)
    }

    /// The batch is durable: tells those who wait, and how many they were.
    pub(crate) fn written(&self, batch: Vec<Item>, answers: Vec<Result<Answer>>) -> usize {
        self.lock().failed = None;
        let mut released = 0;
        for (item, answer) in batch.into_iter().zip(answers) {
            if let Some(reply) = item.reply {
                released += 1;
                // Whoever stopped waiting has been told that the disk hung.
                let _ = reply.try_send(answer);
            }
        }
        released
    }

    /// Nothing of the batch is durable. Whoever waits learns it and its record is dropped, as
    /// nothing happened; records nobody waits for tell what did happen, and stay for later.
    pub(crate) fn failed(&self, batch: Vec<Item>, error: &JournalError) {
        let cause: Arc<str> = error.line().into();
        let mut state = self.lock();
        state.failed = Some(cause.clone());
        let queued = std::mem::take(&mut state.items);
        let (mut bytes, mut kept) = (0, VecDeque::new());
        for item in batch.into_iter().chain(queued) {
            if let Some(reply) = item.reply {
                let cause = cause.clone();
                let _ = reply.try_send(Err(JournalError::Unavailable { cause }));
            } else {
                bytes += item.bytes;
                kept.push_back(item);
            }
        }
        // One last attempt is made when closing; what fails then cannot be kept any longer.
        if state.closed {
            kept.clear();
            bytes = 0;
        }
        (state.items, state.bytes, state.waited) = (kept, bytes, 0);
        drop(state);
        self.room.notify_all();
    }

    /// The writer ended: nothing will be written any more.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.closed = true;
        let stopped = || Arc::from("its writer has stopped");
        state.failed.get_or_insert_with(stopped);
        state.items.clear();
        drop(state);
        self.room.notify_all();
    }

    /// No more callers: write what is there, then end.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }
}

impl State {
    /// How long the writer may still wait before it takes a batch; `None`: take it now.
    fn not_yet(&self, since: Instant, last: usize) -> Option<Duration> {
        if self.closed || self.probe {
            return None;
        }
        if self.failed.is_some() {
            return PROBE_EVERY.checked_sub(since.elapsed());
        }
        let Some(oldest) = self.oldest else {
            return Some(HUNG);
        };
        if self.items.len() >= BATCH_MAX || self.bytes >= BATCH_MAX_BYTES {
            return None;
        }
        if self.waited == 0 {
            return LAZY.checked_sub(oldest.elapsed());
        }
        if self.waited < last {
            return GATHER.checked_sub(since.elapsed());
        }
        None
    }
}

fn put(state: &mut State, write: Write, reply: Option<SyncSender<Result<Answer>>>) {
    let bytes = size(&write);
    state.bytes += bytes;
    state.waited += usize::from(reply.is_some());
    state.oldest.get_or_insert_with(Instant::now);
    state.items.push_back(Item {
        write,
        bytes,
        reply,
    });
}

/// What an item occupies in memory, roughly.
fn size(write: &Write) -> usize {
    ITEM_BYTES
        + match write {
            // The record and its encoding.
            Write::Entry { entry, .. } => 2 * entry.bytes.len(),
            Write::Shards { shards, gone, .. } => {
                let shards: usize = shards.iter().map(|s| s.shard.len() + 64).sum();
                shards + gone.iter().map(|name| name.len() + 24).sum::<usize>()
            }
            Write::Prune(cut) => cut.runs.len() * 16,
            Write::Checkpoint | Write::Nothing => 0,
        }
}
