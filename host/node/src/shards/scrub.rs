//! A running verification: what it gives, how far it is, what is remembered of it.

pub use super::plan::Budget;

use super::anomaly::{After, Anomaly};
use super::listing::{Listing, Size};
use super::plan;
use super::reader::{Message, Shared};
use super::store::Store;
use keepwell_model::store::{Remembered, State, Verdict};
use keepwell_model::words::Refusal;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Verdicts waiting for the task; when it does not fetch them, reading pauses.
const QUEUE_MAX: usize = 1_024;

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
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let deadline = budget.max_time.and_then(|t| Instant::now().checked_add(t));
        let shared = Arc::new(Shared::new(store, listing, deadline));
        let mut scrub = Self {
            shared: Arc::clone(&shared),
            verdicts: Some(receiver),
            threads: vec![],
            anomalies,
            memory: vec![],
            gone: vec![],
            progress,
            ended: None,
        };
        for _ in 0..shared.threads() {
            scrub.threads.push(Shared::spawn(&shared, sender.clone())?);
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

    /// Nothing is read for so long.
    pub fn rest(&self, rest: Duration) {
        self.shared.rest(rest);
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
        if self.shared.ran_out_of_time() {
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
        let Some(shard) = self.shared.listing().shards.get(index) else {
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
        self.shared.stop();
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
