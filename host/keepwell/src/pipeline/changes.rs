//! Confirmed commits: what the journal tells of changed parameters, and taking back what is due.
//! The model decides; this reads, acts and writes down.

use super::run_log::{Halt, RunLog};
use crate::error::{Error, Result};
use crate::node::Node;
use keepwell_journal::{Filter, Reader};
use keepwell_model::action::{Action, Change};
use keepwell_model::event::{Event, Record};
use keepwell_model::id::RunId;
use keepwell_model::param::{
    Commit, CommitState, Guard, Param, ParamChange, ParamValue, Reading, Verdict, WhatNow,
    after_restart, may_write, what_now,
};
use keepwell_model::words::{Code, Refusal};
use keepwell_node::params::ConfigWrite;
use keepwell_node::pressure::{Contended, pressure};
use keepwell_node::quarantine::Settled;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{MutexGuard, PoisonError};

/// How often a change that waits is looked at: its guard is measured, and whether somebody else set
/// another value.
const LOOK_EVERY_MS: u64 = 5_000;
/// Measurements kept of a guard: those of the longest `for` that fits a day are not needed one by
/// one, as a breach counts from the first that is still kept.
const READINGS_MAX: usize = 20_000;
const KINDS: [&str; 4] = [
    "commit-armed",
    "commit-confirmed",
    "commit-reverted",
    "commit-overtaken",
];
/// What a guard can name: the share of the last ten seconds in which some process waited.
pub const GUARD_METRICS: [&str; 3] = ["cpu-pressure", "io-pressure", "memory-pressure"];

/// One change of a parameter, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Changed {
    #[serde(flatten)]
    pub commit: Commit,
    pub task: Option<String>,
    pub why: Option<String>,
    #[serde(skip)]
    guard: Option<Guard>,
    #[serde(skip)]
    action: Action,
}

/// What was measured of the guards of changes that wait.
#[derive(Debug, Default)]
pub struct Measured(BTreeMap<(RunId, u64), Vec<Reading>>);

impl Measured {
    /// Measures the guard once more, and says what all measurements come to.
    fn verdict(&mut self, changed: &Changed, now_ms: u64) -> Verdict {
        let Some(guard) = &changed.guard else {
            return Verdict::None;
        };
        let key = (changed.commit.run, changed.commit.action);
        let readings = self.0.entry(key).or_default();
        if let Some(value) = measure(&guard.metric) {
            readings.push(Reading {
                at_ms: now_ms,
                value,
            });
        }
        if readings.len() > READINGS_MAX {
            readings.remove(0);
        }
        guard.verdict(readings, changed.commit.armed_at_ms, now_ms)
    }
}

fn measure(metric: &str) -> Option<f64> {
    let of = match metric {
        "cpu-pressure" => Contended::Cpu,
        "io-pressure" => Contended::Io,
        "memory-pressure" => Contended::Memory,
        _ => return None,
    };
    Some(pressure(of).ok().flatten()?.some.avg_10)
}

