//! Grants: what one run may do = what the plugin requests ∩ its signer may ask for ∩ the operator
//! granted. Decided here, purely; enforced in the sandbox and by the actuators.

mod config;
mod most;
mod state;

pub use most::Most;

pub use config::{
    ConfigReadGrant, ConfigReadRule, ConfigWriteGrant, ConfigWriteRule, MAX_CHANGES_CEILING,
    MAX_CHANGES_DEFAULT, config_read, config_write,
};

use crate::budget::{AgeBy, CleanBudget, MIN_AGE_FLOOR, ScrubBudget};
use crate::capability::Capability;
use crate::id::{Digest, ParamName, RootName, StoreName};
use crate::limits::Limits;
use crate::manifest::TaskInfo;
use crate::own_state::{StateGrant, StateRule};
use crate::param::Param;
use crate::store::StoreConfig;
use crate::units::{Bytes, Share, Span};
use crate::words::Refusal;
use most::{Bounds, wider};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `[grant]` of a task: the operator's rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GrantTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_clean: Option<CleanRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<ShardsRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_read: Option<ConfigReadRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_write: Option<ConfigWriteRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StateRule>,
}

/// `metrics = {}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MetricsRule {}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StorageRule {
    pub roots: Vec<RootName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CleanRule {
    pub roots: Vec<RootName>,
    pub max_files: Option<u64>,
    pub max_bytes: Option<Bytes>,
    pub max_share: Option<Share>,
    pub min_age: Option<Span>,
    /// `newest` (of mtime, atime and ctime; the default) or `modified` (mtime alone).
    pub age_by: Option<AgeBy>,
    pub max_time: Option<Span>,
    pub max_rate: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ShardsRule {
    pub stores: Vec<StoreName>,
    pub max_bytes: Option<Bytes>,
    pub max_shards: Option<u64>,
    pub max_time: Option<Span>,
}

/// Who signed the plugin, and the most that plugins of this signer may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    pub key_id: String,
    /// Key ids of the others that counted, where the trust file wants several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// As the trust file names it.
    pub name: String,
    pub tier: Tier,
    pub capabilities: Vec<Capability>,
    /// Budgets that no grant may exceed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub max: BTreeMap<Capability, Most>,
}

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
pub enum Tier {
    Own,
    Partner,
    ThirdParty,
}

/// What this run holds. Its canonical JSON is hashed into the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub plugin: String,
    pub version: String,
    pub plugin_task: String,
    pub component: Digest,
    pub signer: Signer,
    pub metrics: bool,
    pub storage: Option<StorageGrant>,
    pub clean: Option<CleanGrant>,
    pub shards: Option<ShardsGrant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_read: Option<ConfigReadGrant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_write: Option<ConfigWriteGrant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateGrant>,
    pub limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageGrant {
    pub roots: BTreeMap<RootName, PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanGrant {
    pub roots: BTreeMap<RootName, PathBuf>,
    /// Globs of each root that no task may change.
    pub protect: BTreeMap<RootName, Vec<String>>,
    pub budget: CleanBudget,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardsGrant {
    pub stores: BTreeMap<StoreName, StoreConfig>,
    pub budget: ScrubBudget,
}

/// Why a grant cannot be made: a typed no that teaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Denial {
    /// Dotted place in the task's file the person should look at, for example
    /// `grant.storage-clean.roots`; empty when it is not there.
    pub place: String,
    pub message: String,
    pub hint: Option<String>,
}

impl Denial {
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
            hint: None,
        }
    }
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Everything the decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub task: &'a str,
    pub plugin: &'a str,
    pub version: &'a str,
    pub component: Digest,
    pub info: &'a TaskInfo,
    pub signer: &'a Signer,
    pub rule: &'a GrantTable,
    pub limits: &'a Limits,
    pub roots: &'a BTreeMap<RootName, PathBuf>,
    /// Globs of each root that no task may change.
    pub protect: &'a BTreeMap<RootName, Vec<String>>,
    pub stores: &'a BTreeMap<StoreName, StoreConfig>,
    /// As declared in `[params]`.
    pub params: &'a BTreeMap<ParamName, Param>,
}

impl GrantTable {
    pub fn holds(&self, capability: Capability) -> bool {
        match capability {
            Capability::Metrics => self.metrics.is_some(),
            Capability::Storage => self.storage.is_some(),
            Capability::StorageClean => self.storage_clean.is_some(),
            Capability::Shards => self.shards.is_some(),
            Capability::ConfigRead => self.config_read.is_some(),
            Capability::ConfigWrite => self.config_write.is_some(),
            Capability::State => self.state.is_some(),
        }
    }
}

