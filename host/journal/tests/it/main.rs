//! The journal from outside: as the host uses it, tampered with, and under faults.
#![expect(clippy::unwrap_used, reason = "in a test, what fails should end it")]

mod api;
mod common;
mod faults;
mod tampering;
