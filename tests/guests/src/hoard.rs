//! Takes memory until it gets no more. The limit `memory` must hold.

use keepwell_sdk::prelude::*;

behaviour!(Hoard, "hoard", "Allocates for ever", [], run);

fn run() -> Result<Summary, Failure> {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        // Written to, so that it is memory and not only addresses.
        kept.push(vec![1; 1 << 20]);
        std::hint::black_box(&kept);
    }
}
