//! Why a bundle is refused: a clear sentence, what to do, and a stable code.

use crate::component::ComponentError;
use crate::trust::Document;
use keepwell_model::capability::Capability;
use keepwell_model::id::Digest;
use keepwell_model::manifest::BadManifest;
use keepwell_model::words::printable;

/// Longest text from a bundle that is repeated in an error.
const QUOTE_MAX_BYTES: usize = 80;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("the bundle carries no signature; its publisher signs it with `keepwell bundle sign`")]
    Unsigned,
    #[error(
        "no signer of the bundle is in the trust file (signed by key {}); \
         `keepwell trust add` admits a key whose owner you know",
        key_ids.join(", ")
    )]
    UnknownSigner { key_ids: Vec<String> },
    #[error(
        "the signature of `{signer}` (key {key_id}) does not fit the bundle; it was changed after \
         signing, get it again from its publisher"
    )]
    BadSignature { signer: String, key_id: String },
    #[error("key {key_id} that signed the bundle is revoked: {reason}")]
    KeyRevoked { key_id: String, reason: String },
    #[error(
        "key `{signer}` is past its `not-after` in trust.toml; its owner signs again with a newer one"
    )]
    KeyExpired { signer: String },
    #[error("the {what} is revoked: {reason}")]
    Revoked { what: &'static str, reason: String },
    #[error(
        "release {release} of `{plugin}` is older than {least}, the least that trust.toml lets run; \
         get a newer one"
    )]
    TooOld {
        plugin: String,
        release: u64,
        least: u64,
    },
    #[error(
        "{have} of the {need} keys that must sign for `{signer}` have; another of them signs it with \
         `keepwell bundle sign`"
    )]
    TooFewSigners {
        signer: String,
        have: usize,
        need: usize,
    },
    #[error(
        "{have} of the {need} endorsers that this site wants have endorsed the bundle; one of them \
         does so with `keepwell bundle endorse`"
    )]
    NotEndorsed { have: usize, need: usize },
    #[error(
        "bundles of `{signer}` must carry a document that this one lacks: {}; its publisher builds it \
         with `keepwell bundle build --sbom FILE --provenance FILE`",
        match document { Document::Sbom => "sbom", Document::Provenance => "provenance" }
    )]
    Lacks { signer: String, document: Document },
    #[error("the endorsement is of bundle {found}, not of this one")]
    OtherEndorsed { found: Digest },
    #[error("the bundle is damaged: {place}: {why}; get it again from its publisher")]
    Damaged { place: String, why: String },
    #[error(
        "the bundle's {what} has {found} bytes or items, more than {most}; ask its publisher for a smaller one"
    )]
    TooLarge {
        what: &'static str,
        found: usize,
        most: usize,
    },
    #[error(
        "the envelope's payload type is `{found}`, not `application/vnd.in-toto+json`; this is not \
         a plugin's bundle"
    )]
    PayloadType { found: String },
    #[error("the component in the bundle is refused")]
    Component(#[from] ComponentError),
    #[error("the manifest in the bundle is refused; build the bundle again")]
    Manifest(#[from] BadManifest),
    #[error("the {what} of the bundle is refused: {why}")]
    Draft { what: &'static str, why: String },
    #[error(
        "`{signer}` may not sign a plugin named `{plugin}`; \
         hint: add `\"{plugin}\"` to the `names` of `{signer}` in trust.toml"
    )]
    NameNotPermitted { signer: String, plugin: String },
    #[error(
        "`{signer}` may not sign a plugin that asks for `{capability}`; \
         hint: add `\"{capability}\"` to the `capabilities` of `{signer}` in trust.toml"
    )]
    CapabilityNotPermitted {
        signer: String,
        capability: Capability,
    },
}

impl BundleError {
    /// Stable, for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::UnknownSigner { .. } => "unknown-signer",
            Self::BadSignature { .. } => "bad-signature",
            Self::KeyRevoked { .. } => "key-revoked",
            Self::KeyExpired { .. } => "key-expired",
            Self::Revoked { .. } => "revoked",
            Self::TooOld { .. } => "too-old",
            Self::TooFewSigners { .. } => "too-few-signers",
            Self::Lacks { .. } => "lacks-document",
            Self::NotEndorsed { .. } | Self::OtherEndorsed { .. } => "not-endorsed",
            Self::Damaged { .. } => "damaged",
            Self::TooLarge { .. } => "too-large",
            Self::PayloadType { .. } => "payload-type",
            Self::Component(e) => e.code(),
            Self::Manifest(_) => "bad-manifest",
            Self::Draft { .. } => "bad-draft",
            Self::NameNotPermitted { .. } | Self::CapabilityNotPermitted { .. } => "not-permitted",
        }
    }

    /// Whether it is refused because what vouched for it is trusted no more.
    pub const fn is_revocation(&self) -> bool {
        matches!(
            self,
            Self::KeyRevoked { .. } | Self::Revoked { .. } | Self::TooOld { .. }
        )
    }

    pub(crate) fn damaged(place: &str, why: &(impl ToString + ?Sized)) -> Self {
        Self::Damaged {
            place: place.to_owned(),
            why: printable(&why.to_string(), 2 * QUOTE_MAX_BYTES),
        }
    }

    pub(crate) fn payload_type(found: &str) -> Self {
        Self::PayloadType {
            found: printable(found, QUOTE_MAX_BYTES),
        }
    }

    pub(crate) const fn check_size(
        what: &'static str,
        found: usize,
        most: usize,
    ) -> Result<(), Self> {
        if found > most {
            return Err(Self::TooLarge { what, found, most });
        }
        Ok(())
    }

    pub(crate) const fn check_count(
        what: &'static str,
        found: usize,
        most: usize,
    ) -> Result<(), Self> {
        Self::check_size(what, found, most)
    }
}
