//! Fills tables on the host's side: keeps every walker it can get, then asks for more. Rust
//! cannot grow a table of its own module; `wat/` does that.

use keepwell_sdk::prelude::*;

behaviour!(
    HoardTable,
    "hoard-table",
    "Keeps every walker and asks for more",
    [STORAGE],
    run
);

/// Far over the 8 that the contract allows.
const TRIES: usize = 10_000;

fn run() -> Result<Summary, Failure> {
    let roots = storage::roots()?;
    let Some(root) = roots.first() else {
        return Ok(Summary::warned("no root"));
    };
    let (mut kept, mut refused) = (Vec::new(), 0);
    for _ in 0..TRIES {
        match storage::walk(&root.name, &storage::everything()) {
            Ok(walk) => kept.push(walk),
            Err(_) => refused += 1,
        }
    }
    let open = kept.len();
    Ok(Summary::done("kept walkers").with(&json!({ "open": open, "refused": refused })))
}
