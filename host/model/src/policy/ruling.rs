//! What the policy says of a plan: the strictest of what its rules say.

use super::{APPROVE_WITHIN, EXECUTE_WITHIN, Rule, Who};
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// What a plan must have before it is applied. Part of the request that approvers sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Needs {
    pub approvals: u32,
    pub approve_within: Span,
    pub execute_within: Span,
    pub peer_suffices: bool,
    pub yes_suffices: bool,
    /// Whoever approves must be among each of these. Sorted.
    pub who: Vec<Who>,
}

impl Default for Needs {
    fn default() -> Self {
        Self {
            approvals: 1,
            approve_within: APPROVE_WITHIN,
            execute_within: EXECUTE_WITHIN,
            peer_suffices: false,
            yes_suffices: false,
            who: vec![],
        }
    }
}

impl Needs {
    pub(super) fn of(rule: &Rule) -> Self {
        let plain = Self::default();
        let approvals = rule.approvals.unwrap_or(1).max(1);
        let execute_within = rule.execute_within.unwrap_or_else(|| {
            let given = rule.approve_within.unwrap_or(EXECUTE_WITHIN);
            given.max(EXECUTE_WITHIN)
        });
        Self {
            approvals,
            approve_within: rule
                .approve_within
                .unwrap_or(plain.approve_within)
                .min(execute_within),
            execute_within,
            peer_suffices: rule.peer_suffices.unwrap_or(false),
            yes_suffices: rule.yes_suffices.unwrap_or(false) && approvals == 1,
            who: rule
                .who
                .iter()
                .filter(|w| !w.is_anyone())
                .cloned()
                .collect(),
        }
    }

    /// What satisfies both satisfies each: every part is the stricter of the two.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.who.extend(other.who);
        self.who.sort();
        self.who.dedup();
        let approvals = self.approvals.max(other.approvals);
        Self {
            approvals,
            approve_within: self.approve_within.min(other.approve_within),
            execute_within: self.execute_within.min(other.execute_within),
            peer_suffices: self.peer_suffices && other.peer_suffices,
            yes_suffices: self.yes_suffices && other.yes_suffices && approvals == 1,
            who: self.who,
        }
    }
}

/// What the policy says of one thing a plan does, or of all of them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// By this rule, counted from 1; by the default of its class where there is none.
    Allow(Option<usize>),
    Approve(Needs),
    /// By this rule, counted from 1.
    Deny(usize),
}

impl Ruling {
    /// The more demanding of the two; two that ask for approval are joined.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Deny(rule), Self::Deny(other)) => Self::Deny(rule.min(other)),
            (Self::Deny(rule), Self::Allow(_) | Self::Approve(_))
            | (Self::Allow(_) | Self::Approve(_), Self::Deny(rule)) => Self::Deny(rule),
            (Self::Approve(one), Self::Approve(other)) => Self::Approve(one.and(other)),
            (Self::Approve(needs), Self::Allow(_)) | (Self::Allow(_), Self::Approve(needs)) => {
                Self::Approve(needs)
            }
            (Self::Allow(one), Self::Allow(other)) => Self::Allow(one.or(other)),
        }
    }
}
