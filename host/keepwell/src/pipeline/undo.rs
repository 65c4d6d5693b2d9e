//! Undo: what a run moved aside or set goes back, last first, each batch with its own intent. The
//! plan is read a batch at a time from its end, so a million actions are never in memory.

use super::Brake;
use super::parts::Parts;
use super::plan_file::PlanReader;
use super::run_log::{Halt, Observer, RunLog};
use crate::error::{Error, Result};
use crate::node::Node;
use keepwell_journal::{Filter, Reader};
use keepwell_model::action::{Action, Change};
use keepwell_model::event::{Event, Record};
use keepwell_model::id::{RootName, RunId};
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use keepwell_model::words::{Code, Progress, Refusal};
use keepwell_node::quarantine::Quarantine;
use keepwell_node::root::Root;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

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
    let report = reader
        .report(run)?
        .ok_or_else(|| Error::usage(format!("there is no run {run}")))?;
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
    let plan = PlanReader::open(&path, plan.digest)?;
    let applied = Applied::find(plan, report.applied.next, not_done(&reader, run)?, which)?;
    if let Which::Only(chosen) = which
        && let Some(id) = chosen.iter().find(|id| !applied.chosen.contains(id))
    {
        return Err(
            Error::usage(format!("run {run} did not apply an action {id}"))
                .hint("`keepwell runs show RUN` lists what was applied and what was not"),
        );
    }
    let mut back = Back {
        node,
        run,
        hands: BTreeMap::new(),
        whole: BTreeSet::new(),
    };
    for name in &applied.roots {
        match open(node, name, run)? {
            Ok(opened) => {
                back.hands.insert(name.clone(), opened);
            }
            // An undo that left nothing behind took the folder away with it.
            Err(gone) if gone.code == Code::Gone && undone_and_kept(&report, &reader)? => {
                back.whole.insert(name.clone());
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    if back.hands.is_empty() && !applied.params {
        return Ok(report);
    }
    let state = report.state;
    let mut log = RunLog::reopen(node, report, observer);
    let ended = back.put_back(applied, &mut log);
    let ended = ended.and_then(|()| {
        for (_, quarantine) in back.hands.values() {
            quarantine.finish_undo()?;
        }
        Ok(state)
    });
    log.end(ended)
}

fn records(
    reader: &Reader,
    run: RunId,
    kind: &str,
    each: &mut dyn FnMut(Record) -> ControlFlow<()>,
) -> Result<()> {
    let filter = Filter {
        run: Some(run),
        kinds: vec![kind.to_owned()],
        ..Filter::default()
    };
    reader.records(&filter, &mut |_, record| each(record))?;
    Ok(())
}

/// What the journal says was reached and not done.
fn not_done(reader: &Reader, run: RunId) -> Result<BTreeSet<u64>> {
    let mut all = BTreeSet::new();
    records(reader, run, "outcome", &mut |record| {
        if let Event::Outcome { not_done, .. } = record.event {
            all.extend(not_done.into_iter().map(|n| n.action));
        }
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// Whether what is not in quarantine is back in its place: it was undone, and nothing expired.
fn undone_and_kept(report: &Report, reader: &Reader) -> Result<bool> {
    let mut kept = report.undone.is_some();
    records(reader, report.run, "expiry-intended", &mut |_| {
        kept = false;
        ControlFlow::Break(())
    })?;
    Ok(kept)
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

/// The actions of the plan that the journal says, or does not deny, were done; where each batch of
/// them begins in the file.
struct Applied {
    plan: PlanReader,
    /// The place in the file of each batch.
    batches: Vec<u64>,
    /// The first action that was never intended.
    next: u64,
    not_done: BTreeSet<u64>,
    only: Option<BTreeSet<u64>>,
    /// Those of `only` that are there.
    chosen: BTreeSet<u64>,
    roots: BTreeSet<RootName>,
    /// Some of them set parameters.
    params: bool,
    total: u64,
}

impl Applied {
    fn find(plan: PlanReader, next: u64, not_done: BTreeSet<u64>, which: &Which) -> Result<Self> {
        let only = match which {
            Which::All => None,
            Which::Only(chosen) => Some(chosen.clone()),
        };
        let mut this = Self {
            plan,
            batches: vec![],
            next,
            not_done,
            only,
            chosen: BTreeSet::new(),
            roots: BTreeSet::new(),
            params: false,
            total: 0,
        };
        loop {
            let at = this.plan.place()?;
            let batch = this.plan.batch(super::apply::BATCH)?;
            if batch.first().is_none_or(|action| action.id >= next) {
                return Ok(this);
            }
            this.batches.push(at);
            for action in &batch {
                if !this.takes(action.id) {
                    continue;
                }
                this.total += 1;
                if this.only.is_some() {
                    this.chosen.insert(action.id);
                }
                match action.change.root() {
                    Some(root) if this.roots.contains(root) => {}
                    Some(root) => {
                        this.roots.insert(root.clone());
                    }
                    None => this.params = true,
                }
            }
        }
    }

    fn takes(&self, id: u64) -> bool {
        let wanted = self.only.as_ref().is_none_or(|only| only.contains(&id));
        id < self.next && wanted && !self.not_done.contains(&id)
    }

    /// The batch before the one that was asked for last.
    fn batch_before(&mut self) -> Result<Option<Vec<Action>>> {
        let Some(at) = self.batches.pop() else {
            return Ok(None);
        };
        self.plan.go_to(at)?;
        let mut batch = self.plan.batch(super::apply::BATCH)?;
        batch.retain(|action| self.takes(action.id));
        Ok(Some(batch))
    }
}

/// The actuators of one undo.
struct Back<'a> {
    node: &'a Node,
    run: RunId,
    hands: BTreeMap<RootName, (Root, Quarantine)>,
    /// Roots in which everything is back already.
    whole: BTreeSet<RootName>,
}

impl Back<'_> {
    fn put_back(&self, mut applied: Applied, log: &mut RunLog<'_>) -> Result<(), Halt> {
        let mut so_far = 0;
        while let Some(mut batch) = applied.batch_before().map_err(Halt::failed)? {
            let all = batch.len() as u64;
            batch.retain(|a| {
                a.change
                    .root()
                    .is_none_or(|root| !self.whole.contains(root))
            });
            so_far += all;
            let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
                continue;
            };
            let (first, last) = (first.id, last.id);
            log.tell(Event::UndoIntended { first, last })?;
            let mut parts = Parts::default();
            for action in batch.iter().rev() {
                parts.add(action, self.one(action, log)?);
            }
            for (_, quarantine) in self.hands.values() {
                quarantine.sync()?;
            }
            for outcome in parts.undo_outcomes() {
                log.tell(outcome)?;
            }
            log.progress(&Progress {
                done: so_far,
                total: applied.total,
                unit: "actions".into(),
                note: "putting back".into(),
            });
        }
        Ok(())
    }

    fn one(&self, action: &Action, log: &mut RunLog<'_>) -> Result<Result<(), Refusal>, Halt> {
        match &action.change {
            Change::Quarantine { .. } | Change::QuarantineTree { .. } => Ok(self.move_back(action)),
            Change::ConfigWrite(_) => match super::changes::undo(self.node, self.run, action) {
                Ok(event) => log.tell(event).map(Ok),
                Err(refusal) => Ok(Err(refusal)),
            },
        }
    }

    fn move_back(&self, action: &Action) -> Result<(), Refusal> {
        let root = action.change.root();
        let (_, quarantine) = root
            .and_then(|root| self.hands.get(root))
            .ok_or_else(|| Refusal::denied("its root is not there"))?;
        quarantine.undo(action).map(|_| ())
    }
}
