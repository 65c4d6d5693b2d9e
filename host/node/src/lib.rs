//! The only hands on the machine: sensors that read and actuators that apply and undo. Linux.
//!
//! `unsafe` is denied here and expected at one spot: `clock.rs`, one system call that no crate wraps.

#![deny(unsafe_code)]

pub mod accounts;
mod at;
mod cleanable;
pub mod clock;
pub mod in_use;
pub mod metrics;
pub mod mounts;
pub mod networks;
pub mod params;
pub mod pressure;
pub mod processes;
pub mod quarantine;
pub mod root;
pub mod shards;
pub mod space;
mod survey;
mod tree;
pub mod walk;

pub use cleanable::check_cleanable;
pub use survey::{Inventory, Usage, inventory, survey, survey_by, survey_unless, usage};
