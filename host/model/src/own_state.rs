//! A task's own state as one run sees it: what was stored, what the run wrote over it, and the
//! quota that holds for both together.
//!
//! A guest has no function that changes the node, and its own state lies on the node. So what it
//! writes stays in this view. The run's pipeline commits [`Changes`] when the look ended well in
//! apply mode; a plan, a failure and a killed worker leave nothing behind.

use crate::units::Bytes;
use crate::words::Refusal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Longest key: it is shown in tables, and stands in every message of a call.
pub const KEY_MAX_BYTES: usize = 128;
/// Largest value: it travels in one message between worker and host, as a checkpoint does.
pub const VALUE_MAX_BYTES: usize = 64 << 10;
/// Most keys one call of `list` gives.
pub const LIST_MAX: usize = 1_000;
/// More than this is a store, and belongs where backups see it: a run holds all of it in memory.
pub const STATE_CEILING: Bytes = Bytes(16 << 20);
/// More keys are a table, not the state of a task.
pub const KEYS_CEILING: u32 = 10_000;
/// What a key costs beside its own bytes and its value's: a row and its place in the index.
pub const KEY_COST_BYTES: u64 = 64;

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

/// What one run wants changed, against the version it read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The version of the task's state this run began with.
    pub version: u64,
    /// `None` deletes.
    pub keys: BTreeMap<String, Option<Vec<u8>>>,
}

/// What a task keeps, whole, at one version. The version grows with every commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    pub version: u64,
    pub keys: BTreeMap<String, Vec<u8>>,
}

/// The state of a task as one run sees it: its own writes are there, nobody else's come.
#[derive(Debug, Clone)]
pub struct OwnState {
    version: u64,
    keys: BTreeMap<String, Vec<u8>>,
    touched: BTreeSet<String>,
    grant: StateGrant,
    bytes: u64,
}

/// What a key with its value is charged.
pub fn cost(key: &str, value_bytes: usize) -> u64 {
    key.len() as u64 + value_bytes as u64 + KEY_COST_BYTES
}

impl OwnState {
    pub fn new(stored: Stored, grant: StateGrant) -> Self {
        let bytes = stored.keys.iter().map(|(k, v)| cost(k, v.len())).sum();
        Self {
            version: stored.version,
            keys: stored.keys,
            touched: BTreeSet::new(),
            grant,
            bytes,
        }
    }

    /// The value of a key. Refusals: `invalid` (the key).
    pub fn get(&self, key: &str) -> Result<Option<&[u8]>, Refusal> {
        check_key(key)?;
        Ok(self.keys.get(key).map(Vec::as_slice))
    }

    /// Sets a key. Refusals: `invalid` (the key), `limit` (the value, or the quota); a refused
    /// call changes nothing.
    pub fn set(&mut self, key: &str, value: Vec<u8>) -> Result<(), Refusal> {
        check_key(key)?;
        if value.len() > VALUE_MAX_BYTES {
            return Err(Refusal::limit(format!(
                "the value of `{key}` has {} bytes, the most are {VALUE_MAX_BYTES}",
                value.len()
            )));
        }
        let before = self.keys.get(key).map(|old| cost(key, old.len()));
        let bytes = self.bytes - before.unwrap_or(0) + cost(key, value.len());
        // A quota that was lowered leaves a task above it: it may still shrink.
        if bytes > self.grant.max_bytes.0 && bytes > self.bytes {
            return Err(Refusal::limit(format!(
                "the task's state would have {bytes} bytes, the most are {}",
                self.grant.max_bytes.0
            ))
            .hint("delete keys, or raise `state.max-bytes` of this task"));
        }
        if before.is_none() && self.keys.len() >= self.grant.max_keys as usize {
            return Err(Refusal::limit(format!(
                "the task's state has {} keys, the most are {}",
                self.keys.len(),
                self.grant.max_keys
            ))
            .hint("delete keys, or raise `state.max-keys` of this task"));
        }
        self.bytes = bytes;
        self.touched.insert(key.to_owned());
        self.keys.insert(key.to_owned(), value);
        Ok(())
    }

    /// Deletes a key; whether it was there. Refusals: `invalid` (the key).
    pub fn delete(&mut self, key: &str) -> Result<bool, Refusal> {
        check_key(key)?;
        let Some(old) = self.keys.remove(key) else {
            return Ok(false);
        };
        self.bytes -= cost(key, old.len());
        self.touched.insert(key.to_owned());
        Ok(true)
    }

    /// Keys that begin with `prefix` and come after `after` in the order of their bytes, at most
    /// `max` and never more than [`LIST_MAX`]. Refusals: `invalid` (prefix or `after`).
    pub fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<String>, Refusal> {
        if !prefix.is_empty() {
            check_key(prefix)?;
        }
        if let Some(after) = after {
            check_key(after)?;
        }
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let range = self.keys.range::<str, _>((from, Bound::Unbounded));
        Ok(range
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .take(max.min(LIST_MAX))
            .cloned()
            .collect())
    }

    /// Bytes charged and keys held, the run's own writes included.
    pub fn used(&self) -> (u64, u64) {
        (self.bytes, self.keys.len() as u64)
    }

    /// What is to be committed when the look ended well in apply mode.
    pub fn into_changes(mut self) -> Changes {
        let touched = self.touched.into_iter();
        let keys = touched.map(|key| {
            let value = self.keys.remove(&key);
            (key, value)
        });
        Changes {
            version: self.version,
            keys: keys.collect(),
        }
    }
}

