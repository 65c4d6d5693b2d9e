//! The gate: whether a plan may be applied, waits for approvals, or is turned away.

use crate::action::Change;
use crate::approval::{Request, RequestId, State};
use crate::capability::{Capability, Class};
use crate::clock::Doubt;
use crate::grant::{Denial, Grant, Tier};
use crate::policy::{Needs, Policy, Ruling, Subject};
use std::collections::BTreeSet;
use std::fmt;

/// One kind of thing a run did or wants to do. The policy's rules are held against each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Effect {
    pub class: Class,
    pub capability: Capability,
}

impl Effect {
    /// What a run under this grant can look at.
    pub fn reading(grant: &Grant) -> BTreeSet<Self> {
        let held = Capability::ALL.into_iter().filter(|c| grant.holds(*c));
        held.map(|capability| Self {
            class: Class::Read,
            capability,
        })
        .collect()
    }

    /// What applying a change does.
    pub const fn of(change: &Change) -> Self {
        let capability = match change {
            Change::Quarantine { .. } | Change::QuarantineTree { .. } => Capability::StorageClean,
            Change::ConfigWrite(_) => Capability::ConfigWrite,
        };
        Self {
            class: change.class(),
            capability,
        }
    }
}

/// Everything the decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub policy: &'a Policy,
    /// The task's name on this node.
    pub task: &'a str,
    /// Of the plugin's signer.
    pub tier: Tier,
    /// What was read, and each kind of action in the plan.
    pub effects: &'a BTreeSet<Effect>,
    /// Whoever started the run is a person at a terminal and said `--yes`.
    pub said_yes: bool,
    /// Why this machine's clock cannot be believed.
    pub clock: Option<Doubt>,
    /// The request made for exactly this plan, and where it stands now.
    pub approval: Option<(&'a Request, &'a State)>,
}

/// How a plan was let through; its text is what the journal records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    ChangesNothing,
    CanBeUndone,
    /// The rule counted from 1; `None`: `destructive-without-asking`.
    PolicyAllows(Option<usize>),
    SaidYes,
    Approved(RequestId),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass(How),
    /// Nobody was asked yet, or not enough have answered.
    Wait(Needs),
    Deny(Denial),
}

/// The most demanding rule over everything the plan does, then what was said to it. A denial stands
/// even where the policy has come to allow the plan since.
pub fn decide(facts: &Facts<'_>) -> Verdict {
    let denied = facts
        .approval
        .filter(|(_, state)| matches!(state, State::Denied { .. }));
    let ruling = ruling(facts);
    if let (Ruling::Allow(_) | Ruling::Approve(_), None, Some(doubt)) =
        (&ruling, denied, doubted(facts))
    {
        return Verdict::Deny(doubt.denial());
    }
    let needs = match (ruling, denied) {
        (Ruling::Deny(rule), _) => return Verdict::Deny(denied_by(facts.task, rule)),
        (Ruling::Allow(_) | Ruling::Approve(_), Some((_, denied))) => {
            return Verdict::Deny(over(&denied.to_string()));
        }
        (Ruling::Allow(rule), None) => return Verdict::Pass(allowed(facts, rule)),
        (Ruling::Approve(needs), None) => needs,
    };
    match facts.approval {
        Some((request, state)) if request.needs == needs => answered(request, state, needs),
        Some(_) => Verdict::Deny(over("the policy changed after approval was asked for")),
        None if facts.said_yes && needs.yes_suffices => Verdict::Pass(How::SaidYes),
        None => Verdict::Wait(needs),
    }
}

/// What makes it unsafe to do now what cannot be undone.
pub fn doubted(facts: &Facts<'_>) -> Option<Doubt> {
    let destroys = facts.effects.iter().any(|e| e.class == Class::Destructive);
    facts.clock.filter(|_| destroys && !facts.policy.any_clock)
}

/// What the policy says of all that the plan does.
pub fn ruling(facts: &Facts<'_>) -> Ruling {
    let subject = |class, capability| Subject {
        class,
        capability,
        task: facts.task,
        tier: facts.tier,
    };
    let effects = facts.effects.iter();
    effects
        .map(|e| facts.policy.rule_on(subject(e.class, Some(e.capability))))
        .reduce(Ruling::and)
        // Without effects the rules on task and tier still speak.
        .unwrap_or_else(|| facts.policy.rule_on(subject(Class::Read, None)))
}

/// Whether the policy forbids it outright, whatever was said to it before.
pub fn forbidden(facts: &Facts<'_>) -> Option<Denial> {
    match ruling(facts) {
        Ruling::Deny(rule) => Some(denied_by(facts.task, rule)),
        Ruling::Allow(_) | Ruling::Approve(_) => None,
    }
}

fn allowed(facts: &Facts<'_>, rule: Option<usize>) -> How {
    match facts.effects.iter().map(|e| e.class).max() {
        None | Some(Class::Read) => How::ChangesNothing,
        Some(Class::Reversible) => rule.map_or(How::CanBeUndone, |n| How::PolicyAllows(Some(n))),
        Some(Class::Destructive) => How::PolicyAllows(rule),
    }
}

fn answered(request: &Request, state: &State, needs: Needs) -> Verdict {
    match state {
        State::Approved => Verdict::Pass(How::Approved(request.id())),
        State::Waiting { .. } => Verdict::Wait(needs),
        State::Denied { .. } | State::Expired(_) | State::Void(_) | State::Used => {
            Verdict::Deny(over(&state.to_string()))
        }
    }
}

fn denied_by(task: &str, rule: usize) -> Denial {
    let message = format!("the policy forbids what task `{task}` wants to do");
    let place = format!("policy.rules.{}", rule - 1);
    Denial::new(place, message).hint(format!(
        "it is rule {rule} of [policy] in keepwell.toml; a `deny` wins over every other rule"
    ))
}

fn over(why: &str) -> Denial {
    Denial::new("", why).hint("run the task again: a new plan asks for a new approval")
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChangesNothing => f.write_str("it changes nothing"),
            Self::CanBeUndone => f.write_str("everything in it can be undone"),
            Self::PolicyAllows(Some(rule)) => write!(f, "rule {rule} of the policy allows it"),
            Self::PolicyAllows(None) => f.write_str("the node's policy allows it"),
            Self::SaidYes => f.write_str("a person said yes"),
            Self::Approved(id) => write!(f, "approved by request {}", id.short()),
        }
    }
}

#[cfg(test)]
mod tests;
