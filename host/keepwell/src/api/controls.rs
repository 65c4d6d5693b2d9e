//! How a person steers a task: paused, resumed, skipped, done by hand, run now, filled up later.
//! Each is an entry of the journal with who and why; the daemon acts on it, now or when it starts.

use super::request::{Answer, Control};
use crate::clock::readable;
use crate::config::{Line, timetable};
use crate::error::{Error, Result, chain};
use crate::node::Node;
use keepwell_journal::measurements::TaskUsage;
use keepwell_model::event::Event;
use keepwell_model::schedule::NoSlot;
use keepwell_model::units::Bytes;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Slots of one backfill. They run one after the other; more of them is a mistyped time.
const BACKFILL_MAX: u64 = 1_000;

pub(super) fn steer(node: &Node, task: &str, control: Control, reason: &str) -> Result<Answer> {
    let task = node.config.task(task)?.name.to_string();
    let reason = reason.to_owned();
    let (event, is) = match control {
        Control::Pause => (Event::TaskPaused { reason }, "is paused"),
        Control::Resume => (Event::TaskResumed { reason }, "may run again"),
        Control::SkipNext => (Event::TaskSkip { reason }, "skips its next run"),
    };
    node.journal
        .commit_with_checkpoint(node.record(Some(&task), event))?;
    Ok(Answer::Said(format!("task {task} {is}")))
}

/// The newest due slot, or the one given, needs no run any more.
pub(super) fn done(node: &Node, task: &str, slot: Option<u64>, reason: &str) -> Result<Answer> {
    let now = node.clock.now_ms();
    let lines = lines_of(node, task, None)?;
    let mut newest: Option<(u64, &Line)> = None;
    for line in &lines {
        let pattern = &line.schedule.pattern;
        let due = pattern
            .last_at_or_before(slot.unwrap_or(now))
            .map_err(|e| lost(&e))?;
        if let Some(due) = due.filter(|due| newest.is_none_or(|(newest, _)| *due > newest)) {
            newest = Some((due, line));
        }
    }
    let (due, line) =
        newest.ok_or_else(|| Error::usage(format!("no slot of {task} was due yet")))?;
    if let Some(slot) = slot.filter(|slot| *slot != due) {
        let message = format!("{} is no slot of {task}", readable(slot));
        return Err(Error::usage(message).hint(format!("the one before it is {}", readable(due))));
    }
    if due > now {
        return Err(
            Error::usage(format!("{} is not due yet", readable(due))).hint(format!(
                "`keepwell task skip {task}` leaves the next run out"
            )),
        );
    }
    let event = Event::SlotDoneByHand {
        schedule: line.key.clone(),
        due,
        reason: reason.to_owned(),
    };
    node.journal
        .commit_with_checkpoint(node.record(Some(task), event))?;
    let (key, due) = (&line.key, readable(due));
    Ok(Answer::Said(format!(
        "task {task}: the slot of {key} at {due} was done by hand"
    )))
}

/// Asks for the slots that nothing was started for.
pub(super) fn backfill(
    node: &Node,
    task: &str,
    schedule: Option<&str>,
    range: RangeInclusive<u64>,
    reason: &str,
) -> Result<Answer> {
    let (from, to) = (*range.start(), *range.end());
    if from > to || to > node.clock.now_ms() {
        return Err(
            Error::usage("a backfill goes from a time to a later one that has passed")
                .hint("for example `--from 2026-11-20 --to 2026-11-22`, or `--from 3d --to 1h`"),
        );
    }
    let lines = lines_of(node, task, schedule)?;
    let [line] = lines.as_slice() else {
        let keys: Vec<_> = lines.iter().map(|line| line.key.as_str()).collect();
        return Err(Error::usage(format!("{task} has several schedules"))
            .hint(format!("name one with --schedule: {}", keys.join(", "))));
    };
    let pattern = &line.schedule.pattern;
    let slots = pattern
        .count(from.saturating_sub(1), to)
        .map_err(|e| lost(&e))?
        .slots;
    if !(1..=BACKFILL_MAX).contains(&slots) {
        return Err(Error::usage(format!(
            "{} has {slots} slots from {} to {}",
            line.key,
            readable(from),
            readable(to)
        ))
        .hint(format!("a backfill runs from 1 to {BACKFILL_MAX} of them")));
    }
    let event = Event::BackfillAsked {
        schedule: line.key.clone(),
        from,
        to,
        reason: reason.to_owned(),
    };
    node.journal
        .commit_with_checkpoint(node.record(Some(task), event))?;
    Ok(Answer::Said(format!(
        "task {task}: of {slots} slots of {}, those that nothing was started for are run one after the other",
        line.key
    )))
}

pub(super) fn run_now(
    node: &Node,
    task: &str,
    set: &[(String, serde_json::Value)],
    reason: &str,
) -> Result<Answer> {
    let task = node.config.task(task)?.name.to_string();
    let words: BTreeMap<_, _> = set.iter().cloned().collect();
    let event = Event::RunAsked {
        reason: reason.to_owned(),
        settings: serde_json::to_string(&words).unwrap_or_default(),
    };
    node.journal
        .commit_with_checkpoint(node.record(Some(&task), event))?;
    Ok(Answer::Said(format!("task {task} is to be run now")))
}

/// Removes what a task keeps for itself. One that is configured no more has its state still, and a
/// run that began before this does not write over it.
pub(super) fn clear_state(node: &Node, task: &str, reason: &str) -> Result<Answer> {
    let states = node.task_states()?;
    let mut usage = states.usage()?.into_iter();
    let usage = usage.find(|u| u.task == task && u.keys > 0);
    let Some(TaskUsage { keys, bytes, .. }) = usage else {
        return Err(Error::usage(format!("`{task}` keeps nothing"))
            .hint("`keepwell task state list` names the tasks that do"));
    };
    let reason = reason.to_owned();
    let event = Event::StateCleared {
        keys,
        bytes,
        reason,
    };
    node.journal
        .commit_with_checkpoint(node.record(Some(task), event))?;
    states.forget(task)?;
    Ok(Answer::Said(format!(
        "task {task} keeps nothing any more: {keys} keys, {} are gone",
        Bytes(bytes)
    )))
}

/// The schedules that run a task; `schedule` keeps the one of that name.
fn lines_of(node: &Node, task: &str, schedule: Option<&str>) -> Result<Vec<Line>> {
    let task = &node.config.task(task)?.name;
    let mut lines = timetable(&node.config)?;
    lines.retain(|line| line.tasks.contains(task));
    if lines.is_empty() {
        return Err(Error::usage(format!("no schedule runs {task}"))
            .hint("`keepwell schedule list` names the schedules and their tasks"));
    }
    if let Some(wanted) = schedule {
        let keys: Vec<_> = lines.iter().map(|line| line.key.clone()).collect();
        lines.retain(|line| line.key == wanted);
        if lines.is_empty() {
            return Err(
                Error::usage(format!("schedule `{wanted}` does not run {task}"))
                    .hint(format!("these do: {}", keys.join(", "))),
            );
        }
    }
    Ok(lines)
}

fn lost(why: &NoSlot) -> Error {
    Error::usage(chain(why))
}
