//! Guards that a task measures: breached with figures, confirmed when measured, and what silence
//! means; and what is known of changes when much is forgotten.

use crate::changes::{BEFORE, TASK, becomes, declare, now, states, tune, with};
use crate::harness::{Daemon, Node, shared};
use std::time::Duration;

/// Longer than the daemon needs to look again.
const SOON: Duration = Duration::from_secs(15);

/// A node on which `disk-check` measures, and the parameter is guarded by what it measures of the
/// root file system: a share, so at most 1.
fn scene(revert_after: &str, guard: &str) -> Node {
    let node = Node::new(shared());
    node.task("param-tune", TASK);
    node.task("disk-check", "plugin = \"disk\"\n[grant]\nmetrics = {}\n");
    let guard = format!(
        "guard = {{ metric = 'disk_used', task = 'disk-check', labels = {{ mount = '/' }}, \
         every = '10s', {guard} }}\n"
    );
    declare(&node, revert_after, &guard);
    node
}

fn measured(node: &Node) {
    // However full the disks of this machine are.
    let out = node.keepwell(&["run", "disk-check"]);
    assert!([0, 1, 3].contains(&out.code), "{}", out.err);
}

#[test]
fn a_task_s_number_on_the_wrong_side_takes_the_change_back_and_is_told() {
    let node = scene("1h", "least = 2");
    // What was measured before the change is no judgement of it.
    measured(&node);
    let daemon = Daemon::on(&node);
    tune(&node);
    node.keepwell(&["runs", "confirm", "last"])
        .exits(75)
        .says(&["before its guard was measured"]);
    assert_eq!(now(&node), with("20"));
    measured(&node);
    becomes(&node, BEFORE, SOON);
    let said = daemon.says("its guard was breached");
    let must = "`disk_used` of task `disk-check` must be at least 2.0 (mount=/), and it was 0.";
    assert!(said.contains(must), "{said}");
    let (state, why) = states(&node).remove(0);
    assert_eq!(state, "reverted");
    assert!(why.contains(must), "{why}");
    drop(daemon);
    node.journal_is_whole();
}

#[test]
fn a_task_s_number_on_the_right_side_lets_it_be_confirmed() {
    let node = scene("1h", "most = 1");
    let _daemon = Daemon::on(&node);
    tune(&node);
    node.keepwell(&["runs", "confirm", "last"]).exits(75);
    let (_, run) = (
        measured(&node),
        node.keepwell(&["runs", "changes", "-o", "json"]),
    );
    let run = run.json()[0]["run"].as_str().unwrap().to_owned();
    node.keepwell(&["runs", "confirm", &run]).exits(0);
    assert_eq!(states(&node)[0].0, "confirmed");
    assert_eq!(now(&node), with("20"));
}

#[test]
fn a_guard_that_has_gone_silent_is_breached() {
    let node = scene("1h", "most = 1");
    let daemon = Daemon::on(&node);
    tune(&node);
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(now(&node), with("20"), "it is not silent for long enough");
    becomes(&node, BEFORE, SOON);
    let said = daemon.says("has gone silent");
    assert!(said.contains("every 10s, and was not for 1"), "{said}");
    assert_eq!(states(&node)[0].0, "reverted");
}

#[test]
fn where_silence_means_nothing_the_deadline_decides() {
    let node = scene("20s", "most = 1, silent = 'unknown'");
    let daemon = Daemon::on(&node);
    tune(&node);
    std::thread::sleep(Duration::from_secs(17));
    assert_eq!(now(&node), with("20"));
    node.keepwell(&["runs", "confirm", "last"]).exits(75);
    becomes(&node, BEFORE, SOON);
    daemon.says("was not confirmed");
}

#[test]
fn a_guard_needs_a_task_that_is_there_and_how_often_it_measures() {
    let node = Node::new(shared());
    node.task("disk-check", "plugin = \"disk\"\n[grant]\nmetrics = {}\n");
    for (guard, says) in [
        (
            "metric = 'disk_used', task = 'disk-chek', most = 1, every = '1m'",
            "did you mean `disk-check`?",
        ),
        (
            "metric = 'disk_used', task = 'disk-check', most = 1",
            "how often the task measures it",
        ),
        (
            "metric = 'disk_used', most = 1",
            "name the task that reports it",
        ),
    ] {
        declare(&node, "1h", &format!("guard = {{ {guard} }}\n"));
        node.keepwell(&["config", "check"]).exits(78).says(&[says]);
    }
}

