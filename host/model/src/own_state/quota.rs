//! How much a task may keep: what the operator writes, and what a run holds.

use super::{KEYS_CEILING, STATE_CEILING};
use crate::units::Bytes;
use serde::{Deserialize, Serialize};

/// `state = { max-bytes = "1MiB", max-keys = 1000 }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StateRule {
    pub max_bytes: Option<Bytes>,
    pub max_keys: Option<u32>,
}

/// How much a task may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StateGrant {
    /// Keys, values and [`KEY_COST_BYTES`] for each key together.
    pub max_bytes: Bytes,
    pub max_keys: u32,
}

impl Default for StateGrant {
    fn default() -> Self {
        Self {
            max_bytes: Bytes(1 << 20),
            max_keys: 1_000,
        }
    }
}

/// A quota above its ceiling, or zero.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {given}, but must lie between 1 and {most}")]
pub struct QuotaOutOfRange {
    /// As the grant spells it: `max-bytes` or `max-keys`.
    pub key: &'static str,
    pub given: String,
    pub most: String,
}

impl StateRule {
    /// Defaults filled in, ceilings checked.
    pub fn resolve(&self) -> Result<StateGrant, QuotaOutOfRange> {
        let default = StateGrant::default();
        let max_bytes = self.max_bytes.unwrap_or(default.max_bytes);
        let max_keys = self.max_keys.unwrap_or(default.max_keys);
        let out = |key, given: String, most: String| Err(QuotaOutOfRange { key, given, most });
        if max_bytes.0 == 0 || max_bytes > STATE_CEILING {
            return out(
                "max-bytes",
                max_bytes.to_string(),
                STATE_CEILING.to_string(),
            );
        }
        if max_keys == 0 || max_keys > KEYS_CEILING {
            return out("max-keys", max_keys.to_string(), KEYS_CEILING.to_string());
        }
        Ok(StateGrant {
            max_bytes,
            max_keys,
        })
    }
}
