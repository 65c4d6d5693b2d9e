//! The threads of a scrub: each takes the next shard, reads it, and sends its verdict.

use super::examine::{Examined, Examiner};
use super::expand::Buffers;
use super::layout::{Layout, Transform};
use super::listing::{Listed, Listing};
use super::store::Store;
use keepwell_model::store::{State, Verdict};
use keepwell_model::words::Refusal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Eight files in flight keep an SSD busy; a thread costs a buffer of 64 KiB.
const THREADS_MAX: usize = 8;
/// A zstd window is up to 8 MiB for each thread.
const ZSTD_THREADS_MAX: usize = 4;
/// Hashing needs little; the default would reserve 2 MiB.
const STACK_BYTES: usize = 512 << 10;

/// A thread that rests looks this often whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the threads of one scrub have in common.
pub(super) struct Shared {
    store: Arc<Store>,
    listing: Listing,
    /// The next shard that nobody has taken yet.
    next: AtomicUsize,
    stop: AtomicBool,
    deadline: Option<Instant>,
    out_of_time: AtomicBool,
    began: Instant,
    /// Milliseconds from `began` until which nobody reads.
    rests_until: AtomicU64,
}

/// What a thread tells.
pub(super) enum Message {
    Done {
        index: usize,
        verdict: Verdict,
        at: Instant,
    },
    Gone(Refusal),
}

impl Shared {
    pub(super) fn new(store: Arc<Store>, listing: Listing, deadline: Option<Instant>) -> Self {
        Self {
            store,
            listing,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            deadline,
            out_of_time: AtomicBool::new(false),
            began: Instant::now(),
            rests_until: AtomicU64::new(0),
        }
    }

    /// All threads rest for so long, each from its next buffer on.
    pub(super) fn rest(&self, rest: Duration) {
        let until = self.began.elapsed().saturating_add(rest).as_millis();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        self.rests_until.fetch_max(until, Ordering::Relaxed);
    }

    fn rest_left(&self) -> Option<Duration> {
        let until = Duration::from_millis(self.rests_until.load(Ordering::Relaxed));
        let left = until.checked_sub(self.began.elapsed())?;
        (!left.is_zero()).then_some(left)
    }

    pub(super) fn listing(&self) -> &Listing {
        &self.listing
    }

    /// What shards of this store may have to be expanded by.
    fn transforms(&self) -> impl Iterator<Item = Transform> {
        self.store.layout.iter().flat_map(Layout::transforms)
    }

    /// Ends all threads, each at its next buffer.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether some thread stopped because the deadline had passed.
    pub(super) fn ran_out_of_time(&self) -> bool {
        self.out_of_time.load(Ordering::Acquire)
    }

    /// How many threads are worth their cost.
    pub(super) fn threads(&self) -> usize {
        let most = if self.transforms().any(|it| it == Transform::Zstd) {
            ZSTD_THREADS_MAX
        } else {
            THREADS_MAX
        };
        // Inside the walls the quota files may be closed; the number of cores is known all the
        // same.
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        cores.min(most).min(self.listing.shards.len())
    }

    /// Starts one thread. Refusal: `io`.
    pub(super) fn spawn(
        shared: &Arc<Self>,
        verdicts: SyncSender<Message>,
    ) -> Result<JoinHandle<()>, Refusal> {
        let shared = Arc::clone(shared);
        std::thread::Builder::new()
            .name("scrub".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || shared.work(&verdicts))
            .map_err(|e| Refusal::io(format!("cannot start a thread to read with: {e}")))
    }

    /// Rests first, when the machine needs it.
    fn go_on(&self) -> bool {
        loop {
            if self.stop.load(Ordering::Acquire) {
                return false;
            }
            if self.deadline.is_some_and(|at| Instant::now() >= at) {
                self.out_of_time.store(true, Ordering::Release);
                return false;
            }
            let Some(left) = self.rest_left() else {
                return true;
            };
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }

    fn work(&self, verdicts: &SyncSender<Message>) {
        let expands = self.transforms().any(|it| it != Transform::None);
        let go_on = || self.go_on();
        let mut examiner = Examiner {
            store: &self.store,
            listing: &self.listing,
            go_on: &go_on,
            buffers: Buffers::new(expands),
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
                Examined::Stopped if first && self.ran_out_of_time() => {
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

fn too_slow(shard: &Listed) -> Verdict {
    Verdict {
        shard: shard.name.clone(),
        state: State::Unverifiable,
        bytes: shard.bytes,
        detail: Some("the time budget alone is too short to read it".to_owned()),
    }
}
