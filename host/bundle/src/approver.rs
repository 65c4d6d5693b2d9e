//! Approvers: whose keys may answer for this node. The file is approvers.toml.

mod answer;

pub use answer::{
    ANSWER_MAX_BYTES, APPROVAL_TYPE, sign_statement, verify_decision, with_ssh_signature,
};

use crate::key::{BadKey, PublicKey};
use crate::sshsig::{BadSsh, parse_ssh_key};
use keepwell_model::approval::{Directory, Listed};
use keepwell_model::role::{Account, Accounts, LookupFailed};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use toml::Spanned;
use toml::value::Datetime;

/// Most approvers: a person must be able to read the file.
const APPROVERS_MAX: usize = 256;
/// Longest name of an approver, as of other names of the node.
const NAME_MAX_BYTES: usize = 64;
/// Longest reason of a revocation, a line for people.
const REVOKED_MAX_BYTES: usize = 256;

/// approvers.toml. The default lets nobody approve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approvers(BTreeMap<String, Approver>);

/// One key and whose it is. A person may have several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    pub key: PublicKey,
    /// The user on this node; for somebody without an account, a name that tells them apart.
    pub user: Account,
    /// Milliseconds since the Unix epoch.
    pub not_after: Option<u64>,
    /// Why the key is trusted no longer. The entry stays, so that the key cannot be added again.
    pub revoked: Option<String>,
}

/// Why approvers.toml or a new approver is refused, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct ApproversError {
    why: String,
    span: Option<Range<usize>>,
    #[source]
    source: Option<BadApproverKey>,
}

