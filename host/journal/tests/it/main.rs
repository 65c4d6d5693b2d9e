//! The journal from outside: as the host uses it, tampered with, and under faults.

mod api;
mod common;
mod faults;
mod tampering;
