//! One test for each class of damage.

use super::super::Budget;
use super::scratch::{NOW_MS, Scratch, finish, noise, sha256};
use keepwell_model::store::State;
use keepwell_model::words::Code;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

/// Damages the second of five verified shards; its state afterwards. The others must stay `ok`.
fn after(damage: impl FnOnce(&Scratch, &str)) -> State {
    let (mut scratch, names) = Scratch::cas(5);
    assert_eq!(scratch.verify().count(State::Ok), 5);
    damage(&scratch, &names[1]);
    let told = scratch.verify();
    for name in names.iter().filter(|n| **n != names[1]) {
        assert_eq!(told.state(name), Some(State::Ok));
    }
    let state = told.state(&names[1]).unwrap();
    // When it was last good is still known, and its right size too.
    if let Some(r) = told.memory.iter().find(|r| r.shard == names[1]) {
        assert_eq!(r.state, state);
        assert!(r.verified_ms.is_some_and(|at| at <= NOW_MS));
        assert_eq!(r.bytes, 3_001);
    }
    state
}

#[test]
fn whole_stores_are_ok() {
    let (mut scratch, names) = Scratch::cas(50);
    let told = scratch.verify();
    assert!(told.bad().is_empty());
    assert_eq!(told.verdicts.len(), names.len());
    assert!(told.gone.is_empty());
}

#[test]
fn a_flipped_bit_is_corrupt_wherever_it_is() {
    for at in [0, 1_500, 3_000] {
        let state = after(|s, name| s.alter(name, |b| b[at] ^= 0x10));
        assert_eq!(state, State::Corrupt, "{at}");
    }
}

#[test]
fn a_page_of_zeros_is_corrupt() {
    assert_eq!(
        after(|s, n| s.alter(n, |b| b[..2_048].fill(0))),
        State::Corrupt
    );
}

#[test]
fn lengths_are_told_apart() {
    for len in [0, 1, 3_000] {
        assert_eq!(
            after(|s, n| s.alter(n, |b| b.truncate(len))),
            State::Truncated,
            "{len}"
        );
    }
    assert_eq!(after(|s, n| s.alter(n, |b| b.push(0))), State::Oversize);
}

#[test]
fn never_seen_before_a_length_is_not_known() {
    let (mut scratch, names) = Scratch::cas(3);
    scratch.alter(&names[0], |b| b.truncate(10));
    scratch.alter(&names[1], Vec::clear);
    let told = scratch.verify();
    assert_eq!(told.state(&names[0]), Some(State::Corrupt));
    assert_eq!(told.state(&names[1]), Some(State::Truncated));
    assert!(
        told.detail(&names[0])
            .contains(&sha256(&noise(0, 3_000)[..10]))
    );
}

#[test]
fn what_went_is_vanished_once() {
    let (mut scratch, names) = Scratch::cas(5);
    scratch.verify();
    fs::remove_file(scratch.path(&names[1])).unwrap();
    let told = scratch.verify();
    assert_eq!(told.state(&names[1]), Some(State::Vanished));
    assert_eq!(told.gone, [names[1].clone()]);
    assert!(scratch.verify().bad().is_empty());
}

#[test]
fn strangers_are_extra_and_temporaries_stale() {
    let (mut scratch, _) = Scratch::cas(2);
    scratch.put("ab/readme.txt", b"x");
    scratch.put("tmp/half", b"x");
    scratch.put("format.json", b"{}");
    let told = scratch.verify();
    assert_eq!(told.bad().len(), 2);
    assert_eq!(told.state("ab/readme.txt"), Some(State::Extra));
    assert_eq!(told.state("tmp/half"), Some(State::StaleTemp));
    assert!(told.memory.iter().all(|r| r.state == State::Ok));
}

#[test]
fn swapped_files_are_misplaced() {
    let (mut scratch, names) = Scratch::cas(4);
    let (a, b) = (scratch.path(&names[0]), scratch.path(&names[1]));
    let aside = scratch.root.join("aside");
    fs::rename(&a, &aside).unwrap();
    fs::rename(&b, &a).unwrap();
    fs::rename(&aside, &b).unwrap();
    let told = scratch.verify();
    assert_eq!(told.state(&names[0]), Some(State::Misplaced));
    assert_eq!(told.state(&names[1]), Some(State::Misplaced));
    assert!(told.detail(&names[0]).contains(&names[1]));
}

#[test]
fn a_file_in_another_s_directory_is_misplaced() {
    let (mut scratch, names) = Scratch::cas(2);
    let (_, hex) = names[0].split_once('/').unwrap();
    let wrong = format!("zz/{hex}");
    fs::create_dir(scratch.path("zz")).unwrap();
    fs::rename(scratch.path(&names[0]), scratch.path(&wrong)).unwrap();
    let told = scratch.verify();
    assert_eq!(told.state(&wrong), Some(State::Misplaced));
    assert!(told.detail(&wrong).contains(&names[0]));
}

