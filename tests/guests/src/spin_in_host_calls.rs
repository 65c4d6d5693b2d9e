//! Never returns, and spends its time in cheap calls of the host.

use keepwell_sdk::prelude::*;

behaviour!(
    SpinInHostCalls,
    "spin-in-host-calls",
    "Calls the clock for ever",
    [],
    run
);

fn run() -> Result<Summary, Failure> {
    loop {
        std::hint::black_box(clock::now());
    }
}
