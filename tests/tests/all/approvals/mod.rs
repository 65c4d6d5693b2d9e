//! Plans that wait for a second person: asked, answered with keys of both kinds or by the socket,
//! applied as they were stored, and only then.

mod attacks;
mod glass;
mod roles;
mod scene;

use crate::cleaning::TASK;
use crate::harness::{Daemon, Node, command, have, now_ms};
use crate::schedules::until;
use keepwell_model::state::RunState;
use scene::{Scene, WAIT};
use std::time::{Duration, Instant};

/// A daemon that is told of an answer applies the plan in far less.
const SOON: Duration = Duration::from_secs(30);

/// Waits until the last run is in that state.
#[track_caller]
fn becomes(node: &Node, state: RunState) {
    let began = Instant::now();
    loop {
        let out = node.keepwell(&["runs", "show", "last", "-o", "json"]);
        let report = out.exits(0).report();
        if report.state == state {
            return;
        }
        assert!(began.elapsed() < SOON, "it stays {}", report.state);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_plan_waits_is_granted_by_a_key_and_resumed() {
    let scene = Scene::new(WAIT);
    let out = scene.waits();
    assert!(out.err.contains("wait"), "{}", out.err);
    let listed = scene
        .node
        .keepwell(&["approvals", "list", "-o", "json"])
        .json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    // Asking to go on changes nothing while it waits.
    scene.node.keepwell(&["runs", "resume", "last"]).exits(4);
    scene.nothing_changed();
    scene.import(&scene.answer("alice", "--grant")).exits(0);
    scene.nothing_changed();
    let out = scene
        .node
        .keepwell(&["runs", "resume", "last", "-o", "json"]);
    let report = out.exits(0).report();
    assert_eq!(report.applied.done, scene.old);
    let how = scene.node.journal(&["--kind", "approved"]);
    assert_eq!(how.len(), 1, "{how:?}");
    let shown = scene.node.keepwell(&["approvals", "list", "-o", "json"]);
    assert_eq!(shown.json().as_array().unwrap().len(), 0);
    scene.node.keepwell(&["undo", "last"]).exits(0);
    scene.nothing_changed();
    scene.node.journal_is_whole();
}

#[test]
fn an_ssh_key_grants_as_well() {
    if !have("ssh-keygen") {
        return;
    }
    let scene = Scene::new(WAIT);
    let key = scene.path("id_ed25519");
    command(
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-C", "carol", "-f", &key],
        &[],
    );
    let public = std::fs::read_to_string(format!("{key}.pub")).unwrap();
    scene.approver("carol", public.trim(), "'carol'");
    scene.waits();
    let answer = scene.answer_by(&["--ssh-key", &key], "--grant");
    scene.import(&answer).exits(0);
    let out = scene
        .node
        .keepwell(&["runs", "resume", "last", "-o", "json"]);
    assert_eq!(out.exits(0).report().applied.done, scene.old);
}

#[test]
fn one_denial_ends_it_whoever_grants() {
    let scene = Scene::new(WAIT);
    scene.waits();
    let (grant, deny) = (
        scene.answer("alice", "--grant"),
        scene.answer("bob", "--deny"),
    );
    scene.import(&grant).exits(0);
    scene.import(&deny).exits(0);
    scene.over("denied by bob");
}

#[test]
fn two_people_are_two_people() {
    let scene = Scene::new(&format!("{WAIT}approvals = 2\n"));
    scene.key("alice-too", "'alice'");
    scene.waits();
    scene.import(&scene.answer("alice", "--grant")).exits(0);
    // The same answer, another of the same key, and the other key of the same person.
    scene.refuses(&scene.answer("alice", "--grant"), "counts once");
    scene.refuses(&scene.answer("alice-too", "--grant"), "counts once");
    scene.node.keepwell(&["runs", "resume", "last"]).exits(4);
    scene.nothing_changed();
    scene.import(&scene.answer("bob", "--grant")).exits(0);
    let out = scene
        .node
        .keepwell(&["runs", "resume", "last", "-o", "json"]);
    assert_eq!(out.exits(0).report().applied.done, scene.old);
}

#[test]
fn waiting_outlives_the_daemon_and_an_answer_is_followed_by_itself() {
    let scene = Scene::new(WAIT);
    let daemon = Daemon::on(&scene.node);
    scene.waits();
    daemon.killed();
    let daemon = Daemon::on(&scene.node);
    becomes(&scene.node, RunState::Waiting);
    drop(daemon);
    // In between without one.
    scene.node.keepwell(&["audit", "checkpoint"]).exits(0);
    becomes(&scene.node, RunState::Waiting);
    scene.nothing_changed();
    let daemon = Daemon::on(&scene.node);
    scene.import(&scene.answer("alice", "--grant")).exits(0);
    becomes(&scene.node, RunState::Done);
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.ended().success());
    let report = scene
        .node
        .keepwell(&["runs", "show", "last", "-o", "json"])
        .report();
    assert_eq!(report.applied.done, scene.old);
    scene.node.journal_is_whole();
}

#[test]
fn an_answer_taken_in_without_a_daemon_is_followed_by_the_next_one() {
    let scene = Scene::new(WAIT);
    scene.waits();
    scene.import(&scene.answer("alice", "--grant")).exits(0);
    let _daemon = Daemon::on(&scene.node);
    becomes(&scene.node, RunState::Done);
}

/// What a slot planned is applied as the slot would have been: approved while its window is closed, it
/// waits for the next opening. A person's `runs resume` need not.
#[test]
fn what_is_approved_after_its_window_is_applied_in_the_next() {
    const EVERY: u64 = 20_000;
    let scene = Scene::new(WAIT);
    let node = &scene.node;
    let when = "schedule = { every = '20s' }\nwindow = { duration = '5s' }\n";
    node.task("temp-clean", &format!("{when}{TASK}"));
    let _daemon = Daemon::on(node);
    let waiting = || {
        let runs = node.keepwell(&["runs", "list", "-o", "json"]).json();
        let runs = runs.as_array().unwrap().clone();
        let first = runs.into_iter().rfind(|run| run["state"] == "waiting");
        first.map(|run| run["run"].as_str().unwrap().to_owned())
    };
    until("a plan that waits", || waiting().is_some());
    let run = waiting().unwrap();
    let of_it = |kind: &str| node.journal(&["--kind", kind, "--run", &run]);
    let due = of_it("run-due").remove(0).at;
    let slot = due - due % EVERY;
    until("the end of the window", || now_ms() > slot + 6_000);
    scene
        .import(&scene.answer("alice", "--grant"))
        .exits(0)
        .says(&["in the window of temp-clean"]);
    let answered = of_it("approval-answered").remove(0).at;
    assert!(answered < slot + EVERY, "the answer came too late to tell");
    until("its end", || !of_it("run-ended").is_empty());
    let applied = of_it("approved").remove(0).at % EVERY;
    assert!(applied < 5_000, "applied {applied} ms after an opening");
    let shown = node.keepwell(&["runs", "show", &run, "-o", "json"]);
    assert_eq!(shown.report().applied.done, scene.old);
}
