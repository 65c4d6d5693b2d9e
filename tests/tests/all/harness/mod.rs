//! What every test stands on: the program, a node directory, trees, and company for the cores.

mod busy;
mod daemon;
mod node;
mod places;
mod program;
mod time;
mod tools;
mod tree;
mod turn;

pub(crate) use busy::Busy;
pub(crate) use daemon::Daemon;
pub(crate) use node::{Node, journal};
pub(crate) use places::{binary, bundles, checkout, guests};
pub(crate) use program::{
    Output, command_line, keepwell, keepwell_as, keepwell_into, keepwell_knowing, keepwell_set,
    keepwell_typing, pull, start, wait_for,
};
pub(crate) use time::{now_ms, rfc3339};
pub(crate) use tools::{command, have, have_at};
pub(crate) use tree::{Aged, Snapshot, age, snapshot};
pub(crate) use turn::{alone, shared};
