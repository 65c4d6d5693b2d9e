//! Keepwell's nouns and pure decisions. No I/O, no clock: time and facts are arguments.

pub mod action;
pub mod budget;
pub mod capability;
pub mod event;
pub mod gate;
pub mod grant;
pub mod id;
pub mod limits;
pub mod manifest;
pub mod param;
pub mod report;
pub mod state;
pub mod store;
pub mod units;
pub mod words;
