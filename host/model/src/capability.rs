//! The capabilities and the classes of what they do.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One WIT interface that can be granted. `core` is not among them: every task has it.
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
pub enum Capability {
    Metrics,
    Storage,
    StorageClean,
    Shards,
    ConfigRead,
    ConfigWrite,
    State,
}

/// The WIT package all interfaces belong to.
pub const PACKAGE: &str = "keepwell:task";
/// Its version as this host offers it. `0.1.x` are compatible with each other.
pub const PACKAGE_VERSION: &str = "0.1.0";

impl Capability {
    pub const ALL: [Self; 7] = [
        Self::Metrics,
        Self::Storage,
        Self::StorageClean,
        Self::Shards,
        Self::ConfigRead,
        Self::ConfigWrite,
        Self::State,
    ];

    /// The name of the interface in `keepwell:task`, and of the table in `[grant]`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Storage => "storage",
            Self::StorageClean => "storage-clean",
            Self::Shards => "shards",
            Self::ConfigRead => "config-read",
            Self::ConfigWrite => "config-write",
            Self::State => "state",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// The worst that a task holding this capability can propose. What it keeps for itself is not
    /// proposed, and nobody but the task ever reads it.
    pub const fn class(self) -> Class {
        match self {
            Self::Metrics | Self::Storage | Self::Shards | Self::ConfigRead | Self::State => {
                Class::Read
            }
            Self::StorageClean | Self::ConfigWrite => Class::Reversible,
        }
    }

    /// The line that grants it, for hints.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Metrics => "metrics = {}",
            Self::Storage => r#"storage = { roots = ["NAME"] }"#,
            Self::StorageClean => r#"storage-clean = { roots = ["NAME"], max-files = 10000 }"#,
            Self::Shards => r#"shards = { stores = ["NAME"] }"#,
            Self::ConfigRead => r#"config-read = { params = ["NAME"] }"#,
            Self::ConfigWrite => r#"config-write = { params = ["NAME"] }"#,
            Self::State => "state = {}",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How far an action reaches. What an actuator can undo is reversible.
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
#[serde(rename_all = "lowercase")]
pub enum Class {
    Read,
    Reversible,
    Destructive,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Reversible => "reversible",
            Self::Destructive => "destructive",
        })
    }
}
