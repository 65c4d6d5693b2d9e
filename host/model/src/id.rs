//! Ids are types: what names a run, a digest, a thing in the configuration.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {why}")]
pub struct BadId {
    pub what: &'static str,
    pub text: String,
    pub why: &'static str,
}

/// One execution of a task. Time-ordered (UUID version 7), so ids sort as runs began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(uuid::Uuid);

impl RunId {
    /// A new id from the time and ten random bytes, both given by the caller.
    pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
    }

    /// The inverse of [`Self::to_bytes`].
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    /// Its 16 bytes, which sort as the ids do.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The last 8 hex digits: random, and enough to tell the runs of a node apart by eye.
    pub fn short(&self) -> String {
        let text = self.0.simple().to_string();
        text[text.len() - 8..].to_owned()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for RunId {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        uuid::Uuid::try_parse(text).map(Self).map_err(|_| BadId {
            what: "run id",
            text: text.to_owned(),
            why: "expected a UUID as `keepwell runs list` prints it",
        })
    }
}

/// A SHA-256 digest, written `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hex digits alone, as file names use them.
    pub fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// The first 12 hex digits, for people.
    pub fn short(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = |why| BadId {
            what: "digest",
            text: text.to_owned(),
            why,
        };
        let hex = text
            .strip_prefix("sha256:")
            .ok_or(bad("expected `sha256:` first"))?;
        let bytes = data_encoding::HEXLOWER
            .decode(hex.as_bytes())
            .map_err(|_| bad("expected lower-case hex digits after `sha256:`"))?;
        Ok(Self(
            bytes
                .try_into()
                .map_err(|_| bad("expected 64 hex digits"))?,
        ))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Longest name of a task, plugin, root, store or parameter: it becomes part of file names and lines.
pub const NAME_MAX_BYTES: usize = 64;

fn check_name(what: &'static str, text: &str) -> Result<(), BadId> {
    let bad = |why| {
        Err(BadId {
            what,
            text: text.to_owned(),
            why,
        })
    };
    if text.is_empty() || text.len() > NAME_MAX_BYTES {
        return bad("expected 1 to 64 characters");
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return bad("expected only lower-case letters, digits and `-`");
    }
    if text.starts_with('-') || text.ends_with('-') {
        return bad("expected a letter or digit first and last");
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            pub fn new(text: impl Into<String>) -> Result<Self, BadId> {
                let text = text.into();
                check_name($what, &text)?;
                Ok(Self(text))
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl TryFrom<String> for $type {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::new(text)
            }
        }
        impl FromStr for $type {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
                })
            }
        }
    };
}

name!(
    /// A configured maintenance: the name of its file in `tasks/`.
    TaskName, "task name"
);
name!(
    /// A source package of tasks.
    PluginName, "plugin name"
);
name!(
    /// A directory tree the operator has named.
    RootName, "root name"
);
name!(
    /// A shard store the operator has named.
    StoreName, "store name"
);
name!(
    /// Schedules of which one runs at a time, such as `disk-heavy`.
    GroupName, "group name"
);
name!(
    /// A slot of a named schedule, such as `daily`.
    SlotName, "slot name"
);
name!(
    /// Where plugins come from, as the operator has named it.
    SourceName, "source name"
);
name!(
    /// A tunable parameter the operator has declared.
    ParamName, "parameter name"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_could_become_a_path() {
        for bad in [
            "",
            "..",
            "a/b",
            "A",
            "-a",
            "a-",
            "a b",
            "é",
            &"x".repeat(65),
        ] {
            assert!(TaskName::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(TaskName::new("temp-clean").unwrap().as_str(), "temp-clean");
    }

    #[test]
    fn digest_round_trips_and_refuses_other_spellings() {
        let d = Digest::of(b"abc");
        assert_eq!(d.to_string().parse::<Digest>().unwrap(), d);
        assert!(d.hex().parse::<Digest>().is_err());
        assert!(d.to_string().to_uppercase().parse::<Digest>().is_err());
    }

    #[test]
    fn run_ids_sort_as_runs_began() {
        assert!(RunId::new(1_000, [255; 10]) < RunId::new(1_001, [0; 10]));
    }
}
