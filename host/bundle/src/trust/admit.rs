//! Whether the trust file admits what was signed: pure, and the only place that decides it.

use super::{Document, Rule, Trust};
use crate::envelope::Envelope;
use crate::error::BundleError;
use crate::lock::LockEntry;
use keepwell_model::glob;
use keepwell_model::grant::Signer;
use keepwell_model::id::Digest;
use keepwell_model::manifest::Manifest;
use std::collections::BTreeMap;

/// What is to be admitted. All of it is covered by the signatures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission<'a> {
    pub(crate) bundle: Digest,
    pub(crate) component: Digest,
    pub(crate) release: u64,
    pub(crate) sbom: Option<Digest>,
    pub(crate) provenance: Option<Digest>,
    pub(crate) manifest: &'a Manifest,
}

/// Names of keys that signed and count, with their ids. One key counts once, however often it signed:
/// the trust file names each key once, and this is a map.
pub(crate) type Counted<'a> = BTreeMap<&'a str, String>;

impl Trust {
    /// The keys whose signatures verify and count now. One false signature under a trusted key
    /// refuses the whole, whatever else it carries.
    pub(crate) fn counted(
        &self,
        envelope: &Envelope,
        now_ms: u64,
    ) -> Result<Counted<'_>, BundleError> {
        if envelope.signatures.is_empty() {
            return Err(BundleError::Unsigned);
        }
        let pae = envelope.pae();
        let mut counted = Counted::new();
        let mut left_out = None;
        for signed in &envelope.signatures {
            let key_id = signed.key_id.clone();
            if let Some(reason) = self.revoked.keys.get(&key_id) {
                let reason = reason.clone();
                // Said before that it is past its time: it is the graver of the two.
                left_out = Some(BundleError::KeyRevoked { key_id, reason });
                continue;
            }
            let Some((name, key)) = self.find(&key_id) else {
                continue;
            };
            if !signed.verifies(&key.public, &pae) {
                return Err(BundleError::BadSignature {
                    signer: name.to_owned(),
                    key_id,
                });
            }
            if key.not_after_ms.is_some_and(|end| now_ms >= end) {
                let signer = name.to_owned();
                left_out.get_or_insert(BundleError::KeyExpired { signer });
                continue;
            }
            counted.insert(name, key_id);
        }
        if counted.is_empty() {
            return Err(left_out.unwrap_or_else(|| BundleError::UnknownSigner {
                key_ids: envelope
                    .signatures
                    .iter()
                    .map(|s| s.key_id.clone())
                    .collect(),
            }));
        }
        Ok(counted)
    }

    /// The nearest publisher that may have made this plugin with these keys, else why the nearest may
    /// not.
    pub(crate) fn admit(
        &self,
        what: Admission<'_>,
        counted: &Counted<'_>,
    ) -> Result<Signer, BundleError> {
        self.refuse_revoked(what)?;
        let mut first_refusal = None;
        for (name, rule, keys, threshold) in self.all_publishers() {
            let mut ids = keys.iter().filter_map(|key| counted.get(key).cloned());
            let Some(key_id) = ids.next() else {
                continue;
            };
            let signer = Signer {
                key_id,
                also: ids.collect(),
                name: name.to_owned(),
                tier: rule.tier,
                capabilities: rule.capabilities.clone(),
                max: rule.max.clone(),
            };
            let have = 1 + signer.also.len();
            match permits(&signer, rule, what) {
                Ok(()) if have >= threshold => return Ok(signer),
                Ok(()) => {
                    first_refusal.get_or_insert(BundleError::TooFewSigners {
                        signer: signer.name,
                        have,
                        need: threshold,
                    });
                }
                Err(e) => {
                    first_refusal.get_or_insert(e);
                }
            }
        }
        // Keys that belong to no publisher: endorsers, or what is left of one.
        Err(first_refusal.unwrap_or_else(|| BundleError::UnknownSigner {
            key_ids: counted.values().cloned().collect(),
        }))
    }

    /// Whether the plugins of this signer run only when the site has endorsed them.
    pub(crate) fn wants_endorsement(&self, signer: &Signer) -> bool {
        let of_tier = |it: &super::Endorsement| it.tiers.contains(&signer.tier);
        self.endorsement.as_ref().is_some_and(of_tier)
    }

    /// Enough of the site's endorsers are among these keys.
    pub(crate) fn endorsed(&self, counted: &Counted<'_>) -> Result<(), BundleError> {
        let Some(wanted) = &self.endorsement else {
            return Ok(());
        };
        let have = wanted
            .keys
            .iter()
            .filter(|key| counted.contains_key(key.as_str()));
        let (have, need) = (have.count(), wanted.threshold);
        if have < need {
            return Err(BundleError::NotEndorsed { have, need });
        }
        Ok(())
    }

    /// Whether something that is revoked may be about an installed plugin, by what the lock file says of
    /// it. Only then its bundle must be read to know: a node has many, and opens them at each start.
    pub fn may_revoke(&self, entry: &LockEntry) -> bool {
        let revoked = &self.revoked;
        let mut keys = entry.signers.iter().chain([&entry.signer]);
        let least = self.min_release.get(&entry.name);
        // Who endorsed it is in a file of its own.
        self.endorsement.is_some()
            || keys.any(|id| revoked.keys.contains_key(id))
            || revoked.bundles.contains_key(&entry.bundle)
            || revoked.components.contains_key(&entry.component)
            || least.is_some_and(|least| entry.release < *least)
    }

    fn refuse_revoked(&self, what: Admission<'_>) -> Result<(), BundleError> {
        let revoked = [
            ("bundle", self.revoked.bundles.get(&what.bundle)),
            ("component", self.revoked.components.get(&what.component)),
        ];
        if let Some((what, Some(reason))) = revoked.into_iter().find(|(_, why)| why.is_some()) {
            let reason = reason.clone();
            return Err(BundleError::Revoked { what, reason });
        }
        match self.min_release.get(&what.manifest.name) {
            Some(least) if what.release < *least => Err(BundleError::TooOld {
                plugin: what.manifest.name.to_string(),
                release: what.release,
                least: *least,
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether this publisher may have a plugin of this name with these requests.
fn permits(signer: &Signer, rule: &Rule, what: Admission<'_>) -> Result<(), BundleError> {
    let manifest = what.manifest;
    let plugin = manifest.name.as_str();
    if !rule.names.iter().any(|g| glob::matches(g, plugin)) {
        return Err(BundleError::NameNotPermitted {
            signer: signer.name.clone(),
            plugin: plugin.to_owned(),
        });
    }
    let lacks = |document: &&Document| match document {
        Document::Sbom => what.sbom.is_none(),
        Document::Provenance => what.provenance.is_none(),
    };
    if let Some(document) = rule.require.iter().find(lacks) {
        return Err(BundleError::Lacks {
            signer: signer.name.clone(),
            document: *document,
        });
    }
    let asked = manifest.capabilities();
    match asked.into_iter().find(|c| !rule.capabilities.contains(c)) {
        Some(capability) => Err(BundleError::CapabilityNotPermitted {
            signer: signer.name.clone(),
            capability,
        }),
        None => Ok(()),
    }
}
