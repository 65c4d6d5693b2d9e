//! The view is a map with a quota, and what it costs is bounded.

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

/// Writing and deleting another key a million times costs the host no more than doing it once.
#[test]
fn what_never_stays_leaves_nothing_behind() {
    let keys = BTreeMap::from([("old".to_owned(), vec![1])]);
    let stored = Stored { version: 3, keys };
    let mut state = OwnState::new(stored, small());
    for n in 0..1_000 {
        let key = format!("k{n}");
        state.set(&key, vec![0]).unwrap();
        assert!(state.delete(&key).unwrap());
    }
    assert!(!state.is_changed());
    assert!(state.delete("old").unwrap());
    state.set("old", vec![2]).unwrap();
    assert!(state.delete("old").unwrap());
    assert_eq!(
        state.changes().keys,
        BTreeMap::from([("old".to_owned(), None)])
    );
}

#[test]
fn a_run_that_goes_on_sees_what_it_wanted_unless_the_state_moved_on() {
    let keys = BTreeMap::from([("a".to_owned(), vec![1]), ("b".to_owned(), vec![2; 9])]);
    let stored = Stored { version: 3, keys };
    let mut state = OwnState::new(stored.clone(), small());
    state.set("a", vec![3; 5]).unwrap();
    state.set("c", vec![4]).unwrap();
    assert!(state.delete("b").unwrap());
    let changes = state.changes();
    let again = OwnState::again(stored.clone(), small(), changes.clone()).unwrap();
    assert_eq!(again.used(), state.used());
    assert_eq!(again.changes(), changes);
    assert_eq!(again.get("b").unwrap(), None);
    let later = Stored {
        version: 4,
        ..stored
    };
    assert!(OwnState::again(later, small(), changes).is_none());
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
        (0..4u8, proptest::option::of(key), 0..20usize).prop_map(|(p, a, m)| Call::List(p, a, m)),
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
