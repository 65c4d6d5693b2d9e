//! The journal from outside: as the host uses it, tampered with, and under faults.
#![expect(clippy::unwrap_used, reason = "in a test, what fails should end it")]

mod api;
mod common;
mod controls;
mod faults;
mod migrate;
mod prune;
mod slots;
mod tampering;
