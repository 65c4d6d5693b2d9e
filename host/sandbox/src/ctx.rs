//! What the host side of the interfaces works with while one guest runs: the assignment, the
//! channel, the clocks and the counts.

use crate::bounds::{Crossed, Meter, TICK, thread_cpu};
use crate::fail::{FailEnd, Injected};
use crate::frame::FrameError;
use crate::interface::bindings::types as wit;
use crate::interface::wasi::Lines;
use crate::protocol::{Answer, Ask, Assignment, Told};
use crate::recount::{
    CALLS_KEPT, OFTEN, REFUSALS_KEPT, Reported, WORD_MAX_BYTES, checkpoint_every,
};
use crate::wire::Wire;
use keepwell_model::capability::Capability;
use keepwell_model::event::{Call, Usage};
use keepwell_model::words::{Progress, Refusal, printable};
use keepwell_node::in_use::InUse;
use keepwell_node::metrics::Cpu;
use keepwell_node::root::Root;
use keepwell_node::shards::Store;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTable;

/// Calls in one batch.
const BATCH: usize = 256;

/// A root or store that was granted: opened before the walls, or why it could not be.
pub(crate) type Opened<T> = BTreeMap<String, Result<Arc<T>, Refusal>>;

/// What scrubs have taken of the run's budget.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scrubbed {
    pub(crate) bytes: u64,
    pub(crate) shards: u64,
    /// When the first of them began, since the look did.
    pub(crate) since: Option<Duration>,
}

/// The store's own state.
pub(crate) struct Ctx {
    pub(crate) assignment: Assignment,
    pub(crate) wire: Wire,
    pub(crate) meter: Meter,
    pub(crate) table: ResourceTable,
    pub(crate) roots: Opened<Root>,
    pub(crate) stores: Opened<Store>,
    pub(crate) counts: Counts,
    /// Calls that a test counts, to have one of them fail.
    counted_to_fail: u64,
    pub(crate) walkers_open: u32,
    pub(crate) scrub_open: bool,
    /// What the scrubs of this run have read, all together.
    pub(crate) scrubbed: Scrubbed,
    pub(crate) cpu: Option<Result<Cpu, Refusal>>,
    /// Measured once in a run, as the contract says.
    pub(crate) root_infos: Option<Vec<crate::interface::bindings::storage::RootInfo>>,
    /// What was printed through WASI and has no end of line yet.
    pub(crate) lines: Lines,
    /// Numbers drawn from the insecure randomness of WASI.
    pub(crate) insecure_drawn: u64,
    in_use: Option<Arc<InUse>>,
    calls: Vec<Call>,
    calls_told: Instant,
    /// Calls that are only counted, and how many of them are told the next time.
    more_calls: u64,
    more_due: u64,
    pub(crate) progress: Seldom<Progress>,
    pub(crate) checkpoint: Seldom<Vec<u8>>,
}

/// What was counted so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) log_bytes: u64,
    pub(crate) findings: Reported,
    pub(crate) metrics: Reported,
    pub(crate) calls: u64,
    pub(crate) refusals: u64,
}

/// Why a call has no result: a refusal goes to the guest, anything else ends the run.
#[derive(Debug)]
pub(crate) enum No {
    Refused(Refusal),
    Ended(wasmtime::Error),
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<FrameError> for No {
    fn from(e: FrameError) -> Self {
        Self::Ended(wasmtime::Error::new(e))
    }
}

impl From<Crossed> for No {
    fn from(crossed: Crossed) -> Self {
        Self::Ended(wasmtime::Error::new(crossed))
    }
}

/// A call's answer as the bindings want it.
pub(crate) type Answered<T> = wasmtime::Result<Result<T, wit::Refusal>>;

impl Ctx {
    pub(crate) fn new(
        assignment: Assignment,
        wire: Wire,
        roots: Opened<Root>,
        stores: Opened<Store>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(assignment.limits.handles).unwrap_or(usize::MAX));
        let meter = Meter::start(&assignment.limits);
        Self {
            assignment,
            wire,
            meter,
            table,
            roots,
            stores,
            counts: Counts::default(),
            counted_to_fail: 0,
            walkers_open: 0,
            scrub_open: false,
            scrubbed: Scrubbed::default(),
            cpu: None,
            root_infos: None,
            lines: Lines::default(),
            insecure_drawn: 0,
            in_use: None,
            calls: Vec::new(),
            calls_told: Instant::now(),
            more_calls: 0,
            more_due: BATCH as u64,
            progress: Seldom::new(),
            checkpoint: Seldom::new(),
        }
    }

