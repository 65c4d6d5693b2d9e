//! One test for each way a guest of `tests/guests` misbehaves. A guest without a line in the table
//! fails the build of trust, and so does a limit that none of them crosses: `every_guest_is_tested`
//! and `every_limit_is_crossed`.

mod bounds;
mod case;
mod checks;

use crate::harness::{Node, shared};
use case::Case;
use keepwell_model::limits::LimitName;
use std::collections::BTreeSet;

/// The table: name of the test, the guest's task, and what is expected of it.
macro_rules! hostile {
    ($($name:ident: $task:literal => $case:expr;)*) => {
        const TABLE: &[(&str, Case)] = &[$(($task, $case)),*];
        $(#[test]
        fn $name() {
            const CASE: Case = $case;
            CASE.hold($task);
        })*
    };
}

/// Every limit there is. One that is missing here does not compile.
macro_rules! limits {
    ($($name:ident),*) => {
        const LIMITS: &[LimitName] = &[$(LimitName::$name),*];
        const fn is_listed(limit: LimitName) -> bool {
            match limit {
                $(LimitName::$name => true),*
            }
        }
    };
}

limits!(
    Memory, Fuel, Cpu, Wall, Stack, Log, Output, Handles, Findings, Metrics, Actions, Call
);

const METRICS: &str = "metrics = {}\n";
const STORAGE: &str = "storage = { roots = ['tmp'] }\n";
const SHARDS: &str = "shards = { stores = ['store'] }\n";
const STATE: &str = "state = { max-bytes = '1MiB', max-keys = 100 }\n";
const CONFIG: &str =
    "config-read = { params = ['pool'] }\nconfig-write = { params = ['pool'], max-changes = 2 }\n";
const CLEAN: &str =
    "storage-clean = { roots = ['tmp'], max-files = 100, max-share = '100%', min-age = '1h' }\n";

/// Old files count as old here, so that proposals are taken until there are too many.
const CLEAN_BY_MTIME: &str = "storage-clean = { roots = ['tmp'], max-files = 20000, \
     max-share = '100%', min-age = '1m', age-by = 'modified' }\n";

