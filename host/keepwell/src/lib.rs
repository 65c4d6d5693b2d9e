//! The maintenance host: pipeline and command line. See `pipeline` for one run from left to right.

mod agent;
pub mod api;
mod bill;
pub mod cargo;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod error;
mod new_node;
pub mod node;
pub mod node_dir;
pub mod period;
pub mod pipeline;
pub mod plugins;
pub mod pressure;
mod rehearsal;
pub mod show;
pub mod sources;
pub mod ssh;
pub mod talk;
pub mod worker;
