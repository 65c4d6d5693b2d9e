//! Hands in checkpoints over 64 KiB, and very many.

use keepwell_sdk::prelude::*;

behaviour!(
    CheckpointFlood,
    "checkpoint-flood",
    "Hands in huge and many checkpoints",
    [],
    run
);

fn run() -> Result<Summary, Failure> {
    for _ in 0..10_000 {
        checkpoint(&[7; 64 << 10]);
    }
    checkpoint(&vec![7; 16 << 20]);
    Ok(Summary::done("handed in"))
}
