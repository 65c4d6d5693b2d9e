//! One run, from left to right. Each stage consumes what the stage before it made, so none can be
//! skipped; `Mode` is decided here, once, and the leaves never branch on it.
//!
//! ```text
//! due ─▶ admit ─▶ grant ─▶ look & propose ─▶ plan ─▶ gate ─▶ apply ─▶ review ─▶ report
//! ```

mod admit;
mod apply;
mod brake;
mod changes;
mod desk;
mod gate;
mod glass;
mod in_hand;
mod look;
mod own;
mod parts;
mod plan_file;
mod progress;
mod propose;
mod prove;
mod recover;
mod rehearsed;
mod remember;
mod retention;
mod room;
mod run_log;
mod sheet;
mod undo;
mod unused;
mod watch;

pub use brake::Brake;
pub use changes::{Changed, GUARD_METRICS, Watch, changes, confirm, take_back, waiting};
pub use gate::Asked;
pub(crate) use gate::hold_answers;
pub use glass::{BrokenRun, acknowledge, break_glass, broken};
pub use in_hand::InHand;
pub use plan_file::{PlanReader, SealedPlan};
pub use progress::{Far, how_far};
pub use prove::judge_runs;
pub use recover::{mark_cut_off, open, resume};
pub(crate) use rehearsed::{Readings, Rehearsed};
pub use retention::{Forgotten, Kept, expire, expire_due, kept, sweep};
pub use room::{CHANGES_NEED_BYTES, low};
pub use run_log::{Halt, Observer, RunLog, Silent};
pub use undo::{Which, undo};
pub use unused::{Idle, idle};
pub(crate) use watch::CANCEL_FILE;

use crate::clock;
use crate::config::Task;
use crate::error::Result;
use crate::node::Node;
use crate::plugins::Installed;
use keepwell_model::action::PlanHeader;
use keepwell_model::event::{Event, Mode};
use keepwell_model::grant::Grant;
use keepwell_model::id::{Digest, RunId};
use keepwell_model::report::Report;
use keepwell_model::slot::Slot;
use keepwell_model::state::RunState;
use keepwell_model::units::Share;
use keepwell_model::window::Window;
use keepwell_model::words::{Status, Summary};
use std::fs::File;

/// Why a run begins, and what the person who begins it consents to.
#[derive(Debug)]
pub struct Due<'a> {
    pub run: RunId,
    pub task: &'a Task,
    pub trigger: String,
    pub mode: Mode,
    /// A person at a terminal said `--yes`.
    pub said_yes: bool,
    /// Who wants it, by number; nobody when the host's own schedule does.
    pub requester: Option<u32>,
    /// The slot of a schedule that it is for.
    pub slot: Option<Slot>,
    /// The entry that asked for it, which its start settles.
    pub asked: Option<u64>,
    /// How much of its scope there is time for.
    pub scope: Share,
    /// The window it runs in, which allows some classes only.
    pub window: Option<Window>,
    /// What of the settings was set for this run alone.
    pub set: Option<String>,
    /// JSON object, those of the command line included.
    pub settings: String,
    pub now_ms: u64,
}

/// It may start now.
#[derive(Debug)]
pub struct Admitted<'a> {
    due: Due<'a>,
    plugin: Installed,
}

/// It holds exactly this, and this code.
#[derive(Debug)]
pub struct Granted<'a> {
    due: Due<'a>,
    grant: Grant,
    code: File,
}

/// What the task saw and proposed; on disk and sealed by its digest.
#[derive(Debug)]
pub struct Planned<'a> {
    granted: Granted<'a>,
    summary: Summary,
    plan: SealedPlan,
    /// What it wants to keep for itself.
    own: own::Own,
}

/// Somebody or some rule stands behind exactly this plan.
#[derive(Debug)]
pub struct Approved<'a> {
    planned: Planned<'a>,
}

/// What became of the plan.
#[derive(Debug)]
pub struct Applied<'a> {
    planned: Planned<'a>,
    /// Why it stopped before the end, if it did.
    stopped: Option<apply::Stop>,
}

