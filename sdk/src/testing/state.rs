//! The simulated `state`: a map with the contract's bounds and the node's quota. A run works on the
//! node's copy; what it leaves is in its outcome.

use super::{Run, call, refusal};
use crate::state::{KEY_MAX_BYTES, Usage, VALUE_MAX_BYTES};
use crate::task::Refusal;
use std::collections::BTreeMap;

/// What a key costs beside itself and its value, from the contract.
const KEY_COST_BYTES: u64 = 64;
/// The most keys one call gives, from the contract.
const LIST_MAX: u32 = 1_000;

pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Refusal> {
    call("state", |run| {
        check_key(key)?;
        Ok(run.outcome.state.get(key).cloned())
    })
}

pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), Refusal> {
    call("state", |run| {
        check_key(key)?;
        if value.len() > VALUE_MAX_BYTES {
            return Err(refusal("limit", "the value is too long"));
        }
        let mut after = run.outcome.state.clone();
        after.insert(key.into(), value.into());
        let (max_bytes, max_keys) = run.node.state_quota;
        let (before, bytes) = (bytes(&run.outcome.state), bytes(&after));
        if bytes > max_bytes && bytes > before {
            return Err(refusal("limit", "the task's state has too many bytes"));
        }
        let grows = after.len() > run.outcome.state.len();
        if grows && after.len() as u64 > max_keys {
            return Err(refusal("limit", "the task's state has too many keys"));
        }
        run.outcome.state = after;
        Ok(())
    })
}

pub(crate) fn delete(key: &str) -> Result<bool, Refusal> {
    call("state", |run| {
        check_key(key)?;
        Ok(run.outcome.state.remove(key).is_some())
    })
}

pub(crate) fn list_keys(
    prefix: &str,
    after: Option<&str>,
    max: u32,
) -> Result<Vec<String>, Refusal> {
    call("state", |run| {
        if !prefix.is_empty() {
            check_key(prefix)?;
        }
        after.map_or(Ok(()), check_key)?;
        let keys = run.outcome.state.keys();
        let fits = keys.filter(|key| key.starts_with(prefix));
        let fits = fits.filter(|key| after.is_none_or(|after| key.as_str() > after));
        Ok(fits.take(max.min(LIST_MAX) as usize).cloned().collect())
    })
}

pub(crate) fn get_usage() -> Result<Usage, Refusal> {
    call("state", |run: &mut Run| {
        let (max_bytes, max_keys) = run.node.state_quota;
        Ok(Usage {
            bytes: bytes(&run.outcome.state),
            keys: run.outcome.state.len() as u64,
            max_bytes,
            max_keys,
        })
    })
}

fn bytes(state: &BTreeMap<String, Vec<u8>>) -> u64 {
    let cost = |(key, value): (&String, &Vec<u8>)| (key.len() + value.len()) as u64;
    state.iter().map(cost).sum::<u64>() + state.len() as u64 * KEY_COST_BYTES
}

fn check_key(key: &str) -> Result<(), Refusal> {
    let fits = (1..=KEY_MAX_BYTES).contains(&key.len());
    if fits && key.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(refusal("invalid", "no such key can be"))
    }
}

#[cfg(test)]
mod tests {
    use crate::state;
    use crate::testing::Node;

    #[test]
    fn what_is_written_is_read_in_this_run_and_the_next() {
        let node = Node::new().state("runs", b"1");
        node.within(|| {
            assert_eq!(state::read::<u64>("runs").unwrap(), Some(1));
            state::write("runs", &2_u64).unwrap();
            assert_eq!(state::get("runs").unwrap(), Some(b"2".to_vec()));
            assert_eq!(state::read::<bool>("runs").unwrap_err().code, "invalid");
            assert!(state::delete("runs").unwrap());
            assert!(!state::delete("runs").unwrap());
            assert_eq!(state::read::<u64>("runs").unwrap(), None);
        });
        // The node itself is as it was.
        node.within(|| assert_eq!(state::read::<u64>("runs").unwrap(), Some(1)));
    }

    #[test]
    fn the_quota_and_the_shape_of_keys_hold() {
        Node::new().state_quota(1_000, 3).within(|| {
            let limit = |answer: Result<(), crate::Refusal>| answer.unwrap_err().code == "limit";
            for key in ["a", "b", "c"] {
                state::set(key, &[0; 200]).unwrap();
            }
            assert!(limit(state::set("d", &[])));
            assert!(limit(state::set("a", &[0; 700])));
            state::set("a", &[0; 300]).unwrap();
            let usage = state::usage().unwrap();
            assert_eq!((usage.bytes, usage.keys), (3 + 700 + 3 * 64, 3));
            for bad in ["", "a b", "é", &"k".repeat(129)] {
                assert_eq!(state::get(bad).unwrap_err().code, "invalid");
            }
        });
        Node::new().state_quota(u64::MAX, u64::MAX).within(|| {
            let large = vec![0; state::VALUE_MAX_BYTES + 1];
            assert_eq!(state::set("k", &large).unwrap_err().code, "limit");
            for n in 0..2_500 {
                state::set(&format!("k{n:04}"), &[]).unwrap();
            }
            state::set("z", &[]).unwrap();
            assert_eq!(state::keys("k").unwrap().len(), 2_500);
            assert_eq!(state::keys("k24").unwrap().len(), 100);
            assert_eq!(state::keys("").unwrap().last().unwrap(), "z");
        });
    }
}
