//! The most of a capability that a plugin may hold, whatever an operator grants: what its manifest
//! asks for and what the trust file allows its signer, the lesser of both.

use super::{Denial, Facts};
use crate::capability::Capability;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Budgets that the trust file sets for one capability of a signer.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Most {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_keys: Option<u32>,
}

impl Most {
    /// A budget that nothing would look at must not stand there as if it counted.
    pub fn check(&self, capability: Capability) -> Result<(), String> {
        let (files, bytes, keys) = match capability {
            Capability::StorageClean => (true, true, false),
            Capability::Shards => (false, true, false),
            Capability::State => (false, true, true),
            Capability::Metrics
            | Capability::Storage
            | Capability::ConfigRead
            | Capability::ConfigWrite => (false, false, false),
        };
        let odd = [
            ("max-files", self.max_files.is_some() && !files),
            ("max-bytes", self.max_bytes.is_some() && !bytes),
            ("max-keys", self.max_keys.is_some() && !keys),
        ];
        match odd.into_iter().find(|(_, odd)| *odd) {
            Some((key, _)) => Err(format!("`{capability}` has no budget `{key}`")),
            None => Ok(()),
        }
    }
}

/// A bound and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound<T> {
    pub(super) most: T,
    of_signer: bool,
}

impl<T: Copy + PartialOrd> Bound<T> {
    fn lesser(request: Option<T>, signer: Option<T>) -> Option<Self> {
        let request = request.map(|most| Self {
            most,
            of_signer: false,
        });
        let signer = signer.map(|most| Self {
            most,
            of_signer: true,
        });
        match (request, signer) {
            (Some(r), Some(s)) => Some(if s.most < r.most { s } else { r }),
            (one, other) => one.or(other),
        }
    }
}

/// The bounds of one capability.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) files: Option<Bound<u64>>,
    pub(super) bytes: Option<Bound<Bytes>>,
    pub(super) keys: Option<Bound<u32>>,
}

impl Bounds {
    pub(super) fn of(facts: Facts<'_>, capability: Capability) -> Self {
        let request = facts.info.asks(capability);
        let signer = facts.signer.max.get(&capability).copied();
        let signer = signer.unwrap_or_default();
        Self {
            files: Bound::lesser(request.and_then(|r| r.max_files), signer.max_files),
            bytes: Bound::lesser(request.and_then(|r| r.max_bytes), signer.max_bytes),
            keys: Bound::lesser(request.and_then(|r| r.max_keys), signer.max_keys),
        }
    }
}

/// The operator granted more than may be.
pub(super) fn wider<T: fmt::Display>(
    facts: Facts<'_>,
    place: &str,
    key: &str,
    bound: Bound<T>,
) -> Denial {
    let most = bound.most;
    let message = if bound.of_signer {
        let signer = &facts.signer.name;
        format!("`{key}` is wider than the {most} that trust.toml allows signer `{signer}`")
    } else {
        format!("`{key}` is wider than the plugin's own request of {most}")
    };
    Denial::new(place, message).hint(format!("set `{key}` to at most {most}"))
}
