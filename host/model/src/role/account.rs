//! Users and groups as the operator writes them, and what the host knows of them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Longest account name: Linux has 32, directories of a company write `user@example.com`.
const ACCOUNT_MAX_BYTES: usize = 256;

/// A user or group as the operator writes it: a number, or a name the host looks up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum Account {
    Number(u32),
    Name(AccountName),
}

/// A user's or group's name. Never digits alone, so that `"0"` does not pass for a name of root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AccountName(String);

impl AccountName {
    pub fn new(text: &str) -> Result<Self, BadAccount> {
        let plain = |b: u8| b.is_ascii_graphic() && b != b':' && b != b'/';
        let long = text.len() > ACCOUNT_MAX_BYTES;
        if text.is_empty() || long || !text.bytes().all(plain) {
            return Err(BadAccount::Name(text.chars().take(64).collect()));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadAccount::Digits(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAccount {
    #[error("{0:?} is not the name of a user or group: expected printable letters without spaces")]
    Name(String),
    #[error("`\"{0}\"` is a number in quotes; hint: write {0} without them")]
    Digits(String),
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name.as_str()),
        }
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Read;
        impl serde::de::Visitor<'_> for Read {
            type Value = Account;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number or the name of a user or group")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Account, E> {
                u32::try_from(number)
                    .map(Account::Number)
                    .map_err(|_| E::custom(format!("{number} is larger than any user's number")))
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Account, E> {
                u32::try_from(number)
                    .map(Account::Number)
                    .map_err(|_| E::custom(format!("{number} is not a user's number")))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Account, E> {
                AccountName::new(text).map(Account::Name).map_err(E::custom)
            }
        }
        d.deserialize_any(Read)
    }
}

impl schemars::JsonSchema for Account {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Account".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "a user or group: its number, or its name",
            "type": ["integer", "string"],
            "minimum": 0,
            "maximum": u32::MAX
        })
    }
}

/// What the host knows of accounts. A lookup that fails is not an unknown name: while the user
/// database cannot be read nobody can be told apart, so nothing is decided.
pub trait Accounts {
    /// The user's number; `None` when there is no such user.
    fn uid(&self, name: &AccountName) -> Result<Option<u32>, LookupFailed>;
    /// The group's number; `None` when there is no such group.
    fn gid(&self, name: &AccountName) -> Result<Option<u32>, LookupFailed>;
    /// Every group the user is in.
    fn groups_of(&self, uid: u32) -> Result<BTreeSet<u32>, LookupFailed>;
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot look up accounts: {0}")]
pub struct LookupFailed(pub String);
