//! Fails and says that trying again may help, until somebody has put a file into the root.

use keepwell_sdk::prelude::*;

behaviour!(
    Flaky,
    "flaky",
    "Fails for a passing reason while the root has no file `ready`",
    [STORAGE],
    run
);

fn run() -> Result<Summary, Failure> {
    if storage::stat("tmp", b"ready").is_ok() {
        return Ok(Summary::done("there it is"));
    }
    Err(Failure::Transient(
        "the file `ready` is not there yet".into(),
    ))
}
