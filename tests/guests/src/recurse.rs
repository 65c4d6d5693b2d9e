//! Calls itself until the stack ends. A trap, not a crash of the worker.

use keepwell_sdk::prelude::*;

behaviour!(Recurse, "recurse", "Calls itself without end", [], run);

fn run() -> Result<Summary, Failure> {
    Ok(Summary::done(deeper(0).to_string()))
}

fn deeper(n: u64) -> u64 {
    let here = std::hint::black_box([n; 64]);
    if here[0] == u64::MAX {
        return n;
    }
    deeper(n + 1).wrapping_add(here[63])
}
