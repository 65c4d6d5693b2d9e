//! Reading a listing's shards on a few threads, a verdict for each.

pub use super::plan::Budget;

use super::anomaly::{After, Anomaly};
use super::examine::{Examined, Examiner};
use super::expand::Buffers;
use super::layout::Transform;
use super::listing::{Listed, Listing, Size};
use super::plan;
use super::store::Store;
use keepwell_model::store::{Remembered, State, Verdict};
use keepwell_model::words::Refusal;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Eight files in flight keep an SSD busy; a thread costs a buffer of 64 KiB.
const THREADS_MAX: usize = 8;
/// A zstd window is up to 8 MiB for each thread.
const ZSTD_THREADS_MAX: usize = 4;
/// Verdicts waiting for the task; when it does not fetch them, reading pauses.
const QUEUE_MAX: usize = 1_024;
/// Hashing needs little; the default would reserve 2 MiB.
const STACK_BYTES: usize = 512 << 10;

/// How far a scrub came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Shards whose verdict was given.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Shards that the scrub reads in all, within its budget.
    pub total_shards: u64,
    /// Their bytes.
    pub total_bytes: u64,
    /// Shards left out because the budget did not reach; those that time did not reach are added
    /// when the scrub ends.
    pub left: u64,
}

struct Shared {
    store: Arc<Store>,
    listing: Listing,
    next: AtomicUsize,
    stop: AtomicBool,
    deadline: Option<Instant>,
    out_of_time: AtomicBool,
}

enum Message {
    Done {
        index: usize,
        verdict: Verdict,
        at: Instant,
    },
    Gone(Refusal),
}

/// A running verification. Dropping it stops its threads at their next buffer and joins them.
pub struct Scrub {
    shared: Arc<Shared>,
    verdicts: Option<Receiver<Message>>,
    threads: Vec<JoinHandle<()>>,
    /// What the listing found, given first.
    anomalies: VecDeque<Anomaly>,
    /// With the moment of verification where the verdict was `ok`.
    memory: Vec<(Remembered, Option<Instant>)>,
    gone: Vec<String>,
    progress: Scrubbed,
    ended: Option<Result<(), Refusal>>,
}

impl Scrub {
    /// Starts reading, least recently verified first. Refusal: `io` if a thread cannot be started.
    pub fn start(
        store: Arc<Store>,
        mut listing: Listing,
        budget: &Budget,
    ) -> Result<Self, Refusal> {
        let left = plan::choose(&mut listing.shards, budget);
        let mut anomalies = VecDeque::from(std::mem::take(&mut listing.anomalies));
        if let Some((name, bytes, count)) = left.never {
            anomalies.push_front(never_fits(name, bytes, count));
        }
        let progress = Scrubbed {
            total_shards: listing.shards.len() as u64,
            total_bytes: listing.shards.iter().map(|s| s.bytes).sum(),
            left: left.shards,
            ..Scrubbed::default()
        };
        let count = threads(&store, listing.shards.len());
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let mut scrub = Self {
            shared: Arc::new(Shared {
                store,
                listing,
                next: AtomicUsize::new(0),
                stop: AtomicBool::new(false),
                deadline: budget.max_time.and_then(|t| Instant::now().checked_add(t)),
                out_of_time: AtomicBool::new(false),
            }),
            verdicts: Some(receiver),
            threads: vec![],
            anomalies,
            memory: vec![],
            gone: vec![],
            progress,
            ended: None,
        };
        for _ in 0..count {
            let (shared, sender) = (Arc::clone(&scrub.shared), sender.clone());
            let thread = std::thread::Builder::new()
                .name("scrub".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || shared.work(&sender))
                .map_err(|e| Refusal::io(format!("cannot start a thread to read with: {e}")))?;
            scrub.threads.push(thread);
        }
        Ok(scrub)
    }

