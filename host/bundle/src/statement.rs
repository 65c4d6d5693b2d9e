//! What a signature covers: an in-toto statement about one component, with the plugin's manifest.
//!
//! Format: in-toto attestation framework, Statement v1.

use crate::component::Import;
use crate::error::BundleError;
use crate::strict;
use keepwell_model::id::Digest;
use keepwell_model::manifest::Manifest;
use serde::{Deserialize, Serialize};

pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
pub const PREDICATE_TYPE: &str = "urn:keepwell:plugin:v1";
/// The only predicate schema this host reads.
const PREDICATE_SCHEMA: u32 = 1;
/// Highest release number: the largest whole number every reader of JSON and TOML keeps exact.
pub const RELEASE_MAX: u64 = (1 << 53) - 1;
/// Longest name of a publisher, a line for people.
const PUBLISHER_MAX_BYTES: usize = 128;
/// The subjects: every layer but the signatures themselves.
const COMPONENT: &str = "component.wasm";
const SBOM: &str = "sbom.cdx.json";
const PROVENANCE: &str = "provenance.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    #[serde(rename = "_type")]
    pub kind: String,
    pub subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    pub predicate: Predicate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    pub name: String,
    pub digest: SubjectDigest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectDigest {
    /// Hex digits alone, as in-toto has them.
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Predicate {
    /// 1.
    pub schema: u32,
    /// Who published it, for people; the signature says who signed.
    pub publisher: String,
    /// Grows with each release of the plugin, from 1; at most [`RELEASE_MAX`].
    pub release: u64,
    /// Milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_ms: Option<u64>,
    pub component: ComponentInfo,
    /// Of the bill of materials that comes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Digest>,
    /// Of the provenance that comes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Digest>,
    pub manifest: Manifest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ComponentInfo {
    pub digest: Digest,
    pub imports: Vec<Import>,
}

impl Statement {
    pub(crate) fn new(predicate: Predicate) -> Self {
        Self {
            kind: STATEMENT_TYPE.to_owned(),
            subject: [
                Some((COMPONENT, predicate.component.digest)),
                predicate.sbom.map(|digest| (SBOM, digest)),
                predicate.provenance.map(|digest| (PROVENANCE, digest)),
            ]
            .into_iter()
            .flatten()
            .map(|(name, digest)| Subject {
                name: name.to_owned(),
                digest: SubjectDigest {
                    sha256: digest.hex(),
                },
            })
            .collect(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate,
        }
    }

    pub(crate) fn to_payload(&self) -> Result<Vec<u8>, BundleError> {
        self.check()?;
        serde_json::to_vec(self).map_err(|e| BundleError::damaged("its statement", &e))
    }

    /// Strict: unknown or doubled keys, other types and odd numbers are refused.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, BundleError> {
        let it: Self =
            strict::parse(payload).map_err(|e| BundleError::damaged("its statement", &e))?;
        it.check()?;
        Ok(it)
    }

    fn check(&self) -> Result<(), BundleError> {
        let predicate = &self.predicate;
        let draft = |what, why: &str| {
            Err(BundleError::Draft {
                what,
                why: why.to_owned(),
            })
        };
        if predicate.schema != PREDICATE_SCHEMA || *self != Self::new(predicate.clone()) {
            return Err(BundleError::damaged(
                "its statement",
                "its types, schema or subject are not those of a plugin's bundle",
            ));
        }
        if !(1..=RELEASE_MAX).contains(&predicate.release) {
            return draft("release", "expected a number from 1 to 2^53-1");
        }
        if predicate.issued_ms.is_some_and(|ms| ms > RELEASE_MAX) {
            return draft("issued-ms", "expected milliseconds since 1970");
        }
        let publisher = predicate.publisher.as_str();
        let long = publisher.len() > PUBLISHER_MAX_BYTES;
        if publisher.trim().is_empty() || long || publisher.contains(char::is_control) {
            return draft("publisher", "expected one line of 1 to 128 bytes");
        }
        Ok(predicate.manifest.check()?)
    }

    pub(crate) const fn schema() -> u32 {
        PREDICATE_SCHEMA
    }
}
