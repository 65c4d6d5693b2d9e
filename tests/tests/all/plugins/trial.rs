//! A new version is on trial: it proves itself in its first runs, or goes back by itself.

use super::{Maker, accept, files, is, rows, runs_as};
use crate::harness::{Daemon, Node, shared};
use keepwell_model::event::Event;

/// 0.2.0 is the active version after 0.1.0, with a task that fails and one that does not.
fn scene(table: &str) -> (Node, Maker) {
    let node = Node::new(shared());
    let maker = Maker::on(&node);
    node.configure_more(&format!("[plugins]\n{table}\n"));
    node.task("good", "plugin = 'made'\ntask = 'honest'\n");
    node.task("bad", "plugin = 'made'\ntask = 'trap'\n");
    node.task(
        "limited",
        "plugin = 'made'\ntask = 'spin'\n[limits]\nfuel = 1000000\n",
    );
    // Its own task needs what it is not granted.
    node.task("denied", "plugin = 'made'\ntask = 'flaky'\n");
    node.keepwell(&["plugin", "install", &maker.plain(&node, 1)])
        .exits(0);
    node.run("bad").0.exits(1);
    node.keepwell(&["plugin", "upgrade", &maker.plain(&node, 2)])
        .exits(0);
    (node, maker)
}

#[test]
fn too_many_faults_go_back_and_are_not_taken_again() {
    let (node, maker) = scene("trial-runs = 6\ntrial-faults = 3");
    node.run("bad").0.exits(1);
    assert_eq!(runs_as(&node, "good"), "0.2.0");
    // What the policy denies says nothing of the plugin.
    for _ in 0..3 {
        node.run("denied").0.exits(4);
    }
    let row = rows(&node).remove(1);
    assert_eq!(
        (&row["trial_runs"], &row["trial_faults"]),
        (&2.into(), &1.into()),
        "{row}"
    );
    node.run("limited").0.exits(5);
    is(&node, &[("0.1.0", "beside"), ("0.2.0", "active")]);
    let out = node.keepwell(&["run", "bad"]);
    out.exits(1)
        .says(&["made@0.2.0 had 3 faults in 4 runs: rolled back to 0.1.0"]);
    is(&node, &[("0.1.0", "active"), ("0.2.0", "rolled-back")]);
    assert_eq!(runs_as(&node, "good"), "0.1.0");
    let told = node.journal(&["--kind", "plugin-rolled-back"]);
    let Event::PluginRolledBack {
        from,
        to,
        faults,
        runs,
        ..
    } = &told[0].event
    else {
        panic!("{told:?}");
    };
    assert_eq!(
        (from.as_str(), to.as_str(), *faults, *runs),
        ("0.2.0", "0.1.0", 3, 4)
    );
    let listed = node.keepwell(&["plugin", "list"]);
    assert!(
        listed
            .out
            .contains("rolled-back to 0.1.0: 3 faults in 4 runs"),
        "{}",
        listed.out
    );
    let status = node.keepwell(&["status"]);
    assert!(
        status.out.contains("made@0.2.0 was rolled back"),
        "{}",
        status.out
    );
    let found = node.keepwell(&["findings"]);
    assert!(
        found.exits(3).out.contains("made@0.2.0 was rolled back"),
        "{}",
        found.out
    );
    // The version before stays active whatever its own tasks do.
    for _ in 0..3 {
        node.run("bad").0.exits(1);
    }
    is(&node, &[("0.1.0", "active"), ("0.2.0", "rolled-back")]);
    // Offered again it waits for somebody.
    let again = node.keepwell(&["plugin", "upgrade", &maker.plain(&node, 2)]);
    assert!(
        again
            .exits(4)
            .out
            .contains("rolled back after 3 faults in 4 runs"),
        "{}",
        again.out
    );
    assert_eq!(runs_as(&node, "good"), "0.1.0");
    accept(&node, "0.2.0").exits(0);
    assert_eq!(runs_as(&node, "good"), "0.2.0");
    node.keepwell(&["findings"]).exits(0);
    node.journal_is_whole();
}

#[test]
fn what_proves_itself_takes_older_versions_along() {
    let (node, maker) = scene("trial-runs = 3\ntrial-faults = 3");
    node.task("pinned", "plugin = 'made@0.2.0'\ntask = 'honest'\n");
    for _ in 0..3 {
        assert_eq!(runs_as(&node, "good"), "0.2.0");
    }
    is(&node, &[("0.2.0", "active")]);
    assert_eq!(files(&node).0, ["made-0.2.0.kwb"]);
    assert_eq!(node.journal(&["--kind", "plugin-proven"]).len(), 1);
    // Faults after the trial change nothing.
    for _ in 0..4 {
        node.run("bad").0.exits(1);
    }
    is(&node, &[("0.2.0", "active")]);
    // The next one leaves what a task names.
    node.keepwell(&["plugin", "upgrade", &maker.plain(&node, 3)])
        .exits(0);
    for _ in 0..3 {
        assert_eq!(runs_as(&node, "good"), "0.3.0");
    }
    is(&node, &[("0.2.0", "beside"), ("0.3.0", "active")]);
    assert_eq!(runs_as(&node, "pinned"), "0.2.0");
}

/// The same in a daemon, whose next run is that of the version before.
#[test]
fn a_daemon_goes_back() {
    let (node, _) = scene("trial-runs = 6\ntrial-faults = 2");
    let daemon = Daemon::on(&node);
    for _ in 0..2 {
        node.run("bad").0.exits(1);
    }
    assert_eq!(runs_as(&node, "good"), "0.1.0");
    is(&node, &[("0.1.0", "active"), ("0.2.0", "rolled-back")]);
    drop(daemon);
    node.journal_is_whole();
}

/// The version before may not run any more: the new one stays, and that is written down.
#[test]
fn what_cannot_be_gone_back_to_is_told() {
    let (node, _) = scene("trial-runs = 6\ntrial-faults = 1");
    std::fs::write(node.dir().join("plugins/made-0.1.0.kwb"), "replaced").unwrap();
    node.keepwell(&["run", "bad"])
        .exits(1)
        .says(&["cannot go back to 0.1.0"]);
    is(&node, &[("0.1.0", "beside"), ("0.2.0", "active")]);
    let told = node.journal(&["--kind", "plugin-refused"]);
    let Some(Event::PluginRefused { source, .. }) = told.last().map(|r| &r.event) else {
        panic!("{told:?}");
    };
    assert!(source.contains("roll back of made@0.2.0"), "{source}");
}

#[test]
fn odd_trials_are_refused() {
    let node = Node::new(shared());
    node.configure_more("[plugins]\ntrial-runs = 2\ntrial-faults = 3\n");
    node.keepwell(&["config", "check"])
        .exits(78)
        .says(&["would never go back"]);
}
