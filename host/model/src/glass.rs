//! Breaking the glass: one person applies a plan without the approvals it wants. Who may is named by
//! the policy; what cannot be overridden, and what must be as it was, is decided here.

use crate::approval::{REASON_MAX_BYTES, State, Subject};
use crate::policy::{BreakGlass, Policy, Ruling};
use crate::role::{Account, Peer, Roles};
use crate::state::RunState;
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// Hex digits of the plan's digest that must be typed: enough that no two plans share them by chance,
/// few enough to be read off a screen.
pub const DIGITS_MIN: usize = 8;
/// Oldest plan that may be applied so. It names files as they were.
pub const PLAN_AGE_MAX: Span = Span::secs(86_400);

/// What the report of a run says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glass {
    /// Who broke it, by number, as the kernel said.
    pub by: u32,
    /// Milliseconds since the Unix epoch, as all times here.
    pub at: u64,
    /// From here on the plan is not gone on with.
    pub until: u64,
    pub reason: String,
    /// What the plan lacked.
    pub over: String,
    /// By somebody else, afterwards.
    pub acknowledged: Option<Acknowledged>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    pub by: u32,
    pub at: u64,
    pub reason: String,
}

/// A plan without its approvals, and who wants it applied.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub policy: &'a Policy,
    pub roles: &'a Roles,
    pub by: &'a Peer,
    /// What they typed of the plan's digest.
    pub typed: &'a str,
    pub reason: &'a str,
    /// How the run stands.
    pub state: RunState,
    /// It was let through before, however.
    pub let_through: bool,
    /// When its plan was sealed.
    pub sealed: u64,
    /// What was planned, and what would be applied now.
    pub planned: &'a Subject,
    pub now_is: &'a Subject,
    /// What the policy says of it now.
    pub ruling: &'a Ruling,
    /// What was answered, if somebody was asked.
    pub answered: Option<&'a State>,
    pub now: u64,
}

/// It may be broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub over: String,
    pub until: u64,
}

/// Why the glass stays whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Whole {
    #[error("the policy lets nobody break the glass")]
    Nobody,
    #[error("user {uid} is not among those who may break the glass")]
    NotAmong { uid: u32 },
    #[error("the reason is empty, or longer than {REASON_MAX_BYTES} bytes")]
    Reason,
    #[error("the run ended {0}: only a plan that waits or was denied lacks approval")]
    State(RunState),
    #[error("its plan was let through once, and the glass is broken once for a plan")]
    Used,
    #[error("its plan is older than {PLAN_AGE_MAX}")]
    Old,
    #[error("that is not how the plan's digest begins")]
    Digest,
    #[error("the {0} is not the one that was planned with")]
    Changed(&'static str),
    #[error("it was {0}, and the policy does not let that be overridden")]
    Denied(String),
    #[error("nothing is lacking: {0}")]
    Needless(&'static str),
}

impl Whole {
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Nobody | Self::NotAmong { .. } => {
                "`[policy.break-glass] who` in keepwell.toml names them; `keepwell approvals show RUN` says who may approve"
            }
            Self::Reason => "say in a sentence why it cannot wait: others will read it",
            Self::State(_) | Self::Used | Self::Old | Self::Changed(_) => {
                "`keepwell run TASK` makes a new plan"
            }
            Self::Digest => "`keepwell runs show RUN` shows it; type its first 8 digits",
            Self::Denied(_) => {
                "whoever denied it may say why; `overrides-deny` is the operator's to set"
            }
            Self::Needless(_) => "`keepwell runs resume RUN` or `keepwell run TASK` applies it",
        }
    }
}

/// Whether this user may break the glass for any plan. Asked first, so that a stranger learns
/// nothing of one.
pub fn named<'a>(policy: &'a Policy, roles: &Roles, by: &Peer) -> Result<&'a BreakGlass, Whole> {
    let table = policy.break_glass.as_ref().ok_or(Whole::Nobody)?;
    let who = &table.who;
    let of_group = |group: &Account| match group {
        Account::Number(gid) => by.gids.contains(gid),
        Account::Name(_) => false,
    };
    let named = who.roles.iter().any(|role| roles.holds(by, *role))
        || who.users.contains(&Account::Number(by.uid))
        || who.groups.iter().any(of_group);
    if named {
        Ok(table)
    } else {
        Err(Whole::NotAmong { uid: by.uid })
    }
}

/// Whether the glass may be broken for this plan, now.
pub fn judge(case: &Case<'_>) -> Result<Broken, Whole> {
    let table = named(case.policy, case.roles, case.by)?;
    if case.reason.trim().is_empty() || case.reason.len() > REASON_MAX_BYTES {
        return Err(Whole::Reason);
    }
    if case.let_through {
        return Err(Whole::Used);
    }
    match case.state {
        RunState::Waiting | RunState::Denied => {}
        RunState::Running
        | RunState::Done
        | RunState::Warned
        | RunState::Failed
        | RunState::Limited
        | RunState::Skipped
        | RunState::Missed
        | RunState::Cancelled
        | RunState::Interrupted => return Err(Whole::State(case.state)),
    }
    if case.now >= case.sealed.saturating_add(PLAN_AGE_MAX.as_millis()) {
        return Err(Whole::Old);
    }
    if !begins(&case.planned.plan.hex(), case.typed) {
        return Err(Whole::Digest);
    }
    if let Some(part) = case.planned.differs(case.now_is) {
        return Err(Whole::Changed(part));
    }
    Ok(Broken {
        over: lacking(case, table)?,
        until: case.now.saturating_add(table.within().as_millis()),
    })
}

fn begins(digest: &str, typed: &str) -> bool {
    let typed = typed.trim();
    let typed = typed.strip_prefix("sha256:").unwrap_or(typed);
    typed.len() >= DIGITS_MIN && digest.starts_with(&typed.to_ascii_lowercase())
}

/// What the plan lacks. What a rule or a person denied is more than a lack.
fn lacking(case: &Case<'_>, table: &BreakGlass) -> Result<String, Whole> {
    let denied = match (case.ruling, case.answered) {
        (Ruling::Deny(rule), _) => Some(format!("denied by rule {rule} of the policy")),
        (Ruling::Allow(_) | Ruling::Approve(_), Some(State::Denied { .. })) => {
            case.answered.map(State::to_string)
        }
        (Ruling::Allow(_) | Ruling::Approve(_), _) => None,
    };
    match denied {
        Some(denied) if table.overrides_deny => return Ok(denied),
        Some(denied) => return Err(Whole::Denied(denied)),
        None => {}
    }
    let Ruling::Approve(needs) = case.ruling else {
        return Err(Whole::Needless("the policy lets such a plan pass"));
    };
    match case.answered {
        Some(State::Approved) => Err(Whole::Needless("it is approved")),
        Some(state) => Ok(state.to_string()),
        None => Ok(format!("{} approvals", needs.approvals)),
    }
}

#[cfg(test)]
mod tests;