/// Why a text is not an approver's key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadApproverKey {
    #[error(transparent)]
    Own(#[from] BadKey),
    #[error(transparent)]
    Ssh(#[from] BadSsh),
}

impl ApproversError {
    fn new(why: impl Into<String>, span: Option<Range<usize>>) -> Self {
        Self {
            why: why.into(),
            span,
            source: None,
        }
    }

    /// Bytes of the text the error is about; `None` when it did not come from a text.
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    approvers: BTreeMap<Spanned<String>, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    key: Spanned<String>,
    user: Account,
    #[serde(default)]
    not_after: Option<Spanned<Datetime>>,
    #[serde(default)]
    revoked: Option<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    approvers: BTreeMap<&'a str, WrittenEntry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenEntry<'a> {
    key: String,
    user: &'a Account,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<Datetime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<&'a str>,
}

/// Reads `ed25519:…` or a line as in `id_ed25519.pub`. Both spellings of a key give the same id.
pub fn parse_approver_key(text: &str) -> Result<PublicKey, BadApproverKey> {
    if text.contains(' ') {
        let (key, _comment) = parse_ssh_key(text)?;
        return Ok(key);
    }
    Ok(text.parse()?)
}

impl Approvers {
    /// Strict: unknown keys, doubled keys and dates without an offset are refused.
    pub fn parse(text: &str) -> Result<Self, ApproversError> {
        let file: File =
            toml::from_str(text).map_err(|e| ApproversError::new(e.message(), e.span()))?;
        let mut it = Self::default();
        for (name, entry) in file.approvers {
            let key = parse_approver_key(entry.key.get_ref()).map_err(|e| ApproversError {
                why: format!("the key of approver `{}` cannot be read", name.get_ref()),
                span: Some(entry.key.span()),
                source: Some(e),
            })?;
            let approver = Approver {
                key,
                user: entry.user,
                not_after: entry.not_after.map(|d| instant(&d)).transpose()?,
                revoked: entry.revoked,
            };
            it.add(name.get_ref(), approver)
                .map_err(|e| ApproversError {
                    span: Some(name.span()),
                    ..e
                })?;
        }
        Ok(it)
    }

    /// Sorted by name, keys as `ed25519:…`. Comments of a file that was parsed are not kept.
    pub fn to_toml(&self) -> Result<String, ApproversError> {
        let approvers = self.0.iter().map(|(name, one)| {
            let written = WrittenEntry {
                key: one.key.to_string(),
                user: &one.user,
                not_after: one.not_after.and_then(date),
                revoked: one.revoked.as_deref(),
            };
            (name.as_str(), written)
        });
        let written = Written {
            approvers: approvers.collect(),
        };
        // An empty text would be a good file of approvers that names nobody.
        toml::to_string(&written)
            .map_err(|e| ApproversError::new(format!("it has no form in TOML: {e}"), None))
    }

    /// Admits a key under a new name. Neither a name nor a key may be there already.
    pub fn add(&mut self, name: &str, approver: Approver) -> Result<(), ApproversError> {
        let bad = |why: String| Err(ApproversError::new(why, None));
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.bytes().all(plain) {
            return bad(format!(
                "approver name {name:?} is not 1 to 64 lower-case letters, digits and `-`"
            ));
        }
        if self.0.len() == APPROVERS_MAX {
            return bad(format!(
                "there are already {APPROVERS_MAX} approvers; remove one first"
            ));
        }
        let one_line = |t: &String| {
            let long = t.len() > REVOKED_MAX_BYTES;
            !t.trim().is_empty() && !long && !t.contains(char::is_control)
        };
        if approver.revoked.as_ref().is_some_and(|t| !one_line(t)) {
            return bad(format!(
                "`revoked` of approver `{name}` is not one line of 1 to {REVOKED_MAX_BYTES} bytes \
                 that says why"
            ));
        }
        if self.0.contains_key(name) {
            return bad(format!("there is already an approver named `{name}`"));
        }
        if let Some((other, _)) = self.find(&approver.key.key_id()) {
            return bad(format!(
                "the key of `{name}` is the same as that of `{other}`; keep one of them"
            ));
        }
        self.0.insert(name.to_owned(), approver);
        Ok(())
    }

    /// Sorted by name.
    pub const fn all(&self) -> &BTreeMap<String, Approver> {
        &self.0
    }

    fn find(&self, key_id: &str) -> Option<(&str, &Approver)> {
        let mut all = self.0.iter();
        let (name, one) = all.find(|(_, one)| one.key.key_id() == key_id)?;
        Some((name, one))
    }

    /// With users by number and their groups, for judging. When accounts cannot be looked up there
    /// is no directory: two names of one person could not be told to be the same.
    pub fn directory(&self, accounts: &dyn Accounts) -> Result<Directory, LookupFailed> {
        let mut listed = BTreeMap::new();
        for (name, one) in &self.0 {
            let uid = match &one.user {
                Account::Number(uid) => Some(*uid),
                Account::Name(name) => accounts.uid(name)?,
            };
            let gids = match uid {
                Some(uid) => accounts.groups_of(uid)?,
                None => BTreeSet::new(),
            };
            let user = uid.map_or_else(|| one.user.clone(), Account::Number);
            listed.insert(one.key.key_id(), one.listed(name, user, gids));
        }
        Ok(Directory(listed))
    }
}

impl Approver {
    fn listed(&self, name: &str, user: Account, gids: BTreeSet<u32>) -> Listed {
        Listed {
            name: name.to_owned(),
            user,
            gids,
            not_after: self.not_after,
            revoked: self.revoked.clone(),
        }
    }
}

/// The instant a TOML date names, which must say its offset.
fn instant(date: &Spanned<Datetime>) -> Result<u64, ApproversError> {
    let parsed = date.get_ref().to_string().parse::<jiff::Timestamp>().ok();
    parsed
        .and_then(|at| u64::try_from(at.as_millisecond()).ok())
        .ok_or_else(|| {
            let why = "`not-after` is not a date with time and offset, as 2027-01-31T00:00:00Z";
            ApproversError::new(why, Some(date.span()))
        })
}

fn date(ms: u64) -> Option<Datetime> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    at.to_string().parse().ok()
}

#[cfg(test)]
mod tests;
