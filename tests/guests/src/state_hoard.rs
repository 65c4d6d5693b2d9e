//! Keeps all that the largest quota allows, in the largest values.

use keepwell_sdk::prelude::*;

behaviour!(
    StateHoard,
    "state-hoard",
    "Keeps sixteen mebibytes",
    [STATE],
    run
);

fn run() -> Result<Summary, Failure> {
    let value = vec![7; state::VALUE_MAX_BYTES];
    let mut kept = 0;
    while state::set(&format!("k{kept}"), &value).is_ok() {
        kept += 1;
    }
    Ok(Summary::done("kept").with(&json!({ "kept": kept })))
}
