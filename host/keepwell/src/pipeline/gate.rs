//! The gate: what the policy says of a plan, and the approvals it waits for. The judgement is made
//! anew from the journal each time; nothing else remembers an approval.

use super::run_log::{Halt, RunLog};
use super::{Approved, Planned, admit};
use crate::config::Line;
use crate::error::{Error, Result, chain};
use crate::node::Node;
use keepwell_model::approval::{
    Case, Decision, Judgement, Request, Requester, State, Subject, judge,
};
use keepwell_model::event::{Event, Record};
use keepwell_model::gate::{self, Effect, Facts, Verdict};
use keepwell_model::grant::{Denial, Grant};
use keepwell_model::id::{Digest, RunId, TaskName};
use keepwell_model::policy::Needs;
use keepwell_model::role::Account;
use keepwell_model::slot::Slot;
use keepwell_model::state::RunState;
use keepwell_node::accounts::System;
use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

/// A run's request for approval and what was answered, from its records.
#[derive(Debug, Clone)]
pub struct Asked {
    pub request: Request,
    pub decisions: Vec<Decision>,
    /// A run was let through by it already.
    pub used: bool,
    /// The slot that made the run due, if one did.
    pub slot: Option<Slot>,
}

impl Asked {
    /// `None` when the run never asked.
    pub fn of(records: &[Record]) -> Option<Self> {
        let mut asked: Option<Self> = None;
        let mut due = None;
        for record in records {
            match (&record.event, &mut asked) {
                (Event::RunDue { slot, .. }, _) => due.clone_from(slot),
                (Event::ApprovalAsked { request }, _) => {
                    asked = Some(Self {
                        request: (**request).clone(),
                        decisions: vec![],
                        used: false,
                        slot: due.clone(),
                    });
                }
                (Event::ApprovalAnswered { decision }, Some(asked)) => {
                    asked.decisions.push(decision.clone());
                }
                (Event::Approved { .. }, Some(asked)) => asked.used = true,
                _ => {}
            }
        }
        asked
    }

    /// Whether a slot of this schedule made the run due.
    pub fn is_of(&self, line: &Line) -> bool {
        self.slot.as_ref().is_some_and(|it| it.schedule == line.key)
    }

    /// What the answers come to, if `subject` were applied now.
    pub fn judge(&self, node: &Node, subject: &Subject) -> Result<Judgement> {
        let directory = node
            .approvers
            .directory(&System)
            .map_err(|e| Error::failed(chain(&e)))?;
        Ok(judge(&Case {
            request: &self.request,
            decisions: &self.decisions,
            subject,
            used: self.used,
            directory: &directory,
            roles: &node.roles,
            now: node.clock.now_ms(),
        }))
    }
}

/// What exactly would be applied.
pub(super) fn subject(plan: Digest, grant: &Grant, settings: &str) -> Subject {
    Subject {
        plan,
        component: grant.component,
        grant: grant.digest(),
        settings: Digest::of(settings.as_bytes()),
    }
}

/// Whether somebody was asked about the plan before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    Yes,
    No,
}

/// Lets the plan through, leaves it waiting, or turns it away. An answer is taken in before, and
/// counts, or after, and comes too late: never in between.
pub(super) fn pass<'a>(
    node: &Node,
    planned: Planned<'a>,
    waits: Waits,
    log: &mut RunLog<'_>,
) -> Result<Approved<'a>, Halt> {
    let _one_at_a_time = hold_answers(node);
    let due = &planned.granted.due;
    let grant = &planned.granted.grant;
    let asked = match waits {
        Waits::No => None,
        Waits::Yes => asked(node, log.run()).map_err(Halt::failed)?,
    };
    let asked = asked.as_ref();
    let state = match asked {
        None => None,
        Some(asked) => {
            let subject = subject(planned.plan.digest, grant, &due.settings);
            Some(asked.judge(node, &subject).map_err(Halt::failed)?.state)
        }
    };
    let effects = &planned.plan.effects;
    if let Some(window) = &due.window
        && let Some(other) = effects.iter().find(|e| !window.allows(e.class))
    {
        return Err(Halt::end(
            RunState::Skipped,
            format!("the window does not allow what is {}", other.class),
            Some("add the class to `window.classes`, or run it at another time".into()),
        ));
    }
    let effects = effects_of(&planned);
    let verdict = gate::decide(&Facts {
        clock: node.clock_doubt().map_err(Halt::failed)?,
        approval: asked.map(|a| &a.request).zip(state.as_ref()),
        ..facts(node, &planned, &effects)
    });
    match verdict {
        Verdict::Pass(how) => {
            if waits == Waits::Yes {
                // While it waited the tree has changed: what was a small share may be all that is left.
                admit::check_roots(node, grant)?;
                admit::check_shares(grant, &planned.plan)?;
            }
            log.tell(Event::Approved {
                digest: planned.plan.digest,
                how: how.to_string(),
            })?;
            Ok(Approved { planned })
        }
        Verdict::Wait(needs) => match (asked, state) {
            (Some(_), Some(State::Waiting { have, need })) => Err(Halt::Waiting { have, need }),
            _ => Err(ask(node, &planned, needs, log)?),
        },
        Verdict::Deny(denial) => Err(Halt::end(RunState::Denied, denial.message, denial.hint)),
    }
}

/// Held while answers are taken in and while they are judged.
pub(crate) fn hold_answers(node: &Node) -> MutexGuard<'_, ()> {
    node.answers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn asked(node: &Node, run: RunId) -> Result<Option<Asked>> {
    Ok(Asked::of(&node.reader()?.run(run)?))
}

/// What was read, and each kind of action.
pub(super) fn effects_of(planned: &Planned<'_>) -> BTreeSet<Effect> {
    let mut effects = planned.plan.effects.clone();
    effects.extend(Effect::reading(&planned.granted.grant));
    effects
}

/// What the policy is asked about; nobody has answered.
pub(super) fn facts<'a>(
    node: &'a Node,
    planned: &'a Planned<'_>,
    effects: &'a BTreeSet<Effect>,
) -> Facts<'a> {
    let due = &planned.granted.due;
    Facts {
        policy: &node.config.node.policy,
        task: due.task.name.as_str(),
        tier: planned.granted.grant.signer.tier,
        effects,
        said_yes: due.said_yes,
        clock: None,
        approval: None,
    }
}

/// Why a plan that was let through may not go on: the policy has come to forbid it.
pub(super) fn forbidden(node: &Node, planned: &Planned<'_>) -> Option<Denial> {
    gate::forbidden(&facts(node, planned, &effects_of(planned)))
}

/// Journals the request. The run waits from here on, through restarts too.
fn ask(
    node: &Node,
    planned: &Planned<'_>,
    needs: Needs,
    log: &mut RunLog<'_>,
) -> Result<Halt, Halt> {
    let due = &planned.granted.due;
    let need = needs.approvals;
    let requester = Requester {
        user: due.requester.map(Account::Number),
        key: None,
    };
    let name: TaskName = due.task.name.clone();
    let subject = subject(planned.plan.digest, &planned.granted.grant, &due.settings);
    let request = Request::new(
        &node.config.node_name(),
        name,
        log.run(),
        requester,
        subject,
        needs,
        node.clock.now_ms(),
    )
    .map_err(|e| Halt::end(RunState::Failed, chain(&e), None))?;
    log.tell(Event::ApprovalAsked {
        request: Box::new(request),
    })?;
    Ok(Halt::Waiting { have: 0, need })
}
