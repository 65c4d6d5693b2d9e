//! A plan that no single window holds.

use crate::cleaning::TASK;
use crate::harness::{Aged, Daemon, age, snapshot};
use crate::schedules::{never_twice, node, started, until};
use keepwell_model::event::Event;
use keepwell_model::state::RunState;

/// More than two windows hold: the plan that was sealed in the first is gone on with in each, until
/// all of it is done, and nothing is done twice.
#[test]
fn a_plan_that_takes_several_windows_ends_whole() {
    const FILES: u64 = 50;
    let node = node();
    for n in 0..FILES {
        let file = node.root().join(format!("file-{n}"));
        std::fs::write(&file, n.to_string()).unwrap();
        age(&file, Aged::days(10));
    }
    let before = snapshot(&node.root());
    // Two seconds hold twenty of them.
    let paced = TASK.replace("min-age", "max-rate = 10, min-age");
    let when = "schedule = { every = '4s' }\nwindow = { duration = '2s' }\n";
    node.task("temp-clean", &format!("{when}{paced}"));
    let daemon = Daemon::on(&node);
    let whole = || {
        let runs = node
            .keepwell(&["runs", "list", "--limit", "50", "-o", "json"])
            .json();
        let runs = runs.as_array().unwrap().clone();
        runs.into_iter().find(|run| run["actions_done"] == FILES)
    };
    until("the end of the plan", || whole().is_some());
    drop(daemon);
    let run = whole().unwrap()["run"].as_str().unwrap().to_owned();
    let report = node
        .keepwell(&["runs", "show", &run, "-o", "json"])
        .report();
    assert_eq!(report.state, RunState::Done);
    assert_eq!((report.applied.done, report.applied.not_done), (FILES, 0));
    let of_it = |kind: &str| node.journal(&["--kind", kind, "--run", &run]).len();
    assert!(of_it("run-resumed") >= 2, "it was over too soon");
    assert_eq!((of_it("plan-sealed"), of_it("approved")), (1, 1));
    // No other run did any of it.
    let done: u64 = node
        .journal(&["--kind", "outcome"])
        .into_iter()
        .map(|r| match r.event {
            Event::Outcome { done, .. } => done,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(done, FILES);
    never_twice(&started(&node));
    node.keepwell(&["undo", &run]).exits(0);
    let after = snapshot(&node.root());
    for (path, entry) in &before {
        assert!(
            after
                .get(path)
                .is_some_and(|there| there.same_but_for_time(entry))
        );
    }
    node.journal_is_whole();
}
