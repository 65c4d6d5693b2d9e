//! What the journal records. Each record is one leaf of the Merkle tree, as JSON; everything that
//! is shown about a run is a fold over these.

mod kind;
mod run;

pub use self::run::{Call, Mode, NotDone, Usage, Walls};

use crate::action::Action;
use crate::approval;
use crate::bound::Bound;
use crate::grant::Grant;
use crate::id::{Digest, RunId};
use crate::limits::LimitName;
use crate::own_state::Figures;
use crate::param::Guard;
use crate::schedule::Criticality;
use crate::slot::Slot;
use crate::state::RunState;
use crate::words::{Finding, LogLine, Metric, Refusal, Summary};
use serde::{Deserialize, Serialize};

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Who caused it: `uid:1000`, `host`.
    pub actor: String,
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Event {
    NodeCreated {
        node: String,
    },
    PluginInstalled {
        plugin: String,
        version: String,
        bundle: Digest,
        component: Digest,
        signer: String,
        imports: Vec<String>,
    },
    PluginRemoved {
        plugin: String,
        version: String,
    },
    /// What the plugin's name alone means from here on.
    PluginSwitched {
        plugin: String,
        from: String,
        version: String,
        bundle: Digest,
    },
    /// It asks for more than the version before, or is older: it waits, and nothing of it runs.
    PluginHeld {
        plugin: String,
        version: String,
        bundle: Digest,
        component: Digest,
        signer: String,
        /// What it asks for beyond the active version, a line each.
        wider: Vec<String>,
    },
    /// A person lets the held version run.
    PluginAccepted {
        plugin: String,
        version: String,
        bundle: Digest,
    },
    PluginRejected {
        plugin: String,
        version: String,
        bundle: Digest,
    },
    /// The version failed too often in its first runs; the one before is the active one again.
    PluginRolledBack {
        plugin: String,
        from: String,
        to: String,
        faults: u32,
        runs: u32,
    },
    /// The version came through its first runs.
    PluginProven {
        plugin: String,
        version: String,
        runs: u32,
    },
    /// A change of the plugins was cut off; by now it is finished, or nothing of it stays.
    PluginCutOff {
        plugin: String,
        version: String,
        change: String,
        /// The last step that was done.
        step: String,
        finished: bool,
    },
    /// A bundle was turned away.
    PluginRefused {
        source: String,
        reason: String,
    },
    /// What vouched for an installed bundle was revoked: it runs no more.
    PluginQuarantined {
        plugin: String,
        version: String,
        bundle: Digest,
        why: String,
    },
    TrustChanged {
        change: String,
        key_id: String,
        name: String,
    },
    TaskPaused {
        reason: String,
    },
    TaskResumed {
        reason: String,
    },
    /// The next start of the task is to be skipped.
    TaskSkip {
        reason: String,
    },
    DaemonStarted {
        version: String,
        /// Version of the time zone table that its schedules are reckoned with.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        zone_table: String,
    },
    /// In order; a daemon that was killed leaves none.
    DaemonEnded,
    /// Configuration and trust were read again; `refused` says why the old ones stayed.
    ConfigReloaded {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// That was done, for a run that no slot was about.
    TaskSkipUsed {
        reason: String,
    },
    /// A person asks the host to run the task as soon as it may.
    RunAsked {
        reason: String,
        /// JSON, laid over those of the task.
        settings: String,
    },
    /// A person asks for the slots of a schedule that were not done in `from..=to`.
    BackfillAsked {
        schedule: String,
        /// Milliseconds since the Unix epoch.
        from: u64,
        to: u64,
        reason: String,
    },
    /// What was asked for by the entry `asked` is done, or will not be.
    AskSettled {
        asked: u64,
        why: String,
    },
    /// A schedule was seen for the first time, or with another pattern: only later slots are its.
    ScheduleBegan {
        schedule: String,
        pattern: Digest,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        zone: String,
    },
    /// `count` slots of a schedule in `from..=to` passed without a start.
    SlotMissed {
        schedule: String,
        /// Milliseconds since the Unix epoch, the first and the last of them.
        from: u64,
        to: u64,
        count: u64,
        why: String,
    },
    SlotSkipped {
        schedule: String,
        due: u64,
        why: String,
        /// Because a person asked to skip the next, which is used up by this.
        asked: bool,
    },
    /// The opening of a schedule's window at `opens` goes on for longer, in all by what these say.
    WindowExtended {
        schedule: String,
        /// Milliseconds since the Unix epoch.
        opens: u64,
        by_ms: u64,
        reason: String,
    },
    /// The slot goes sooner, or later, than its schedule says.
    SlotPrioritized {
        schedule: String,
        /// Milliseconds since the Unix epoch.
        due: u64,
        criticality: Criticality,
        reason: String,
    },
    /// The run is to do less than it was allowed. It ends as interrupted where it reaches the bound,
    /// and goes on without it.
    RunAdjusted {
        bound: Bound,
        reason: String,
    },
    /// A person did what the task would have done.
    SlotDoneByHand {
        schedule: String,
        due: u64,
        reason: String,
    },
    /// The contents of entries about old runs were removed; their hashes stay.
    Pruned {
        why: String,
        runs: u64,
        entries: u64,
        bytes: u64,
        /// Entries from the first to the last, in order.
        ranges: Vec<(u64, u64)>,
    },
    /// A run exists from here on.
    RunDue {
        trigger: String,
        mode: Mode,
        settings: String,
        /// What of the settings was set for this run alone: a JSON object, absent when nothing was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set: Option<String>,
        /// The slot it is started for; no other run is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<Slot>,
        /// The entry that asked for it, which is settled by this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<u64>,
    },
    RunGranted {
        grant: Box<Grant>,
        digest: Digest,
    },
    WorkerStarted {
        walls: Walls,
        stage: String,
    },
    /// Calls in order, a batch at a time; `more` were made beyond those that are kept one by one.
    Called {
        calls: Vec<Call>,
        more: u64,
    },
    Refused {
        function: String,
        subject: String,
        refusal: Refusal,
    },
    Logged {
        line: LogLine,
    },
    Found {
        finding: Finding,
    },
    Measured {
        metric: Metric,
    },
    /// Base64.
    Checkpointed {
        state: String,
    },
    Looked {
        summary: Option<Summary>,
        usage: Usage,
    },
    PlanSealed {
        digest: Digest,
        actions: u64,
        files: u64,
        bytes: u64,
    },
    /// The plan waits for these approvals.
    ApprovalAsked {
        request: Box<approval::Request>,
    },
    /// An answer was taken in.
    ApprovalAnswered {
        decision: approval::Decision,
    },
    /// An answer was turned away.
    ApprovalRefused {
        request: Option<approval::RequestId>,
        why: String,
    },
    Approved {
        digest: Digest,
        how: String,
    },
    /// One person let the plan through although approval was lacking. Stands for `Approved`.
    GlassBroken {
        digest: Digest,
        /// As the kernel knows them.
        by: u32,
        reason: String,
        /// What was lacking.
        over: String,
        /// From here on the plan is not gone on with. Milliseconds since the Unix epoch.
        until: u64,
    },
    /// Somebody tried, and may not.
    GlassRefused {
        why: String,
    },
    /// Somebody else has looked at what was done.
    GlassAcknowledged {
        by: u32,
        reason: String,
    },
    /// Durable before the actions `first..=last` of the plan are touched.
    Intended {
        first: u64,
        last: u64,
    },
    /// What became of `first..=last`, a part of what was intended; those not listed were done.
    Outcome {
        first: u64,
        last: u64,
        done: u64,
        files: u64,
        bytes: u64,
        not_done: Vec<NotDone>,
    },
    /// Actions not reached, and why.
    Stopped {
        remaining: u64,
        why: String,
    },
    Reviewed {
        summary: Option<Summary>,
        usage: Usage,
    },
    UndoIntended {
        first: u64,
        last: u64,
    },
    UndoOutcome {
        first: u64,
        last: u64,
        done: u64,
        not_done: Vec<NotDone>,
    },
    /// Found unfinished at a later start.
    Interrupted {
        stage: String,
    },
    RunResumed {
        from: u64,
    },
    RunEnded {
        state: RunState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<LimitName>,
        /// The task itself says that trying again may help.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
        /// It failed, or crossed a limit, by the plugin's own doing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        fault: bool,
    },
    /// What the task wants to keep for itself lies in the run's folder until the run ends.
    StateHeld {
        changes: Figures,
    },
    /// Durable before what the task keeps for itself is changed.
    StateIntended {
        changes: Figures,
    },
    /// It is kept as `version`; or it is not, and why.
    StateOutcome {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// Durable before all that a task keeps for itself is removed, because a person said so.
    StateCleared {
        keys: u64,
        bytes: u64,
        reason: String,
    },
    /// Durable before a parameter is changed: what it was, what it becomes, and when that reverts
    /// unless it is confirmed. It is the intent of the revert too.
    CommitArmed {
        action: Box<Action>,
        /// Milliseconds since the Unix epoch.
        deadline: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guard: Option<Guard>,
    },
    /// The change stays.
    CommitConfirmed {
        action: u64,
    },
    /// The old value is back.
    CommitReverted {
        action: u64,
        why: String,
    },
    /// Somebody else set another value in the meantime, which was left as it is.
    CommitOvertaken {
        action: u64,
    },
    /// Durable before quarantined entries of a run, whose keeping time has passed, are deleted.
    ExpiryIntended {
        root: String,
    },
    Expired {
        root: String,
        entries: u64,
        bytes: u64,
    },
}
