//! The real binary, with real folders, stores and bundles, from outside.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its scene has failed, and says where"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "these tests start the program they test, and ask the clock to age files"
)]

mod bundles;
mod cleaning;
mod configuration;
mod crash;
mod daemon;
mod full_disk;
mod harness;
mod hostile;
mod journal;
mod schedule_verbs;
mod stores;
mod tidy;
mod transcripts;
mod wat;
