//! Logs for ever. The limit `log` must end the run.

use keepwell_sdk::prelude::*;

behaviour!(LogFlood, "log-flood", "Logs without end", [], run);

fn run() -> Result<Summary, Failure> {
    let long = "x".repeat(64 << 10);
    loop {
        log::error!("{long}");
    }
}