    /// At most `max` verdicts (at least one is asked for): waits for the first, then takes what
    /// comes within `wait`. Empty only at the end. Refusals: `gone` (the store went away), `io`.
    pub fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<Verdict>, Refusal> {
        let max = max.max(1);
        let mut given = vec![];
        while given.len() < max
            && let Some(anomaly) = self.anomalies.pop_front()
        {
            given.push(self.note_anomaly(anomaly));
        }
        let until = Instant::now().checked_add(wait);
        while given.len() < max && self.ended.is_none() {
            match self.receive(given.is_empty(), until) {
                Ok(Message::Done { index, verdict, at }) => {
                    self.note(index, &verdict, at);
                    given.push(verdict);
                }
                Ok(Message::Gone(refusal)) => self.end(Err(refusal)),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    let result = self.settle();
                    self.end(result);
                }
            }
        }
        match &self.ended {
            Some(Err(refusal)) if given.is_empty() => Err(refusal.clone()),
            Some(Ok(()) | Err(_)) | None => Ok(given),
        }
    }

    fn receive(&self, first: bool, until: Option<Instant>) -> Result<Message, RecvTimeoutError> {
        let Some(verdicts) = &self.verdicts else {
            return Err(RecvTimeoutError::Disconnected);
        };
        match until {
            Some(until) if !first => {
                verdicts.recv_timeout(until.saturating_duration_since(Instant::now()))
            }
            Some(_) | None => verdicts.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// All threads have ended: is everything read, or did time run out?
    fn settle(&mut self) -> Result<(), Refusal> {
        let unread = self.progress.total_shards - self.progress.shards;
        if unread == 0 {
            return Ok(());
        }
        if self.shared.out_of_time.load(Ordering::Acquire) {
            self.progress.left += unread;
            return Ok(());
        }
        Err(Refusal::io(format!(
            "reading ended before {unread} shards were verified; this is a fault of ours"
        )))
    }

    fn end(&mut self, result: Result<(), Refusal>) {
        self.ended = Some(result);
        self.halt();
    }

    /// How far it came, counted by verdicts given.
    pub fn progress(&self) -> Scrubbed {
        self.progress
    }

    /// What the host shall remember and forget, for the verdicts given since the last call.
    /// `now_ms`: milliseconds since the Unix epoch.
    pub fn take_memory(&mut self, now_ms: u64) -> (Vec<Remembered>, Vec<String>) {
        let stamp = |(mut shard, at): (Remembered, Option<Instant>)| {
            if let Some(at) = at {
                let ago = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
                shard.verified_ms = Some(now_ms.saturating_sub(ago));
            }
            shard
        };
        let memory = std::mem::take(&mut self.memory);
        let gone = std::mem::take(&mut self.gone);
        (memory.into_iter().map(stamp).collect(), gone)
    }

    fn note_anomaly(&mut self, anomaly: Anomaly) -> Verdict {
        match anomaly.after {
            After::Nothing => {}
            After::Remember(shard) => self.memory.push((shard, None)),
            After::Forget => self.gone.push(anomaly.verdict.shard.clone()),
        }
        anomaly.verdict
    }

    fn note(&mut self, index: usize, verdict: &Verdict, at: Instant) {
        self.progress.shards += 1;
        let Some(shard) = self.shared.listing.shards.get(index) else {
            return;
        };
        self.progress.bytes += shard.bytes;
        let good = verdict.state == State::Ok;
        if verdict.state == State::Vanished {
            self.gone.push(verdict.shard.clone());
            return;
        }
        let bytes = match shard.size {
            // A damaged shard's size must not become the right one.
            Size::Exactly(right) | Size::Once(right) if !good => right,
            Size::Exactly(_) | Size::Once(_) | Size::Unknown => verdict.bytes,
        };
        let remembered = Remembered {
            shard: verdict.shard.clone(),
            bytes,
            verified_ms: shard.verified_ms,
            state: verdict.state,
        };
        self.memory.push((remembered, good.then_some(at)));
    }

    fn halt(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // Without a receiver, a thread that waits to send goes on, and ends.
        self.verdicts = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so; `settle` reports the shards it left.
            let _panicked = thread.join();
        }
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        self.halt();
    }
}

impl std::fmt::Debug for Scrub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrub")
            .field("progress", &self.progress)
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn go_on(&self) -> bool {
        if self.stop.load(Ordering::Acquire) {
            return false;
        }
        let late = self.deadline.is_some_and(|at| Instant::now() >= at);
        if late {
            self.out_of_time.store(true, Ordering::Release);
        }
        !late
    }

    fn work(&self, verdicts: &SyncSender<Message>) {
        let transform = transform(&self.store);
        let go_on = || self.go_on();
        let mut examiner = Examiner {
            store: &self.store,
            listing: &self.listing,
            go_on: &go_on,
            buffers: Buffers::new(transform),
        };
        let mut first = true;
        while self.go_on() {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(shard) = self.listing.shards.get(index) else {
                return;
            };
            let message = match examiner.examine(shard) {
                Examined::Done(verdict) => done(index, verdict),
                // It had all the time there was and will not fit the next scrub either.
                Examined::Stopped if first && self.out_of_time.load(Ordering::Acquire) => {
                    done(index, too_slow(shard))
                }
                Examined::Stopped => return,
                Examined::Gone(refusal) => Message::Gone(refusal),
            };
            first = false;
            if verdicts.send(message).is_err() {
                return;
            }
        }
    }
}

fn done(index: usize, verdict: Verdict) -> Message {
    Message::Done {
        index,
        verdict,
        at: Instant::now(),
    }
}

fn transform(store: &Store) -> Transform {
    store
        .layout
        .as_ref()
        .map_or(Transform::None, |l| l.transform)
}

fn threads(store: &Store, shards: usize) -> usize {
    let most = if transform(store) == Transform::Zstd {
        ZSTD_THREADS_MAX
    } else {
        THREADS_MAX
    };
    // Inside the walls the quota files may be closed; the number of cores is known all the same.
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    cores.min(most).min(shards)
}

fn too_slow(shard: &Listed) -> Verdict {
    Verdict {
        shard: shard.name.clone(),
        state: State::Unverifiable,
        bytes: shard.bytes,
        detail: Some("the time budget alone is too short to read it".to_owned()),
    }
}

fn never_fits(name: String, bytes: u64, count: u64) -> Anomaly {
    Anomaly {
        verdict: Verdict {
            shard: name,
            state: State::Unverifiable,
            bytes,
            detail: Some(format!(
                "larger than the whole budget of bytes, like {} others; none of them is ever read \
                 until `max-bytes` is raised",
                count - 1
            )),
        },
        after: After::Nothing,
    }
}
