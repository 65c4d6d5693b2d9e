//! What a task keeps for itself between its runs: bytes under a key, or anything serde writes.
//! Nothing is kept before the run has ended well, and nothing by a plan that is not applied.
//!
//! ```no_run
//! use keepwell_sdk::prelude::*;
//! # fn f() -> Result<(), Refusal> {
//! let runs: u64 = state::read("runs")?.unwrap_or(0);
//! state::write("runs", &(runs + 1))?;
//! # Ok(()) }
//! ```

use crate::task::Refusal;
use crate::wit::sys;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::wit::keepwell::task::state::Usage;

/// Longest key, from the contract; of printable ASCII without blanks.
pub const KEY_MAX_BYTES: usize = 128;
/// Largest value, from the contract.
pub const VALUE_MAX_BYTES: usize = 64 << 10;
/// The most keys one call gives, from the contract.
const BATCH: u32 = 1_000;

/// The value of a key, if there is one.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Refusal> {
    sys::state::get(key)
}

/// Sets a key. Refused with `limit` when the value or the quota is too small for it.
pub fn set(key: &str, value: &[u8]) -> Result<(), Refusal> {
    sys::state::set(key, value)
}

/// Deletes a key; whether it was there.
pub fn delete(key: &str) -> Result<bool, Refusal> {
    sys::state::delete(key)
}

/// All keys that begin with `prefix`, in the order of their bytes.
pub fn keys(prefix: &str) -> Result<Vec<String>, Refusal> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let mut some = sys::state::list_keys(prefix, all.last().map(String::as_str), BATCH)?;
        if some.is_empty() {
            return Ok(all);
        }
        all.append(&mut some);
    }
}

/// How much of the quota is used, what this run wrote included.
pub fn usage() -> Result<Usage, Refusal> {
    sys::state::get_usage()
}

/// What [`write()`] put there. Refused with `invalid` when it is not the JSON of a `T`, as after an
/// upgrade that changed the type.
pub fn read<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Refusal> {
    let Some(bytes) = get(key)? else {
        return Ok(None);
    };
    // By way of a value, as settings are read: a second way from text to a type would be 11 KiB more
    // in each component.
    let text = std::str::from_utf8(&bytes).map_err(|error| invalid(key, &error))?;
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| invalid(key, &error))?;
    let read = serde_json::from_value(value).map_err(|error| invalid(key, &error));
    read.map(Some)
}

/// Sets a key to the JSON of `value`.
pub fn write<T: Serialize>(key: &str, value: &T) -> Result<(), Refusal> {
    let bytes = serde_json::to_vec(value).map_err(|error| invalid(key, &error))?;
    set(key, &bytes)
}

fn invalid(key: &str, error: &dyn std::fmt::Display) -> Refusal {
    Refusal {
        code: "invalid".into(),
        message: format!("the state `{key}` does not fit its type: {error}"),
        hint: Some("`keepwell task state clear` lets the task begin anew".into()),
    }
}
