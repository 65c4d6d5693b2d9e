//! The report of a run: one fold over its records. Live output, `runs show`, JSON and every later
//! view are made from this and nothing else.

use crate::approval::RequestId;
use crate::event::{Event, Mode, NotDone, Record, Usage, Walls};
use crate::glass::{Acknowledged, Glass};
use crate::id::{Digest, RunId};
use crate::limits::LimitName;
use crate::state::{Exit, RunState};
use crate::words::{Finding, LogLine, Metric, Refusal, Severity, Summary};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the JSON shape; a change of meaning raises it.
pub const REPORT_VERSION: u32 = 1;
/// Reports keep this many lines, refusals and undone actions one by one; the journal has all.
pub const REPORT_KEEPS: usize = 200;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub version: u32,
    pub run: RunId,
    pub task: String,
    pub plugin: Option<String>,
    pub plugin_version: Option<String>,
    pub component: Option<Digest>,
    pub signer: Option<String>,
    pub trigger: String,
    pub mode: Mode,
    pub actor: String,
    pub state: RunState,
    pub stage: Stage,
    pub reason: Option<String>,
    pub hint: Option<String>,
    pub limit: Option<LimitName>,
    /// The task itself says that trying again may help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// It failed, or crossed a limit, by the plugin's own doing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fault: bool,
    pub started: u64,
    pub ended: Option<u64>,
    pub walls: Option<Walls>,
    pub usage: Usage,
    pub summary: Option<Summary>,
    pub findings: Vec<Finding>,
    pub metrics: Vec<Metric>,
    pub log: Vec<LogLine>,
    pub refusals: Vec<Refusal>,
    pub plan: Option<PlanFigures>,
    /// The request for approval that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<RequestId>,
    /// It was let through by one person although approval was lacking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glass: Option<Glass>,
    pub applied: Applied,
    pub undone: Option<Undone>,
    pub checkpoint: Option<String>,
    /// What the task wanted to keep for itself; absent when that was nothing new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_kept: Option<StateKept>,
}

/// How far a run came, from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Due,
    Granted,
    Looked,
    Planned,
    Approved,
    Applying,
    Reviewed,
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanFigures {
    pub digest: Digest,
    pub actions: u64,
    pub files: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub done: u64,
    pub files: u64,
    pub bytes: u64,
    pub not_done: u64,
    /// By refusal code.
    pub not_done_by: BTreeMap<String, u64>,
    pub examples: Vec<NotDone>,
    pub remaining: u64,
    /// Intended and without outcome: `first..=last`.
    pub open: Option<(u64, u64)>,
    /// The first action that was never intended.
    pub next: u64,
}

/// What became of what a task wanted to keep for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateKept {
    /// Keys set, and deleted.
    pub set: u64,
    pub deleted: u64,
    /// Keys and values that were set.
    pub bytes: u64,
    /// The version it is kept as; `None` when it is not kept.
    pub version: Option<u64>,
    /// Why it is not kept.
    pub why: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    pub done: u64,
    pub not_done: u64,
    pub examples: Vec<NotDone>,
}

impl Report {
    /// The report of the run that `record` begins; `None` if it begins none.
    pub fn begin(record: &Record) -> Option<Self> {
        let (Some(run), Event::RunDue { trigger, mode, .. }) = (record.run, &record.event) else {
            return None;
        };
        Some(Self {
            version: REPORT_VERSION,
            run,
            task: record.task.clone().unwrap_or_default(),
            plugin: None,
            plugin_version: None,
            component: None,
            signer: None,
            trigger: trigger.clone(),
            mode: *mode,
            actor: record.actor.clone(),
            state: RunState::Running,
            stage: Stage::Due,
            reason: None,
            hint: None,
            limit: None,
            again: false,
            fault: false,
            started: record.at,
            ended: None,
            walls: None,
            usage: Usage::default(),
            summary: None,
            findings: vec![],
            metrics: vec![],
            log: vec![],
            refusals: vec![],
            plan: None,
            waits_for: None,
            glass: None,
            applied: Applied::default(),
            undone: None,
            checkpoint: None,
            state_kept: None,
        })
    }

