//! Confirmed commits: what the journal tells of changed parameters; making, confirming and undoing
//! one. The model decides; this reads, acts and writes down.

mod guard;
mod watch;

pub use guard::GUARD_METRICS;
pub use watch::{Watch, take_back};

use super::run_log::{Halt, RunLog};
use crate::error::{Error, Result};
use crate::node::Node;
use guard::Measured;
use keepwell_journal::{Filter, Reader};
use keepwell_model::action::{Action, Change};
use keepwell_model::event::{Event, Record};
use keepwell_model::id::{ParamName, RunId};
use keepwell_model::param::{
    Commit, CommitState, Guard, Param, ParamChange, ParamValue, may_write,
};
use keepwell_model::words::{Code, Refusal};
use keepwell_node::params::ConfigWrite;
use keepwell_node::quarantine::Settled;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{MutexGuard, PoisonError};

const KINDS: [&str; 4] = [
    "commit-armed",
    "commit-confirmed",
    "commit-reverted",
    "commit-overtaken",
];
/// Changes of one parameter that stay known, however old they are: those a task is told of, and
/// by which it is known whose the value is that stands there now.
pub(super) const KNOWN_MAX: usize = 64;

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

impl Changed {
    /// Which change it is.
    const fn key(&self) -> (RunId, u64) {
        (self.commit.run, self.commit.action)
    }

    fn change(&self) -> Option<&ParamChange> {
        match &self.action.change {
            Change::ConfigWrite(change) => Some(change),
            Change::Quarantine { .. } | Change::QuarantineTree { .. } => None,
        }
    }
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

/// Runs that are not forgotten while what they changed waits, or is among the newest changes of its
/// parameter: without them nothing would take a change back, and what an administrator set since
/// would pass for the host's.
pub(super) fn spared(reader: &Reader) -> Result<BTreeSet<RunId>> {
    let mut spared = BTreeSet::new();
    let mut seen: BTreeMap<ParamName, usize> = BTreeMap::new();
    for changed in changes(reader)?.into_iter().rev() {
        let newer = seen.entry(changed.commit.param.clone()).or_default();
        if *newer < KNOWN_MAX || changed.commit.state == CommitState::Armed {
            spared.insert(changed.commit.run);
        }
        *newer += 1;
    }
    Ok(spared)
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
    let known = changes(&node.reader().map_err(Halt::failed)?).map_err(Halt::failed)?;
    let hand = ConfigWrite::new(run).after(made_by(run, &known));
    let earlier: Vec<Commit> = known.into_iter().map(|c| c.commit).collect();
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

/// What the run has changed before and stands there now.
fn made_by(run: RunId, known: &[Changed]) -> Vec<ParamChange> {
    let waits = |c: &&Changed| c.commit.run == run && c.commit.state == CommitState::Armed;
    let mine = known.iter().filter(waits);
    mine.filter_map(|c| c.change().cloned()).collect()
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
        let verdict = Measured::default().verdict(node, changed, now_ms).0;
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

fn hold(node: &Node) -> MutexGuard<'_, ()> {
    node.changes.lock().unwrap_or_else(PoisonError::into_inner)
}