    /// One call of a capability: the host's work in it is charged to the host, the call and its
    /// result are recorded, a refusal is told.
    pub(crate) fn call<T>(
        &mut self,
        function: &'static str,
        subject: &str,
        work: impl FnOnce(&mut Self) -> Result<T, No>,
    ) -> Answered<T> {
        let since = thread_cpu();
        let fail = self.made_to_fail(function);
        let result = match fail {
            Some(end) => Err(self.inject(function, subject, end)?),
            None => work(self),
        };
        let answered = match result {
            Ok(value) => {
                self.record(function, subject, "ok")?;
                Ok(value)
            }
            Err(No::Refused(refusal)) => {
                let injected = fail.map(FailEnd::result);
                let result = injected.as_deref().unwrap_or(refusal.code.as_str());
                self.refused(function, subject, &refusal, result)?;
                Err(wit::Refusal::from(refusal))
            }
            Err(No::Ended(error)) => return Err(error),
        };
        self.meter.host_worked_since(since);
        self.meter.check().map_err(wasmtime::Error::new)?;
        Ok(answered)
    }

    /// The end that a test wants of this call.
    fn made_to_fail(&mut self, function: &str) -> Option<FailEnd> {
        let fail = self.assignment.fail.as_ref()?;
        if !fail.counts(function) {
            return None;
        }
        self.counted_to_fail += 1;
        (self.counted_to_fail == fail.at).then_some(fail.end)
    }

    /// What the call comes to instead of its work. What ends the run is told before it does.
    fn inject(&mut self, function: &str, subject: &str, end: FailEnd) -> wasmtime::Result<No> {
        let crossed = match end.ends() {
            Injected::Refused(refusal) => return Ok(refusal.into()),
            Injected::Crossed(crossed) => Some(crossed),
            Injected::Waits => None,
        };
        self.record(function, subject, &end.result())?;
        self.tell_calls()?;
        if let Some(crossed) = crossed {
            return Ok(crossed.into());
        }
        loop {
            std::thread::sleep(TICK);
            self.meter.check().map_err(wasmtime::Error::new)?;
        }
    }

    /// Whether the capability is held at all; which root or store is checked by its own call.
    pub(crate) fn need(&self, capability: Capability) -> Result<(), Refusal> {
        let a = &self.assignment;
        let held = match capability {
            Capability::Metrics => a.metrics,
            Capability::Storage => !a.storage.is_empty(),
            Capability::StorageClean => !a.cleanable.is_empty(),
            Capability::Shards => !a.stores.is_empty(),
            Capability::ConfigRead => !a.readable.is_empty(),
            Capability::ConfigWrite => !a.writable.is_empty(),
            Capability::State => a.state,
        };
        if held {
            return Ok(());
        }
        Err(
            Refusal::denied(format!("`{capability}` is not granted to this task")).hint(format!(
                "add `{}` to [grant] of this task",
                capability.example()
            )),
        )
    }

    pub(crate) fn ask(&mut self, ask: Ask) -> Result<Answer, No> {
        self.flush()?;
        Ok(self.wire.ask(ask)?)
    }

    pub(crate) fn tell(&mut self, told: Told) -> Result<(), No> {
        Ok(self.wire.tell(told)?)
    }

    /// Files in use, asked of the host once.
    pub(crate) fn in_use(&mut self) -> Result<Arc<InUse>, No> {
        if let Some(known) = &self.in_use {
            return Ok(Arc::clone(known));
        }
        let Answer::InUse(answer) = self.ask(Ask::InUse)? else {
            return Err(wrong_answer());
        };
        let (pairs, complete) = answer?;
        let known = Arc::new(InUse::from_pairs(pairs, complete));
        self.in_use = Some(Arc::clone(&known));
        Ok(known)
    }