hostile! {
    spin: "spin" => Case::limited(LimitName::Wall).limits("wall = '300ms'");
    spin_counted: "spin" => Case::limited(LimitName::Fuel).limits("fuel = 3_000_000");
    spin_timed: "spin" => Case::limited(LimitName::Cpu).limits("cpu = '200ms'");
    spin_in_host_calls: "spin-in-host-calls" => Case::limited(LimitName::Wall).limits("wall = '300ms'");
    spin_in_host_calls_timed: "spin-in-host-calls" => Case::limited(LimitName::Cpu).limits("cpu = '200ms'");
    slow: "slow" => Case::limited(LimitName::Wall).limits("wall = '400ms'\ncpu = '200ms'").grant(&[METRICS]);
    hoard: "hoard" => Case::limited(LimitName::Memory);
    recurse: "recurse" => Case::failed("trap");
    recurse_bare: "recurse-bare" => Case::limited(LimitName::Stack);
    panic: "panic" => Case::failed("trap").check(checks::panic_is_logged);
    trap: "trap" => Case::failed("unreachable");
    bad_json: "bad-json" => Case::failed("not a JSON object");
    log_flood: "log-flood" => Case::limited(LimitName::Log).limits("log = '64KiB'").check(checks::log_is_bounded);
    log_empty: "log-empty" => Case::limited(LimitName::Log).limits("log = '64KiB'").check(checks::lines_are_few);
    calls_flood: "calls-flood" => Case::limited(LimitName::Wall).limits("wall = '300ms'").grant(&[METRICS]);
    log_escapes: "log-escapes" => Case::done().check(checks::nothing_rules_the_terminal);
    output_flood: "output-flood" => Case::limited(LimitName::Output).limits("output = '64KiB'").check(checks::no_summary_is_kept);
    output_huge: "output-huge" => Case::limited(LimitName::Call).limits("output = '64KiB'").memory_mib(64).check(checks::no_summary_is_kept);
    findings_flood: "findings-flood" => Case::limited(LimitName::Findings).limits("findings = 50").check(checks::fifty_findings);
    findings_fat: "findings-fat" => Case::limited(LimitName::Findings).check(checks::findings_are_bounded);
    metrics_flood: "metrics-flood" => Case::limited(LimitName::Metrics).limits("metrics = 50").check(checks::fifty_metrics);
    checkpoint_flood: "checkpoint-flood" => Case::limited(LimitName::Call).memory_mib(64).check(checks::few_checkpoints);
    config_outside: "config-outside" => Case::done().memory_mib(64).grant(&[CONFIG]).check(checks::only_what_may_be_set);
    state_flood: "state-flood" => Case::done().grant(&[STATE]).check(checks::quotas_of_state_hold);
    state_hoard: "state-hoard" => Case::done().grant(&["state = { max-bytes = '16MiB' }\n"]).check(checks::sixteen_mebibytes_are_kept);
    state_denied: "state-denied" => Case::done().check(checks::state_is_denied);
    count: "count" => Case::done().grant(&[STATE]).check(checks::runs_are_counted);
    absurd_lengths: "absurd-lengths" => Case::done().grant(&[METRICS, STORAGE]).check(checks::lengths_are_bounded);
    handle_leak: "handle-leak" => Case::done().grant(&[STORAGE]).check(checks::eight_walkers);
    handle_leak_limited: "handle-leak" => Case::limited(LimitName::Handles).limits("handles = 4").grant(&[STORAGE]);
    hoard_table: "hoard-table" => Case::done().grant(&[STORAGE]).check(checks::eight_walkers_still);
    paths: "paths" => Case::done().grant(&[STORAGE]).check(checks::no_path_leaves_the_root);
    other_root: "other-root" => Case::done().grant(&[STORAGE, SHARDS]).check(checks::all_denied);
    propose_flood: "propose-flood" => Case::limited(LimitName::Wall).limits("wall = '500ms'").grant(&[STORAGE, CLEAN]);
    propose_flood_taken: "propose-flood" => Case::limited(LimitName::Actions).limits("actions = 2000").grant(&[STORAGE, CLEAN_BY_MTIME]).check(checks::nothing_is_planned);
    propose_outside: "propose-outside" => Case::limited(LimitName::Call).memory_mib(64).grant(&[STORAGE, CLEAN]).check(checks::forgeries_are_refused);
    scrub_again: "scrub-again" => Case::done().grant(&["shards = { stores = ['store'], max-shards = 3 }\n"]).check(checks::three_shards_are_read);
    flaky: "flaky" => Case::failed("not there yet").grant(&[STORAGE]);
    honest: "honest" => Case::done();
}

#[test]
fn every_guest_is_tested() {
    let node = Node::new(shared());
    let plugin = node.keepwell(&["plugin", "inspect", "hostile", "-o", "json"]);
    let plugin = plugin.exits(0).json();
    let tasks = plugin["manifest"]["tasks"].as_array().unwrap();
    let guests: BTreeSet<&str> = tasks.iter().map(|t| t["name"].as_str().unwrap()).collect();
    let covered: BTreeSet<&str> = TABLE.iter().map(|(task, _)| *task).collect();
    assert_eq!(
        guests, covered,
        "a guest without a test, or a test without its guest"
    );
}

#[test]
fn every_limit_is_crossed() {
    let crossed: Vec<LimitName> = TABLE.iter().filter_map(|(_, case)| case.limit()).collect();
    for limit in LIMITS {
        assert!(is_listed(*limit));
        let name = limit.as_str();
        assert!(
            crossed.contains(limit),
            "no guest crosses the limit `{name}`"
        );
    }
}
