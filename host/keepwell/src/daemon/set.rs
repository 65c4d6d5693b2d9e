//! A slot from its start to its end: its tasks one after the other, each a run of its own.

use super::going_on::cut_off;
use super::running::For;
use super::shared::Shared;
use super::timetable::aside_until;
use crate::config::Line;
use crate::error::Result;
use crate::node::Node;
use crate::pipeline::{self, Brake, Due, Silent};
use keepwell_model::event::{Event, Mode};
use keepwell_model::id::{RunId, TaskName};
use keepwell_model::report::Report;
use keepwell_model::schedule::{Again, OnInterrupt, SkipWhy, retry};
use keepwell_model::slot::{Slot, Via};
use keepwell_model::state::{Exit, RunState};
use keepwell_model::units::Share;
use keepwell_model::window::{MayGoOn, Occurrence};
use keepwell_model::words::{Failure, Severity};

/// A start as it was decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) slot: u64,
    pub(super) attempt: u32,
    pub(super) late_ms: u64,
    pub(super) scope: Share,
    pub(super) window: Option<Occurrence>,
}

/// How the slot ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct End {
    pub(super) failed: bool,
    pub(super) again: Option<Again>,
    /// Part of it did not come to be, because the journal could not take it.
    pub(super) lost: bool,
}

/// Late by more than this is catching up.
const ON_TIME_MS: u64 = keepwell_model::schedule::due::ON_TIME_MS;

pub(super) fn run_set(shared: &Shared, node: &Node, line: &Line, start: &Start) -> End {
    let mut end = End::default();
    let mut stopped: Option<String> = None;
    for task in &line.tasks {
        if let Some(why) = &stopped {
            end.lost |= !left(node, line, task, start, why);
            continue;
        }
        let brake = Brake::default();
        // It may have been extended since the slot began.
        let window = shared.scheduler.window(&line.key).or(start.window);
        let what = For {
            schedule: Some(line.key.clone()),
            task: Some(task.to_string()),
            run: None,
            window,
        };
        let Ok(_under_way) = shared.running.begin(what, &brake) else {
            break;
        };
        let now = node.clock.now_ms();
        if window.is_some_and(|w| w.may_go_on(now) != MayGoOn::Yes) {
            tracing::info!(
                schedule = line.key,
                "past the cutoff: {task} is left for the next slot"
            );
            end.lost |= !left(node, line, task, start, "the window was past its cutoff");
            continue;
        }
        if let Some(why) = put_aside(node, line, task, now) {
            tracing::warn!(schedule = line.key, "{task} is left out: {why}");
            end.lost |= !left(node, line, task, start, &why.to_string());
            continue;
        }
        let report = match run_one(node, line, task, start, &brake) {
            Ok(Some(report)) => report,
            Ok(None) => continue,
            Err(e) => {
                tracing::error!(schedule = line.key, "{task}: {e}");
                end.failed = true;
                end.lost = true;
                break;
            }
        };
        tracing::info!(
            schedule = line.key,
            run = report.run.short(),
            "{task} ended {}",
            report.state
        );
        end.failed |= matches!(
            report.state,
            RunState::Failed | RunState::Denied | RunState::Limited
        );
        if let Err(e) = after_failures(node, line, task, &report) {
            tracing::error!(schedule = line.key, "{e}");
        }
        let cutoff = window.map(|w| w.cutoff);
        end.again = again(node, line, (start.slot, start.attempt), cutoff, &report);
        let critical = report
            .findings
            .iter()
            .any(|f| f.severity == Severity::Critical);
        if line.stop_on.stops(report.state, critical) {
            stopped = Some(format!("{task} before it ended {}", report.state));
        }
    }
    end
}

/// Why the watchdog leaves this task out of a set. A schedule of one task is skipped as a whole,
/// before it gets here; what cannot be read leaves nothing out.
fn put_aside(node: &Node, line: &Line, task: &TaskName, now: u64) -> Option<SkipWhy> {
    if line.tasks.len() < 2 {
        return None;
    }
    let reader = node.reader();
    let until = reader.and_then(|reader| aside_until(&reader, task.as_str(), now));
    let until = until.unwrap_or_else(|e| {
        tracing::error!(schedule = line.key, "{task}: {e}");
        None
    });
    until
        .filter(|until| *until > now)
        .map(|until| SkipWhy::Aside { until })
}

/// A task of the set that does not get its turn: its slot ends here, visibly. Whether that could
/// be told.
fn left(node: &Node, line: &Line, task: &TaskName, start: &Start, why: &str) -> bool {
    if start.attempt > 1 {
        // Of another try: the slot has its end.
        return true;
    }
    let event = Event::SlotSkipped {
        schedule: line.key.clone(),
        due: start.slot,
        why: why.to_owned(),
        asked: false,
    };
    let told = super::scheduler::told(node, task.as_str(), event);
    if let Err(e) = &told {
        tracing::error!(schedule = line.key, "{task}: {e}");
    }
    told.is_ok()
}

