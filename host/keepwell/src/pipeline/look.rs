//! Look and propose: runs the guest in a worker and answers what only the host may answer. Every
//! proposal is checked here, whatever the worker thought of it.

use super::plan_file::PlanWriter;
use super::run_log::{Halt, RunLog};
use super::{Granted, Planned};
use crate::node::Node;
use crate::worker;
use globset::{Glob, GlobSet, GlobSetBuilder};
use keepwell_model::action::{Action, Change, EntryKind, Price, RelPath};
use keepwell_model::budget::{AgeBy, Spent};
use keepwell_model::event::{Event, Usage};
use keepwell_model::grant::{CleanGrant, Grant};
use keepwell_model::id::RootName;
use keepwell_model::limits::LimitName;
use keepwell_model::state::RunState;
use keepwell_model::words::{Failure, Refusal, Summary, printable};
use keepwell_node::in_use::InUse;
use keepwell_node::root::Root;
use keepwell_sandbox::{
    Answer, Ask, Assignment, Broker, Ended, Entry, Launch, Outcome, Proposal, Stop, Told,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A reason is a few words; the plan is not a place to store things.
const REASON_MAX_BYTES: usize = 256;

/// Runs the task and seals what it proposed.
pub(super) fn look<'a>(
    node: &Node,
    granted: Granted<'a>,
    log: &mut RunLog<'_>,
    cancel: &AtomicBool,
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
    let assignment = assign(&granted.grant, entry, &due.settings, due.now_ms, checkpoint);
    let proposals = Proposals::open(&granted.grant, writer, due.now_ms)?;
    let mut desk = Desk::new(node, &granted.grant, log, Some(proposals), "look");
    let code = granted
        .code
        .try_clone()
        .map_err(|e| Halt::end(RunState::Failed, e.to_string(), None))?;
    let ended = launch(code, &assignment, &mut desk, cancel)?;
    let (halted, proposals) = (desk.halted.take(), desk.proposals.take());
    if let Some(halt) = halted {
        return Err(halt);
    }
    let summary = conclude(ended, log, |summary, usage| Event::Looked {
        summary,
        usage,
    })?;
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
    })
}

