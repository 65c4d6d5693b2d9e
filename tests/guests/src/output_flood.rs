//! Gives a summary over its limit of output, yet small enough for one call.

use keepwell_sdk::prelude::*;

behaviour!(
    OutputFlood,
    "output-flood",
    "Gives a summary over its limit",
    [],
    run
);

const BYTES: usize = 1 << 20;

fn run() -> Result<Summary, Failure> {
    Ok(Summary::done("x".repeat(BYTES)).with(&json!({ "much": "y".repeat(BYTES) })))
}
