//! What worker and host say to each other, and what a look starts from and ends in.

mod last_word;
mod state;

pub(crate) use last_word::Finished;
pub use state::{StateAnswer, StateAsk};

use crate::fail::Fail;
use keepwell_model::action::{EntryKind, Identity, RelPath};
use keepwell_model::budget::ScrubBudget;
use keepwell_model::event::{Call, Usage, Walls};
use keepwell_model::grant::{Grant, Tier};
use keepwell_model::id::{ParamName, RootName, StoreName};
use keepwell_model::limits::{LimitName, Limits};
use keepwell_model::store::{Remembered, StoreConfig};
use keepwell_model::words::{Failure, Finding, LogLine, Metric, Progress, Refusal, Summary};
use keepwell_node::metrics::{Cpu, Memory};
use keepwell_node::mounts::Mount;
use keepwell_node::networks::Network;
use keepwell_node::pressure::{Contended, Pressure};
use keepwell_node::processes::{Order, Process};
use keepwell_node::root::Root;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Everything a worker may know: the first frame it reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assignment {
    pub entry: Entry,
    /// The settings' JSON object.
    pub task_settings: String,
    /// The run's own time, milliseconds since the Unix epoch.
    pub now_ms: u64,
    pub last_checkpoint: Option<Vec<u8>>,
    pub limits: Limits,
    pub metrics: bool,
    /// Roots granted for reading.
    pub storage: BTreeMap<RootName, RootAt>,
    /// Roots granted for cleaning. Proposals are checked by the host again.
    pub cleanable: Vec<RootName>,
    #[serde(with = "as_json")]
    pub stores: BTreeMap<StoreName, StoreConfig>,
    pub scrub_budget: ScrubBudget,
    /// Parameters granted for reading, and for proposing. The host looks them up again.
    pub readable: Vec<ParamName>,
    pub writable: Vec<ParamName>,
    /// The task may keep something for itself. What and how much, only the host knows.
    pub state: bool,
    /// Refuse to run without Landlock and seccomp.
    pub walls_required: bool,
    /// A call that fails although it would not, while a plugin is rehearsed.
    pub fail: Option<Fail>,
}

/// Where a root is, and which directory it was when the host looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootAt {
    pub path: PathBuf,
    /// Device and inode; `None` when it was not there.
    pub identity: Option<(u64, u64)>,
}

/// What the guest is called for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Entry {
    Describe,
    Run {
        task: String,
        trigger: String,
    },
    Review {
        task: String,
        trigger: String,
        before: Summary,
        done: u64,
        not_done: u64,
        applied: Vec<AppliedAction>,
    },
}

/// One action as it came out, for the review.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppliedAction {
    pub action: u64,
    pub done: bool,
    pub detail: Option<String>,
}

impl Assignment {
    /// What `grant` allows, for one entry. Looks at the granted roots, so that the worker can
    /// tell whether they were replaced meanwhile.
    pub fn new(
        grant: &Grant,
        entry: Entry,
        task_settings: String,
        now_ms: u64,
        last_checkpoint: Option<Vec<u8>>,
    ) -> Self {
        let located = |(name, path): (&RootName, &PathBuf)| {
            let identity = Root::open(name, path).ok().map(|root| root.identity());
            (
                name.clone(),
                RootAt {
                    path: path.clone(),
                    identity,
                },
            )
        };
        let storage = grant
            .storage
            .iter()
            .flat_map(|s| &s.roots)
            .map(located)
            .collect();
        let shards = grant.shards.as_ref();
        Self {
            entry,
            task_settings,
            now_ms,
            last_checkpoint,
            limits: grant.limits.clone(),
            metrics: grant.metrics,
            storage,
            cleanable: grant
                .clean
                .iter()
                .flat_map(|c| c.roots.keys().cloned())
                .collect(),
            stores: shards.map(|s| s.stores.clone()).unwrap_or_default(),
            scrub_budget: shards.map(|s| s.budget.clone()).unwrap_or_default(),
            readable: (grant.config_read.iter())
                .flat_map(|c| c.params.keys().cloned())
                .collect(),
            writable: (grant.config_write.iter())
                .flat_map(|c| c.params.keys().cloned())
                .collect(),
            state: grant.state.is_some(),
            walls_required: grant.signer.tier != Tier::Own,
            fail: None,
        }
    }

    /// An assignment that grants nothing, for `describe`.
    pub fn describe(limits: Limits, walls_required: bool) -> Self {
        Self {
            entry: Entry::Describe,
            task_settings: "{}".to_owned(),
            now_ms: 0,
            last_checkpoint: None,
            limits,
            metrics: false,
            storage: BTreeMap::new(),
            cleanable: Vec::new(),
            stores: BTreeMap::new(),
            scrub_budget: ScrubBudget::default(),
            readable: Vec::new(),
            writable: Vec::new(),
            state: false,
            walls_required,
            fail: None,
        }
    }
}

/// What the worker tells, in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Told {
    /// The walls stand and the code is loaded; guest code runs from here.
    Ready(Walls),
    Logged(LogLine),
    Found(Finding),
    Measured(Metric),
    Progressed(Progress),
    Checkpointed(Vec<u8>),
    /// Calls since the last batch; `more` were made beyond those kept one by one.
    Called {
        calls: Vec<Call>,
        more: u64,
    },
    Refused {
        function: String,
        subject: String,
        refusal: Refusal,
    },
    /// What a scrub learned of a store's shards; comes in pieces.
    Verified {
        store: String,
        remembered: Vec<Remembered>,
        gone: Vec<String>,
    },
}

