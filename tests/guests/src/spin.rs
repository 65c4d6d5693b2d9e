//! Never returns and never calls. Fuel or the guest's own clock must end it.

use keepwell_sdk::prelude::*;

behaviour!(Spin, "spin", "Loops for ever", [], run);

fn run() -> Result<Summary, Failure> {
    let mut n: u64 = 0;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}