/// Request ∩ signer ∩ operator, or the first reason why not.
pub fn decide(facts: Facts<'_>) -> Result<Grant, Denial> {
    for capability in Capability::ALL {
        let place = format!("grant.{capability}");
        let requested = facts.info.asks(capability);
        let granted = facts.rule.holds(capability);
        if requested.is_none() && granted {
            return Err(Denial::new(
                &place,
                format!(
                    "task `{}` of plugin `{}` does not request `{capability}`",
                    facts.info.name, facts.plugin
                ),
            )
            .hint(format!(
                "remove `{capability}` from [grant]: nothing can be granted that was not asked for"
            )));
        }
        if requested.is_some() && !facts.signer.capabilities.contains(&capability) {
            return Err(Denial::new(
                "",
                format!(
                    "signer `{}` may not ask for `{capability}`",
                    facts.signer.name
                ),
            )
            .hint(format!(
                "add \"{capability}\" to `capabilities` of key `{}` in trust.toml",
                facts.signer.name
            )));
        }
        if requested.is_some_and(|request| !request.optional) && !granted {
            return Err(Denial::new(
                "grant",
                format!(
                    "task `{}` needs `{capability}` and it is not granted",
                    facts.task
                ),
            )
            .hint(format!(
                "add `{}` to [grant] of task `{}`",
                capability.example(),
                facts.task
            )));
        }
    }
    Ok(Grant {
        plugin: facts.plugin.to_owned(),
        version: facts.version.to_owned(),
        plugin_task: facts.info.name.clone(),
        component: facts.component,
        signer: facts.signer.clone(),
        metrics: facts.rule.metrics.is_some(),
        storage: facts
            .rule
            .storage
            .as_ref()
            .map(|rule| storage(facts, rule))
            .transpose()?,
        clean: facts
            .rule
            .storage_clean
            .as_ref()
            .map(|rule| clean(facts, rule))
            .transpose()?,
        shards: facts
            .rule
            .shards
            .as_ref()
            .map(|rule| shards(facts, rule))
            .transpose()?,
        config_read: (facts.rule.config_read.as_ref())
            .map(|rule| config_read(rule, facts.params))
            .transpose()?,
        config_write: (facts.rule.config_write.as_ref())
            .map(|rule| config_write(rule, facts.params))
            .transpose()?,
        state: (facts.rule.state.as_ref())
            .map(|rule| state::state(facts, rule))
            .transpose()?,
        limits: facts.limits.clone(),
    })
}

fn storage(facts: Facts<'_>, rule: &StorageRule) -> Result<StorageGrant, Denial> {
    Ok(StorageGrant {
        roots: named_roots(facts, "grant.storage.roots", &rule.roots)?,
    })
}

fn clean(facts: Facts<'_>, rule: &CleanRule) -> Result<CleanGrant, Denial> {
    let roots = named_roots(facts, "grant.storage-clean.roots", &rule.roots)?;
    let d = CleanBudget::default();
    let budget = CleanBudget {
        max_files: rule.max_files.unwrap_or(d.max_files),
        max_bytes: rule.max_bytes.unwrap_or(d.max_bytes),
        max_share: rule.max_share.unwrap_or(d.max_share),
        min_age: rule.min_age.unwrap_or(d.min_age),
        age_by: rule.age_by.unwrap_or_default(),
        max_time: rule.max_time.unwrap_or(d.max_time),
        max_rate: rule.max_rate.unwrap_or(d.max_rate),
    };
    if budget.min_age < MIN_AGE_FLOOR {
        return Err(Denial::new(
            "grant.storage-clean.min-age",
            format!(
                "`min-age` is {}, but must be at least {MIN_AGE_FLOOR}",
                budget.min_age
            ),
        ));
    }
    let bounds = Bounds::of(facts, Capability::StorageClean);
    if let Some(bound) = bounds.files.filter(|it| budget.max_files > it.most) {
        let place = "grant.storage-clean.max-files";
        return Err(wider(facts, place, "max-files", bound));
    }
    if let Some(bound) = bounds.bytes.filter(|it| budget.max_bytes > it.most) {
        let place = "grant.storage-clean.max-bytes";
        return Err(wider(facts, place, "max-bytes", bound));
    }
    let protect = facts
        .protect
        .iter()
        .filter(|(name, globs)| roots.contains_key(*name) && !globs.is_empty())
        .map(|(name, globs)| (name.clone(), globs.clone()))
        .collect();
    Ok(CleanGrant {
        roots,
        protect,
        budget,
    })
}

