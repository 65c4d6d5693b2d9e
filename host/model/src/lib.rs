//! Keepwell's nouns and pure decisions. No I/O, no clock: time and facts are arguments.

pub mod action;
pub mod approval;
pub mod baseline;
pub mod budget;
pub mod capability;
pub mod event;
pub mod gate;
pub mod glob;
pub mod grant;
pub mod id;
pub mod limits;
pub mod manifest;
pub mod measure;
pub mod own_state;
pub mod param;
pub mod policy;
pub mod report;
pub mod role;
pub mod schedule;
pub mod slot;
pub mod state;
pub mod store;
pub mod trend;
pub mod units;
pub mod window;
pub mod words;
