//! The operator's policy: what may run, what waits for whom, what never runs. The gate and the
//! approvals are decided by it.

mod break_glass;
mod ruling;

pub use break_glass::{BreakGlass, GLASS_WITHIN, GLASS_WITHIN_MAX};
pub use ruling::{Needs, Ruling};

use crate::capability::{Capability, Class};
use crate::glob;
use crate::grant::Tier;
use crate::role::{Account, Accounts, Role, Unresolved, group_number, user_number};
use crate::units::Span;
use crate::used::UNUSED_LEAST;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most rules: a person must be able to read the table.
pub const RULES_MAX: usize = 256;
/// Most people one plan can wait for: more than a node has operators, and a typo is seen.
pub const APPROVALS_MAX: u32 = 16;
/// Most accounts, roles and keys in one list of who may approve. The list is part of each request.
pub const WHO_MAX: usize = 64;
/// Longest time a plan can wait. A plan names files as they were; older ones fit nothing.
pub const WITHIN_MAX: Span = Span::secs(30 * 86_400);
/// A day: whoever is on duty next sees it.
pub const APPROVE_WITHIN: Span = Span::secs(86_400);
/// Two days: approved by day, a nightly window is still to come.
pub const EXECUTE_WITHIN: Span = Span::secs(2 * 86_400);

/// `[policy]` in keepwell.toml. Without rules: reading and what can be undone run, what cannot be
/// undone waits for a second person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Policy {
    /// Plans with a destructive action run unasked where no rule says otherwise.
    pub destructive_without_asking: bool,
    /// Destructive actions are carried out though this machine's clock is not synchronised, or was
    /// stepped by more than five minutes. Default: they are refused.
    pub any_clock: bool,
    /// A granted capability that a task did not use for so long, nor was granted anew, is denied:
    /// `"90d"`. Default: it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused_grants: Option<Span>,
    /// In any order: a `deny` wins, then the most demanding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Who may apply a plan that lacks approval, alone and loudly. Without it, nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// One line of the policy. What it does not name, it is not particular about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    /// Without it, `allow` covers what is read and what can be undone; `approve` and `deny` cover
    /// everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<Capability>,
    /// Glob on the task's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<NameGlob>,
    /// Tier of the plugin's signer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    pub then: Then,
    /// How many people; default 1. Only with `approve`, as are all that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<u32>,
    /// Counted from the request. Default: a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve_within: Option<Span>,
    /// Counted from the request. Default: two days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execute_within: Option<Span>,
    /// Being known by the socket's credentials is enough to approve, without a signature. Root can
    /// be anybody there. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_suffices: Option<bool>,
    /// `--yes` of whoever starts the run at a terminal is enough. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yes_suffices: Option<bool>,
    /// Who may approve. Default: every key in approvers.toml, and the role `approver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Who>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    Allow,
    Approve,
    Deny,
}

/// Any of these; none named means every approver.
#[derive(
    Debug,
    Clone,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Who {
    pub roles: Vec<Role>,
    pub users: Vec<Account>,
    pub groups: Vec<Account>,
    /// Names in approvers.toml.
    pub keys: Vec<String>,
}

impl Who {
    /// Everybody who may approve at all.
    pub fn is_anyone(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.roles.len() + self.users.len() + self.groups.len() + self.keys.len()
    }
}

/// A glob that can match the name of a task: lower-case letters, digits, `-` and `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct NameGlob(String);

impl TryFrom<String> for NameGlob {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if glob::is_valid(&text) {
            return Ok(Self(text));
        }
        Err(format!(
            "{text:?} is not a name with `*`: expected lower-case letters, digits, `-`, `*`"
        ))
    }
}

impl From<NameGlob> for String {
    fn from(glob: NameGlob) -> Self {
        glob.0
    }
}

/// What rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    pub class: Class,
    /// `None`: nothing that was granted was used.
    pub capability: Option<Capability>,
    /// The task's name on this node.
    pub task: &'a str,
    pub tier: Tier,
}

impl Rule {
    pub fn matches(&self, subject: Subject<'_>) -> bool {
        let class = match (self.class, self.then) {
            (Some(class), _) => class == subject.class,
            // What cannot be undone is allowed only by a line that says so.
            (None, Then::Allow) => subject.class != Class::Destructive,
            (None, Then::Approve | Then::Deny) => true,
        };
        let task = self.task.as_ref();
        class
            && self
                .capability
                .is_none_or(|c| subject.capability == Some(c))
            && task.is_none_or(|g| glob::matches(&g.0, subject.task))
            && self.tier.is_none_or(|t| t == subject.tier)
    }
}

/// Why a policy is refused, and by which of its rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct BadPolicy {
    /// Dotted place in keepwell.toml, for example `policy.rules.0.approvals`.
    pub place: String,
    pub what: String,
}

