//! A disk that fails: what each of its readings brings can be spoiled, on this thread alone.

use super::super::examine::{Examined, Examiner};
use super::super::expand::Buffers;
use super::scratch::{Scratch, noise};
use keepwell_model::store::{State, Verdict};
use rustix::io::Errno;
use std::cell::RefCell;

/// What becomes of the next reading; this shard's bytes come in one.
#[derive(Debug, Clone, Copy)]
enum Spoil {
    Good,
    Flip,
    /// Another bit of the same byte than `Flip`.
    FlipElse,
    Fail(Errno),
}

thread_local! {
    /// Of one reading after the other, the first last. None left means good ones.
    static COMING: RefCell<Vec<Spoil>> = const { RefCell::new(Vec::new()) };
}

/// Stands between the kernel's answer and whoever asked.
pub(in super::super) fn spoiled(
    read: Result<usize, Errno>,
    buffer: &mut [u8],
) -> Result<usize, Errno> {
    let length = read?;
    if length == 0 {
        // The end of the file, at which there is nothing to spoil.
        return Ok(0);
    }
    match COMING.with_borrow_mut(Vec::pop).unwrap_or(Spoil::Good) {
        Spoil::Good => {}
        Spoil::Flip => buffer[length / 2] ^= 1,
        Spoil::FlipElse => buffer[length / 2] ^= 2,
        Spoil::Fail(errno) => return Err(errno),
    }
    Ok(length)
}

/// Examines the only shard of a store on a disk that answers so.
fn on_disk(scratch: &Scratch, coming: &[Spoil]) -> Examined {
    let store = scratch.open().unwrap();
    let listing = scratch.list(&[], 0).unwrap();
    let mut examiner = Examiner {
        store: &store,
        listing: &listing,
        go_on: &|| true,
        buffers: Buffers::new(false),
    };
    COMING.set(coming.iter().rev().copied().collect());
    let examined = examiner.examine(&listing.shards()[0]);
    let left = COMING.take();
    assert!(left.is_empty(), "not read as often as expected: {left:?}");
    examined
}

fn verdict(coming: &[Spoil]) -> Verdict {
    let scratch = Scratch::cas(0).0;
    scratch.add(&noise(1, 3_000));
    match on_disk(&scratch, coming) {
        Examined::Done(verdict) => verdict,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_disk_is_read_once() {
    let told = verdict(&[Spoil::Good]);
    assert_eq!((told.state, told.detail), (State::Ok, None));
}

/// The shard is good; the machine is not, and is named.
#[test]
fn a_bit_that_flips_once_is_not_the_shard_s_fault() {
    let told = verdict(&[Spoil::Flip]);
    assert_eq!(told.state, State::Ok);
    assert!(told.detail.unwrap().contains("suspect memory"));
}

#[test]
fn a_bit_that_flips_each_time_is_corrupt() {
    let told = verdict(&[Spoil::Flip, Spoil::Flip]);
    assert_eq!(told.state, State::Corrupt);
    assert!(!told.detail.unwrap().contains("suspect memory"));
    let told = verdict(&[Spoil::Flip, Spoil::FlipElse]);
    assert_eq!(told.state, State::Corrupt);
    assert!(told.detail.unwrap().contains("two readings differed"));
}

/// At the first reading, and at the second, which a wrong first one asked for.
#[test]
fn an_error_of_the_disk_is_unreadable_and_never_corrupt() {
    for errno in [Errno::IO, Errno::NODEV, Errno::NOMEM] {
        for before in [&[][..], &[Spoil::Flip]] {
            let told = verdict(&[before, &[Spoil::Fail(errno)]].concat());
            assert_eq!(told.state, State::Unreadable, "{errno:?}");
            assert!(!told.detail.unwrap().is_empty());
        }
    }
    let told = verdict(&[Spoil::Fail(Errno::IO)]);
    assert!(told.detail.unwrap().contains("input/output"));
}
