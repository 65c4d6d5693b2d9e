//! The limits that one guest crosses in more than one way: instructions, CPU time, handles,
//! actions, and the budget of proposals.

use crate::harness::{Aged, Busy, Node, age, alone, shared, snapshot};
use std::time::Duration;

#[test]
fn instructions_are_counted_the_same_each_time() {
    let node = Node::new(shared());
    node.task("spin", "plugin = 'hostile'\n[limits]\nfuel = 3_000_000\n");
    for _ in 0..2 {
        let (out, report) = node.run("spin");
        out.exits(5);
        assert_eq!(report.limit.unwrap().as_str(), "fuel");
        assert_eq!(report.usage.fuel, 3_000_000);
    }
}

#[test]
fn cpu_time_is_the_guests_own() {
    let node = Node::new(alone());
    let text = "plugin = 'hostile'\n[limits]\ncpu = '200ms'\nwall = '30s'\n";
    node.task("spin", text);
    node.task("spin-in-host-calls", text);
    let _busy = Busy::start();
    for task in ["spin", "spin-in-host-calls"] {
        let (out, report) = node.run(task);
        out.exits(5);
        assert_eq!(report.limit.unwrap().as_str(), "cpu");
        let cpu = Duration::from_micros(report.usage.cpu_us);
        assert!(cpu >= Duration::from_millis(200), "{cpu:?}");
        assert!(cpu <= Duration::from_millis(300), "{cpu:?}");
    }
}

#[test]
fn fewer_handles_than_the_contract_allows_end_the_run() {
    let node = Node::new(shared());
    node.task(
        "handle-leak",
        "plugin = 'hostile'\n[grant]\nstorage = { roots = ['tmp'] }\n[limits]\nhandles = 4\n",
    );
    let (out, report) = node.run("handle-leak");
    out.exits(5);
    assert_eq!(report.limit.unwrap().as_str(), "handles");
}

fn node_with_old_files(extra: &str) -> Node {
    let node = Node::new(shared());
    for n in 0..10 {
        let file = node.root().join(format!("old-{n}"));
        std::fs::write(&file, "old").unwrap();
        age(&file, Aged::days(30));
    }
    let text = format!(
        "plugin = 'hostile'\n[grant]\nstorage = {{ roots = ['tmp'] }}\n\
         storage-clean = {{ roots = ['tmp'], max-share = '100%', min-age = '1m', age-by = 'modified', max-files = 20000 }}\n\
         [limits]\nwall = '20s'\n{extra}\n"
    );
    node.task("propose-flood", &text);
    node
}

#[test]
fn a_plan_holds_no_more_actions_than_it_may() {
    let node = node_with_old_files("actions = 5000");
    let before = snapshot(&node.root());
    let (out, report) = node.run("propose-flood");
    out.exits(5);
    assert_eq!(report.limit.unwrap().as_str(), "actions");
    assert_eq!(report.applied.done, 0);
    assert!(snapshot(&node.root()) == before);
}

/// The look of a plan is bounded by time here; the budget refuses what is over it, and nothing of
/// a look that did not end is ever applied.
#[test]
fn a_budget_is_never_exceeded_however_often_one_asks() {
    let node = node_with_old_files("fuel = 200_000_000");
    let before = snapshot(&node.root());
    let (out, report) = node.run("propose-flood");
    out.exits(5);
    assert_eq!(report.limit.unwrap().as_str(), "fuel");
    assert!(report.plan.is_none());
    assert!(snapshot(&node.root()) == before);
}
