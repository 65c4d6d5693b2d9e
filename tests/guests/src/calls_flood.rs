//! Asks the host the same thing for ever. What is written down of it must not grow with it.

use keepwell_sdk::prelude::*;

behaviour!(
    CallsFlood,
    "calls-flood",
    "Asks for the memory without end",
    [METRICS],
    run
);

fn run() -> Result<Summary, Failure> {
    loop {
        let _ = std::hint::black_box(metrics::memory());
    }
}
