//! One test for each way a guest of `tests/guests` misbehaves. A guest without a line in the table
//! fails the build of trust: `every_guest_is_tested`.

mod bounds;
mod case;
mod checks;

use crate::harness::{Node, shared};
use case::Case;
use std::collections::BTreeSet;

/// The table: name of the test, the guest's task, and what is expected of it.
macro_rules! hostile {
    ($($name:ident: $task:literal => $case:expr;)*) => {
        const COVERED: &[&str] = &[$($task),*];
        $(#[test]
        fn $name() {
            let case: Case = $case;
            case.hold($task);
        })*
    };
}

const METRICS: &str = "metrics = {}\n";
const STORAGE: &str = "storage = { roots = ['tmp'] }\n";
const SHARDS: &str = "shards = { stores = ['store'] }\n";
const CONFIG: &str =
    "config-read = { params = ['pool'] }\nconfig-write = { params = ['pool'], max-changes = 2 }\n";
const CLEAN: &str =
    "storage-clean = { roots = ['tmp'], max-files = 100, max-share = '100%', min-age = '1h' }\n";

hostile! {
    spin: "spin" => Case::limited("wall").limits("wall = '300ms'");
    spin_in_host_calls: "spin-in-host-calls" => Case::limited("wall").limits("wall = '300ms'");
    slow: "slow" => Case::limited("wall").limits("wall = '400ms'\ncpu = '200ms'").grant(&[METRICS]);
    hoard: "hoard" => Case::limited("memory");
    recurse: "recurse" => Case::failed("trap");
    panic: "panic" => Case::failed("trap").check(checks::panic_is_logged);
    trap: "trap" => Case::failed("unreachable");
    bad_json: "bad-json" => Case::failed("not a JSON object");
    log_flood: "log-flood" => Case::limited("log").limits("log = '64KiB'").check(checks::log_is_bounded);
    log_escapes: "log-escapes" => Case::done().check(checks::nothing_rules_the_terminal);
    output_flood: "output-flood" => Case::limited("call").limits("output = '64KiB'").memory_mib(64);
    findings_flood: "findings-flood" => Case::limited("findings").limits("findings = 50").check(checks::fifty_findings);
    metrics_flood: "metrics-flood" => Case::limited("metrics").limits("metrics = 50").check(checks::fifty_metrics);
    checkpoint_flood: "checkpoint-flood" => Case::limited("call").memory_mib(64).check(checks::few_checkpoints);
    config_outside: "config-outside" => Case::done().memory_mib(64).grant(&[CONFIG]).check(checks::only_what_may_be_set);
    absurd_lengths: "absurd-lengths" => Case::done().grant(&[METRICS, STORAGE]).check(checks::lengths_are_bounded);
    handle_leak: "handle-leak" => Case::done().grant(&[STORAGE]).check(checks::eight_walkers);
    hoard_table: "hoard-table" => Case::done().grant(&[STORAGE]).check(checks::eight_walkers_still);
    paths: "paths" => Case::done().grant(&[STORAGE]).check(checks::no_path_leaves_the_root);
    other_root: "other-root" => Case::done().grant(&[STORAGE, SHARDS]).check(checks::all_denied);
    propose_flood: "propose-flood" => Case::limited("wall").limits("wall = '500ms'").grant(&[STORAGE, CLEAN]);
    propose_outside: "propose-outside" => Case::limited("call").memory_mib(64).grant(&[STORAGE, CLEAN]).check(checks::forgeries_are_refused);
    honest: "honest" => Case::done();
}

#[test]
fn every_guest_is_tested() {
    let node = Node::new(shared());
    let plugin = node.keepwell(&["plugin", "inspect", "hostile", "-o", "json"]);
    let plugin = plugin.exits(0).json();
    let tasks = plugin["manifest"]["tasks"].as_array().unwrap();
    let guests: BTreeSet<&str> = tasks.iter().map(|t| t["name"].as_str().unwrap()).collect();
    let covered: BTreeSet<&str> = COVERED.iter().copied().collect();
    assert_eq!(
        guests, covered,
        "a guest without a test, or a test without its guest"
    );
}
