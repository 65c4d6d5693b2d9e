//! Panics with a message; the message must be in the run's log.

use keepwell_sdk::prelude::*;

behaviour!(Panic, "panic", "Panics", [], run);

fn run() -> Result<Summary, Failure> {
    panic!("the hostile guest panics on purpose, at {}", clock::now())
}
