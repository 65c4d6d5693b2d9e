//! One installed version of a plugin, as the lock file has it.

use crate::bundle::Bundle;
use crate::component::Import;
use keepwell_model::id::{Digest, PluginName};
use keepwell_model::manifest::parse_version;
use serde::{Deserialize, Serialize};

/// What a version is to its plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// What the plugin's name alone means.
    Active,
    /// Runs where a task names it by its version.
    #[default]
    Beside,
    /// Asks for more than the active one, and waits for somebody who accepts it. Nothing of it runs.
    Held,
    /// Was active and failed too often. Runs where a task names it by its version.
    RolledBack,
}

impl Standing {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Beside => "beside",
            Self::Held => "held",
            Self::RolledBack => "rolled-back",
        }
    }
}

/// One installed version of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockEntry {
    pub name: PluginName,
    pub version: String,
    #[serde(default)]
    pub standing: Standing,
    pub release: u64,
    pub bundle: Digest,
    pub component: Digest,
    /// Key id of who signed it, as it was when installed.
    pub signer: String,
    pub signer_name: String,
    /// Key ids of all whose signatures verified then.
    #[serde(default)]
    pub signers: Vec<String>,
    /// Milliseconds since the Unix epoch.
    pub installed_ms: u64,
    /// Why it runs no more, once what vouched for it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
    /// Each imported function, for example `keepwell:task/storage@0.1.0#walk`.
    pub imports: Vec<String>,
    /// Of one that is held: what it asks for beyond the active one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wider: Vec<String>,
    /// Of an active one that has not proven itself yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
}

/// The first runs of a version, after which it is kept or rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Trial {
    /// Milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// The version before, to which it would go back.
    pub from: String,
}

/// Why a version is not the active one any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RolledBack {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub to: String,
    pub faults: u32,
    pub runs: u32,
}

/// A release that was let run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Accepted {
    pub name: PluginName,
    pub release: u64,
    pub version: String,
    pub bundle: Digest,
    /// It was the active version, so that an older one would be a step back.
    pub activated: bool,
}

impl Accepted {
    pub fn of(entry: &LockEntry) -> Self {
        Self {
            name: entry.name.clone(),
            release: entry.release,
            version: entry.version.clone(),
            bundle: entry.bundle,
            activated: entry.standing == Standing::Active,
        }
    }
}

impl LockEntry {
    /// Beside whatever is active.
    pub fn of(bundle: &Bundle, installed_ms: u64) -> Self {
        Self {
            name: bundle.manifest.name.clone(),
            version: bundle.manifest.version.clone(),
            standing: Standing::Beside,
            release: bundle.statement.predicate.release,
            bundle: bundle.id,
            component: bundle.component_digest,
            signer: bundle.signer.key_id.clone(),
            signer_name: bundle.signer.name.clone(),
            signers: std::iter::once(&bundle.signer.key_id)
                .chain(&bundle.signer.also)
                .cloned()
                .collect(),
            installed_ms,
            quarantined: None,
            imports: bundle.scan.imports.iter().flat_map(Import::lines).collect(),
            wider: vec![],
            trial: None,
            rolled_back: None,
        }
    }

    /// Whether somebody has to say that it may be the active one.
    pub fn waits(&self) -> bool {
        self.standing == Standing::Held || !self.wider.is_empty()
    }

    pub(super) fn order(&self) -> (&PluginName, Option<(u64, u64, u64)>, &str) {
        (&self.name, parse_version(&self.version), &self.version)
    }
}
