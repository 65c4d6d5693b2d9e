//! The trust file: whose plugins this node runs, under which names, with which capabilities and how
//! much of them, how many must have signed, and what is trusted no more.

mod admit;
mod explain;
mod file;

pub(crate) use admit::{Admission, Counted};
pub use explain::{Step, explain};
pub use file::TrustError;

use crate::key::PublicKey;
use keepwell_model::capability::Capability;
use keepwell_model::glob;
use keepwell_model::grant::{Most, Tier};
use keepwell_model::id::{Digest, PluginName};
use keepwell_model::words::printable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most keys: a person must be able to read the file.
const KEYS_MAX: usize = 256;
/// Most publishers, and most entries of each list of what is revoked.
const ENTRIES_MAX: usize = 256;
/// Longest name of a key, as of other names of the node.
const NAME_MAX_BYTES: usize = 64;
/// Longest reason, a sentence for people.
const REASON_MAX_BYTES: usize = 400;

/// The keys this node trusts and what for. The default trusts nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    keys: BTreeMap<String, TrustedKey>,
    publishers: BTreeMap<String, Publisher>,
    endorsement: Option<Endorsement>,
    revoked: Revoked,
    min_release: BTreeMap<PluginName, u64>,
}

/// One key. With a rule of its own it is a publisher by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    pub public: PublicKey,
    /// From then on its signatures do not count; milliseconds since the Unix epoch.
    pub not_after_ms: Option<u64>,
    pub rule: Option<Rule>,
}

/// The most that the plugins of a publisher may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub tier: Tier,
    /// Globs on the plugin's name; `*` stands for any run of characters.
    pub names: Vec<String>,
    pub capabilities: Vec<Capability>,
    /// Budgets that no grant may exceed.
    pub max: BTreeMap<Capability, Most>,
    /// Documents that its bundles must carry.
    pub require: Vec<Document>,
}

/// A document that comes with a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Document {
    Sbom,
    Provenance,
}

/// Several keys of which some must sign together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// Names of keys.
    pub keys: Vec<String>,
    /// How many different keys must have signed.
    pub threshold: usize,
    pub rule: Rule,
}

/// Whose plugins the site must have endorsed, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsement {
    pub tiers: Vec<Tier>,
    /// Names of keys.
    pub keys: Vec<String>,
    pub threshold: usize,
}

/// What is trusted no more, whoever vouches for it. Each with its reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revoked {
    /// By key id.
    pub keys: BTreeMap<String, String>,
    pub bundles: BTreeMap<Digest, String>,
    pub components: BTreeMap<Digest, String>,
}

/// What may be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocable {
    Key(String),
    Bundle(Digest),
    Component(Digest),
}

impl Trust {
    /// Admits a key under a new name. Neither a name nor a key may be there already.
    pub fn add(&mut self, name: &str, key: TrustedKey) -> Result<(), TrustError> {
        check_name("key", name)?;
        check_room("keys", self.keys.len(), KEYS_MAX)?;
        if let Some(rule) = &key.rule {
            rule.check()?;
        }
        let taken = key.rule.is_some() && self.publishers.contains_key(name);
        if taken || self.keys.contains_key(name) {
            let why =
                format!("there is already a key or publisher named `{name}`; remove it first");
            return Err(TrustError::new(why));
        }
        let id = key.public.key_id();
        if let Some((other, _)) = self.find(&id) {
            let why = format!("key `{name}` is the same as key `{other}`; keep one of them");
            return Err(TrustError::new(why));
        }
        if let Some(reason) = self.revoked.keys.get(&id) {
            let why = format!("key `{name}` was revoked: {reason}");
            return Err(TrustError::new(why));
        }
        self.keys.insert(name.to_owned(), key);
        Ok(())
    }

    /// Admits a publisher of several keys that are there.
    pub fn add_publisher(&mut self, name: &str, publisher: Publisher) -> Result<(), TrustError> {
        check_name("publisher", name)?;
        check_room("publishers", self.publishers.len(), ENTRIES_MAX)?;
        publisher.rule.check()?;
        let own = self.keys.get(name).is_some_and(|key| key.rule.is_some());
        if own || self.publishers.contains_key(name) {
            let why = format!("there is already a publisher named `{name}`; remove it first");
            return Err(TrustError::new(why));
        }
        self.check_keys(&publisher.keys, publisher.threshold)?;
        self.publishers.insert(name.to_owned(), publisher);
        Ok(())
    }

    /// What the site wants to have endorsed.
    pub fn endorse(&mut self, endorsement: Endorsement) -> Result<(), TrustError> {
        self.check_keys(&endorsement.keys, endorsement.threshold)?;
        self.endorsement = Some(endorsement);
        Ok(())
    }

    /// Known keys, each once, and as many as must sign.
    fn check_keys(&self, keys: &[String], threshold: usize) -> Result<(), TrustError> {
        if let Some(absent) = keys.iter().find(|key| !self.keys.contains_key(*key)) {
            let why = format!("there is no key named {absent:?}; add it as `[keys.…]` first");
            return Err(TrustError::new(why));
        }
        if let Some(twice) = keys
            .iter()
            .enumerate()
            .find(|(n, key)| keys[..*n].contains(key))
        {
            return Err(TrustError::new(format!(
                "key {:?} stands there twice",
                twice.1
            )));
        }
        if threshold == 0 || threshold > keys.len() {
            let why = format!(
                "its threshold is {threshold}; expected 1 to {}, the number of its keys",
                keys.len()
            );
            return Err(TrustError::new(why));
        }
        Ok(())
    }

