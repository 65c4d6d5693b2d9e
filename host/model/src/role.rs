//! Roles: which users and groups may use which verbs. Names are looked up elsewhere; deciding is
//! by number alone.

mod account;
mod verb;

pub use account::{Account, AccountName, Accounts, BadAccount, LookupFailed};
pub use verb::{LOOKS, VERBS, look, needed};

use crate::grant::{Denial, nearest};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Root's number on every Unix.
const ROOT: u32 = 0;

#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees tasks, runs, plans and schedules; changes nothing.
    Viewer,
    /// Reads and verifies the journal, and nothing else.
    Auditor,
    /// Runs, pauses, resumes, cancels and undoes.
    Operator,
    /// Installs and removes plugins the trust file admits.
    PluginAdmin,
    /// Says whose plugins are admitted and who approves.
    TrustAdmin,
    /// Grants and denies what others asked for.
    Approver,
}

impl Role {
    pub const ALL: [Self; 6] = [
        Self::Viewer,
        Self::Auditor,
        Self::Operator,
        Self::PluginAdmin,
        Self::TrustAdmin,
        Self::Approver,
    ];

    /// The key in `[roles]`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
            Self::PluginAdmin => "plugin-admin",
            Self::TrustAdmin => "trust-admin",
            Self::Approver => "approver",
        }
    }

    /// Who acts must see what is acted on. An auditor sees the journal alone, and nobody but an
    /// auditor, root and the owner needs to.
    pub const fn includes(self, other: Self) -> bool {
        match self {
            Self::Viewer => matches!(other, Self::Viewer),
            Self::Auditor => matches!(other, Self::Auditor),
            Self::Operator => matches!(other, Self::Operator | Self::Viewer),
            Self::PluginAdmin => matches!(other, Self::PluginAdmin | Self::Viewer),
            Self::TrustAdmin => matches!(other, Self::TrustAdmin | Self::Viewer),
            Self::Approver => matches!(other, Self::Approver | Self::Viewer),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a table that names accounts cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    #[error("there is no user `{name}`, which `{place}` names")]
    User { place: String, name: String },
    #[error("there is no group `{name}`, which `{place}` names")]
    Group { place: String, name: String },
    #[error(transparent)]
    Lookup(#[from] LookupFailed),
}

/// `[roles]` in keepwell.toml: `operator = { users = [1000], groups = ["maintenance"] }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct RolesTable(pub BTreeMap<Role, Members>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Members {
    pub users: Vec<Account>,
    pub groups: Vec<Account>,
}

impl RolesTable {
    /// By number alone. A name nobody has is an error: a role that is silently held by nobody, or
    /// later by whoever gets that name, is worse than none.
    pub fn resolve(&self, owner: u32, accounts: &dyn Accounts) -> Result<Roles, Unresolved> {
        let mut held = BTreeMap::new();
        for (role, members) in &self.0 {
            let place = |key: &str| format!("roles.{role}.{key}");
            let mut numbers = Numbers::default();
            for user in &members.users {
                numbers
                    .uids
                    .insert(user_number(user, accounts, &place("users"))?);
            }
            for group in &members.groups {
                numbers
                    .gids
                    .insert(group_number(group, accounts, &place("groups"))?);
            }
            held.insert(*role, numbers);
        }
        Ok(Roles { owner, held })
    }
}

pub(crate) fn user_number(
    user: &Account,
    accounts: &dyn Accounts,
    place: &str,
) -> Result<u32, Unresolved> {
    match user {
        Account::Number(number) => Ok(*number),
        Account::Name(name) => accounts.uid(name)?.ok_or_else(|| Unresolved::User {
            place: place.to_owned(),
            name: name.as_str().to_owned(),
        }),
    }
}

pub(crate) fn group_number(
    group: &Account,
    accounts: &dyn Accounts,
    place: &str,
) -> Result<u32, Unresolved> {
    match group {
        Account::Number(number) => Ok(*number),
        Account::Name(name) => accounts.gid(name)?.ok_or_else(|| Unresolved::Group {
            place: place.to_owned(),
            name: name.as_str().to_owned(),
        }),
    }
}

/// Who holds which role, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// Whoever owns the node's directory. Holds every role, as root does.
    owner: u32,
    held: BTreeMap<Role, Numbers>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Numbers {
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
}

/// Who asks, as the kernel says it of a socket's other end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    pub uid: u32,
    pub gids: BTreeSet<u32>,
}

impl Roles {
    pub fn holds(&self, who: &Peer, role: Role) -> bool {
        if who.uid == ROOT || who.uid == self.owner {
            return true;
        }
        self.held.iter().any(|(held, members)| {
            held.includes(role)
                && (members.uids.contains(&who.uid) || !members.gids.is_disjoint(&who.gids))
        })
    }
}

/// Whether `who` may do what needs `need`. Root and the owner may do everything; that they cannot
/// approve what they asked for themselves is decided where approvals are judged.
pub fn may(roles: &Roles, who: &Peer, need: Role) -> Result<(), Denial> {
    if roles.holds(who, need) {
        return Ok(());
    }
    let message = format!("user {} does not hold the role `{need}`", who.uid);
    Err(Denial::new(format!("roles.{need}"), message).hint(format!(
        "add `{need} = {{ users = [{}] }}` to [roles] in keepwell.toml",
        who.uid
    )))
}

/// The same for a verb as it is typed. What the table does not know is denied to everybody.
pub fn may_use(roles: &Roles, who: &Peer, verb: &str) -> Result<(), Denial> {
    if let Some(need) = needed(verb) {
        return may(roles, who, need);
    }
    let known: Vec<&str> = VERBS.iter().map(|(verb, _)| *verb).collect();
    let shown = crate::words::printable(verb, 64);
    let denial = Denial::new("", format!("no role may use `{shown}`"));
    Err(match nearest(&shown, &known) {
        Some(near) => denial.hint(format!("did you mean `{near}`?")),
        None => denial.hint("`keepwell help` lists the verbs"),
    })
}

#[cfg(test)]
mod tests;
