//! After a crash or a wait: what was under way is marked interrupted, and a plan that is approved is
//! carried out from the journal without asking the guest again.

use super::apply::Hands;
use super::gate::Waits;
use super::own::Own;
use super::parts::Parts;
use super::plan_file::{PlanReader, SealedPlan};
use super::run_log::{Halt, Observer, RunLog};
use super::{Approved, Brake, Due, Granted, Planned};
use crate::config::Task;
use crate::error::{Error, Result};
use crate::node::Node;
use crate::node_dir::NodeDir;
use keepwell_journal::{PAUSED, Reader};
use keepwell_model::bound::Bound;
use keepwell_model::event::{Event, Record};
use keepwell_model::grant::Grant;
use keepwell_model::id::RunId;
use keepwell_model::report::{Report, Stage};
use keepwell_model::state::RunState;
use keepwell_model::units::Share;
use keepwell_model::words::Refusal;
use keepwell_node::quarantine::Settled;
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// Opens the node for a verb that changes something, and marks what a crash left unfinished.
pub fn open(dir: NodeDir) -> Result<Node> {
    let node = Node::open(dir)?;
    crate::plugins::Shelf::of(&node).settle()?;
    let cut_off = mark_interrupted(&node)?;
    for run in &cut_off {
        let short = run.short();
        crate::talk::say(&format!(
            "run {short} did not end when the host last stopped: marked interrupted"
        ));
    }
    // Nobody watched over what a run that was cut off had changed. The rest is watched by the daemon,
    // or by nobody, and then the first command after its deadline takes it back.
    let told = |what: &str| crate::talk::say(what);
    let restarted = |run: RunId| cut_off.contains(&run);
    super::take_back(&node, &mut super::Watch::default(), &restarted, &told)?;
    Ok(node)
}

/// Under the node's lock nothing else runs, so what the journal calls running did not end.
fn mark_interrupted(node: &Node) -> Result<Vec<RunId>> {
    let unfinished = node.journal.reader()?.unfinished()?;
    for run in &unfinished {
        interrupted(node, *run)?;
    }
    Ok(unfinished)
}

/// Tells the end of runs that stopped because the journal could not be written, now that it can.
pub fn mark_cut_off(node: &Node) -> Result<()> {
    let mut runs = node.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(run) = runs.last() {
        interrupted(node, *run)?;
        runs.pop();
    }
    Ok(())
}

fn interrupted(node: &Node, run: RunId) -> Result<()> {
    let report = node.journal.reader()?.report(run)?;
    // One whose end came through after all, or that never came to be.
    let Some(report) = report.filter(|r| r.state == RunState::Running) else {
        return Ok(());
    };
    let record = |event| Record {
        at: node.clock.now_ms(),
        run: Some(run),
        task: Some(report.task.clone()),
        actor: "host".into(),
        event,
    };
    if let Some(outcome) = super::own::settle(node, &report) {
        node.journal.commit(record(outcome))?;
    }
    node.journal.commit(record(Event::Interrupted {
        stage: stage_name(report.stage).into(),
    }))?;
    Ok(())
}

const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Due => "before it was granted anything",
        Stage::Granted => "while the task looked",
        Stage::Looked => "before its plan was sealed",
        Stage::Planned => "before its plan was approved",
        Stage::Approved => "before anything was applied",
        Stage::Applying => "while its plan was applied",
        Stage::Reviewed | Stage::Ended => "at its end",
    }
}

