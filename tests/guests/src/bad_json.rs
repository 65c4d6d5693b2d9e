//! Gives a summary whose data is not JSON.

use keepwell_sdk::prelude::*;

behaviour!(BadJson, "bad-json", "Gives data that is not JSON", [], run);

fn run() -> Result<Summary, Failure> {
    Ok(Summary {
        data: "{\"open\": [".into(),
        ..Summary::done("not JSON")
    })
}
