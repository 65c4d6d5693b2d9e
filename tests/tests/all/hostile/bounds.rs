//! What is true of a limit beside that it is crossed: instructions are counted the same each time,
//! CPU time is the guest's own, and a budget holds however often one asks.

use crate::harness::{Aged, Busy, Node, age, alone, shared, snapshot};
use keepwell_model::event::Event;
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

/// On a machine where others run, CPU time passes more slowly than wall time: the limit must not
/// strike before the guest has had its share.
#[test]
fn cpu_time_is_the_guests_own() {
    let node = Node::new(alone());
    let text = "plugin = 'hostile'\n[limits]\ncpu = '200ms'\nwall = '30s'\n";
    let _busy = Busy::start();
    for task in ["spin", "spin-in-host-calls"] {
        node.task(task, text);
        let (out, report) = node.run(task);
        out.exits(5);
        let cpu = Duration::from_micros(report.usage.cpu_us);
        assert!(cpu >= Duration::from_millis(200), "{cpu:?}");
    }
}

/// The look of a plan is bounded by time here; the budget refuses what is over it, and nothing of
/// a look that did not end is ever applied.
#[test]
fn a_budget_is_never_exceeded_however_often_one_asks() {
    let node = Node::new(shared());
    for n in 0..10 {
        let file = node.root().join(format!("old-{n}"));
        std::fs::write(&file, "old").unwrap();
        age(&file, Aged::days(30));
    }
    node.task(
        "propose-flood",
        "plugin = 'hostile'\n[grant]\nstorage = { roots = ['tmp'] }\n\
         storage-clean = { roots = ['tmp'], max-share = '100%', min-age = '1m', age-by = 'modified', max-files = 20000 }\n\
         [limits]\nwall = '20s'\nfuel = 200_000_000\n",
    );
    let before = snapshot(&node.root());
    let (out, report) = node.run("propose-flood");
    out.exits(5);
    assert_eq!(report.limit.unwrap().as_str(), "fuel");
    assert!(report.plan.is_none());
    assert!(snapshot(&node.root()) == before);
}

/// The first ten thousand are kept one by one, the rest as numbers in a few records: a guest that
/// asks all day must not fill the journal.
#[test]
fn calls_are_counted_in_few_records_however_many_there_are() {
    let node = Node::new(alone());
    node.task(
        "calls-flood",
        "plugin = 'hostile'\n[grant]\nmetrics = {}\n[limits]\nwall = '5s'\n",
    );
    let (out, report) = node.run("calls-flood");
    out.exits(5);
    assert!(report.usage.calls > 10_000, "{}", report.usage.calls);
    let filter = ["--run", &report.run.to_string(), "--kind", "called"];
    let (mut one_by_one, mut counted, mut counts) = (0, 0, 0);
    for record in node.journal(&filter) {
        let Event::Called { calls, more } = record.event else {
            panic!("{record:?}")
        };
        one_by_one += calls.len() as u64;
        counted += more;
        counts += u64::from(more > 0);
    }
    assert_eq!(one_by_one, 10_000);
    assert_eq!(counted, report.usage.calls - 10_000);
    assert!((1..64).contains(&counts), "{counts}");
}