/// Shows the task what was applied; it has the last word on its summary and may propose nothing.
pub(super) fn review(
    node: &Node,
    planned: Planned<'_>,
    log: &mut RunLog<'_>,
    cancel: &AtomicBool,
) -> Result<Summary, Halt> {
    let Planned {
        granted, summary, ..
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
    let assignment = assign(&granted.grant, entry, &due.settings, due.now_ms, None);
    let mut desk = Desk::new(node, &granted.grant, log, None, "review");
    let ended = launch(granted.code, &assignment, &mut desk, cancel)?;
    if let Some(halt) = desk.halted.take() {
        return Err(halt);
    }
    conclude(ended, log, |summary, usage| Event::Reviewed {
        summary,
        usage,
    })
}

fn assign(
    grant: &Grant,
    entry: Entry,
    settings: &str,
    now_ms: u64,
    checkpoint: Option<Vec<u8>>,
) -> Assignment {
    Assignment::new(grant, entry, settings.to_owned(), now_ms, checkpoint)
}

fn launch(
    code: std::fs::File,
    assignment: &Assignment,
    desk: &mut Desk<'_, '_>,
    cancel: &AtomicBool,
) -> Result<Ended, Halt> {
    let program = worker::program().map_err(Halt::failed)?;
    let launch = Launch {
        program: &program,
        args: &[worker::WORKER],
        code,
        assignment,
    };
    Ok(keepwell_sandbox::look(launch, desk, cancel))
}

/// What the worker's end means for the run.
fn conclude(
    ended: Ended,
    log: &mut RunLog<'_>,
    event: impl FnOnce(Option<Summary>, Usage) -> Event,
) -> Result<Summary, Halt> {
    let Ended { outcome, usage, .. } = ended;
    let told = match &outcome {
        Outcome::Summarized(summary) => Some(summary.clone()),
        _ => None,
    };
    log.tell(event(told, usage))?;
    let failed = |why: String| Err(Halt::end(RunState::Failed, why, None));
    match outcome {
        Outcome::Summarized(summary) => Ok(summary),
        Outcome::Failed(Failure::Transient(why)) => {
            failed(format!("{} (trying again may help)", printable(&why, 4096)))
        }
        Outcome::Failed(Failure::Permanent(why)) => failed(printable(&why, 4096)),
        Outcome::Failed(Failure::Refused(refusal)) => Err(refusal.into()),
        Outcome::Limited { limit, detail } => Err(Halt::limited(limit, detail)),
        Outcome::Trapped { message } => {
            failed(format!("the task trapped: {}", printable(&message, 4096)))
        }
        Outcome::Cancelled => Err(Halt::end(
            RunState::Cancelled,
            "cancelled while looking",
            None,
        )),
        Outcome::Died { detail } => {
            failed(format!("the worker died: {}", printable(&detail, 4096)))
        }
        Outcome::Unwalled { detail } => Err(Halt::end(
            RunState::Denied,
            format!("this kernel cannot put both walls around the task: {detail}"),
            Some("only plugins of tier `own` run without them".into()),
        )),
        Outcome::Described(_) => failed("the worker answered a question nobody asked".into()),
    }
}

/// The host's side of one worker: writes down what it tells and answers what it asks.
struct Desk<'a, 'b> {
    node: &'a Node,
    grant: &'a Grant,
    log: &'a mut RunLog<'b>,
    proposals: Option<Proposals>,
    stage: &'static str,
    cpu: Option<Result<keepwell_node::metrics::Cpu, Refusal>>,
    in_use: Option<Arc<InUse>>,
    halted: Option<Halt>,
}

impl<'a, 'b> Desk<'a, 'b> {
    fn new(
        node: &'a Node,
        grant: &'a Grant,
        log: &'a mut RunLog<'b>,
        proposals: Option<Proposals>,
        stage: &'static str,
    ) -> Self {
        Self {
            node,
            grant,
            log,
            proposals,
            stage,
            cpu: None,
            in_use: None,
            halted: None,
        }
    }

    /// What is open anywhere, found once for a look.
    fn in_use(&mut self) -> Arc<InUse> {
        let roots = self.grant.storage.as_ref().map(|s| &s.roots);
        let cleaned = self.grant.clean.as_ref().map(|c| &c.roots);
        let devices = || {
            let paths = roots.into_iter().chain(cleaned).flatten();
            paths
                .filter_map(|(name, path)| Root::open(name, path).ok().map(|r| r.identity().0))
                .collect()
        };
        Arc::clone(self.in_use.get_or_insert_with(|| {
            let devices: Vec<u64> = devices();
            Arc::new(keepwell_node::in_use::in_use(&devices))
        }))
    }

    fn propose(
        &mut self,
        root: &str,
        proposals: Vec<Proposal>,
    ) -> Result<Vec<Result<u64, Refusal>>, Refusal> {
        let in_use = self.in_use();
        let desk = self.proposals.as_mut().ok_or_else(not_in_review)?;
        let name = desk.root(root)?;
        let mut answers = Vec::with_capacity(proposals.len());
        for proposal in proposals {
            answers.push(desk.take_entry(&name, proposal, &in_use));
        }
        desk.check_actions_limit(&answers).inspect_err(|_| {
            self.halted = Some(Halt::limited(
                LimitName::Actions,
                "the plan holds more actions than it may",
            ));
        })?;
        Ok(answers)
    }

    fn propose_tree(&mut self, root: &str, path: RelPath, reason: &str) -> Result<u64, Refusal> {
        let in_use = self.in_use();
        let desk = self.proposals.as_mut().ok_or_else(not_in_review)?;
        let name = desk.root(root)?;
        desk.take_tree(&name, path, reason, &in_use)
    }

    fn write_down(&mut self, told: Told) -> Result<(), Halt> {
        let event = match told {
            Told::Ready(walls) => Event::WorkerStarted {
                walls,
                stage: self.stage.to_owned(),
            },
            Told::Logged(line) => Event::Logged { line },
            Told::Found(finding) => Event::Found { finding },
            Told::Measured(metric) => Event::Measured { metric },
            Told::Progressed(progress) => {
                self.log.progress(&progress);
                return Ok(());
            }
            Told::Checkpointed(state) => Event::Checkpointed {
                state: data_encoding::BASE64.encode(&state),
            },
            Told::Called { calls, more } => Event::Called { calls, more },
            Told::Refused {
                function,
                subject,
                refusal,
            } => Event::Refused {
                function,
                subject,
                refusal,
            },
            Told::Verified {
                store,
                remembered,
                gone,
            } => {
                self.grant.store(&store)?;
                return self
                    .node
                    .journal
                    .remember(&store, remembered, gone)
                    .map_err(|e| Halt::Journal(e.into()));
            }
        };
        self.log.tell(event)
    }
}

impl Broker for Desk<'_, '_> {
    fn told(&mut self, told: Told) -> Result<(), Stop> {
        self.write_down(told).map_err(|halt| {
            self.halted.get_or_insert(halt);
            Stop
        })
    }

    fn ask(&mut self, ask: Ask) -> Answer {
        let metrics = |grant: &Grant| {
            if grant.metrics {
                Ok(())
            } else {
                Err(Refusal::denied("`metrics` is not granted"))
            }
        };
        match ask {
            Ask::Cpu => Answer::Cpu(metrics(self.grant).and_then(|()| {
                self.cpu
                    .get_or_insert_with(keepwell_node::metrics::cpu)
                    .clone()
            })),
            Ask::Memory => {
                Answer::Memory(metrics(self.grant).and_then(|()| keepwell_node::metrics::memory()))
            }
            Ask::Pressure(of) => Answer::Pressure(
                metrics(self.grant).and_then(|()| keepwell_node::pressure::pressure(of)),
            ),
            Ask::Mounts => {
                Answer::Mounts(metrics(self.grant).and_then(|()| keepwell_node::mounts::mounts()))
            }
            Ask::Networks => Answer::Networks(
                metrics(self.grant).and_then(|()| keepwell_node::networks::networks()),
            ),
            Ask::Processes { order, max } => Answer::Processes(
                metrics(self.grant).and_then(|()| keepwell_node::processes::processes(order, max)),
            ),
            Ask::InUse => Answer::InUse({
                let known = self.in_use();
                Ok((known.pairs().collect(), known.complete()))
            }),
            Ask::Remembered { store } => {
                Answer::Remembered(self.journaled(&store, |r| r.remembered(&store)))
            }
            Ask::StoreFigures { store } => {
                let figures = self.journaled(&store, |r| r.store_figures(&store));
                Answer::StoreFigures(figures.map(|(shards, bytes, oldest_verified_ms)| {
                    keepwell_sandbox::StoreFigures {
                        shards,
                        bytes,
                        oldest_verified_ms,
                    }
                }))
            }
            Ask::Propose { root, proposals } => Answer::Proposed(self.propose(&root, proposals)),
            Ask::ProposeTree {
                root, path, reason, ..
            } => Answer::ProposedTree(self.propose_tree(&root, path, &reason)),
        }
    }
}

impl Desk<'_, '_> {
    fn journaled<T>(
        &self,
        store: &str,
        read: impl FnOnce(&keepwell_journal::Reader) -> Result<T, keepwell_journal::JournalError>,
    ) -> Result<T, Refusal> {
        self.grant.store(store)?;
        let reader = self
            .node
            .journal
            .reader()
            .map_err(|e| Refusal::io(crate::error::chain(&e)))?;
        read(&reader).map_err(|e| Refusal::io(crate::error::chain(&e)))
    }
}

fn not_in_review() -> Refusal {
    Refusal::denied("nothing can be proposed while reviewing")
}

/// Takes proposals into the plan, or refuses them one by one.
struct Proposals {
    clean: Option<CleanGrant>,
    roots: BTreeMap<RootName, Root>,
    protected: BTreeMap<RootName, GlobSet>,
    spent: Spent,
    writer: PlanWriter,
    actions_max: u64,
    over_limit: bool,
    now_ms: u64,
}

impl Proposals {
    fn open(grant: &Grant, writer: PlanWriter, now_ms: u64) -> Result<Self, Halt> {
        let mut roots = BTreeMap::new();
        let mut protected = BTreeMap::new();
        if let Some(clean) = &grant.clean {
            for (name, path) in &clean.roots {
                roots.insert(name.clone(), Root::open(name, path)?);
            }
            for (name, globs) in &clean.protect {
                protected.insert(name.clone(), glob_set(globs)?);
            }
        }
        Ok(Self {
            clean: grant.clean.clone(),
            roots,
            protected,
            spent: Spent::default(),
            writer,
            actions_max: grant.limits.actions,
            over_limit: false,
            now_ms,
        })
    }

    fn root(&self, name: &str) -> Result<RootName, Refusal> {
        let found = self.roots.keys().find(|k| k.as_str() == name).cloned();
        found.ok_or_else(|| {
            let name = printable(name, 64);
            Refusal::denied(format!("root `{name}` is not granted for cleaning")).hint(format!(
                "add `storage-clean.roots = [\"{name}\"]` to [grant] of this task"
            ))
        })
    }

    fn clean(&self) -> Result<&CleanGrant, Refusal> {
        self.clean
            .as_ref()
            .ok_or_else(|| Refusal::denied("`storage-clean` is not granted"))
    }

    fn take_entry(
        &mut self,
        root: &RootName,
        proposal: Proposal,
        in_use: &InUse,
    ) -> Result<u64, Refusal> {
        let Proposal {
            path,
            kind,
            identity,
            touched_ms,
            reason,
            ..
        } = proposal;
        if kind == EntryKind::Other {
            return Err(Refusal::denied(
                "only files, links and empty directories can be moved",
            ));
        }
        let device = self.roots.get(root).map(|r| r.identity().0);
        if device != Some(identity.device) {
            return Err(Refusal::denied(
                "the entry lies on another file system than its root",
            ));
        }
        if in_use.contains(identity.device, identity.inode) {
            return Err(Refusal::busy("it is open, mapped or locked"));
        }
        let told_ms = match self.clean()?.budget.age_by {
            AgeBy::Newest => touched_ms,
            AgeBy::Modified => u64::try_from(identity.mtime_ns / 1_000_000).unwrap_or(0),
        };
        self.check_age(told_ms)?;
        self.take(
            Change::Quarantine {
                root: root.clone(),
                path,
                kind,
                identity,
            },
            &reason,
        )
    }

    fn take_tree(
        &mut self,
        root: &RootName,
        path: RelPath,
        reason: &str,
        in_use: &InUse,
    ) -> Result<u64, Refusal> {
        let opened = self
            .roots
            .get(root)
            .ok_or_else(|| Refusal::denied("the root is not granted"))?;
        let entry = keepwell_node::walk::stat(opened, &path, in_use)?;
        if entry.kind != EntryKind::Directory {
            return Err(Refusal::invalid("only a directory can be moved as a tree"));
        }
        let survey = keepwell_node::survey(opened, &path, in_use)?;
        self.check_age(survey.touched_ms)?;
        let change = Change::QuarantineTree {
            root: root.clone(),
            path,
            identity: entry.identity,
            survey,
        };
        self.take(change, reason)
    }

    fn check_age(&self, told_ms: u64) -> Result<(), Refusal> {
        let least = self.clean()?.budget.min_age;
        if told_ms.saturating_add(least.as_millis()) > self.now_ms {
            return Err(Refusal::denied(format!("it is younger than {least}"))
                .hint("lower `storage-clean.min-age` of this task if that is meant"));
        }
        Ok(())
    }

    fn take(&mut self, change: Change, reason: &str) -> Result<u64, Refusal> {
        if reason.len() > REASON_MAX_BYTES {
            return Err(Refusal::invalid(format!(
                "a reason is at most {REASON_MAX_BYTES} bytes"
            )));
        }
        if let Some(globs) = self.protected.get(change.root()) {
            use std::os::unix::ffi::OsStrExt as _;
            if globs.is_match(std::ffi::OsStr::from_bytes(change.path().as_bytes())) {
                return Err(Refusal::denied(format!(
                    "it is protected by `roots.{}.protect`",
                    change.root()
                )));
            }
        }
        if self.writer.actions() >= self.actions_max {
            self.over_limit = true;
            return Err(Refusal::limit("the plan is full"));
        }
        let price: Price = change.price();
        let clean = self
            .clean
            .as_ref()
            .ok_or_else(|| Refusal::denied("`storage-clean` is not granted"))?;
        clean.budget.charge(&mut self.spent, price)?;
        let id = self.writer.actions();
        let action = Action {
            id,
            change,
            reason: printable(reason, REASON_MAX_BYTES),
        };
        self.writer
            .push(&action)
            .map_err(|e| Refusal::io(e.message))?;
        Ok(id)
    }

    /// The budget refuses single proposals; the limit on actions ends the run.
    fn check_actions_limit(&self, answers: &[Result<u64, Refusal>]) -> Result<(), Refusal> {
        if self.over_limit && answers.iter().any(Result::is_err) {
            return Err(Refusal::limit(format!(
                "a plan holds at most {} actions",
                self.actions_max
            )));
        }
        Ok(())
    }
}

fn glob_set(globs: &[String]) -> Result<GlobSet, Halt> {
    let bad = |e: globset::Error| {
        Halt::end(
            RunState::Denied,
            format!("bad glob in `protect`: {e}"),
            None,
        )
    };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(Glob::new(glob).map_err(bad)?);
    }
    set.build().map_err(bad)
}
