//! Does almost nothing for a very long time, in host calls. The wall limit must end it.

use keepwell_sdk::prelude::*;

behaviour!(Slow, "slow", "Waits until the wall limit", [METRICS], run);

fn run() -> Result<Summary, Failure> {
    let mut n = 0;
    loop {
        // Work of the host's, hardly any of the guest's: its CPU clock must not be what ends it.
        std::hint::black_box(metrics::mounts().map_or(0, |mounts| mounts.len()));
        n += 1;
        progress(n, 0, "steps", "waiting");
    }
}
