//! The trust file: whose plugins this node runs, under which names, with which capabilities.

use crate::error::BundleError;
use crate::key::{BadKey, PublicKey};
use keepwell_model::capability::Capability;
use keepwell_model::glob;
use keepwell_model::grant::{Signer, Tier};
use keepwell_model::manifest::Manifest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

/// Most keys: a person must be able to read the file.
const KEYS_MAX: usize = 256;
/// Longest name of a key, as of other names of the node.
const NAME_MAX_BYTES: usize = 64;

/// The keys this node trusts, by name. The default trusts nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust(BTreeMap<String, TrustedKey>);

/// One key and the most that plugins signed by it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    pub public: PublicKey,
    pub tier: Tier,
    /// Globs on the plugin's name; `*` stands for any run of characters.
    pub names: Vec<String>,
    pub capabilities: Vec<Capability>,
}

/// Why a trust file or a new key is refused, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct TrustError {
    why: String,
    span: Option<Range<usize>>,
    #[source]
    source: Option<BadKey>,
}

impl TrustError {
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
    keys: BTreeMap<Spanned<String>, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    public: Spanned<String>,
    tier: Tier,
    names: Vec<Spanned<String>>,
    capabilities: Vec<Capability>,
}

#[derive(Serialize)]
struct Written<'a> {
    keys: BTreeMap<&'a str, WrittenKey<'a>>,
}

#[derive(Serialize)]
struct WrittenKey<'a> {
    public: String,
    tier: Tier,
    names: &'a [String],
    capabilities: &'a [Capability],
}

impl Trust {
    /// Strict: unknown keys, doubled public keys and globs that match nothing are refused.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let file: File =
            toml::from_str(text).map_err(|e| TrustError::new(e.message(), e.span()))?;
        let mut it = Self::default();
        for (name, entry) in file.keys {
            let public = entry.public.get_ref().parse().map_err(|e| TrustError {
                why: format!("key `{}` cannot be read", name.get_ref()),
                span: Some(entry.public.span()),
                source: Some(e),
            })?;
            if let Some(bad) = entry.names.iter().find(|n| !glob::is_valid(n.get_ref())) {
                return Err(TrustError::new(bad_glob(bad.get_ref()), Some(bad.span())));
            }
            let key = TrustedKey {
                public,
                tier: entry.tier,
                names: entry.names.into_iter().map(Spanned::into_inner).collect(),
                capabilities: entry.capabilities,
            };
            let span = name.span();
            it.add(name.get_ref(), key).map_err(|e| TrustError {
                span: Some(span),
                ..e
            })?;
        }
        Ok(it)
    }

    /// Sorted by name. Comments of a file that was parsed are not kept.
    pub fn to_toml(&self) -> Result<String, TrustError> {
        let keys = self.0.iter().map(|(name, key)| {
            let written = WrittenKey {
                public: key.public.to_string(),
                tier: key.tier,
                names: &key.names,
                capabilities: &key.capabilities,
            };
            (name.as_str(), written)
        });
        let written = Written {
            keys: keys.collect(),
        };
        // An empty text would be a good trust file that trusts nobody.
        toml::to_string(&written)
            .map_err(|e| TrustError::new(format!("it has no form in TOML: {e}"), None))
    }

    /// Admits a key under a new name. Neither a name nor a key may be there already.
    pub fn add(&mut self, name: &str, key: TrustedKey) -> Result<(), TrustError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.bytes().all(plain) {
            let why =
                format!("key name {name:?} is not 1 to 64 lower-case letters, digits and `-`");
            return Err(TrustError::new(why, None));
        }
        if self.0.len() == KEYS_MAX {
            let why = format!("there are already {KEYS_MAX} keys; remove one first");
            return Err(TrustError::new(why, None));
        }
        if let Some(bad) = key.names.iter().find(|n| !glob::is_valid(n)) {
            return Err(TrustError::new(bad_glob(bad), None));
        }
        if self.0.contains_key(name) {
            let why = format!("there is already a key named `{name}`; remove it first");
            return Err(TrustError::new(why, None));
        }
        if let Some((other, _)) = self.find(&key.public.key_id()) {
            let why = format!("key `{name}` is the same as key `{other}`; keep one of them");
            return Err(TrustError::new(why, None));
        }
        self.0.insert(name.to_owned(), key);
        Ok(())
    }

    /// Trusts this key no longer.
    pub fn remove(&mut self, name: &str) -> Result<TrustedKey, TrustError> {
        self.0.remove(name).ok_or_else(|| {
            let why = format!("there is no key named {name:?}; `keepwell trust show` lists them");
            TrustError::new(why, None)
        })
    }

    /// Sorted by name.
    pub fn keys(&self) -> &BTreeMap<String, TrustedKey> {
        &self.0
    }

    pub(crate) fn find(&self, key_id: &str) -> Option<(&str, &TrustedKey)> {
        let mut keys = self.0.iter();
        let (name, key) = keys.find(|(_, key)| key.public.key_id() == key_id)?;
        Some((name, key))
    }

    /// Whether this signer may sign a plugin of this name with these requests.
    pub(crate) fn permits(&self, signer: &Signer, manifest: &Manifest) -> Result<(), BundleError> {
        let names = self.0.get(&signer.name).map_or(&[][..], |key| &key.names);
        let plugin = manifest.name.as_str();
        if !names.iter().any(|g| glob::matches(g, plugin)) {
            return Err(BundleError::NameNotPermitted {
                signer: signer.name.clone(),
                plugin: plugin.to_owned(),
            });
        }
        let asked = manifest.capabilities();
        match asked.into_iter().find(|c| !signer.capabilities.contains(c)) {
            Some(capability) => Err(BundleError::CapabilityNotPermitted {
                signer: signer.name.clone(),
                capability,
            }),
            None => Ok(()),
        }
    }
}

