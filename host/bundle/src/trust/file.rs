//! The trust file as text: strict, with the place of what is wrong.

use super::{Document, Endorsement, Publisher, Revocable, Rule, Trust, TrustedKey};
use crate::key::BadKey;
use keepwell_model::capability::Capability;
use keepwell_model::grant::{Most, Tier};
use keepwell_model::id::{Digest, PluginName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

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
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            span: None,
            source: None,
        }
    }

    fn at(self, span: Range<usize>) -> Self {
        Self {
            span: Some(span),
            ..self
        }
    }

    /// Bytes of the text the error is about; `None` when it did not come from a text.
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    keys: BTreeMap<Spanned<String>, Key>,
    #[serde(default)]
    publishers: BTreeMap<Spanned<String>, Several>,
    endorsement: Option<Spanned<Endorsed>>,
    #[serde(default)]
    revoked: RevokedLists,
    #[serde(default)]
    min_release: BTreeMap<PluginName, u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Key {
    public: Spanned<String>,
    not_after: Option<Spanned<String>>,
    tier: Option<Tier>,
    names: Option<Vec<Spanned<String>>>,
    capabilities: Option<Vec<Capability>>,
    #[serde(default)]
    max: BTreeMap<Capability, Most>,
    #[serde(default)]
    require: Vec<Document>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Several {
    keys: Vec<String>,
    threshold: usize,
    tier: Tier,
    names: Vec<Spanned<String>>,
    capabilities: Vec<Capability>,
    #[serde(default)]
    max: BTreeMap<Capability, Most>,
    #[serde(default)]
    require: Vec<Document>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Endorsed {
    tiers: Vec<Tier>,
    keys: Vec<String>,
    threshold: usize,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokedLists {
    #[serde(default)]
    keys: Vec<Listed<String>>,
    #[serde(default)]
    bundles: Vec<Listed<Digest>>,
    #[serde(default)]
    components: Vec<Listed<Digest>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed<T> {
    id: Spanned<T>,
    reason: String,
}

impl Trust {
    /// Strict: unknown keys, doubled public keys, globs that match nothing, thresholds that cannot be
    /// reached and budgets nothing looks at are refused.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let file: File = toml::from_str(text).map_err(|e| {
            let error = TrustError::new(e.message());
            TrustError {
                span: e.span(),
                ..error
            }
        })?;
        let mut it = Self::default();
        for one in file.revoked.keys {
            let span = one.id.span();
            it.revoke(Revocable::Key(one.id.into_inner()), &one.reason)
                .map_err(|e| e.at(span))?;
        }
        for one in file.revoked.bundles {
            let span = one.id.span();
            it.revoke(Revocable::Bundle(one.id.into_inner()), &one.reason)
                .map_err(|e| e.at(span))?;
        }
        for one in file.revoked.components {
            let span = one.id.span();
            it.revoke(Revocable::Component(one.id.into_inner()), &one.reason)
                .map_err(|e| e.at(span))?;
        }
        // A key that was revoked may still stand in the file; it counts for nothing.
        let revoked = std::mem::take(&mut it.revoked.keys);
        for (name, key) in file.keys {
            let span = name.span();
            let key = trusted(name.get_ref(), key)?;
            it.add(name.get_ref(), key).map_err(|e| e.at(span))?;
        }
        it.revoked.keys = revoked;
        for (name, several) in file.publishers {
            let span = name.span();
            let publisher = Publisher {
                keys: several.keys,
                threshold: several.threshold,
                rule: Rule {
                    tier: several.tier,
                    names: globs(several.names)?,
                    capabilities: several.capabilities,
                    max: several.max,
                    require: several.require,
                },
            };
            it.add_publisher(name.get_ref(), publisher)
                .map_err(|e| e.at(span))?;
        }
        if let Some(endorsed) = file.endorsement {
            let span = endorsed.span();
            let endorsed = endorsed.into_inner();
            let endorsement = Endorsement {
                tiers: endorsed.tiers,
                keys: endorsed.keys,
                threshold: endorsed.threshold,
            };
            it.endorse(endorsement).map_err(|e| e.at(span))?;
        }
        it.min_release = file.min_release;
        Ok(it)
    }
}

fn trusted(name: &str, key: Key) -> Result<TrustedKey, TrustError> {
    let span = key.public.span();
    let public = key.public.get_ref().parse().map_err(|e| TrustError {
        why: format!("key `{name}` cannot be read"),
        span: Some(span.clone()),
        source: Some(e),
    })?;
    let not_after_ms = key.not_after.map(|at| instant(&at)).transpose()?;
    let rule = match (key.tier, key.names, key.capabilities) {
        (Some(tier), Some(names), capabilities) => Some(Rule {
            tier,
            names: globs(names)?,
            capabilities: capabilities.unwrap_or_default(),
            max: key.max,
            require: key.require,
        }),
        (None, None, None) if key.max.is_empty() && key.require.is_empty() => None,
        (_, _, _) => {
            let why = format!(
                "key `{name}` signs alone only with `tier`, `names` and `capabilities`; a key of \
                 publishers has none of them"
            );
            return Err(TrustError::new(why).at(span));
        }
    };
    Ok(TrustedKey {
        public,
        not_after_ms,
        rule,
    })
}

fn instant(at: &Spanned<String>) -> Result<u64, TrustError> {
    let parsed: Option<jiff::Timestamp> = at.get_ref().parse().ok();
    parsed
        .and_then(|at| u64::try_from(at.as_millisecond()).ok())
        .ok_or_else(|| {
            let why = format!(
                "{:?} is no time; expected `2027-01-31T00:00:00Z`",
                at.get_ref()
            );
            TrustError::new(why).at(at.span())
        })
}

fn globs(names: Vec<Spanned<String>>) -> Result<Vec<String>, TrustError> {
    let bad = names
        .iter()
        .find(|n| !keepwell_model::glob::is_valid(n.get_ref()));
    if let Some(bad) = bad {
        return Err(TrustError::new(bad_glob(bad.get_ref())).at(bad.span()));
    }
    Ok(names.into_iter().map(Spanned::into_inner).collect())
}

pub(super) fn bad_glob(glob: &str) -> String {
    format!("{glob:?} is not a plugin name with `*`: expected lower-case letters, digits, `-`, `*`")
}

/// As it is written: only what is not the default.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Written<'a> {
    keys: BTreeMap<&'a str, WrittenKey<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    publishers: BTreeMap<&'a str, WrittenPublisher<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endorsement: Option<WrittenEndorsement<'a>>,
    #[serde(skip_serializing_if = "WrittenRevoked::is_empty")]
    revoked: WrittenRevoked<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    min_release: &'a BTreeMap<PluginName, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenKey<'a> {
    public: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    #[serde(flatten)]
    rule: Option<WrittenRule<'a>>,
}

#[derive(Serialize)]
struct WrittenRule<'a> {
    tier: Tier,
    names: &'a [String],
    capabilities: &'a [Capability],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    require: &'a [Document],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    max: &'a BTreeMap<Capability, Most>,
}

