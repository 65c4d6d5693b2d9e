//! Health of a node: `resource-check` judges every resource, `health-score` weighs them,
//! `quick-check` says one word.

mod judge;
mod memory;
mod parts;
mod score;
mod tasks;
mod thresholds;

pub use tasks::{HealthScore, QuickCheck, ResourceCheck};

keepwell_sdk::plugin!(
    "health",
    "Judges a node: resources, score, one word",
    [ResourceCheck, HealthScore, QuickCheck]
);
