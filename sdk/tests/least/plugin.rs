//! A whole plugin: one task that reads, judges and tells.

use keepwell_sdk::prelude::*;

fn swap_check(_: &Request) -> Result<Summary, Failure> {
    let memory = metrics::memory()?;
    let line = format!("{} of swap used", Size(memory.swap_used_bytes));
    let most = memory.swap_total_bytes / 2;
    Ok(Summary::judged(memory.swap_used_bytes <= most, line))
}
keepwell_sdk::task! {
    /// Warns when more than half of the swap is used
    swap_check as SwapCheck, needs [need(METRICS, "to see how much swap is used")]
}
keepwell_sdk::plugin!("swap", "Watches the swap", [SwapCheck]);