    /// Trusts this key no longer.
    pub fn remove(&mut self, name: &str) -> Result<TrustedKey, TrustError> {
        let users = self
            .publishers
            .iter()
            .map(|(name, it)| (name.as_str(), &it.keys));
        let site = self
            .endorsement
            .iter()
            .map(|it| ("[endorsement]", &it.keys));
        let mut users = users.chain(site);
        if let Some((user, _)) = users.find(|(_, keys)| keys.iter().any(|key| key == name)) {
            let why = format!("key `{name}` is one of {user}; take it out of its `keys` first");
            return Err(TrustError::new(why));
        }
        self.keys.remove(name).ok_or_else(|| {
            let why = format!("there is no key named {name:?}; `keepwell trust show` lists them");
            TrustError::new(why)
        })
    }

    /// Puts another key in the place of this one, with the same rights.
    pub fn rotate(&mut self, name: &str, public: PublicKey) -> Result<(), TrustError> {
        let Some(old) = self.keys.remove(name) else {
            let why = format!("there is no key named {name:?}; `keepwell trust show` lists them");
            return Err(TrustError::new(why));
        };
        let renewed = TrustedKey {
            public,
            not_after_ms: None,
            rule: old.rule.clone(),
        };
        let added = self.add(name, renewed);
        if added.is_err() {
            self.keys.insert(name.to_owned(), old);
        }
        added
    }

    /// Trusts this no more, whoever signed it. What was revoked before keeps its first reason.
    pub fn revoke(&mut self, what: Revocable, reason: &str) -> Result<(), TrustError> {
        let reason = printable(reason.trim(), REASON_MAX_BYTES);
        if reason.is_empty() {
            return Err(TrustError::new("a revocation needs a reason"));
        }
        let sizes = [
            self.revoked.keys.len(),
            self.revoked.bundles.len(),
            self.revoked.components.len(),
        ];
        for len in sizes {
            check_room("revocations of one kind", len, ENTRIES_MAX)?;
        }
        match what {
            Revocable::Key(id) => {
                let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                if id.len() != 64 || !id.bytes().all(hex) {
                    return Err(TrustError::new("a key id is 64 lower-case hex digits"));
                }
                self.revoked.keys.entry(id).or_insert(reason);
            }
            Revocable::Bundle(id) => {
                self.revoked.bundles.entry(id).or_insert(reason);
            }
            Revocable::Component(id) => {
                self.revoked.components.entry(id).or_insert(reason);
            }
        }
        Ok(())
    }

    /// Sorted by name.
    pub const fn keys(&self) -> &BTreeMap<String, TrustedKey> {
        &self.keys
    }

    /// Those of several keys, sorted by name.
    pub const fn publishers(&self) -> &BTreeMap<String, Publisher> {
        &self.publishers
    }

    pub const fn endorsement(&self) -> Option<&Endorsement> {
        self.endorsement.as_ref()
    }

    pub const fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// The least release of each plugin that may still run.
    pub const fn min_release(&self) -> &BTreeMap<PluginName, u64> {
        &self.min_release
    }

    /// Every publisher: name, rule, the keys of which so many must sign.
    fn all_publishers(&self) -> Vec<(&str, &Rule, Vec<&str>, usize)> {
        let mut all = vec![];
        for (name, key) in &self.keys {
            if let Some(rule) = &key.rule {
                all.push((name.as_str(), rule, vec![name.as_str()], 1));
            }
        }
        for (name, it) in &self.publishers {
            let keys = it.keys.iter().map(String::as_str).collect();
            all.push((name.as_str(), &it.rule, keys, it.threshold));
        }
        // By tier and name, never by the order in a file that anybody can change.
        all.sort_by_key(|(name, rule, ..)| (rule.tier, *name));
        all
    }

    pub(crate) fn find(&self, key_id: &str) -> Option<(&str, &TrustedKey)> {
        let mut keys = self.keys.iter();
        let (name, key) = keys.find(|(_, key)| key.public.key_id() == key_id)?;
        Some((name, key))
    }
}

impl Rule {
    fn check(&self) -> Result<(), TrustError> {
        if let Some(bad) = self.names.iter().find(|n| !glob::is_valid(n)) {
            return Err(TrustError::new(file::bad_glob(bad)));
        }
        for (capability, most) in &self.max {
            if !self.capabilities.contains(capability) {
                let why = format!("`max.{capability}` bounds what `capabilities` does not have");
                return Err(TrustError::new(why));
            }
            most.check(*capability).map_err(TrustError::new)?;
        }
        Ok(())
    }
}

fn check_name(what: &str, name: &str) -> Result<(), TrustError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.bytes().all(plain) {
        let why = format!("{what} name {name:?} is not 1 to 64 lower-case letters, digits and `-`");
        return Err(TrustError::new(why));
    }
    Ok(())
}

fn check_room(what: &str, found: usize, most: usize) -> Result<(), TrustError> {
    if found >= most {
        let why = format!("there are already {most} {what}; remove one first");
        return Err(TrustError::new(why));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
