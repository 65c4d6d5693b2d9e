//! Look and propose, and later review: a guest in a worker of its own, and what its end means.

use super::desk::Desk;
use super::own::Own;
use super::plan_file::PlanWriter;
use super::propose::Proposals;
use super::run_log::{Halt, RunLog};
use super::{Brake, Granted, Planned, Rehearsed};
use crate::node::Node;
use crate::worker;
use keepwell_model::event::{Event, Usage};
use keepwell_model::state::RunState;
use keepwell_model::words::{Failure, Summary, printable};
use keepwell_sandbox::{Assignment, Ended, Entry, Launch, Outcome};

/// Runs the task and seals what it proposed.
pub(super) fn look<'a>(
    node: &Node,
    granted: Granted<'a>,
    log: &mut RunLog<'_>,
    brake: &Brake,
) -> Result<Planned<'a>, Halt> {
    let due = &granted.due;
    let header = due.plan_header(&granted.grant);
    let writer = PlanWriter::new(&node.dir.run(due.run), &header).map_err(Halt::failed)?;
    let reader = node.journal.reader().map_err(|e| Halt::Journal(e.into()))?;
    let checkpoint = reader
        .last_checkpoint(due.task.name.as_str())
        .map_err(|e| Halt::Journal(e.into()))?;
    let entry = Entry::Run {
        task: granted.grant.plugin_task.clone(),
        trigger: due.trigger.clone(),
    };
    let assignment = assign(node, &granted, entry, checkpoint);
    let proposals = Proposals::open(&granted.grant, writer, due.now_ms, due.scope)?;
    let mut desk = Desk::new(
        node,
        &granted.grant,
        log,
        Some(proposals),
        Own::default(),
        "look",
    );
    let code = granted
        .code
        .try_clone()
        .map_err(|e| Halt::end(RunState::Failed, e.to_string(), None))?;
    let ended = launch(node, code, &assignment, &mut desk, brake)?;
    let (halted, proposals) = (desk.halted.take(), desk.proposals.take());
    let own = std::mem::take(&mut desk.own);
    // Also when the host itself ended the look, so that what it used is written down.
    let looked = conclude(ended, brake, log, |summary, usage| Event::Looked {
        summary,
        usage,
    });
    if let Some(halt) = halted {
        return Err(halt);
    }
    let summary = looked?;
    let writer = proposals
        .map(|p| p.writer)
        .ok_or_else(|| Halt::end(RunState::Failed, "the plan was lost", None))?;
    let plan = writer.seal().map_err(Halt::failed)?;
    log.tell(Event::PlanSealed {
        digest: plan.digest,
        actions: plan.actions,
        files: plan.files,
        bytes: plan.bytes,
    })?;
    Ok(Planned {
        granted,
        summary,
        plan,
        own,
    })
}

/// Shows the task what was applied; it has the last word on its summary and may propose nothing.
pub(super) fn review(
    node: &Node,
    planned: Planned<'_>,
    log: &mut RunLog<'_>,
    brake: &Brake,
) -> Result<(Summary, Own), Halt> {
    let Planned {
        granted,
        summary,
        own,
        ..
    } = planned;
    let due = &granted.due;
    let applied = &log.report().applied;
    let entry = Entry::Review {
        task: granted.grant.plugin_task.clone(),
        trigger: due.trigger.clone(),
        before: summary,
        done: applied.done,
        not_done: applied.not_done,
        applied: applied
            .examples
            .iter()
            .map(|n| keepwell_sandbox::AppliedAction {
                action: n.action,
                done: false,
                detail: Some(n.why.clone()),
            })
            .collect(),
    };
    let assignment = assign(node, &granted, entry, None);
    let mut desk = Desk::new(node, &granted.grant, log, None, own, "review");
    let ended = launch(node, granted.code, &assignment, &mut desk, brake)?;
    if let Some(halt) = desk.halted.take() {
        return Err(halt);
    }
    let own = std::mem::take(&mut desk.own);
    let summary = conclude(ended, brake, log, |summary, usage| Event::Reviewed {
        summary,
        usage,
    })?;
    Ok((summary, own))
}

fn assign(
    node: &Node,
    granted: &Granted<'_>,
    entry: Entry,
    checkpoint: Option<Vec<u8>>,
) -> Assignment {
    let due = &granted.due;
    let settings = due.settings.clone();
    Assignment {
        fail: node.rehearsed.as_ref().and_then(Rehearsed::fail),
        ..Assignment::new(&granted.grant, entry, settings, due.now_ms, checkpoint)
    }
}

fn launch(
    node: &Node,
    code: std::fs::File,
    assignment: &Assignment,
    desk: &mut Desk<'_, '_>,
    brake: &Brake,
) -> Result<Ended, Halt> {
    let program = worker::program().map_err(Halt::failed)?;
    let launch = Launch {
        program: &program,
        args: &[worker::WORKER],
        code,
        assignment,
    };
    let ended = keepwell_sandbox::look(launch, desk, brake.flag());
    if let Some(rehearsed) = &node.rehearsed {
        rehearsed.ended(&ended.outcome);
    }
    Ok(ended)
}

/// What the worker's end means for the run.
fn conclude(
    ended: Ended,
    brake: &Brake,
    log: &mut RunLog<'_>,
    event: impl FnOnce(Option<Summary>, Usage) -> Event,
) -> Result<Summary, Halt> {
    let Ended { outcome, usage, .. } = ended;
    let told = match &outcome {
        Outcome::Summarized(summary) => Some(summary.clone()),
        _ => None,
    };
    log.tell(event(told, usage))?;
    let failed = |why: String| Err(Halt::fault(why));
    match outcome {
        Outcome::Summarized(summary) => Ok(summary),
        Outcome::Failed(Failure::Transient(why)) => Err(Halt::transient(printable(&why, 4096))),
        Outcome::Failed(Failure::Permanent(why)) => failed(printable(&why, 4096)),
        Outcome::Failed(Failure::Refused(refusal)) => Err(refusal.into()),
        Outcome::Limited { limit, detail } => Err(Halt::limited(limit, detail)),
        Outcome::Trapped { message } => {
            failed(format!("the task trapped: {}", printable(&message, 4096)))
        }
        Outcome::Cancelled => Err(brake.stop("looking").map_or_else(
            || Halt::end(RunState::Cancelled, "the worker was cancelled", None),
            |stop| Halt::end(stop.state, stop.why, stop.hint),
        )),
        Outcome::Died { detail } => {
            let why = format!("the worker died: {}", printable(&detail, 4096));
            // Before its walls stand nothing of the guest has run: then it is this machine's doing.
            if log.report().walls.is_none() {
                return Err(Halt::end(RunState::Failed, why, None));
            }
            failed(why)
        }
        Outcome::Unwalled { detail } => Err(Halt::end(
            RunState::Denied,
            format!("this kernel cannot put both walls around the task: {detail}"),
            Some("only plugins of tier `own` run without them".into()),
        )),
        Outcome::Described(_) => failed("the worker answered a question nobody asked".to_owned()),
    }
}
