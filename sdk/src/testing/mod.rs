//! A simulated node. The calls a task makes go here when it is not Wasm, so that a task runs in
//! plain `cargo test`, and answers follow the contract in `wit/`.
//!
//! ```
//! use keepwell_sdk::testing::Node;
//! let node = Node::new().now("2026-01-01T00:00:00Z").file("tmp", "a/b", |f| f.age("48h").size(10));
//! # drop(node);
//! ```

mod clean;
mod config;
mod files;
mod node;
mod outcome;
mod sensors;
mod shards;
mod state;
mod storage;
pub(crate) mod sys;

pub use files::File;
pub use node::{Budget, Node};
pub use outcome::{Change, Line, Outcome, Proposed, Said, Sample};
pub use shards::{SimShard, SimStore};

use crate::task::Refusal;
use std::cell::RefCell;

/// The run under way on this thread.
#[derive(Debug, Default)]
pub(crate) struct Run {
    node: Node,
    settings: String,
    outcome: Said,
    /// Calls so far that could have been refused.
    calls: usize,
    walkers: usize,
    scrubs: usize,
}

thread_local! {
    static RUN: RefCell<Run> = RefCell::new(Run::default());
}

/// Looks at or changes the run under way.
fn with<T>(act: impl FnOnce(&mut Run) -> T) -> T {
    RUN.with_borrow_mut(act)
}

/// One call that may be refused: counted, failed when it is its turn, denied when not granted.
fn call<T>(
    capability: &str,
    act: impl FnOnce(&mut Run) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    with(|run| {
        run.calls += 1;
        if let Some((_, code)) = run.node.faults.iter().find(|(nth, _)| *nth == run.calls) {
            return Err(refusal(code, "an injected fault"));
        }
        if run.node.denied.iter().any(|denied| denied == capability) {
            return Err(refusal("denied", &format!("`{capability}` is not granted")));
        }
        act(run)
    })
}

pub(crate) fn refusal(code: &str, message: &str) -> Refusal {
    Refusal {
        code: code.into(),
        message: message.into(),
        hint: None,
    }
}
