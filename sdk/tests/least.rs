//! The promise that a plugin with one task is at most 12 lines of its author's own.

#[path = "least/plugin.rs"]
mod plugin;

use keepwell_sdk::Status;
use keepwell_sdk::metrics::Memory;
use keepwell_sdk::testing::Node;
use plugin::{PLUGIN, SwapCheck};
use serde_json::{Value, json};

/// Lines that are neither empty nor the file's own comment.
const LINES_MAX: usize = 12;

fn with_swap(used: u64) -> Node {
    Node::new().memory(Memory {
        total_bytes: 100,
        available_bytes: 50,
        swap_total_bytes: 100,
        swap_used_bytes: used,
    })
}

#[test]
fn twelve_lines_are_a_plugin() {
    let lines = include_str!("least/plugin.rs").lines().map(str::trim);
    let own = lines.filter(|line| !line.is_empty() && !line.starts_with("//!"));
    assert!(own.count() <= LINES_MAX);
}

#[test]
fn and_it_does_its_work() {
    let status = |used| {
        let outcome = with_swap(used).run::<SwapCheck>(json!({}));
        outcome.summary().status
    };
    assert_eq!(status(50), Status::Done);
    assert_eq!(status(51), Status::Warned);
    assert!(Node::new().run::<SwapCheck>(json!({})).result.is_err());
    let unknown = with_swap(0).run::<SwapCheck>(json!({ "half": 1 }));
    assert!(unknown.result.is_err(), "a setting it does not know");
}

#[test]
fn and_tells_what_it_asks_for() {
    let manifest: Value = serde_json::from_str(&PLUGIN.manifest()).unwrap();
    let task = &manifest["tasks"][0];
    assert_eq!(task["name"], "swap-check");
    assert_eq!(task["needs"][0]["capability"], "metrics");
}