impl TrustedKey {
    pub(crate) fn signer(&self, name: &str) -> Signer {
        Signer {
            key_id: self.public.key_id(),
            name: name.to_owned(),
            tier: self.tier,
            capabilities: self.capabilities.clone(),
        }
    }
}

fn bad_glob(glob: &str) -> String {
    format!("{glob:?} is not a plugin name with `*`: expected lower-case letters, digits, `-`, `*`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    fn text() -> String {
        let public = SecretKey::generate([1; 32]).public();
        format!(
            "[keys.acme]\npublic = \"{public}\"\ntier = \"partner\"\nnames = [\"acme-*\"]\n\
             capabilities = [\"metrics\", \"storage-clean\"]\n"
        )
    }

    #[test]
    fn read_written_and_read_again() {
        let trust = Trust::parse(&text()).unwrap();
        assert_eq!(trust.to_toml().unwrap(), text());
        assert_eq!(trust.keys()["acme"].tier, Tier::Partner);
        assert_eq!(Trust::parse("").unwrap(), Trust::default());
        assert_eq!(
            Trust::parse(&Trust::default().to_toml().unwrap()).unwrap(),
            Trust::default()
        );
    }

    #[test]
    fn errors_say_where() {
        let text = text();
        let at = |bad: &str| {
            let span = Trust::parse(bad).unwrap_err().span().unwrap();
            bad[span].to_owned()
        };
        assert_eq!(at(&text.replace("\"acme-*\"", "\"Acme\"")), "\"Acme\"");
        assert_eq!(at(&text.replace("\"partner\"", "\"friend\"")), "\"friend\"");
        assert_eq!(at(&text.replace("keys.acme", "keys.Acme")), "Acme");
        assert_eq!(at(&text.replace("tier", "level")), "level");
        assert!(at(&text.replace("ed25519:", "rsa:")).starts_with("\"rsa:"));
        assert_eq!(at(&format!("{text}{}", text.replace("acme]", "b]"))), "b");
    }

    #[test]
    fn a_key_is_added_once_and_removed() {
        let mut trust = Trust::parse(&text()).unwrap();
        let key = trust.keys()["acme"].clone();
        assert!(trust.add("other", key.clone()).is_err(), "the same key");
        assert!(trust.add("A", key.clone()).is_err(), "a bad name");
        assert_eq!(trust.remove("acme"), Ok(key.clone()));
        assert!(trust.remove("acme").is_err());
        trust.add("other", key.clone()).unwrap();
        assert!(trust.add("other", key).is_err(), "the same name");
    }
}
