//! Gives a summary far over 256 KiB.

use keepwell_sdk::prelude::*;

behaviour!(OutputFlood, "output-flood", "Gives a huge summary", [], run);

const BYTES: usize = 8 << 20;

fn run() -> Result<Summary, Failure> {
    Ok(Summary::done("x".repeat(BYTES)).with(&json!({ "much": "y".repeat(BYTES) })))
}
