//! Order, budgets, and an end when the scrub is dropped.

use super::super::{Budget, Scrub};
use super::scratch::{NOW_MS, Scratch, finish, noise};
use keepwell_model::store::{Remembered, State};
use keepwell_model::words::Code;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn aged(names: &[String], ages: &[Option<u64>]) -> Vec<Remembered> {
    let one = |(i, (name, age)): (u64, (&String, &Option<u64>))| Remembered {
        shard: name.clone(),
        bytes: 3_000 + i,
        verified_ms: *age,
        state: State::Ok,
    };
    (0..).zip(names.iter().zip(ages)).map(one).collect()
}

#[test]
fn the_least_recently_verified_come_first() {
    let (mut scratch, names) = Scratch::cas(4);
    scratch.remembered = aged(&names, &[Some(50), None, Some(7), Some(60)]);
    let listing = scratch.list(&[], 0).unwrap();
    let order: Vec<_> = listing.shards().iter().map(|s| s.verified_ms).collect();
    assert_eq!(order, [None, Some(7), Some(50), Some(60)]);
    let old = scratch.list(&[], 50).unwrap();
    assert_eq!(old.shards().len(), 2);
    assert_eq!(old.shards()[0].name, names[1]);
    let budget = Budget {
        max_shards: Some(2),
        ..Budget::default()
    };
    let told = finish(scratch.scrub(&budget).unwrap());
    assert_eq!(told.state(&names[1]), Some(State::Ok));
    assert_eq!(told.state(&names[2]), Some(State::Ok));
    assert_eq!(told.verdicts.len(), 2);
}

#[test]
fn globs_choose_and_bad_ones_are_refused() {
    let (scratch, names) = Scratch::cas(6);
    let dir = names[0].split_once('/').unwrap().0;
    let listing = scratch.list(&[&format!("{dir}/*")], 0).unwrap();
    let want = names.iter().filter(|n| n.starts_with(dir)).count();
    assert_eq!(listing.shards().len(), want);
    // A star does not cross directories.
    assert!(scratch.list(&["*"], 0).unwrap().shards().is_empty());
    assert_eq!(scratch.list(&["**"], 0).unwrap().shards().len(), 6);
    assert_eq!(scratch.list(&["["], 0).unwrap_err().code, Code::Invalid);
    let many = vec!["x"; 65];
    assert_eq!(scratch.list(&many, 0).unwrap_err().code, Code::Invalid);
}

#[test]
fn progress_and_what_was_left_add_up() {
    let (scratch, _) = Scratch::cas(20);
    let budget = Budget {
        max_bytes: Some(10_000),
        ..Budget::default()
    };
    let mut scrub = scratch.scrub(&budget).unwrap();
    let planned = scrub.progress();
    assert_eq!((planned.total_shards, planned.left), (3, 17));
    assert!(planned.total_bytes <= 10_000);
    while !scrub.next(1, Duration::ZERO).unwrap().is_empty() {}
    let end = scrub.progress();
    assert_eq!(end.shards, 3);
    assert_eq!(end.bytes, planned.total_bytes);
    assert_eq!(end.left, 17);
    // The end stays the end.
    assert!(scrub.next(1, Duration::ZERO).unwrap().is_empty());
}

#[test]
fn a_shard_larger_than_the_budget_is_named_rather_than_forgotten() {
    let (scratch, _) = Scratch::cas(3);
    let large = scratch.add(&noise(77, 100_000));
    let budget = Budget {
        max_bytes: Some(50_000),
        ..Budget::default()
    };
    let told = finish(scratch.scrub(&budget).unwrap());
    assert_eq!(told.state(&large), Some(State::Unverifiable));
    assert_eq!(told.count(State::Ok), 3);
}

#[test]
fn time_ends_a_scrub_within_a_shard() {
    let (scratch, _) = Scratch::cas(1);
    for seed in 10..14 {
        scratch.add(&noise(seed, 8 << 20));
    }
    let budget = Budget {
        max_time: Some(Duration::ZERO),
        ..Budget::default()
    };
    let mut scrub = scratch.scrub(&budget).unwrap();
    let started = Instant::now();
    while !scrub.next(10, Duration::ZERO).unwrap().is_empty() {}
    assert!(started.elapsed() < Duration::from_secs(5));
    let end = scrub.progress();
    assert_eq!(end.left + end.shards, 5);
    assert!(end.left > 0);
}

#[test]
fn memory_is_taken_once_and_dated_by_the_reading() {
    let (scratch, _) = Scratch::cas(5);
    let mut scrub = scratch.scrub(&Budget::default()).unwrap();
    while !scrub.next(2, Duration::ZERO).unwrap().is_empty() {}
    std::thread::sleep(Duration::from_millis(30));
    let (memory, gone) = scrub.take_memory(NOW_MS);
    assert_eq!((memory.len(), gone.len()), (5, 0));
    assert!(
        memory
            .iter()
            .all(|r| r.verified_ms.is_some_and(|at| at <= NOW_MS - 30))
    );
    assert!(scrub.take_memory(NOW_MS).0.is_empty());
}

#[test]
fn dropping_ends_the_threads_even_when_nobody_fetched() {
    let (scratch, _) = Scratch::cas(0);
    scratch.add(&noise(1, 64 << 20));
    // More verdicts than the queue holds, so that threads wait to send.
    for seed in 0..2_000 {
        scratch.add(&noise(seed, 10));
    }
    let store = scratch.open().unwrap();
    let listing = scratch.list(&[], 0).unwrap();
    let scrub = Scrub::start(Arc::clone(&store), listing, &Budget::default()).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    drop(scrub);
    assert!(started.elapsed() < Duration::from_secs(1));
    // The threads held it.
    assert_eq!(Arc::strong_count(&store), 1);
}

#[test]
fn nothing_is_changed_not_even_the_time_of_access() {
    use std::os::unix::fs::MetadataExt as _;
    let (mut scratch, names) = Scratch::cas(5);
    let look = |s: &Scratch| -> Vec<_> {
        let of = |n: &String| {
            let m = std::fs::metadata(s.path(n)).unwrap();
            (m.atime_nsec(), m.mtime_nsec(), m.ctime_nsec(), m.mode())
        };
        names.iter().map(of).collect()
    };
    let before = look(&scratch);
    scratch.verify();
    assert_eq!(look(&scratch), before);
}
