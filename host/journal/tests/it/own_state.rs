//! What tasks keep for themselves: whole, versioned, within their quota, and never lost silently.

use crate::common::run_id;
use keepwell_journal::ErrorKind;
use keepwell_journal::measurements::{TaskStateReader, TaskStates};
use keepwell_model::own_state::{Changes, StateGrant, Stored};
use keepwell_model::units::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;

const TASK: &str = "scrub";

fn fresh() -> (tempfile::TempDir, TaskStates) {
    let dir = tempfile::tempdir().unwrap();
    let states = TaskStates::open(dir.path()).unwrap();
    (dir, states)
}

fn set(states: &TaskStates, run: u8, key: &str, value: &[u8]) -> u64 {
    let mut view = states.view(TASK, StateGrant::default()).unwrap();
    view.set(key, value.to_vec()).unwrap();
    states
        .commit(TASK, run_id(run), &view.into_changes())
        .unwrap()
}

#[test]
fn a_view_changes_nothing_until_it_is_committed() {
    let (dir, states) = fresh();
    let mut planned = states.view(TASK, StateGrant::default()).unwrap();
    planned.set("cursor", b"7".to_vec()).unwrap();
    assert_eq!(planned.get("cursor").unwrap(), Some(b"7".as_slice()));
    drop(planned);
    assert_eq!(states.stored(TASK).unwrap(), Stored::default());
    assert_eq!(set(&states, 1, "cursor", b"8"), 1);
    // Nothing to change is no change.
    let idle = states.view(TASK, StateGrant::default()).unwrap();
    assert_eq!(
        states
            .commit(TASK, run_id(2), &idle.into_changes())
            .unwrap(),
        1
    );
    assert_eq!(states.stored("other").unwrap(), Stored::default());
    let usage = states.usage().unwrap();
    assert_eq!(usage.len(), 1);
    assert_eq!((usage[0].keys, usage[0].bytes), (1, 6 + 1 + 64));
    assert_eq!(usage[0].run, Some(run_id(1)));
    drop(states);
    let states = TaskStates::open(dir.path()).unwrap();
    let stored = states.stored(TASK).unwrap();
    assert_eq!(
        stored.keys,
        BTreeMap::from([("cursor".to_owned(), b"8".to_vec())])
    );
}

#[test]
fn of_two_runs_at_once_one_commits_and_a_repeated_commit_is_one() {
    let (_dir, states) = fresh();
    let mut one = states.view(TASK, StateGrant::default()).unwrap();
    let mut two = states.view(TASK, StateGrant::default()).unwrap();
    one.set("k", b"1".to_vec()).unwrap();
    two.set("k", b"2".to_vec()).unwrap();
    let (one, two) = (one.into_changes(), two.into_changes());
    assert_eq!(states.commit(TASK, run_id(1), &one).unwrap(), 1);
    assert_eq!(states.commit(TASK, run_id(1), &one).unwrap(), 1);
    let changed = states.commit(TASK, run_id(2), &two).unwrap_err();
    assert_eq!(changed.kind(), ErrorKind::Usage);
    assert_eq!(states.stored(TASK).unwrap().keys["k"], b"1");
    // Nor does one that began before a person forgot it all.
    let mut three = states.view(TASK, StateGrant::default()).unwrap();
    three.set("k", b"3".to_vec()).unwrap();
    assert!(states.forget(TASK).unwrap());
    assert!(
        states
            .commit(TASK, run_id(3), &three.into_changes())
            .is_err()
    );
    assert!(states.stored(TASK).unwrap().keys.is_empty());
    assert_eq!(states.usage().unwrap()[0].run, None);
}

