//! Logs one line and finishes: the run after a hostile one is unaffected.

use keepwell_sdk::prelude::*;

behaviour!(Honest, "honest", "Logs one line and finishes", [], run);

fn run() -> Result<Summary, Failure> {
    log::info!("still here");
    Ok(Summary::done("done"))
}
