//! Approvals attacked in each way: every one is refused with its reason, journaled, and changes
//! nothing in the tree.

use super::becomes;
use super::scene::{Scene, WAIT};
use crate::harness::Daemon;
use keepwell_model::state::RunState;
use std::path::Path;
use std::time::Duration;

/// Each byte of an answer is flipped once in this many; all of them would take a minute.
const EVERY: usize = 23;

#[test]
fn who_asked_cannot_grant_by_the_socket_or_by_a_key() {
    let scene = Scene::new(&format!("{WAIT}peer-suffices = true\n"));
    let own = rustix::process::getuid().as_raw().to_string();
    scene.key("mine", &own);
    for daemon in [false, true] {
        let _daemon = daemon.then(|| Daemon::on(&scene.node));
        scene.waits();
        let before = scene.refusals().len();
        let grant = ["approvals", "grant", "last", "--reason", "mine"];
        scene
            .node
            .keepwell(&grant)
            .exits(4)
            .says(&["who asked cannot approve"]);
        scene.refused_since(before, "who asked cannot approve");
        scene.refuses(&scene.answer("mine", "--grant"), "who asked cannot approve");
        // They can take it back.
        let deny = ["approvals", "deny", "last", "--reason", "a mistake"];
        scene.node.keepwell(&deny).exits(0);
        if daemon {
            becomes(&scene.node, RunState::Denied);
        } else {
            scene.over("a mistake");
        }
        scene.nothing_changed();
    }
}

#[test]
fn a_forged_answer_is_refused() {
    let scene = Scene::new(WAIT);
    scene.waits();
    scene.stray_key("mallory");
    scene.refuses(
        &scene.answer("mallory", "--grant"),
        "is not in approvers.toml",
    );
    // The same under the name of a key that counts.
    let id = |answer: &str| {
        let text = std::fs::read_to_string(answer).unwrap();
        let envelope: serde_json::Value = serde_json::from_str(&text).unwrap();
        envelope["signatures"][0]["keyid"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (real, forged) = (
        scene.answer("alice", "--grant"),
        scene.answer("mallory", "--grant"),
    );
    let text = std::fs::read_to_string(&forged).unwrap();
    std::fs::write(&forged, text.replace(&id(&forged), &id(&real))).unwrap();
    scene.refuses(&forged, "does not fit");
    // A denial must not pass for a grant, signature and all.
    let deny = std::fs::read_to_string(scene.answer("alice", "--deny")).unwrap();
    let grant = std::fs::read_to_string(&real).unwrap();
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let (mut mixed, denial) = (parse(&grant), parse(&deny));
    mixed["signatures"] = denial["signatures"].clone();
    std::fs::write(&forged, mixed.to_string()).unwrap();
    scene.import(&forged).exits(4);
    scene.nothing_changed();
    // The real one still counts: no attack has used it up.
    scene.import(&real).exits(0);
}

#[test]
fn an_answer_with_one_bit_changed_is_refused() {
    let scene = Scene::new(WAIT);
    scene.waits();
    let answer = scene.answer("alice", "--grant");
    let bytes = std::fs::read(&answer).unwrap();
    let places: Vec<usize> = (0..bytes.len()).step_by(EVERY).collect();
    assert!(places.len() >= 20, "{}", bytes.len());
    for (count, at) in places.into_iter().enumerate() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (count % 7);
        std::fs::write(&answer, damaged).unwrap();
        let out = scene.import(&answer);
        assert_eq!(out.code, 4, "byte {at}: {}", out.err);
        assert_eq!(scene.refusals().len(), count + 1, "byte {at}");
    }
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 2] {
        std::fs::write(&answer, &bytes[..cut]).unwrap();
        scene.import(&answer).exits(4);
    }
    scene.nothing_changed();
    std::fs::write(&answer, bytes).unwrap();
    scene.import(&answer).exits(0);
}

#[test]
fn an_answer_counts_for_one_run_once() {
    let scene = Scene::new(WAIT);
    scene.waits();
    let answer = scene.answer("alice", "--grant");
    scene.import(&answer).exits(0);
    scene.refuses(&answer, "counts once");
    scene.node.keepwell(&["runs", "resume", "last"]).exits(0);
    scene.node.keepwell(&["undo", "last"]).exits(0);
    // Nothing waits: a replay is told of all the same.
    scene.refuses(&answer, "no run waits");
    // The same plan again, of another run.
    scene.waits();
    scene.refuses(&answer, "answers another request");
    scene.node.keepwell(&["runs", "resume", "last"]).exits(4);
    scene.nothing_changed();
}

