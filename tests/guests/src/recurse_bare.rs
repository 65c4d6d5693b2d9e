//! Calls itself without touching its memory, so that the limit `stack` is what ends it: Rust's own
//! stack lies in the guest's memory and would end first, as it does in `recurse`.

use keepwell_sdk::prelude::*;

behaviour!(
    RecurseBare,
    "recurse-bare",
    "Calls itself without end, in registers",
    [],
    run
);

/// Called through a pointer, so that the compiler cannot make a loop of it.
#[derive(Clone, Copy)]
struct Deeper(fn(Deeper, u64) -> u64);

fn run() -> Result<Summary, Failure> {
    let first = std::hint::black_box(Deeper(deeper));
    Ok(Summary::done((first.0)(first, 0).to_string()))
}

fn deeper(next: Deeper, n: u64) -> u64 {
    (next.0)(next, n + 1).rotate_left(7) ^ n
}