/// Goes on with a run: finishes the approved plan of one that was interrupted, cancelled or limited,
/// carries out one that waited for approval and has it, or says why not.
pub fn resume(
    node: &Node,
    run: RunId,
    observer: &mut dyn Observer,
    brake: &Brake,
) -> Result<Report> {
    // Before anything is read of it: who has it in hand changes what would be read.
    let _hold = node.in_hand.take(run, brake)?;
    let reader = node.journal.reader()?;
    let records = reader.run(run)?;
    let report =
        Report::fold(&records).ok_or_else(|| Error::usage(format!("there is no run {run}")))?;
    let granted = resumable(&report, &records)?;
    not_paused(&reader, &report.task)?;
    let waits = report.state == RunState::Waiting;
    let planned = match planned_again(node, &report, &records) {
        Ok(planned) => planned,
        // What was asked about is no more: nobody's answer can let it through, so it ends.
        Err(gone) if waits => {
            let halt = Halt::end(
                RunState::Denied,
                format!("what was to be approved cannot be applied any more: {gone}"),
                Some("run the task again: a new plan asks for a new approval".into()),
            );
            return RunLog::reopen(node, report, observer).end(Err(halt));
        }
        Err(gone) => return Err(gone),
    };
    let again = format!("`keepwell run {}` makes a new plan", report.task);
    if !waits && planned.granted.grant.digest() != granted.digest() {
        let why = "the grant of this task has changed since the plan was approved";
        return Err(Error::denied(why).hint(again));
    }
    if report
        .glass
        .as_ref()
        .is_some_and(|glass| node.clock.now_ms() >= glass.until)
    {
        let why = "the glass was broken for a short time, which has passed";
        return Err(Error::denied(why).hint(again));
    }
    // Whoever broke the glass was told of the policy's rule, and let it be overridden or not.
    if !waits
        && report.glass.is_none()
        && let Some(denial) = super::gate::forbidden(node, &planned)
    {
        return Err(Error::from(denial));
    }
    let _watch = super::watch::Watch::again(node, run, brake)?;
    brake.narrow(Bound::of(&records));
    let mut log = RunLog::reopen(node, report, observer);
    let ended = (|| {
        let approved = if waits {
            super::gate::pass(node, planned, Waits::Yes, &mut log)?
        } else {
            let next = log.report().applied.next;
            let from = log.report().applied.open.map_or(next, |(first, _)| first);
            log.tell(Event::RunResumed { from })?;
            Approved { planned }
        };
        carry_on(node, approved, &mut log, brake)
    })();
    let report = log.end(ended)?;
    super::remember::remember(node, &report);
    super::prove::prove(node, &report);
    Ok(report)
}

/// From a plan that may be applied to the end.
pub(super) fn carry_on(
    node: &Node,
    approved: Approved<'_>,
    log: &mut RunLog<'_>,
    brake: &Brake,
) -> Result<RunState, Halt> {
    let applied = super::apply::apply(node, approved, log, brake)?;
    super::review(node, applied, log, brake)
}

/// The plan as it was sealed, with the task as it is configured, granted and installed now.
pub(super) fn planned_again<'a>(
    node: &'a Node,
    report: &Report,
    records: &[Record],
) -> Result<Planned<'a>> {
    let digest = report
        .plan
        .as_ref()
        .map(|plan| plan.digest)
        .ok_or_else(|| Error::failed("the run has no plan"))?;
    let summary = report
        .summary
        .clone()
        .ok_or_else(|| Error::failed("the run has no summary"))?;
    let task = node.config.task(&report.task)?;
    let path = node.dir.run(report.run).join("plan.jsonl");
    let plan = SealedPlan::reopen(&path, digest)?;
    let plugin = node.plugin(&task.file.plugin)?;
    let grant =
        crate::config::check_task(&node.config, task, &plugin).map_err(crate::config::bad)?;
    let code = crate::plugins::code(&node.dir, &node.key, &plugin.bundle)?;
    let due = due_again(task, report, records)?;
    let own = Own::held_by(node, &grant, report, records);
    Ok(Planned {
        granted: Granted { due, grant, code },
        summary,
        plan,
        own,
    })
}