    /// All records of one run, in order.
    pub fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<Self> {
        let mut records = records.into_iter();
        let mut report = Self::begin(records.next()?)?;
        for record in records {
            report.add(record);
        }
        Some(report)
    }

    /// What the process says to its caller: the state, but a critical finding is a failed check.
    pub fn exit(&self) -> Exit {
        let critical = self
            .findings
            .iter()
            .any(|f| f.severity == Severity::Critical);
        match self.state {
            RunState::Done | RunState::Warned if critical => Exit::Failed,
            state => state.exit(),
        }
    }

    pub fn add(&mut self, record: &Record) {
        match &record.event {
            Event::RunGranted { grant, .. } => {
                self.stage = Stage::Granted;
                self.plugin = Some(grant.plugin.clone());
                self.plugin_version = Some(grant.version.clone());
                self.component = Some(grant.component);
                self.signer = Some(grant.signer.name.clone());
            }
            Event::WorkerStarted { walls, .. } => self.walls = Some(walls.clone()),
            Event::Called { .. } => {}
            Event::Refused { refusal, .. } => keep(&mut self.refusals, refusal),
            Event::Logged { line } => keep(&mut self.log, line),
            Event::Found { finding } => self.findings.push(finding.clone()),
            Event::Measured { metric } => self.metrics.push(metric.clone()),
            Event::Checkpointed { state } => self.checkpoint = Some(state.clone()),
            Event::Looked { summary, usage } => {
                self.stage = Stage::Looked;
                self.summary.clone_from(summary);
                self.usage = usage.clone();
            }
            Event::PlanSealed {
                digest,
                actions,
                files,
                bytes,
            } => {
                self.stage = Stage::Planned;
                self.plan = Some(PlanFigures {
                    digest: *digest,
                    actions: *actions,
                    files: *files,
                    bytes: *bytes,
                });
            }
            Event::ApprovalAsked { request } => {
                self.state = RunState::Waiting;
                self.waits_for = Some(request.id());
            }
            Event::Approved { .. } => {
                self.stage = Stage::Approved;
                self.state = RunState::Running;
                self.waits_for = None;
            }
            Event::GlassBroken {
                by,
                reason,
                over,
                until,
                ..
            } => {
                self.stage = Stage::Approved;
                self.state = RunState::Running;
                self.waits_for = None;
                // One that was denied goes on after its end.
                (self.reason, self.hint, self.ended) = (None, None, None);
                self.glass = Some(Glass {
                    by: *by,
                    at: record.at,
                    until: *until,
                    reason: reason.clone(),
                    over: over.clone(),
                    acknowledged: None,
                });
            }
            Event::GlassAcknowledged { by, reason } => {
                if let Some(glass) = &mut self.glass {
                    glass.acknowledged = Some(Acknowledged {
                        by: *by,
                        at: record.at,
                        reason: reason.clone(),
                    });
                }
            }
            Event::Intended { first, last } => {
                self.stage = Stage::Applying;
                self.applied.open = Some((*first, *last));
                self.applied.next = last + 1;
            }
            Event::Outcome {
                last,
                done,
                files,
                bytes,
                not_done,
                ..
            } => {
                let applied = &mut self.applied;
                // A batch is told of in parts, and a crash may come between two of them.
                let rest = applied.open.filter(|(_, end)| end > last);
                applied.open = rest.map(|(_, end)| (last + 1, end));
                applied.done += done;
                applied.files += files;
                applied.bytes += bytes;
                applied.not_done += not_done.len() as u64;
                for one in not_done {
                    *applied.not_done_by.entry(one.code.clone()).or_default() += 1;
                    keep(&mut applied.examples, one);
                }
            }
            Event::Stopped { remaining, why } => {
                let total = self.plan.as_ref().map_or(0, |p| p.actions);
                self.applied.open = None;
                self.applied.next = total.saturating_sub(*remaining);
                self.applied.remaining = *remaining;
                self.reason = Some(why.clone());
            }
            Event::Reviewed { summary, usage } => {
                self.stage = Stage::Reviewed;
                if summary.is_some() {
                    self.summary.clone_from(summary);
                }
                self.usage.add(usage);
            }
            Event::UndoIntended { .. } => {
                self.undone.get_or_insert_default();
            }
            Event::UndoOutcome { done, not_done, .. } => {
                let undone = self.undone.get_or_insert_default();
                undone.done += done;
                undone.not_done += not_done.len() as u64;
                for one in not_done {
                    keep(&mut undone.examples, one);
                }
            }
            Event::StateIntended { changes } => {
                self.state_kept = Some(StateKept {
                    set: changes.set,
                    deleted: changes.deleted,
                    bytes: changes.bytes,
                    ..StateKept::default()
                });
            }
            Event::StateOutcome { version, why } => {
                let kept = self.state_kept.get_or_insert_default();
                kept.version = *version;
                kept.why.clone_from(why);
            }
            Event::Interrupted { stage } => {
                self.state = RunState::Interrupted;
                self.reason = Some(format!("the host stopped in the middle ({stage})"));
                self.ended = Some(record.at);
            }
            Event::RunResumed { .. } => {
                self.state = RunState::Running;
                self.reason = None;
                self.ended = None;
                self.applied.remaining = 0;
            }
            Event::RunEnded {
                state,
                reason,
                hint,
                limit,
                again,
                fault,
            } => {
                self.again = *again;
                self.fault = *fault;
                self.stage = Stage::Ended;
                self.waits_for = None;
                self.state = *state;
                if reason.is_some() {
                    self.reason.clone_from(reason);
                }
                self.hint.clone_from(hint);
                self.limit = *limit;
                // An undo ends the run a second time; how long the run took does not change.
                self.ended.get_or_insert(record.at);
            }
            Event::RunDue { .. }
            | Event::NodeCreated { .. }
            | Event::PluginInstalled { .. }
            | Event::PluginRemoved { .. }
            | Event::PluginSwitched { .. }
            | Event::PluginHeld { .. }
            | Event::PluginAccepted { .. }
            | Event::PluginRejected { .. }
            | Event::PluginRolledBack { .. }
            | Event::PluginProven { .. }
            | Event::PluginCutOff { .. }
            | Event::PluginRefused { .. }
            | Event::PluginQuarantined { .. }
            | Event::TrustChanged { .. }
            | Event::TaskPaused { .. }
            | Event::TaskResumed { .. }
            | Event::TaskSkip { .. }
            | Event::DaemonStarted { .. }
            | Event::DaemonEnded
            | Event::ApprovalAnswered { .. }
            | Event::ApprovalRefused { .. }
            | Event::GlassRefused { .. }
            | Event::ConfigReloaded { .. }
            | Event::TaskSkipUsed { .. }
            | Event::RunAsked { .. }
            | Event::BackfillAsked { .. }
            | Event::AskSettled { .. }
            | Event::ScheduleBegan { .. }
            | Event::SlotMissed { .. }
            | Event::SlotSkipped { .. }
            | Event::WindowExtended { .. }
            | Event::SlotPrioritized { .. }
            | Event::RunAdjusted { .. }
            | Event::SlotDoneByHand { .. }
            | Event::Pruned { .. }
            | Event::StateHeld { .. }
            | Event::StateCleared { .. }
            | Event::CommitArmed { .. }
            | Event::CommitConfirmed { .. }
            | Event::CommitReverted { .. }
            | Event::CommitOvertaken { .. }
            | Event::ExpiryIntended { .. }
            | Event::Expired { .. } => {}
        }
    }
}

fn keep<T: Clone>(list: &mut Vec<T>, one: &T) {
    if list.len() < REPORT_KEEPS {
        list.push(one.clone());
    }
}

impl Usage {
    /// The look and the review of one run together.
    pub fn add(&mut self, other: &Self) {
        self.fuel += other.fuel;
        self.cpu_us += other.cpu_us;
        self.wall_us += other.wall_us;
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        self.worker_bytes = self.worker_bytes.max(other.worker_bytes);
        self.calls += other.calls;
        self.refusals += other.refusals;
        self.log_bytes += other.log_bytes;
    }
}