fn shards(facts: Facts<'_>, rule: &ShardsRule) -> Result<ShardsGrant, Denial> {
    let mut stores = BTreeMap::new();
    for name in &rule.stores {
        let Some(config) = facts.stores.get(name) else {
            return Err(unknown(
                "grant.shards.stores",
                "store",
                name.as_str(),
                facts.stores.keys().map(StoreName::as_str),
            ));
        };
        stores.insert(name.clone(), config.clone());
    }
    if stores.is_empty() {
        return Err(Denial::new("grant.shards.stores", "no store is named"));
    }
    // What the operator leaves open is closed by what the plugin may have at most.
    let bound = Bounds::of(facts, Capability::Shards).bytes;
    if let (Some(bytes), Some(bound)) = (rule.max_bytes, bound)
        && bytes > bound.most
    {
        return Err(wider(facts, "grant.shards.max-bytes", "max-bytes", bound));
    }
    let budget = ScrubBudget {
        max_bytes: rule.max_bytes.or(bound.map(|it| it.most)),
        max_shards: rule.max_shards,
        max_time: rule.max_time,
    };
    Ok(ShardsGrant { stores, budget })
}

fn named_roots(
    facts: Facts<'_>,
    place: &str,
    names: &[RootName],
) -> Result<BTreeMap<RootName, PathBuf>, Denial> {
    let mut roots = BTreeMap::new();
    for name in names {
        let Some(path) = facts.roots.get(name) else {
            return Err(unknown(
                place,
                "root",
                name.as_str(),
                facts.roots.keys().map(RootName::as_str),
            ));
        };
        roots.insert(name.clone(), path.clone());
    }
    if roots.is_empty() {
        return Err(Denial::new(place, "no root is named"));
    }
    Ok(roots)
}

fn unknown<'a>(
    place: &str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Denial {
    let known: Vec<&str> = known.collect();
    let denial = Denial::new(place, format!("{what} `{name}` is not in keepwell.toml"));
    match nearest(name, &known) {
        Some(near) => denial.hint(format!("did you mean `{near}`?")),
        None => denial.hint(format!(
            "add `[{what}s.{name}]` with its `path` to keepwell.toml"
        )),
    }
}

/// The known word within two edits of `word`, if there is one.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|k| (distance(word, k), *k))
        .filter(|(d, _)| *d <= 2)
        .min()
        .map(|(_, k)| k)
}

/// Edit distance (Levenshtein), by the usual row of costs.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

impl Grant {
    /// SHA-256 of the grant's JSON, keys in the order of the fields.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    pub fn holds(&self, capability: Capability) -> bool {
        match capability {
            Capability::Metrics => self.metrics,
            Capability::Storage => self.storage.is_some(),
            Capability::StorageClean => self.clean.is_some(),
            Capability::Shards => self.shards.is_some(),
            Capability::ConfigRead => self.config_read.is_some(),
            Capability::ConfigWrite => self.config_write.is_some(),
            Capability::State => self.state.is_some(),
        }
    }

    /// The root, or a denial with the line to add.
    pub fn readable_root(&self, name: &str) -> Result<&PathBuf, Refusal> {
        let roots = self.storage.as_ref().map(|s| &s.roots);
        find_root(roots, name, "storage")
    }

    pub fn cleanable_root(&self, name: &str) -> Result<&PathBuf, Refusal> {
        let roots = self.clean.as_ref().map(|c| &c.roots);
        find_root(roots, name, "storage-clean")
    }

    pub fn store(&self, name: &str) -> Result<&StoreConfig, Refusal> {
        let stores = self.shards.as_ref().map(|s| &s.stores);
        stores
            .and_then(|s| s.iter().find(|(k, _)| k.as_str() == name).map(|(_, v)| v))
            .ok_or_else(|| not_granted("store", name, "shards", "stores"))
    }
}

fn find_root<'a>(
    roots: Option<&'a BTreeMap<RootName, PathBuf>>,
    name: &str,
    table: &str,
) -> Result<&'a PathBuf, Refusal> {
    roots
        .and_then(|r| r.iter().find(|(k, _)| k.as_str() == name).map(|(_, v)| v))
        .ok_or_else(|| not_granted("root", name, table, "roots"))
}

fn not_granted(what: &str, name: &str, table: &str, key: &str) -> Refusal {
    let name = crate::words::printable(name, 64);
    Refusal::denied(format!("{what} `{name}` is not granted")).hint(format!(
        "add `{table}.{key} = [\"{name}\"]` to [grant] of this task"
    ))
}

#[cfg(test)]
mod tests;