/// Runs a task to its report. Whatever happens after `RunDue` is durable ends in the report; an
/// error means that no run came to be, or that the journal failed.
pub fn run(
    node: &Node,
    due: Due<'_>,
    observer: &mut dyn Observer,
    brake: &Brake,
) -> Result<Report> {
    let _hold = node.in_hand.take(due.run, brake)?;
    let mut log = RunLog::begin(node, &due, observer)?;
    let _watch = watch::Watch::begin(node, due.run, brake);
    remember::prepare(node);
    let ended = stages(node, due, &mut log, brake);
    let report = log.end(ended)?;
    remember::remember(node, &report);
    prove::prove(node, &report);
    Ok(report)
}

/// The picture above, as code.
fn stages(
    node: &Node,
    due: Due<'_>,
    log: &mut RunLog<'_>,
    brake: &Brake,
) -> Result<RunState, Halt> {
    let mode = due.mode;
    let admitted = admit::admit(node, due)?;
    let granted = grant(node, admitted, log)?;
    let planned = look::look(node, granted, log, brake)?;
    if mode == Mode::Plan {
        return Ok(state_of(&planned.summary, false));
    }
    if planned.plan.actions == 0 {
        let kept = planned.own.keep(node, log)?;
        return Ok(state_of(&planned.summary, !kept));
    }
    planned.own.hold(node, log)?;
    admit::check_shares(&planned.granted.grant, &planned.plan)?;
    let approved = gate::pass(node, planned, gate::Waits::No, log)?;
    let applied = apply::apply(node, approved, log, brake)?;
    review(node, applied, log, brake)
}

/// Request ∩ signer ∩ operator.
fn grant<'a>(
    node: &Node,
    admitted: Admitted<'a>,
    log: &mut RunLog<'_>,
) -> Result<Granted<'a>, Halt> {
    let Admitted { due, plugin } = admitted;
    let grant = crate::config::check_task(&node.config, due.task, &plugin).map_err(Halt::denied)?;
    admit::check_roots(node, &grant)?;
    unused::check(node, due.task)?;
    crate::plugins::note_grant(node, due.task, &grant).map_err(Halt::failed)?;
    let code = crate::plugins::code(&node.dir, &node.key, &plugin.bundle).map_err(Halt::failed)?;
    log.tell(Event::RunGranted {
        digest: grant.digest(),
        grant: Box::new(grant.clone()),
    })?;
    Ok(Granted { due, grant, code })
}

/// The guest sees what was applied and has the last word on its summary.
fn review(
    node: &Node,
    applied: Applied<'_>,
    log: &mut RunLog<'_>,
    brake: &Brake,
) -> Result<RunState, Halt> {
    let Applied { planned, stopped } = applied;
    if let Some(stop) = stopped {
        return Err(Halt::end(stop.state, stop.why, stop.hint));
    }
    let (summary, own) = look::review(node, planned, log, brake)?;
    let kept = own.keep(node, log)?;
    let incomplete = !kept || log.report().applied.not_done > 0;
    Ok(state_of(&summary, incomplete))
}

fn state_of(summary: &Summary, incomplete: bool) -> RunState {
    match summary.status {
        Status::Done if !incomplete => RunState::Done,
        Status::Done | Status::Warned => RunState::Warned,
    }
}

impl<'a> Due<'a> {
    /// Due now, for the person this node acts for.
    pub fn now(
        node: &Node,
        task: &'a Task,
        trigger: &str,
        mode: Mode,
        said_yes: bool,
        set: &[(String, serde_json::Value)],
    ) -> Result<Self> {
        let now_ms = node.clock.now_ms();
        let run = clock::new_run(now_ms)?;
        Ok(Self {
            run,
            task,
            trigger: trigger.to_owned(),
            mode,
            said_yes,
            requester: node.caller.as_ref().map(|peer| peer.uid),
            slot: None,
            asked: None,
            scope: Share::ALL,
            window: None,
            set: task.set_json(set),
            settings: task.settings_json(set),
            now_ms,
        })
    }

    /// First line of the plan: the same inputs give the same line, in any run.
    fn plan_header(&self, grant: &Grant) -> PlanHeader {
        PlanHeader {
            plan: 1,
            task: self.task.name.to_string(),
            component: grant.component,
            grant: grant.digest(),
            settings: Digest::of(self.settings.as_bytes()),
        }
    }
}