#[derive(Serialize)]
struct WrittenPublisher<'a> {
    keys: &'a [String],
    threshold: usize,
    #[serde(flatten)]
    rule: WrittenRule<'a>,
}

#[derive(Serialize)]
struct WrittenEndorsement<'a> {
    tiers: &'a [Tier],
    keys: &'a [String],
    threshold: usize,
}

#[derive(Serialize)]
struct WrittenRevoked<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<WrittenListed<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bundles: Vec<WrittenListed<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<WrittenListed<'a>>,
}

impl WrittenRevoked<'_> {
    const fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.bundles.is_empty() && self.components.is_empty()
    }
}

#[derive(Serialize)]
struct WrittenListed<'a> {
    id: String,
    reason: &'a str,
}

impl Trust {
    /// Sorted by name. Comments of a file that was parsed are not kept.
    pub fn to_toml(&self) -> Result<String, TrustError> {
        let keys = self.keys.iter().map(|(name, key)| {
            let written = WrittenKey {
                public: key.public.to_string(),
                not_after: key.not_after_ms.and_then(time),
                rule: key.rule.as_ref().map(written),
            };
            (name.as_str(), written)
        });
        let publishers = self.publishers.iter().map(|(name, it)| {
            let written = WrittenPublisher {
                keys: &it.keys,
                threshold: it.threshold,
                rule: written(&it.rule),
            };
            (name.as_str(), written)
        });
        let text = Written {
            keys: keys.collect(),
            publishers: publishers.collect(),
            endorsement: self.endorsement.as_ref().map(|it| WrittenEndorsement {
                tiers: &it.tiers,
                keys: &it.keys,
                threshold: it.threshold,
            }),
            revoked: WrittenRevoked {
                keys: listed(self.revoked.keys.iter()),
                bundles: listed(self.revoked.bundles.iter()),
                components: listed(self.revoked.components.iter()),
            },
            min_release: &self.min_release,
        };
        // An empty text would be a good trust file that trusts nobody.
        toml::to_string(&text).map_err(|e| TrustError::new(format!("it has no form in TOML: {e}")))
    }
}

fn time(ms: u64) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    Some(at.to_string())
}

fn written(rule: &Rule) -> WrittenRule<'_> {
    WrittenRule {
        tier: rule.tier,
        names: &rule.names,
        capabilities: &rule.capabilities,
        require: &rule.require,
        max: &rule.max,
    }
}

fn listed<'a, T: ToString + 'a>(
    all: impl Iterator<Item = (&'a T, &'a String)>,
) -> Vec<WrittenListed<'a>> {
    all.map(|(id, reason)| WrittenListed {
        id: id.to_string(),
        reason,
    })
    .collect()
}
