//! The journal from outside: as the host uses it, tampered with, and under faults.
#![expect(clippy::unwrap_used, reason = "in a test, what fails should end it")]

mod api;
mod baselines;
mod common;
mod controls;
mod faults;
mod findings;
mod measurements;
mod measurements_faults;
mod migrate;
mod own_state;
mod prune;
mod slots;
mod tampering;
mod uses;