#[test]
fn what_did_not_come_through_a_view_is_checked_all_the_same() {
    let (_dir, states) = fresh();
    let commit = |keys: BTreeMap<String, Option<Vec<u8>>>| {
        let changes = Changes { version: 0, keys };
        states.commit(TASK, run_id(1), &changes)
    };
    let one = |key: &str, bytes: usize| BTreeMap::from([(key.to_owned(), Some(vec![0; bytes]))]);
    assert!(commit(one("a b", 1)).is_err());
    assert!(commit(one("", 1)).is_err());
    assert!(commit(one("k", (64 << 10) + 1)).is_err());
    let many = (0..10_001).map(|n| (n.to_string(), Some(vec![])));
    assert!(commit(many.collect()).is_err());
    let large = (0..257).map(|n| (n.to_string(), Some(vec![0; 64 << 10])));
    assert!(commit(large.collect()).is_err());
    assert_eq!(states.stored(TASK).unwrap(), Stored::default());
    assert_eq!(commit(one("k", 64 << 10)).unwrap(), 1);
}

#[test]
fn who_reads_beside_the_writer_sees_what_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    assert!(TaskStateReader::open(dir.path()).unwrap().is_none());
    let states = TaskStates::open(dir.path()).unwrap();
    let reader = TaskStateReader::open(dir.path()).unwrap().unwrap();
    assert_eq!(states.last(TASK).unwrap(), None);
    set(&states, 1, "cursor", b"8");
    assert_eq!(reader.stored(TASK).unwrap(), states.stored(TASK).unwrap());
    assert_eq!(reader.usage().unwrap(), states.usage().unwrap());
    assert_eq!(states.last(TASK).unwrap(), Some((1, run_id(1))));
    assert!(states.forget(TASK).unwrap());
    assert_eq!(states.last(TASK).unwrap(), None, "nobody's run did that");
}

/// Rows that somebody else wrote are not read into memory, however many there are.
#[test]
fn more_than_any_quota_is_refused_unread() {
    let (dir, states) = fresh();
    set(&states, 1, "cursor", b"8");
    let db = rusqlite::Connection::open(dir.path().join("tasks.db")).unwrap();
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) \
         INSERT INTO state SELECT ?1, 'k' || i, zeroblob(65536) FROM n",
        [TASK],
    )
    .unwrap();
    let refused = states.stored(TASK).unwrap_err();
    assert!(refused.to_string().contains("than any quota"), "{refused}");
    let reader = TaskStateReader::open(dir.path()).unwrap().unwrap();
    assert!(reader.stored(TASK).is_err());
    assert!(states.forget(TASK).unwrap());
    assert!(states.stored(TASK).unwrap().keys.is_empty());
}

#[test]
fn a_broken_file_is_told_and_kept() {
    let (dir, states) = fresh();
    set(&states, 1, "cursor", b"8");
    drop(states);
    let path = dir.path().join("tasks.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..100].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        let broken = TaskStates::open(dir.path()).unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::Broken, "{broken}");
        assert!(broken.hint().unwrap().contains("set it aside"));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    let aside = TaskStates::set_aside(dir.path()).unwrap();
    assert_eq!(std::fs::read(aside).unwrap(), bytes);
    let states = TaskStates::open(dir.path()).unwrap();
    assert_eq!(states.stored(TASK).unwrap(), Stored::default());
    // Nobody sets aside what is in use.
    let busy = TaskStates::set_aside(dir.path()).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_run_leaves_more_than_its_quota(
        runs in proptest::collection::vec(
            proptest::collection::vec((0..12u8, proptest::option::of(0..400usize)), 1..12),
            1..6,
        ),
    ) {
        let (_dir, states) = fresh();
        let grant = StateGrant { max_bytes: Bytes(1_500), max_keys: 5 };
        let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (n, calls) in runs.into_iter().enumerate() {
            let mut view = states.view(TASK, grant).unwrap();
            for (key, value) in calls {
                let key = format!("k{key}");
                match value {
                    Some(bytes) if view.set(&key, vec![n as u8; bytes]).is_ok() => {
                        model.insert(key, vec![n as u8; bytes]);
                    }
                    Some(_) => {}
                    None => {
                        prop_assert_eq!(view.delete(&key).unwrap(), model.remove(&key).is_some());
                    }
                }
            }
            states.commit(TASK, run_id(n as u8), &view.into_changes()).unwrap();
            prop_assert_eq!(&states.stored(TASK).unwrap().keys, &model);
            for usage in states.usage().unwrap() {
                prop_assert!(usage.bytes <= 1_500 && usage.keys <= 5);
            }
        }
    }
}