/// The whole soak: measured, changed, confirmed, measured again, judged, and gone back on or kept.
#[test]
fn a_value_is_judged_by_what_was_measured_before_it_and_in_its_soak() {
    if !std::path::Path::new("/proc/pressure/cpu").exists() {
        eprintln!("this kernel measures no pressure; nothing was tested");
        return;
    }
    let node = Node::new(shared());
    let task = TASK.replace("[settings]", "[settings]\nsamples = 2\nworse = 1e9");
    node.task("param-tune", &format!("{task}state = {{}}\n"));
    declare(&node, "1h", "");
    let says = |words: &str| {
        let (out, report) = node.run("param-tune");
        out.exits(0);
        let line = report.summary.unwrap().line;
        assert!(line.contains(words), "{line}");
    };
    says("1 of 2 times");
    assert_eq!(
        now(&node),
        BEFORE,
        "nothing is tried before it was measured"
    );
    says("10 to 20");
    assert_eq!(now(&node), with("20"));
    says("waits to be confirmed");
    let run = node.keepwell(&["runs", "changes", "-o", "json"]).json();
    let run = run[0]["run"].as_str().unwrap().to_owned();
    node.keepwell(&["runs", "confirm", &run]).exits(0);
    // What was measured while it waited was measured under it, so two are there after one more.
    std::thread::sleep(Duration::from_secs(1));
    says("20 to 30");
    assert_eq!(now(&node), with("30"));
    // What was taken back is not tried again.
    node.keepwell(&["undo", "last"]).exits(0);
    std::thread::sleep(Duration::from_secs(1));
    says("nothing is left to try");
    assert_eq!(now(&node), with("20"));
    node.journal_is_whole();
}

/// A change that waits, and whose the value is, must outlast every other memory of its run.
#[test]
fn what_waits_is_never_forgotten() {
    let node = Node::new(shared());
    node.task("param-tune", TASK);
    declare(&node, "1h", "[retention]\nruns-per-task = 1\n");
    tune(&node);
    for _ in 0..2 {
        // Waits, and changes nothing.
        node.run("param-tune").0.exits(0);
    }
    node.keepwell(&["runs", "prune"]).exits(0);
    let left = node.keepwell(&["runs", "list", "-o", "json"]).json();
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");
    assert_eq!(states(&node)[0].0, "armed");
    let run = node.keepwell(&["runs", "changes", "-o", "json"]).json();
    let run = run[0]["run"].as_str().unwrap().to_owned();
    node.keepwell(&["runs", "confirm", &run]).exits(0);
    node.keepwell(&["runs", "prune"]).exits(0);
    // Confirmed, so another value is an administrator's, and is known to be.
    std::fs::write(node.scratch().join("app.toml"), with("70")).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let (out, _) = node.run("param-tune");
    out.exits(4);
    assert_eq!(now(&node), with("70"));
}

/// What must go back and cannot yet stays due until it can, long before its deadline.
#[test]
fn a_file_that_was_away_when_the_daemon_started_goes_back_when_it_returns() {
    let node = Node::new(shared());
    node.task("param-tune", TASK);
    declare(&node, "1h", "");
    let daemon = Daemon::on(&node);
    tune(&node);
    daemon.killed();
    let (file, away) = (node.scratch().join("app.toml"), node.scratch().join("away"));
    std::fs::rename(&file, &away).unwrap();
    let daemon = Daemon::on(&node);
    assert_eq!(states(&node)[0].0, "armed");
    std::fs::rename(&away, &file).unwrap();
    becomes(&node, BEFORE, SOON);
    daemon.says("started again");
    // What cannot be read is said once, not at every look.
    node.keepwell(&["runs", "changes"]).exits(0);
}

#[test]
fn a_file_that_an_administrator_removed_is_not_made_again() {
    let node = Node::new(shared());
    node.task("param-tune", TASK);
    declare(&node, "5s", "");
    let daemon = Daemon::on(&node);
    tune(&node);
    std::fs::remove_file(node.scratch().join("app.toml")).unwrap();
    daemon.says("set by somebody else");
    assert!(!node.scratch().join("app.toml").exists());
    assert_eq!(states(&node)[0].0, "overtaken");
}
