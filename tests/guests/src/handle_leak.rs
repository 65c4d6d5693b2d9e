//! Opens walkers and never drops them, not even at its end.

use keepwell_sdk::prelude::*;

behaviour!(
    HandleLeak,
    "handle-leak",
    "Opens walkers and forgets them",
    [STORAGE],
    run
);

/// Over the 8 that the contract allows.
const TRIES: usize = 64;

fn run() -> Result<Summary, Failure> {
    let (mut opened, mut codes) = (0, Vec::new());
    for root in storage::roots()? {
        for _ in 0..TRIES {
            match storage::walk(&root.name, &storage::everything()) {
                Ok(walk) => {
                    std::mem::forget(walk);
                    opened += 1;
                }
                Err(refusal) => codes.push(refusal.code),
            }
        }
    }
    codes.dedup();
    Ok(Summary::done("leaked").with(&json!({ "opened": opened, "codes": codes })))
}