#[test]
fn an_answer_of_another_node_is_refused() {
    let scene = Scene::new(WAIT);
    let other = Scene::called("another", WAIT);
    // Both nodes trust the same people.
    let listed = |scene: &Scene| scene.node.dir().join("approvers.toml");
    std::fs::copy(listed(&scene), listed(&other)).unwrap();
    scene.waits();
    other.waits();
    let key = scene.path("alice.key");
    let foreign = other.answer_by(&["--key", &key], "--grant");
    let before = scene.refusals().len();
    scene.import(&foreign).exits(4);
    assert_eq!(scene.refusals().len(), before + 1);
    scene.nothing_changed();
    other.import(&foreign).exits(0);
}

#[test]
fn after_its_time_nobody_can_grant_and_nothing_is_applied() {
    let scene = Scene::new(&format!("{WAIT}approve-within = '2s'\n"));
    scene.waits();
    let answer = scene.answer("alice", "--grant");
    std::thread::sleep(Duration::from_millis(2_100));
    scene.refuses(&answer, "after the request had expired");
    scene.over("expired before enough people");
}

#[test]
fn approved_and_not_applied_in_time_is_over() {
    let within = "approve-within = '3s'\nexecute-within = '3s'\n";
    let scene = Scene::new(&format!("{WAIT}{within}"));
    scene.waits();
    scene.import(&scene.answer("alice", "--grant")).exits(0);
    std::thread::sleep(Duration::from_millis(3_100));
    scene.over("expired before it was applied");
}

/// What happens to a file between the answer and the execution.
type Change = fn(&Path);

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn what_was_approved_is_void_when_anything_has_changed() {
    let changes: [(&str, Change); 8] = [
        ("the settings is not the one", |node| {
            edit(&node.join("tasks/temp-clean.toml"), "'24h'", "'23h'");
        }),
        ("the grant is not the one", |node| {
            edit(&node.join("tasks/temp-clean.toml"), "100000", "99999");
        }),
        ("the policy changed", |node| {
            edit(
                &node.join("keepwell.toml"),
                "then = 'approve'",
                "then = 'approve'\napprovals = 2",
            );
        }),
        ("the policy forbids", |node| {
            edit(
                &node.join("keepwell.toml"),
                "then = 'approve'",
                "then = 'deny'",
            );
        }),
        ("no task `temp-clean`", |node| {
            std::fs::remove_file(node.join("tasks/temp-clean.toml")).unwrap();
        }),
        ("plan", |node| plan(node, |text| text + "\n")),
        ("plan", |node| {
            plan(node, |text| text.replace("file-2", "file-3"));
        }),
        ("plan", |node| plan(node, |_| String::new())),
    ];
    for (why, change) in changes {
        let scene = Scene::new(WAIT);
        scene.waits();
        scene.import(&scene.answer("alice", "--grant")).exits(0);
        change(&scene.node.dir());
        scene.over(why);
    }
}

fn plan(node: &Path, change: impl Fn(String) -> String) {
    let run = std::fs::read_dir(node.join("runs"))
        .unwrap()
        .next()
        .unwrap();
    let path = run.unwrap().path().join("plan.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, change(text)).unwrap();
}

/// The daemon looks by itself: it must end such a run too, once, and not try for ever.
#[test]
fn a_daemon_ends_what_is_void() {
    let scene = Scene::new(WAIT);
    scene.waits();
    scene.import(&scene.answer("alice", "--grant")).exits(0);
    plan(&scene.node.dir(), |text| text.replace("file-2", "file-3"));
    let daemon = Daemon::on(&scene.node);
    becomes(&scene.node, RunState::Denied);
    scene.nothing_changed();
    drop(daemon);
    assert_eq!(scene.node.journal(&["--kind", "run-ended"]).len(), 1);
}

#[test]
fn a_policy_that_asks_nobody_any_more_lets_it_go_on() {
    let scene = Scene::new(WAIT);
    scene.waits();
    edit(
        &scene.node.dir().join("keepwell.toml"),
        "then = 'approve'",
        "then = 'allow'",
    );
    let out = scene
        .node
        .keepwell(&["runs", "resume", "last", "-o", "json"]);
    assert_eq!(out.exits(0).report().applied.done, scene.old);
}

#[test]
fn a_key_that_was_revoked_since_does_not_count() {
    let scene = Scene::new(WAIT);
    scene.waits();
    scene.import(&scene.answer("alice", "--grant")).exits(0);
    let path = scene.node.dir().join("approvers.toml");
    edit(&path, "user = 'alice'", "user = 'alice'\nrevoked = 'lost'");
    // The run waits again, for somebody whose key is good.
    scene.node.keepwell(&["runs", "resume", "last"]).exits(4);
    scene.nothing_changed();
    scene.refuses(&scene.answer("alice", "--grant"), "revoked");
    scene.import(&scene.answer("bob", "--grant")).exits(0);
    let out = scene
        .node
        .keepwell(&["runs", "resume", "last", "-o", "json"]);
    assert_eq!(out.exits(0).report().applied.done, scene.old);
}
