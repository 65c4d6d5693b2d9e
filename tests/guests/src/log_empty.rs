//! Logs lines without text for ever. Each is a record of the host's all the same.

use keepwell_sdk::prelude::*;

behaviour!(LogEmpty, "log-empty", "Logs nothing, without end", [], run);

fn run() -> Result<Summary, Failure> {
    loop {
        log::debug!("");
    }
}
