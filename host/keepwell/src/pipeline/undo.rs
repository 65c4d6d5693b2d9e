//! Undo: what a run moved aside or set goes back, last first, each batch with its own intent.

use super::Brake;
use super::plan_file::PlanReader;
use super::run_log::{Halt, Observer, RunLog};
use crate::error::{Error, Result};
use crate::node::Node;
use keepwell_model::action::{Action, Change};
use keepwell_model::event::{Event, NotDone, Record};
use keepwell_model::id::{RootName, RunId};
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use keepwell_model::words::{Code, Progress, Refusal};
use keepwell_node::quarantine::Quarantine;
use keepwell_node::root::Root;
use std::collections::{BTreeMap, BTreeSet};

/// What to put back: everything, or chosen actions.
#[derive(Debug, Clone)]
pub enum Which {
    All,
    Only(BTreeSet<u64>),
}

/// Puts back what `run` moved aside. Running it again finds everything in place.
pub fn undo(node: &Node, run: RunId, which: &Which, observer: &mut dyn Observer) -> Result<Report> {
    let _hold = node.in_hand.take(run, &Brake::default())?;
    let reader = node.journal.reader()?;
    let records = reader.run(run)?;
    let report =
        Report::fold(&records).ok_or_else(|| Error::usage(format!("there is no run {run}")))?;
    let plan = match (&report.plan, report.applied.next) {
        (Some(plan), next) if next > 0 => plan.clone(),
        _ => {
            return Err(Error::usage(format!(
                "run {run} changed nothing; there is nothing to undo"
            )));
        }
    };
    if report.state == RunState::Running {
        return Err(Error::not_now("the run is under way; cancel it first"));
    }
    let path = node.dir.run(run).join("plan.jsonl");
    let mut applied = applied_actions(&path, plan.digest, &records)?;
    if let Which::Only(chosen) = which {
        let known: BTreeSet<u64> = applied.iter().map(|a| a.id).collect();
        if let Some(id) = chosen.iter().find(|id| !known.contains(id)) {
            return Err(
                Error::usage(format!("run {run} did not apply an action {id}"))
                    .hint("`keepwell runs show RUN` lists what was applied and what was not"),
            );
        }
        applied.retain(|a| chosen.contains(&a.id));
    }
    let state = report.state;
    let mut hands = BTreeMap::new();
    let mut whole = BTreeSet::new();
    for action in &applied {
        let Some(name) = action.change.root() else {
            continue;
        };
        if hands.contains_key(name) || whole.contains(name) {
            continue;
        }
        match open(node, name, run)? {
            Ok(opened) => {
                hands.insert(name.clone(), opened);
            }
            // An undo that left nothing behind took the folder away with it.
            Err(gone) if gone.code == Code::Gone && undone_and_kept(&report, &records) => {
                whole.insert(name.clone());
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    applied.retain(|a| a.change.root().is_none_or(|root| !whole.contains(root)));
    if applied.is_empty() {
        return Ok(report);
    }
    let mut log = RunLog::reopen(node, report, observer);
    let ended = put_back(node, run, &applied, &hands, &mut log);
    let ended = ended.and_then(|()| {
        for (_, quarantine) in hands.values() {
            quarantine.finish_undo()?;
        }
        Ok(state)
    });
    log.end(ended)
}

/// Whether what is not in quarantine is back in its place: it was undone, and nothing expired.
fn undone_and_kept(report: &Report, records: &[Record]) -> bool {
    let expired = |r: &Record| matches!(r.event, Event::ExpiryIntended { .. });
    report.undone.is_some() && !records.iter().any(expired)
}

/// The outer error is the node's, the inner one the quarantine folder's.
fn open(node: &Node, name: &RootName, run: RunId) -> Result<Result<(Root, Quarantine), Refusal>> {
    let root = node.config.node.roots.get(name).ok_or_else(|| {
        Error::config(format!("root `{name}` is not in keepwell.toml any more"))
            .hint("put it back, so that what was moved aside can return")
    })?;
    let root = Root::open(name, &root.path)?;
    Ok(Quarantine::open(&root, run).map(|quarantine| (root, quarantine)))
}

/// The actions of the plan that the journal says, or does not deny, were done.
fn applied_actions(
    path: &std::path::Path,
    digest: keepwell_model::id::Digest,
    records: &[Record],
) -> Result<Vec<Action>> {
    let mut reached = 0;
    let mut not_done = BTreeSet::new();
    for record in records {
        match &record.event {
            Event::Intended { last, .. } => reached = last + 1,
            Event::Outcome {
                last,
                not_done: these,
                ..
            } => {
                reached = last + 1;
                not_done.extend(these.iter().map(|n| n.action));
            }
            _ => {}
        }
    }
    let mut reader = PlanReader::open(path, digest)?;
    let mut applied = vec![];
    while let Some(action) = reader.next_action()? {
        if action.id >= reached {
            break;
        }
        if !not_done.contains(&action.id) {
            applied.push(action);
        }
    }
    Ok(applied)
}

fn put_back(
    node: &Node,
    run: RunId,
    applied: &[Action],
    hands: &BTreeMap<RootName, (Root, Quarantine)>,
    log: &mut RunLog<'_>,
) -> Result<(), Halt> {
    let total = applied.len() as u64;
    let mut so_far = 0;
    for batch in applied.rchunks(super::apply::BATCH) {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
            continue;
        };
        let (first, last) = (first.id, last.id);
        log.tell(Event::UndoIntended { first, last })?;
        let mut not_done = vec![];
        for action in batch.iter().rev() {
            let undone = match &action.change {
                Change::Quarantine { .. } | Change::QuarantineTree { .. } => one(hands, action),
                Change::ConfigWrite(_) => match super::changes::undo(node, run, action) {
                    Ok(event) => {
                        log.tell(event)?;
                        Ok(())
                    }
                    Err(refusal) => Err(refusal),
                },
            };
            if let Err(refusal) = undone {
                let code = refusal.code.as_str().to_owned();
                not_done.push(NotDone {
                    action: action.id,
                    code,
                    why: refusal.message,
                });
            }
        }
        for (_, quarantine) in hands.values() {
            quarantine.sync()?;
        }
        so_far += batch.len() as u64;
        let done = (batch.len() - not_done.len()) as u64;
        log.tell(Event::UndoOutcome {
            first,
            last,
            done,
            not_done,
        })?;
        log.progress(&Progress {
            done: so_far,
            total,
            unit: "actions".into(),
            note: "putting back".into(),
        });
    }
    Ok(())
}

fn one(hands: &BTreeMap<RootName, (Root, Quarantine)>, action: &Action) -> Result<(), Refusal> {
    let root = action.change.root();
    let (_, quarantine) = root
        .and_then(|root| hands.get(root))
        .ok_or_else(|| Refusal::denied("its root is not there"))?;
    quarantine.undo(action).map(|_| ())
}
