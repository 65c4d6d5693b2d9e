//! The guest side of `keepwell:task`: write a maintenance task as a type, test it natively
//! against a simulated node, build it into a component that imports only what it calls.
//!
//! ```
//! use keepwell_sdk::prelude::*;
//!
//! #[derive(Deserialize)]
//! struct Greet { name: String }
//! impl Task for Greet {
//!     const NAME: &str = "greet";
//!     const ABOUT: &str = "Says hello in the run's log";
//!     const SETTINGS: &[SettingHelp] = &[text("name", "world", "Whom to greet")];
//!     fn run(self, _: &Request) -> Result<Summary, Failure> {
//!         log::info!("hello, {}", self.name);
//!         Ok(Summary::done("greeted"))
//!     }
//! }
//! keepwell_sdk::plugin!("greet", "A first plugin", [Greet]);
//! # fn main() {
//! # let outcome = keepwell_sdk::testing::Node::new().run::<Greet>(serde_json::json!({}));
//! # assert_eq!(outcome.log[0].text, "hello, world");
//! # }
//! ```

pub mod clean;
pub mod config;
mod fields;
mod guest;
mod json;
pub mod levels;
pub mod log;
mod manifest;
pub mod metrics;
mod plain;
mod probe;
mod reports;
mod settings;
pub mod shards;
pub mod state;
pub mod storage;
mod task;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod units;
mod wit;

pub use manifest::{
    CLEAN, CONFIG_READ, CONFIG_WRITE, Default, METRICS, Need, Plugin, SHARDS, STATE, STORAGE,
    SettingHelp, TaskEntry, entry, flag, list, need, number, open, text,
};
#[doc(hidden)]
pub use plain::{dashed, trimmed};
pub use reports::{
    Finding, Severity, checkpoint, clock, finding, labelled_metric, last_checkpoint, metric,
    progress,
};
#[doc(hidden)]
pub use serde;
pub use task::{ActionId, Applied, Failure, Refusal, Request, Reviewed, Status, Summary, Task};
pub use units::{Size, Span};

/// Everything a plugin usually names.
pub mod prelude {
    pub use crate::{
        CLEAN, CONFIG_READ, CONFIG_WRITE, Failure, Finding, METRICS, Need, Refusal, Request,
        Reviewed, SHARDS, STATE, STORAGE, SettingHelp, Severity, Size, Span, Status, Summary, Task,
        checkpoint, clean, clock, config, finding, flag, labelled_metric, last_checkpoint, list,
        log, metric, metrics, need, number, open, progress, shards, state, storage, text,
    };
    pub use serde::Deserialize;
    pub use serde_json::json;
}
