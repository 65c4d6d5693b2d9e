//! Scrubbing: `shard-verify` reads the least recently verified shards and tells what is wrong.

mod count;
mod verify;

pub use verify::Scrub;

keepwell_sdk::plugin!(
    "scrub",
    "Verifies shards, least recently verified first",
    [Scrub]
);
