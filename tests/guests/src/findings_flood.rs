//! Reports findings for ever. The limit `findings` must end the run.

use keepwell_sdk::prelude::*;

behaviour!(
    FindingsFlood,
    "findings-flood",
    "Finds without end",
    [],
    run
);

fn run() -> Result<Summary, Failure> {
    let mut n: u64 = 0;
    loop {
        finding(
            Severity::Critical,
            "flood",
            &n.to_string(),
            "x".repeat(1 << 10),
        )
        .report();
        n += 1;
    }
}