impl Policy {
    /// The deciding rules for one thing a plan does, or the default of its class.
    pub fn rule_on(&self, subject: Subject<'_>) -> Ruling {
        let matching = self.rules.iter().enumerate();
        matching
            .filter(|(_, rule)| rule.matches(subject))
            .map(|(at, rule)| match rule.then {
                Then::Allow => Ruling::Allow(Some(at + 1)),
                Then::Approve => Ruling::Approve(Needs::of(rule)),
                Then::Deny => Ruling::Deny(at + 1),
            })
            .reduce(Ruling::and)
            .unwrap_or_else(|| self.default_for(subject.class))
    }

    fn default_for(&self, class: Class) -> Ruling {
        match class {
            Class::Read | Class::Reversible => Ruling::Allow(None),
            Class::Destructive if self.destructive_without_asking => Ruling::Allow(None),
            Class::Destructive => Ruling::Approve(Needs::default()),
        }
    }

    /// What no type can say: numbers in their bounds, and no key where it has no effect.
    pub fn check(&self) -> Result<(), BadPolicy> {
        let bad = |place: String, what: String| Err(BadPolicy { place, what });
        if self.rules.len() > RULES_MAX {
            let what = format!(
                "there are {} rules, more than {RULES_MAX}",
                self.rules.len()
            );
            return bad("policy.rules".to_owned(), what);
        }
        for (at, rule) in self.rules.iter().enumerate() {
            if let Err((key, what)) = rule.check() {
                return bad(format!("policy.rules.{at}.{key}"), what);
            }
        }
        if self.unused_grants.is_some_and(|span| span < UNUSED_LEAST) {
            let what = format!(
                "`unused-grants` must be at least {UNUSED_LEAST}: a weekly task would lose what it needs"
            );
            return bad("policy.unused-grants".to_owned(), what);
        }
        match self.break_glass.as_ref().map(BreakGlass::check) {
            Some(Err((key, what))) => bad(format!("policy.break-glass.{key}"), what),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// The same policy with accounts by number. A user nobody has an account for stays a name: it
    /// may be an approver's elsewhere. A group nobody has is an error.
    pub fn resolve(mut self, accounts: &dyn Accounts) -> Result<Self, Unresolved> {
        let rules = self.rules.iter_mut().enumerate();
        let rules = rules.filter_map(|(at, rule)| {
            let who = rule.who.as_mut()?;
            Some((format!("policy.rules.{at}.who"), who))
        });
        let glass = self.break_glass.as_mut().map(|table| {
            let place = "policy.break-glass.who".to_owned();
            (place, &mut table.who)
        });
        for (place, who) in rules.chain(glass) {
            for user in &mut who.users {
                match user_number(user, accounts, &place) {
                    Ok(number) => *user = Account::Number(number),
                    Err(Unresolved::User { .. }) => {}
                    Err(e @ (Unresolved::Group { .. } | Unresolved::Lookup(_))) => return Err(e),
                }
            }
            for group in &mut who.groups {
                *group = Account::Number(group_number(group, accounts, &place)?);
            }
        }
        Ok(self)
    }
}

impl Rule {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let only_approve = [
            ("approvals", self.approvals.is_some()),
            ("approve-within", self.approve_within.is_some()),
            ("execute-within", self.execute_within.is_some()),
            ("peer-suffices", self.peer_suffices.is_some()),
            ("yes-suffices", self.yes_suffices.is_some()),
            ("who", self.who.is_some()),
        ];
        if self.then != Then::Approve
            && let Some((key, _)) = only_approve.into_iter().find(|(_, given)| *given)
        {
            let what = format!("`{key}` has no effect with `then = \"{}\"`", self.then);
            return Err((key, what));
        }
        let approvals = self.approvals.unwrap_or(1);
        if !(1..=APPROVALS_MAX).contains(&approvals) {
            let what = format!("`approvals` is {approvals}; expected 1 to {APPROVALS_MAX}");
            return Err(("approvals", what));
        }
        if approvals > 1 && self.yes_suffices == Some(true) {
            let what = format!("`--yes` of one person cannot stand for {approvals} approvals");
            return Err(("yes-suffices", what));
        }
        for (key, span) in [
            ("approve-within", self.approve_within),
            ("execute-within", self.execute_within),
        ] {
            if let Some(span) = span.filter(|s| s.0.is_zero() || *s > WITHIN_MAX) {
                let what =
                    format!("`{key}` is {span}; expected more than 0s and at most {WITHIN_MAX}");
                return Err((key, what));
            }
        }
        if let (Some(approve), Some(execute)) = (self.approve_within, self.execute_within)
            && approve > execute
        {
            let what = format!(
                "`approve-within` is {approve} and `execute-within` {execute}: both count from the \
                 request, so the second must not be shorter"
            );
            return Err(("execute-within", what));
        }
        match self.who.as_ref().map(Who::len) {
            Some(0) => Err((
                "who",
                "`who` names nobody; leave it out for everybody".to_owned(),
            )),
            Some(n) if n > WHO_MAX => Err(("who", format!("`who` names {n}, more than {WHO_MAX}"))),
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Allow => "allow",
            Self::Approve => "approve",
            Self::Deny => "deny",
        })
    }
}

#[cfg(test)]
mod tests;
