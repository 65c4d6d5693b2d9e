//! Gives a summary over what one call may move. The limit `call` must end the run before the host
//! holds any of it.

use keepwell_sdk::prelude::*;

behaviour!(
    OutputHuge,
    "output-huge",
    "Gives a summary over what one call may move",
    [],
    run
);

const BYTES: usize = 8 << 20;

fn run() -> Result<Summary, Failure> {
    Ok(Summary::done("x".repeat(BYTES)).with(&json!({ "much": "y".repeat(BYTES) })))
}