    /// What was held back is told.
    pub(crate) fn flush(&mut self) -> Result<(), FrameError> {
        if let Some(progress) = self.progress.take(OFTEN) {
            self.wire.tell(Told::Progressed(progress))?;
        }
        if let Some(state) = self.checkpoint.take(checkpoint_every(self.meter.wall())) {
            self.wire.tell(Told::Checkpointed(state))?;
        }
        // Each telling is a record: a task that asks and asks must not make one of each call.
        if self.calls.is_empty() || self.calls_told.elapsed() < OFTEN {
            return Ok(());
        }
        self.tell_calls()
    }

    /// The calls since they were last told. Each telling becomes a record.
    pub(crate) fn tell_calls(&mut self) -> Result<(), FrameError> {
        let calls = std::mem::take(&mut self.calls);
        let more = std::mem::take(&mut self.more_calls);
        self.calls_told = Instant::now();
        if calls.is_empty() && more == 0 {
            return Ok(());
        }
        self.wire.tell(Told::Called { calls, more })
    }

    pub(crate) fn usage(&self, fuel: u64, worker_bytes: u64) -> Usage {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        Usage {
            fuel,
            cpu_us: micros(self.meter.guest_cpu()),
            wall_us: micros(self.meter.wall()),
            memory_bytes: self.meter.memory_peak() as u64,
            worker_bytes,
            calls: self.counts.calls,
            refusals: self.counts.refusals,
            log_bytes: self.counts.log_bytes,
        }
    }

    fn refused(
        &mut self,
        function: &str,
        subject: &str,
        refusal: &Refusal,
        result: &str,
    ) -> Result<(), FrameError> {
        self.record(function, subject, result)?;
        self.counts.refusals += 1;
        if self.counts.refusals > REFUSALS_KEPT {
            return Ok(());
        }
        self.wire.tell(Told::Refused {
            function: function.to_owned(),
            subject: printable(subject, WORD_MAX_BYTES),
            refusal: refusal.clone(),
        })
    }

    fn record(&mut self, function: &str, subject: &str, result: &str) -> Result<(), FrameError> {
        self.counts.calls += 1;
        if self.counts.calls > CALLS_KEPT {
            self.more_calls += 1;
            // The more there are, the more seldom: however many are made, few records tell it.
            if self.more_calls < self.more_due {
                return Ok(());
            }
            self.more_due = self.more_due.saturating_mul(2);
            return self.tell_calls();
        }
        self.calls.push(Call {
            function: function.to_owned(),
            subject: printable(subject, WORD_MAX_BYTES),
            result: result.to_owned(),
        });
        if self.calls.len() < BATCH {
            return Ok(());
        }
        self.tell_calls()
    }
}

/// The host answered something else than was asked: the channel is not to be trusted.
pub(crate) fn wrong_answer() -> No {
    No::Ended(wasmtime::Error::msg(
        "the host's answer does not fit what was asked",
    ))
}

/// Holds the newest value back until the last one was a while ago.
#[derive(Debug)]
pub(crate) struct Seldom<T> {
    held: Option<T>,
    told: Option<Instant>,
}

impl<T> Seldom<T> {
    const fn new() -> Self {
        Self {
            held: None,
            told: None,
        }
    }

    /// The value back, when the last was told at least `every` ago.
    pub(crate) fn put(&mut self, value: T, every: Duration) -> Option<T> {
        self.held = Some(value);
        self.take(every)
    }

    /// What is held back, when it is time to tell it.
    fn take(&mut self, every: Duration) -> Option<T> {
        let due = self.told.is_none_or(|told| told.elapsed() >= every);
        if due { self.last() } else { None }
    }

    /// What is still held back, at the end.
    pub(crate) fn last(&mut self) -> Option<T> {
        let last = self.held.take();
        if last.is_some() {
            self.told = Some(Instant::now());
        }
        last
    }
}