/// Every change this node knows of, oldest first.
pub fn changes(reader: &Reader) -> Result<Vec<Changed>> {
    let filter = Filter {
        kinds: KINDS.map(String::from).to_vec(),
        ..Filter::default()
    };
    let mut all = vec![];
    reader.records(&filter, &mut |_, record| {
        fold(&mut all, record);
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

fn fold(all: &mut Vec<Changed>, record: Record) {
    let Some(run) = record.run else { return };
    let mut turns = |action: u64, state: CommitState, why: Option<String>| {
        let same = |c: &&mut Changed| c.commit.run == run && c.commit.action == action;
        if let Some(changed) = all.iter_mut().find(same) {
            changed.commit.state = state;
            changed.why = why;
        }
    };
    match record.event {
        Event::CommitArmed {
            action,
            deadline,
            guard,
        } => {
            let Change::ConfigWrite(change) = &action.change else {
                return;
            };
            let commit = Commit {
                deadline_ms: deadline,
                ..Commit::arm(run, action.id, change, record.at)
            };
            // A run that goes on may arm again what a crash kept from being applied.
            all.retain(|c| c.commit.run != run || c.commit.action != action.id);
            all.push(Changed {
                commit,
                task: record.task,
                why: None,
                guard,
                action: *action,
            });
        }
        Event::CommitConfirmed { action } => turns(action, CommitState::Confirmed, None),
        Event::CommitReverted { action, why } => turns(action, CommitState::Reverted, Some(why)),
        Event::CommitOvertaken { action } => turns(action, CommitState::Overtaken, None),
        _ => {}
    }
}

/// The same for the model's decisions.
pub(super) fn history(node: &Node) -> Result<Vec<Commit>> {
    let all = changes(&node.reader()?)?;
    Ok(all.into_iter().map(|c| c.commit).collect())
}

/// Makes one change of a run: what it was and when it reverts is durable before.
pub(super) fn set(
    node: &Node,
    run: RunId,
    action: &Action,
    param: &Param,
    log: &mut RunLog<'_>,
) -> Result<Result<(), Refusal>, Halt> {
    let Change::ConfigWrite(change) = &action.change else {
        return Ok(Err(Refusal::invalid("it changes no parameter")));
    };
    let _one_at_a_time = hold(node);
    let hand = ConfigWrite::new(run);
    let earlier = history(node).map_err(Halt::failed)?;
    let now_ms = node.clock.now_ms();
    if let Err(no) =
        ready(&earlier, run, action, change, param, now_ms).and_then(|()| hand.check(action, param))
    {
        return Ok(Err(no));
    }
    log.tell(Event::CommitArmed {
        action: Box::new(action.clone()),
        deadline: now_ms.saturating_add(change.revert_after.as_millis()),
        guard: param.guard.clone(),
    })?;
    let Err(no) = hand.apply(action) else {
        return Ok(Ok(()));
    };
    // When even putting it back fails, it stays armed and is tried again at its deadline.
    let why = format!("it could not be applied: {}", no.message);
    if let Ok(event) = put_back(&hand, action, why) {
        log.tell(event)?;
    }
    Ok(Err(no))
}

/// Whether the parameter may be changed still. Changes of one run are one experiment.
fn ready(
    earlier: &[Commit],
    run: RunId,
    action: &Action,
    change: &ParamChange,
    param: &Param,
    now_ms: u64,
) -> Result<(), Refusal> {
    let (own, others): (Vec<Commit>, Vec<Commit>) =
        earlier.iter().cloned().partition(|c| c.run == run);
    let before = own.iter().find(|c| c.action == action.id);
    match before.map(|c| c.state) {
        Some(CommitState::Reverted | CommitState::Overtaken | CommitState::Confirmed) => {
            return Err(Refusal::gone(format!(
                "the change of `{}` was made and settled before",
                change.param
            ))
            .hint("what was taken back is not made again; a new run may propose it"));
        }
        Some(CommitState::Armed) | None => {}
    }
    may_write(&change.param, param, &others, &change.old.value, now_ms)
}

/// The old value, if ours stands there; what to write down of it.
fn put_back(hand: &ConfigWrite, action: &Action, why: String) -> Result<Event, Refusal> {
    match hand.undo(action) {
        Ok(_) => Ok(Event::CommitReverted {
            action: action.id,
            why,
        }),
        Err(no) if no.code == Code::Gone => Ok(Event::CommitOvertaken { action: action.id }),
        Err(no) => Err(no),
    }
}

/// Undoes one change as a person asked; gives what to write down.
pub(super) fn undo(node: &Node, run: RunId, action: &Action) -> Result<Event, Refusal> {
    let _one_at_a_time = hold(node);
    ConfigWrite::new(run)
        .undo(action)
        .map(|_| Event::CommitReverted {
            action: action.id,
            why: "undone".into(),
        })
}

/// Takes back every change that waits and is due, newest first, and says so. `restarted` tells
/// whether what watched over a change was gone for a while. Gives when to look again.
pub fn take_back(
    node: &Node,
    measured: &mut Measured,
    restarted: &dyn Fn(RunId) -> bool,
    say: &dyn Fn(&str),
) -> Result<Option<u64>> {
    let _one_at_a_time = hold(node);
    let mut next = None;
    let mut untold = None;
    for changed in changes(&node.reader()?)?.into_iter().rev() {
        if changed.commit.state != CommitState::Armed {
            continue;
        }
        let now_ms = node.clock.now_ms();
        let verdict = measured.verdict(&changed, now_ms);
        let restarted = restarted(changed.commit.run);
        match one(&changed, now_ms, verdict, restarted) {
            Ok(Some(event)) => {
                let what = told(&changed, &event);
                measured
                    .0
                    .remove(&(changed.commit.run, changed.commit.action));
                say(&what);
                // It was intended when it was armed, so a journal that is full holds up no revert;
                // the record follows when there is room.
                if let Err(e) = record(node, &changed, event) {
                    untold.get_or_insert(e);
                }
                continue;
            }
            Ok(None) => {}
            Err(no) => say(&format!(
                "the change of `{}` cannot be taken back now: {}",
                changed.commit.param, no.message
            )),
        }
        let deadline = changed.commit.deadline_ms;
        let again = if deadline > now_ms {
            deadline.min(now_ms + LOOK_EVERY_MS)
        } else {
            now_ms + LOOK_EVERY_MS
        };
        next = Some(next.map_or(again, |n: u64| n.min(again)));
    }
    untold.map_or(Ok(next), Err)
}

/// What becomes of one change that waits: nothing yet, or what to write down.
fn one(
    changed: &Changed,
    now_ms: u64,
    verdict: Verdict,
    restarted: bool,
) -> Result<Option<Event>, Refusal> {
    let Changed { commit, action, .. } = changed;
    let hand = ConfigWrite::new(commit.run);
    let settled = hand.settled(action);
    let current = current(settled, commit);
    let what = if restarted {
        after_restart(commit, current)
    } else {
        what_now(commit, current, now_ms, verdict)
    };
    match what {
        WhatNow::Keep => Ok(None),
        WhatNow::Revert(why) => put_back(&hand, action, why.to_string()).map(Some),
        WhatNow::Overtaken => {
            let theirs = match settled {
                Settled::Applied | Settled::NotApplied => true,
                // A file that an editor is just replacing is not there for a moment.
                Settled::Unknown => match hand.holds_another(action) {
                    Err(no) if no.code == Code::Gone => now_ms >= commit.deadline_ms,
                    other => other?,
                },
            };
            Ok(theirs.then_some(Event::CommitOvertaken { action: action.id }))
        }
    }
}

fn current(settled: Settled, commit: &Commit) -> Option<&ParamValue> {
    match settled {
        Settled::Applied => Some(&commit.new),
        Settled::NotApplied => Some(&commit.old),
        Settled::Unknown => None,
    }
}

/// Confirms what run `run` changed, all of it or nothing. Gives how many stay.
pub fn confirm(node: &Node, run: RunId) -> Result<usize> {
    let _one_at_a_time = hold(node);
    let mine: Vec<Changed> = changes(&node.reader()?)?
        .into_iter()
        .filter(|c| c.commit.run == run)
        .collect();
    if mine.is_empty() {
        return Err(Error::usage(format!("run {run} changed no parameter"))
            .hint("`keepwell runs changes` lists the runs that did"));
    }
    let now_ms = node.clock.now_ms();
    for changed in &mine {
        let settled = ConfigWrite::new(run).settled(&changed.action);
        let verdict = Measured::default().verdict(changed, now_ms);
        let current = current(settled, &changed.commit);
        changed.commit.confirm(current, now_ms, verdict)?;
    }
    for changed in &mine {
        if changed.commit.state == CommitState::Armed {
            let action = changed.commit.action;
            record(node, changed, Event::CommitConfirmed { action })?;
        }
    }
    Ok(mine.len())
}

/// How many changes of a run wait to be confirmed, and when the first of them reverts.
pub fn waiting(reader: &Reader, run: RunId) -> Result<Option<(usize, u64)>> {
    let all = changes(reader)?;
    let mine = all
        .iter()
        .filter(|c| c.commit.run == run && c.commit.state == CommitState::Armed);
    let deadlines: Vec<u64> = mine.map(|c| c.commit.deadline_ms).collect();
    Ok(deadlines
        .iter()
        .min()
        .map(|first| (deadlines.len(), *first)))
}

fn record(node: &Node, changed: &Changed, event: Event) -> Result<()> {
    let record = Record {
        run: Some(changed.commit.run),
        ..node.record(changed.task.as_deref(), event)
    };
    node.journal.commit(record)?;
    Ok(())
}

fn told(changed: &Changed, event: &Event) -> String {
    let Commit {
        run, param, old, ..
    } = &changed.commit;
    let run = run.short();
    match event {
        Event::CommitReverted { why, .. } => {
            format!("`{param}`, changed by run {run}, is `{old}` again: {why}")
        }
        _ => format!("`{param}`, changed by run {run}, was set by somebody else and stays so"),
    }
}

fn hold(node: &Node) -> MutexGuard<'_, ()> {
    node.changes.lock().unwrap_or_else(PoisonError::into_inner)
}