/// `None`: this slot of the task was begun before, by a daemon that did not live to end the set, or
/// has its end, because what was cut off before it goes on instead.
fn run_one(
    node: &Node,
    line: &Line,
    task: &TaskName,
    start: &Start,
    brake: &Brake,
) -> Result<Option<Report>> {
    if line.schedule.on_interrupt == OnInterrupt::Resume {
        match go_on(node, task, brake)? {
            Before::Nothing => {}
            Before::GoesOn(run) => {
                let why = format!("run {}, which was cut off, still goes on", run.short());
                left(node, line, task, start, &why);
                return Ok(None);
            }
            Before::WentOn(report) => {
                let run = report.run.short();
                tracing::info!(schedule = line.key, "{task} went on with run {run}");
                let stopped = matches!(report.state, RunState::Interrupted | RunState::Cancelled);
                if brake.is_pulled() || stopped {
                    // Of this slot nothing is left to be done but what was not done of that run.
                    let why = format!("run {run}, which was cut off, went on and is not done yet");
                    left(node, line, task, start, &why);
                    return Ok(Some(*report));
                }
            }
        }
    }
    let task = node.config.task(task.as_str())?;
    let via = match (start.attempt, start.late_ms > ON_TIME_MS) {
        (2.., _) => Via::Retry,
        (_, true) => Via::CatchUp,
        (_, false) => Via::Schedule,
    };
    let mut due = Due::now(node, task, "schedule", Mode::Apply, false, &[])?;
    due.slot = Some(Slot {
        schedule: line.key.clone(),
        due: start.slot,
        attempt: start.attempt,
        via,
        reason: None,
    });
    due.scope = start.scope;
    due.window = line.schedule.window.clone();
    match pipeline::run(node, due, &mut Silent, brake) {
        Ok(report) => Ok(Some(report)),
        Err(e) if e.taken => Ok(None),
        Err(e) => Err(e),
    }
}

/// What became of the run before, which the last window, a crash or a person cut off.
enum Before {
    Nothing,
    WentOn(Box<Report>),
    /// Somebody has it in hand.
    GoesOn(RunId),
}

fn go_on(node: &Node, task: &TaskName, brake: &Brake) -> Result<Before> {
    for run in cut_off(&node.reader()?, task.as_str())? {
        match pipeline::resume(node, run, &mut Silent, brake) {
            Ok(report) => return Ok(Before::WentOn(Box::new(report))),
            Err(e) if e.exit == Exit::NotNow => return Ok(Before::GoesOn(run)),
            // It had no approved plan, or the grant changed: it stays as it ended.
            Err(e) => tracing::debug!(run = run.short(), "{task} does not go on: {e}"),
        }
    }
    Ok(Before::Nothing)
}

/// Pauses the task when its schedule says so.
fn after_failures(node: &Node, line: &Line, task: &TaskName, report: &Report) -> Result<()> {
    if !matches!(
        report.state,
        RunState::Failed | RunState::Denied | RunState::Limited
    ) {
        return Ok(());
    }
    let failures = node.reader()?.history(task.as_str(), 0)?.failures;
    let failures = u32::try_from(failures).unwrap_or(u32::MAX);
    if line.schedule.pauses_after(failures) {
        let reason = format!("it ended badly {failures} times in a row");
        tracing::error!(schedule = line.key, "{task} is paused: {reason}");
        let event = Event::TaskPaused { reason };
        node.journal
            .commit_with_checkpoint(node.record(Some(task.as_str()), event))?;
    }
    Ok(())
}

/// When to try again, if the task itself says that this may help.
pub(super) fn again(
    node: &Node,
    line: &Line,
    (slot, attempt): (u64, u32),
    cutoff: Option<u64>,
    report: &Report,
) -> Option<Again> {
    if report.state != RunState::Failed {
        return None;
    }
    let why = report.reason.clone().unwrap_or_default();
    let failure = if report.again {
        Failure::Transient(why)
    } else {
        Failure::Permanent(why)
    };
    let now = node.clock.now_ms();
    let failed = retry::Failed {
        node: &node.config.node_name(),
        key: &line.key,
        slot,
        attempt,
        ended: report.ended.unwrap_or(now),
        failure: &failure,
        cutoff,
        next_slot: line.schedule.pattern.next_after(now).unwrap_or(u64::MAX),
    };
    match retry::next(line.schedule.retry.as_ref(), &failed) {
        retry::Next::At {
            attempt,
            not_before,
        } => Some(Again {
            slot,
            attempt,
            not_before,
        }),
        retry::Next::No(_) => None,
    }
}