/// The run as it was begun, with the settings that the same words would give now: when the task's
/// file has changed since, what was approved is not what would run.
fn due_again<'a>(task: &'a Task, report: &Report, records: &[Record]) -> Result<Due<'a>> {
    let begun = records.iter().find_map(|r| match &r.event {
        Event::RunDue { set, .. } => Some((set.clone(), r.actor.clone())),
        _ => None,
    });
    let (set, actor) =
        begun.ok_or_else(|| Error::failed("the journal does not say how it began"))?;
    let words: BTreeMap<String, serde_json::Value> = match &set {
        Some(json) => serde_json::from_str(json)
            .map_err(|e| Error::failed(format!("the journal's settings cannot be read: {e}")))?,
        None => BTreeMap::new(),
    };
    let words: Vec<_> = words.into_iter().collect();
    Ok(Due {
        run: report.run,
        task,
        trigger: report.trigger.clone(),
        mode: report.mode,
        said_yes: false,
        requester: actor.strip_prefix("uid:").and_then(|uid| uid.parse().ok()),
        settings: task.settings_json(&words),
        slot: None,
        asked: None,
        scope: Share::ALL,
        window: None,
        set,
        now_ms: report.started,
    })
}

/// The batch that was under way: what is in quarantine already counts as done, what is still in
/// its place is done now, what is neither is named.
pub(super) fn settle(
    hands: &Hands,
    reader: &mut PlanReader,
    first: u64,
    last: u64,
    log: &mut RunLog<'_>,
) -> Result<(), Halt> {
    let size = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
    let batch = reader.batch(size).map_err(Halt::failed)?;
    let mut parts = Parts::default();
    for action in &batch {
        let one = match hands.settled(action) {
            Ok(Settled::Applied) => Ok(()),
            Ok(Settled::NotApplied) => hands.one(action, log)?,
            Ok(Settled::Unknown) => Err(Refusal::gone(
                "after the crash it is neither as it was nor as it was to be",
            )),
            Err(refusal) => Err(refusal),
        };
        parts.add(action, one);
    }
    hands.sync()?;
    parts.outcomes().try_for_each(|outcome| log.tell(outcome))
}

/// Whoever paused a task wants nothing of it to happen, be it approved or half done.
pub(super) fn not_paused(reader: &Reader, task: &str) -> Result<()> {
    match reader.flag(task, PAUSED)? {
        None => Ok(()),
        Some(reason) => Err(Error::not_now(format!("the task is paused: {reason}"))
            .hint(format!("`keepwell task resume {task}` lets it run again"))),
    }
}

/// The grant the run held, if its plan was approved and not finished.
fn resumable(report: &Report, records: &[Record]) -> Result<Grant> {
    let again = format!("`keepwell run {}` begins anew", report.task);
    match report.state {
        RunState::Interrupted | RunState::Cancelled | RunState::Limited | RunState::Failed => {}
        // The gate says whether it may go on; nothing was approved yet.
        RunState::Waiting => return granted_to(records),
        RunState::Running => return Err(Error::not_now("the run is under way")),
        RunState::Done
        | RunState::Warned
        | RunState::Denied
        | RunState::Skipped
        | RunState::Missed => {
            return Err(Error::usage(format!(
                "the run ended {}; there is nothing to resume",
                report.state
            )));
        }
    }
    if report.undone.is_some() {
        return Err(Error::usage("the run was undone; there is nothing to resume").hint(again));
    }
    let approved = records
        .iter()
        .any(|r| matches!(r.event, Event::Approved { .. } | Event::GlassBroken { .. }));
    if !approved {
        return Err(Error::usage(
            "the run stopped before its plan was approved; there is nothing to resume",
        )
        .hint(again));
    }
    let total = report.plan.as_ref().map_or(0, |p| p.actions);
    if report.applied.open.is_none()
        && report.applied.next >= total
        && report.applied.remaining == 0
    {
        return Err(Error::usage(
            "the whole plan was carried out; there is nothing to resume",
        ));
    }
    granted_to(records)
}

pub(super) fn granted_to(records: &[Record]) -> Result<Grant> {
    records
        .iter()
        .find_map(|r| match &r.event {
            Event::RunGranted { grant, .. } => Some((**grant).clone()),
            _ => None,
        })
        .ok_or_else(|| Error::failed("the journal does not say what the run was granted"))
}
