//! A task's own state as one run sees it: what was stored, what the run wrote over it, and the
//! quota that holds for both together.
//!
//! A guest has no function that changes the node, and its own state lies on the node. So what it
//! writes stays in this view. The run's pipeline commits [`Changes`] when the look ended well in
//! apply mode; a plan, a failure and a killed worker leave nothing behind.

mod changes;
mod quota;

pub use changes::{BadChanges, Changes, Figures};
pub use quota::{QuotaOutOfRange, StateGrant, StateRule};

use crate::units::Bytes;
use crate::words::Refusal;
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
    /// The keys it began with. Whoever sets and deletes others leaves nothing behind here, so that
    /// what a run costs the host is bounded by the quota and not by the number of its calls.
    began: BTreeSet<String>,
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
            began: stored.keys.keys().cloned().collect(),
            keys: stored.keys,
            touched: BTreeSet::new(),
            grant,
            bytes,
        }
    }

    /// The view of a run that goes on, with what it wanted changed before; `None` when the state
    /// is not as it began with it any more. The quota was asked when the changes were made.
    pub fn again(stored: Stored, grant: StateGrant, changes: Changes) -> Option<Self> {
        if stored.version != changes.version {
            return None;
        }
        let mut state = Self::new(stored, grant);
        for (key, value) in changes.keys {
            let old = match value {
                Some(value) => {
                    state.bytes += cost(&key, value.len());
                    state.keys.insert(key.clone(), value)
                }
                None => state.keys.remove(&key),
            };
            state.bytes -= old.map_or(0, |old| cost(&key, old.len()));
            state.touched.insert(key);
        }
        Some(state)
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
        check_value(key, value.len())?;
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
        if self.began.contains(key) {
            self.touched.insert(key.to_owned());
        } else {
            self.touched.remove(key);
        }
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
        check_range(prefix, after)?;
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

    /// Whether the run wants anything changed.
    pub fn is_changed(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The quota it holds.
    pub const fn grant(&self) -> StateGrant {
        self.grant
    }

    /// What is to be committed, while the run goes on.
    pub fn changes(&self) -> Changes {
        let value = |key: &String| (key.clone(), self.keys.get(key).cloned());
        Changes {
            version: self.version,
            keys: self.touched.iter().map(value).collect(),
        }
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

/// Values are small: a larger one is refused whatever the quota leaves.
pub fn check_value(key: &str, bytes: usize) -> Result<(), Refusal> {
    if bytes <= VALUE_MAX_BYTES {
        return Ok(());
    }
    Err(Refusal::limit(format!(
        "the value of `{key}` has {bytes} bytes, the most are {VALUE_MAX_BYTES}"
    )))
}

/// What a listing begins with and comes after: nothing, or what could be a key.
pub fn check_range(prefix: &str, after: Option<&str>) -> Result<(), Refusal> {
    if !prefix.is_empty() {
        check_key(prefix)?;
    }
    after.map_or(Ok(()), check_key)
}

#[cfg(test)]
mod tests;
