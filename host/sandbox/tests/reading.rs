//! Bulk reading behind the walls: what a walk and a scrub need is allowed, and no more is seen.

mod common;

use common::{assignment, guest, look_at};
use keepwell_model::id::{RootName, StoreName};
use keepwell_model::store::{State, StoreConfig, StoreKind};
use keepwell_sandbox::{Assignment, Outcome, RootAt, Told};
use std::collections::BTreeMap;

const WALK: &str = r#"
  (import "keepwell:task/storage@0.1.0" "walk" (func $walk
    (param i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i64 i32 i32)))
  (import "keepwell:task/storage@0.1.0" "[method]walker.next" (func $next (param i32 i32 i32)))
  (import "keepwell:task/storage@0.1.0" "[resource-drop]walker" (func $drop (param i32)))"#;

const OPEN: &str = "(call $walk (i32.const 96) (i32.const 3) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)
    (i64.const 0) (i32.const 0) (i32.const 4096))";

fn with_root(dir: &tempfile::TempDir) -> Assignment {
    let name = RootName::new("tmp").expect("a name");
    let identity = keepwell_node::root::Root::open(&name, dir.path())
        .ok()
        .map(|root| root.identity());
    let at = RootAt {
        path: dir.path().to_owned(),
        identity,
    };
    Assignment {
        storage: BTreeMap::from([(name, at)]),
        ..assignment()
    }
}

#[test]
fn a_walk_gives_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::fs::write(dir.path().join("d/f"), "x").unwrap();
    // The number of entries is at 4104: `ok` at 4096, the pointer and length of the list after it.
    let body = format!(
        "{OPEN}
         (call $next (i32.load (i32.const 4100)) (i32.const 100) (i32.const 4096))
         (if (i32.ne (i32.load (i32.const 4104)) (i32.const 2)) (then unreachable))"
    );
    let (ended, notes) = look_at(&guest(WALK, "", &body), &with_root(&dir));
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
    assert_eq!(
        notes.calls(),
        [("storage.walk", "ok"), ("storage.walker.next", "ok")]
    );
}

#[test]
fn the_ninth_walker_is_refused_and_closing_one_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let body = format!(
        "(loop $l {OPEN} (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $i) (i32.const 8))))
         {OPEN} (call $drop (i32.const 1)) {OPEN}"
    );
    let (ended, notes) = look_at(&guest(WALK, "", &body), &with_root(&dir));
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
    let results: Vec<_> = notes
        .calls()
        .into_iter()
        .map(|(_, result)| result)
        .collect();
    assert_eq!(results[..8], ["ok"; 8]);
    assert_eq!(results[8..], ["limit", "ok"]);
}

const SCRUB: &str = r#"
  (import "keepwell:task/shards@0.1.0" "verify" (func $verify
    (param i32 i32 i32 i32 i64 i64 i64 i32 i32)))
  (import "keepwell:task/shards@0.1.0" "[method]scrub.next" (func $next (param i32 i32 i32)))"#;

#[test]
fn a_scrub_reads_with_threads_and_tells_what_to_remember() {
    let dir = tempfile::tempdir().unwrap();
    let digest = keepwell_model::id::Digest::of(b"x").hex();
    std::fs::write(dir.path().join("good"), "x").unwrap();
    std::fs::write(dir.path().join("bad"), "y").unwrap();
    let list = format!("{digest}  good\n{digest}  bad\n");
    std::fs::write(dir.path().join("SHA256SUMS"), list).unwrap();
    let config = StoreConfig {
        kind: StoreKind::Sha256sums,
        path: dir.path().to_owned(),
        layout: None,
        list: None,
    };
    let stores = BTreeMap::from([(StoreName::new("tmp").unwrap(), config)]);
    let body = "(call $verify (i32.const 96) (i32.const 3) (i32.const 0) (i32.const 0)
          (i64.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 4096))
        (if (i32.load8_u (i32.const 4096)) (then unreachable))
        (local.set $i (i32.load (i32.const 4100)))
        (loop $l
          (call $next (local.get $i) (i32.const 100) (i32.const 4096))
          (br_if $l (i32.load (i32.const 4104))))";
    let (ended, notes) = look_at(
        &guest(SCRUB, "", body),
        &Assignment {
            stores,
            ..assignment()
        },
    );
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
    let mut states = Vec::new();
    for told in &notes.told {
        if let Told::Verified { remembered, .. } = told {
            states.extend(remembered.iter().map(|r| (r.shard.as_str(), r.state)));
        }
    }
    states.sort();
    assert_eq!(states, [("bad", State::Corrupt), ("good", State::Ok)]);
}