#[test]
fn what_is_not_a_file_is_unreadable_and_does_not_hang() {
    let link_out = |s: &Scratch, n: &str| {
        fs::remove_file(s.path(n)).unwrap();
        symlink("/etc/hostname", s.path(n)).unwrap();
    };
    // A link to the right bytes is a link all the same.
    let link_in = |s: &Scratch, n: &str| {
        let right = s.root.parent().unwrap().join("right");
        fs::rename(s.path(n), &right).unwrap();
        symlink(right, s.path(n)).unwrap();
    };
    let directory = |s: &Scratch, n: &str| {
        fs::remove_file(s.path(n)).unwrap();
        fs::create_dir(s.path(n)).unwrap();
    };
    let fifo = |s: &Scratch, n: &str| {
        fs::remove_file(s.path(n)).unwrap();
        mknodat(CWD, s.path(n), FileType::Fifo, Mode::RWXU, 0).unwrap();
    };
    assert_eq!(after(link_out), State::Unreadable);
    assert_eq!(after(link_in), State::Unreadable);
    assert_eq!(after(directory), State::Unreadable);
    assert_eq!(after(fifo), State::Unreadable);
}

#[test]
fn replaced_after_the_listing_is_seen_when_it_is_opened() {
    let (scratch, names) = Scratch::cas(4);
    let (store, listing) = (scratch.open().unwrap(), scratch.list(&[], 0).unwrap());
    let fifo = scratch.path(&names[0]);
    fs::remove_file(&fifo).unwrap();
    mknodat(CWD, fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::remove_file(scratch.path(&names[1])).unwrap();
    symlink("/dev/zero", scratch.path(&names[1])).unwrap();
    fs::remove_file(scratch.path(&names[2])).unwrap();
    scratch.alter(&names[3], |b| b.push(0));
    let told = finish(super::super::Scrub::start(store, listing, &Budget::default()).unwrap());
    let states: Vec<_> = names.iter().map(|n| told.state(n).unwrap()).collect();
    use State::{Changed, Unreadable, Vanished};
    assert_eq!(states, [Unreadable, Unreadable, Vanished, Changed]);
}

#[test]
fn a_linked_directory_is_not_entered() {
    let (mut scratch, names) = Scratch::cas(2);
    scratch.verify();
    let (dir, _) = names[0].split_once('/').unwrap();
    let outside = scratch.root.parent().unwrap().join("outside");
    fs::rename(scratch.path(dir), &outside).unwrap();
    symlink(outside, scratch.path(dir)).unwrap();
    let told = scratch.verify();
    assert_eq!(told.state(dir), Some(State::Extra));
    assert_eq!(told.state(&names[0]), Some(State::Vanished));
}

#[test]
fn without_permission_a_shard_is_unreadable_and_nothing_vanishes() {
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: root may read everything");
        return;
    }
    let (mut scratch, names) = Scratch::cas(3);
    scratch.verify();
    let closed = fs::Permissions::from_mode(0o000);
    fs::set_permissions(scratch.path(&names[0]), closed.clone()).unwrap();
    let dir = scratch.path(names[1].split_once('/').unwrap().0);
    fs::set_permissions(&dir, closed).unwrap();
    let told = scratch.verify();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(told.state(&names[0]), Some(State::Unreadable));
    assert_eq!(told.count(State::Vanished), 0);
    assert_eq!(told.count(State::Unreadable), 2);
}

#[test]
fn names_that_are_not_text_are_shown_escaped() {
    let (mut scratch, _) = Scratch::cas(1);
    let odd = std::ffi::OsStr::from_bytes(b"ab\xff\x1b[2J");
    fs::write(scratch.root.join(odd), b"x").unwrap();
    assert_eq!(scratch.verify().state(r"ab\xff\x1b[2J"), Some(State::Extra));
}

#[test]
fn written_during_the_read_is_changed_not_corrupt() {
    let (mut scratch, _) = Scratch::cas(1);
    let name = scratch.add(&noise(9, 32 << 20));
    let path = scratch.path(&name);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::os::unix::fs::FileExt as _;
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            let mut byte = 0_u8;
            while !stop.load(Ordering::Relaxed) {
                byte = byte.wrapping_add(1);
                file.write_all_at(&[byte], 1_000).unwrap();
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(20));
        let told = scratch.verify();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(told.state(&name), Some(State::Changed));
    });
}

#[test]
fn an_unmounted_store_is_gone_not_a_thousand_vanished_shards() {
    let (mut scratch, names) = Scratch::cas(3);
    scratch.verify();
    for name in &names {
        fs::remove_file(scratch.path(name)).unwrap();
    }
    // The directories are still there: the shards were seen before.
    assert_eq!(scratch.list(&[], 0).unwrap_err().code, Code::Gone);
    for entry in fs::read_dir(&scratch.root).unwrap() {
        fs::remove_dir(entry.unwrap().path()).unwrap();
    }
    let refusal = scratch.open().unwrap_err();
    assert_eq!(refusal.code, Code::Gone);
    assert!(refusal.hint.unwrap().contains("mounted"));
}

#[test]
fn a_store_that_goes_while_it_is_read_is_gone() {
    let (scratch, names) = Scratch::cas(3);
    let (store, listing) = (scratch.open().unwrap(), scratch.list(&[], 0).unwrap());
    for name in &names {
        fs::remove_file(scratch.path(name)).unwrap();
        fs::remove_dir(scratch.path(name).parent().unwrap()).unwrap();
    }
    let mut scrub = super::super::Scrub::start(store, listing, &Budget::default()).unwrap();
    let refusal = scrub.next(10, std::time::Duration::ZERO).unwrap_err();
    assert_eq!(refusal.code, Code::Gone);
}