/// A key is 1 to 128 bytes of printable ASCII without blanks: it can be shown, typed and sorted.
pub fn check_key(key: &str) -> Result<(), Refusal> {
    if (1..=KEY_MAX_BYTES).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "a key must have 1 to {KEY_MAX_BYTES} printable ASCII characters and no blanks"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Code;
    use proptest::prelude::*;

    fn small() -> StateGrant {
        StateGrant {
            max_bytes: Bytes(1_000),
            max_keys: 8,
        }
    }

    #[test]
    fn keys_and_values_have_bounds_and_a_refused_call_changes_nothing() {
        let mut state = OwnState::new(Stored::default(), StateGrant::default());
        let long = "k".repeat(KEY_MAX_BYTES + 1);
        for bad in ["", "a b", "a\n", "é", long.as_str()] {
            assert_eq!(state.set(bad, vec![]).unwrap_err().code, Code::Invalid);
            assert_eq!(state.get(bad).unwrap_err().code, Code::Invalid);
            assert_eq!(state.delete(bad).unwrap_err().code, Code::Invalid);
        }
        let large = vec![0; VALUE_MAX_BYTES + 1];
        assert_eq!(state.set("k", large).unwrap_err().code, Code::Limit);
        state.set("k", vec![0; VALUE_MAX_BYTES]).unwrap();
        let longest = "k".repeat(KEY_MAX_BYTES);
        state.set(&longest, vec![]).unwrap();
        assert_eq!(state.used().1, 2);
    }

    #[test]
    fn whoever_is_above_a_lowered_quota_may_shrink_and_not_grow() {
        let keys = BTreeMap::from([("a".to_owned(), vec![0; 2_000])]);
        let stored = Stored { version: 3, keys };
        let mut state = OwnState::new(stored, small());
        assert!(state.set("a", vec![0; 2_001]).is_err());
        state.set("a", vec![0; 1_500]).unwrap();
        assert!(state.set("b", vec![]).is_err());
        assert!(state.delete("a").unwrap());
        state.set("b", vec![]).unwrap();
        let changes = state.into_changes();
        assert_eq!(changes.version, 3);
        assert_eq!(changes.keys["a"], None);
    }

    #[test]
    fn quotas_have_ceilings() {
        assert_eq!(StateRule::default().resolve(), Ok(StateGrant::default()));
        let rule = |max_bytes, max_keys| StateRule {
            max_bytes: Some(Bytes(max_bytes)),
            max_keys: Some(max_keys),
        };
        assert!(rule(STATE_CEILING.0, KEYS_CEILING).resolve().is_ok());
        for (bytes, keys) in [
            (0, 1),
            (STATE_CEILING.0 + 1, 1),
            (1, 0),
            (1, KEYS_CEILING + 1),
        ] {
            assert!(rule(bytes, keys).resolve().is_err(), "{bytes} {keys}");
        }
    }

    #[derive(Debug, Clone)]
    enum Call {
        Set(u8, usize),
        Delete(u8),
        List(u8, Option<u8>, usize),
    }

    fn calls() -> impl Strategy<Value = Vec<Call>> {
        let key = 0..24u8;
        let call = prop_oneof![
            (key.clone(), 0..300usize).prop_map(|(k, n)| Call::Set(k, n)),
            key.clone().prop_map(Call::Delete),
            (0..4u8, proptest::option::of(key), 0..20usize)
                .prop_map(|(p, a, m)| Call::List(p, a, m)),
        ];
        proptest::collection::vec(call, 0..60)
    }

    fn name(n: u8) -> String {
        format!("{}/{}", ["a", "b", "bb"][usize::from(n % 3)], n / 3)
    }

    proptest! {
        #[test]
        fn the_view_is_a_map_with_a_quota(
            before in proptest::collection::btree_map((0..24u8).prop_map(name), proptest::collection::vec(0u8..9, 0..50), 0..6),
            calls in calls(),
        ) {
            let mut model = before.clone();
            let stored = Stored { version: 1, keys: before.clone() };
            let mut state = OwnState::new(stored, small());
            for call in calls {
                match call {
                    Call::Set(key, n) => {
                        let key = name(key);
                        let mut wanted = model.clone();
                        wanted.insert(key.clone(), vec![1; n]);
                        let bytes: u64 = wanted.iter().map(|(k, v)| cost(k, v.len())).sum();
                        let fits = bytes <= 1_000 && wanted.len() <= 8;
                        prop_assert_eq!(state.set(&key, vec![1; n]).is_ok(), fits);
                        if fits {
                            model = wanted;
                        }
                    }
                    Call::Delete(key) => {
                        let was = model.remove(&name(key)).is_some();
                        prop_assert_eq!(state.delete(&name(key)).unwrap(), was);
                    }
                    Call::List(prefix, after, max) => {
                        let prefix = ["", "a", "b", "bb"][usize::from(prefix)];
                        let after = after.map(name);
                        let expected: Vec<String> = model
                            .keys()
                            .filter(|k| k.starts_with(prefix))
                            .filter(|k| after.as_ref().is_none_or(|a| *k > a))
                            .take(max)
                            .cloned()
                            .collect();
                        prop_assert_eq!(state.list(prefix, after.as_deref(), max).unwrap(), expected);
                    }
                }
                let bytes: u64 = model.iter().map(|(k, v)| cost(k, v.len())).sum();
                prop_assert_eq!(state.used(), (bytes, model.len() as u64));
                prop_assert!(bytes <= 1_000 && model.len() <= 8);
            }
            // Applying the changes to what was stored gives what the run saw.
            let mut after = before;
            for (key, value) in state.into_changes().keys {
                match value {
                    Some(value) => drop(after.insert(key, value)),
                    None => drop(after.remove(&key)),
                }
            }
            prop_assert_eq!(after, model);
        }
    }
}
