//! The real binary, with real folders, stores and bundles, from outside.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its scene has failed, and says where"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "these tests start the program they test, and ask the clock to age files"
)]

mod approvals;
mod authors;
mod bundles;
mod changes;
mod chapters;
mod cleaning;
mod command_line;
mod configuration;
mod crash;
mod daemon;
mod damaged_store;
mod distribution;
mod docs;
mod full_disk;
mod guards;
mod harness;
mod hostile;
mod journal;
mod languages;
mod native_store;
mod own_state;
mod plugins;
mod rehearsals;
mod reports;
mod schedule_verbs;
mod schedules;
mod steering;
mod stores;
mod tidy;
mod transcripts;
mod trust;
mod wat;
mod windows;
