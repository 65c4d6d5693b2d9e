//! Executes `unreachable` without a word.

use keepwell_sdk::prelude::*;

behaviour!(Trap, "trap", "Traps", [], run);

fn run() -> Result<Summary, Failure> {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    Err(Failure::Permanent("only Wasm can trap".into()))
}