/// What only the host may answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ask {
    /// How long to rest before more is read, because others need the machine.
    Rest,
    Cpu,
    Memory,
    Pressure(Contended),
    Mounts,
    Networks,
    Processes {
        order: Order,
        max: usize,
    },
    InUse,
    Remembered {
        store: String,
    },
    StoreFigures {
        store: String,
    },
    Propose {
        root: String,
        proposals: Vec<Proposal>,
    },
    ProposeTree {
        root: String,
        path: RelPath,
        identity: Identity,
        reason: String,
    },
    Param {
        name: String,
    },
    ProposeConfig {
        name: String,
        value: String,
        reason: String,
    },
    State(StateAsk),
}

/// One entry to be quarantined, as the guest handed it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    pub path: RelPath,
    pub kind: EntryKind,
    pub identity: Identity,
    pub touched_ms: u64,
    pub in_use: bool,
    pub reason: String,
}

/// Device and inode of each file in use, and whether that is all of them.
pub type InUsePairs = (Vec<(u64, u64)>, bool);

/// From a store's last complete listing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFigures {
    pub shards: Option<u64>,
    pub bytes: Option<u64>,
    /// Milliseconds since the Unix epoch; `None` when some shard was never verified.
    pub oldest_verified_ms: Option<u64>,
}

/// A parameter as a task sees it; values as text, as [`keepwell_model::param::Shape::parse`] reads
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamSheet {
    pub kind: String,
    pub current: String,
    pub least: Option<String>,
    pub most: Option<String>,
    pub step: Option<String>,
    pub values: Vec<String>,
    pub unit: Option<String>,
    pub guard: Option<String>,
    pub soak_ms: u64,
    pub revert_after_ms: u64,
    /// Oldest first.
    pub tried: Vec<Tried>,
}

/// One change of it that was made, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    pub at_ms: u64,
    pub old: String,
    pub new: String,
    /// `armed`, `confirmed`, `reverted`, `overtaken`.
    pub state: String,
}

/// The answer to an [`Ask`], of the same name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answer {
    /// Milliseconds.
    Rest(u64),
    Cpu(Result<Cpu, Refusal>),
    Memory(Result<Memory, Refusal>),
    Pressure(Result<Option<Pressure>, Refusal>),
    /// The mounts, and the paths of those that did not answer in time.
    Mounts(Result<(Vec<Mount>, Vec<String>), Refusal>),
    Networks(Result<Vec<Network>, Refusal>),
    Processes(Result<Vec<Process>, Refusal>),
    InUse(Result<InUsePairs, Refusal>),
    Remembered(Result<Vec<Remembered>, Refusal>),
    StoreFigures(Result<StoreFigures, Refusal>),
    /// One answer for each proposal, in order.
    Proposed(Result<Vec<Result<u64, Refusal>>, Refusal>),
    ProposedTree(Result<u64, Refusal>),
    Param(Result<ParamSheet, Refusal>),
    ProposedConfig(Result<u64, Refusal>),
    State(Result<StateAnswer, Refusal>),
}

/// The broker wants no more of this run; the worker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// Who listens to a worker and answers it.
pub trait Broker {
    fn told(&mut self, told: Told) -> Result<(), Stop>;
    fn ask(&mut self, ask: Ask) -> Answer;
}

/// What is needed to start a worker.
#[derive(Debug)]
pub struct Launch<'a> {
    pub program: &'a Path,
    /// The arguments that lead `program` to [`crate::worker_main`].
    pub args: &'a [&'a str],
    /// Sealed machine code that [`crate::unseal`] accepted, still open; the worker's stdin.
    pub code: File,
    pub assignment: &'a Assignment,
}

/// How a look ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub outcome: Outcome,
    pub usage: Usage,
    /// `None` when the worker never got that far.
    pub walls: Option<Walls>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The plugin's manifest, as JSON.
    Described(String),
    Summarized(Summary),
    Failed(Failure),
    Limited {
        limit: LimitName,
        detail: String,
    },
    Trapped {
        message: String,
    },
    Cancelled,
    /// The worker was killed by a signal, ended without a word, or broke the protocol.
    Died {
        detail: String,
    },
    /// A wall that was required does not stand.
    Unwalled {
        detail: String,
    },
}

/// What the worker sends, frame by frame.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    Told(Told),
    Ask(Ask),
    Finished { finished: Finished, usage: Usage },
}

/// What the host sends after the assignment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ToWorker {
    pub(crate) answer: Answer,
    /// The same answer goes on in the next frame.
    pub(crate) more: bool,
}

/// Store configurations leave out absent keys, which postcard cannot read back; as JSON inside
/// the frame they can.
mod as_json {
    use super::{BTreeMap, StoreConfig, StoreName};
    use serde::{Deserialize as _, Deserializer, Serializer, de, ser};

    type Stores = BTreeMap<StoreName, StoreConfig>;

    pub(super) fn serialize<S: Serializer>(stores: &Stores, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&serde_json::to_string(stores).map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Stores, D::Error> {
        serde_json::from_str(&String::deserialize(d)?).map_err(de::Error::custom)
    }
}
