//! The host's side of one worker: writes down what it tells and answers what only the host may.

use super::own::Own;
use super::propose::Proposals;
use super::run_log::{Halt, RunLog};
use crate::node::Node;
use crate::pressure::Ease;
use keepwell_model::action::RelPath;
use keepwell_model::event::Event;
use keepwell_model::grant::Grant;
use keepwell_model::limits::LimitName;
use keepwell_model::param::Commit;
use keepwell_model::words::Refusal;
use keepwell_node::in_use::InUse;
use keepwell_node::params::ConfigWrite;
use keepwell_node::root::Root;
use keepwell_sandbox::{Answer, Ask, Broker, ParamSheet, Proposal, Stop, Told};
use std::sync::Arc;

/// The host's side of one worker: writes down what it tells and answers what it asks.
pub(super) struct Desk<'a, 'b> {
    node: &'a Node,
    grant: &'a Grant,
    log: &'a mut RunLog<'b>,
    pub(super) proposals: Option<Proposals>,
    pub(super) own: Own,
    stage: &'static str,
    cpu: Option<Result<keepwell_node::metrics::Cpu, Refusal>>,
    in_use: Option<Arc<InUse>>,
    /// Changes of parameters, read once for a look.
    history: Option<Vec<Commit>>,
    pub(super) halted: Option<Halt>,
    ease: Ease,
}

impl<'a, 'b> Desk<'a, 'b> {
    pub(super) fn new(
        node: &'a Node,
        grant: &'a Grant,
        log: &'a mut RunLog<'b>,
        proposals: Option<Proposals>,
        own: Own,
        stage: &'static str,
    ) -> Self {
        let task = log.report().task.clone();
        Self {
            node,
            grant,
            log,
            proposals,
            own,
            stage,
            cpu: None,
            in_use: None,
            history: None,
            halted: None,
            ease: Ease::new(super::apply::eased(node, &task)),
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
            Told::Progressed(mut progress) => {
                if let Some(pressed) = self.ease.pressed() {
                    let what = std::mem::take(&mut progress.note);
                    let glue = if what.is_empty() { "" } else { ", " };
                    progress.note = format!("{what}{glue}slowed: {pressed}");
                }
                self.log.progress(&progress);
                return Ok(());
            }
            Told::Checkpointed(state) => Event::Checkpointed {
                state: data_encoding::BASE64.encode(&state),
            },
            Told::Called { calls, more } => {
                if let Some(rehearsed) = &self.node.rehearsed {
                    rehearsed.count(&calls, more);
                }
                Event::Called { calls, more }
            }
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
        let rehearsed = self.node.rehearsed.as_ref().filter(|_| self.grant.metrics);
        if let Some(answer) = rehearsed.and_then(|it| it.readings.answer(&ask)) {
            return answer;
        }
        match ask {
            Ask::Rest => Answer::Rest(u64::try_from(self.ease.due().as_millis()).unwrap_or(0)),
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
            Ask::Param { name } => Answer::Param(self.param(&name)),
            Ask::ProposeConfig {
                name,
                value,
                reason,
            } => Answer::ProposedConfig(self.propose_config(&name, &value, &reason)),
            Ask::State(ask) => {
                let task = &self.log.report().task;
                Answer::State(self.own.answer(self.node, self.grant, task, ask))
            }
        }
    }
}

impl Desk<'_, '_> {
    fn history(&mut self) -> Result<&[Commit], Refusal> {
        if self.history.is_none() {
            let known = super::changes::history(self.node);
            self.history = Some(known.map_err(|e| Refusal::io(e.message))?);
        }
        Ok(self.history.as_deref().unwrap_or_default())
    }

    fn param(&mut self, name: &str) -> Result<ParamSheet, Refusal> {
        let config = (self.grant.config_read.as_ref())
            .ok_or_else(|| Refusal::denied("`config-read` is not granted"))?;
        let (name, param) = config.param(name)?;
        let standing = ConfigWrite::new(self.log.run()).read(param)?;
        let history = self.history()?;
        Ok(super::sheet::sheet(
            name,
            param,
            &standing.held.value,
            history,
        ))
    }

    fn propose_config(&mut self, name: &str, value: &str, reason: &str) -> Result<u64, Refusal> {
        self.history()?;
        let history = self.history.as_deref().unwrap_or_default();
        let hand = ConfigWrite::new(self.log.run());
        let desk = self.proposals.as_mut().ok_or_else(not_in_review)?;
        desk.take_param(&hand, history, name, value, reason)
    }

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
