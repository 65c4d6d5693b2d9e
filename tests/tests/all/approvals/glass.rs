//! Breaking the glass: a plan applied on one person's word, told everywhere until somebody else has
//! looked; and every way to break it that must fail.

use super::becomes;
use super::roles::{APPROVER, OPERATOR, Open, STRANGER, VIEWER};
use super::scene::{Scene, WAIT};
use crate::harness::{Daemon, Output, keepwell_typing, start, wait_for};
use keepwell_model::event::Event;
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use std::time::Duration;

const REASON: &str = "the disk is full and nobody answers";

fn own() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Whoever runs the tests may.
fn may(more: &str) -> String {
    let uid = own();
    format!("{WAIT}[policy.break-glass]\nwho = {{ users = [{uid}] }}\n{more}")
}

fn last(scene: &Scene) -> Report {
    let out = scene.node.keepwell(&["runs", "show", "last", "-o", "json"]);
    out.exits(0).report()
}

fn digits(scene: &Scene) -> String {
    last(scene).plan.unwrap().digest.hex()[..8].to_owned()
}

fn apply(scene: &Scene, digits: &str) -> Output {
    let words = ["break-glass", "apply", "last", "--reason", REASON];
    scene
        .node
        .keepwell(&[&words[..], &["--digest", digits, "-o", "json"]].concat())
}

/// It must be turned away for this reason, which is journaled, and change nothing.
#[track_caller]
fn whole(scene: &Scene, digits: &str, why: &str) {
    let refused = |scene: &Scene| scene.node.journal(&["--kind", "glass-refused"]);
    let before = refused(scene).len();
    let state = last(scene).state;
    let out = apply(scene, digits);
    out.exits(4).says(&[why]);
    let after = refused(scene);
    assert_eq!(after.len(), before + 1, "{after:?}");
    assert_eq!(after[before].actor, format!("uid:{}", own()));
    assert_eq!(last(scene).state, state);
    scene.nothing_changed();
}

#[test]
fn it_is_told_everywhere_until_somebody_else_has_looked() {
    let Some(open) = Open::with(&format!(
        "[policy.break-glass]\nwho = {{ users = [{VIEWER}] }}\n"
    )) else {
        return;
    };
    let node = &open.scene.node;
    let daemon = Daemon::on(node);
    open.ask(OPERATOR, &["run", "temp-clean"]).exits(4);
    becomes(node, RunState::Waiting);
    let typed = digits(&open.scene);
    let words = [
        "break-glass",
        "apply",
        "last",
        "--reason",
        REASON,
        "--digest",
        &typed,
    ];
    // Who asked is not who is named; nor is an approver, nor root.
    open.ask(STRANGER, &words).exits(4).says(&["holds no role"]);
    for uid in [OPERATOR, APPROVER] {
        open.ask(uid, &words).exits(4).says(&["is not among those"]);
    }
    node.keepwell(&words).exits(4).says(&["is not among those"]);
    open.scene.nothing_changed();
    open.ask(VIEWER, &words).exits(0);
    daemon.says("broke the glass");

    let report = last(&open.scene);
    assert_eq!(
        (report.state, report.applied.done),
        (RunState::Done, open.scene.old)
    );
    let glass = report.glass.unwrap();
    assert_eq!((glass.by, glass.reason.as_str()), (VIEWER, REASON));
    assert!(glass.over.contains("0 of 1"), "{}", glass.over);
    let broken = node.journal(&["--kind", "glass-broken"]);
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].actor, format!("uid:{VIEWER}"));
    let Event::GlassBroken { digest, .. } = &broken[0].event else {
        panic!("{broken:?}");
    };
    assert!(digest.hex().starts_with(&typed));

    let loud = |code: i32| {
        let status = node.keepwell(&["status"]);
        assert_eq!(
            status.out.contains("GLASS BROKEN"),
            code != 0,
            "{}",
            status.out
        );
        let findings = node.keepwell(&["findings"]);
        assert_eq!(
            findings.out.contains("broke the glass"),
            code != 0,
            "{}",
            findings.out
        );
        if code != 0 {
            status.exits(3);
            findings.exits(1);
        }
        let listed = node.keepwell(&["break-glass", "list", "-o", "json"]);
        listed.json().as_array().unwrap().len()
    };
    assert_eq!(loud(3), 1);
    let shown = node.keepwell(&["runs", "show", "last"]);
    assert!(
        shown.out.contains("nobody else has looked"),
        "{}",
        shown.out
    );

    let ack = ["break-glass", "ack", "last", "--reason", "it was right"];
    open.ask(VIEWER, &ack).exits(4).says(&["`approver`"]);
    open.ask(STRANGER, &ack).exits(4);
    open.ask(APPROVER, &ack).exits(0);
    open.ask(APPROVER, &ack).exits(2).says(&["already"]);
    assert_eq!(loud(0), 0);
    let all = node.keepwell(&["break-glass", "list", "--all", "-o", "json"]);
    assert_eq!(all.json()[0]["acknowledged"]["by"], APPROVER);
    let kept = node.keepwell(&["findings", "--all"]);
    assert!(kept.out.contains("broke the glass"), "{}", kept.out);
    open.ask(OPERATOR, &["undo", "last"]).exits(0);
    open.scene.nothing_changed();
    drop(daemon);
    node.journal_is_whole();
}

#[test]
fn who_broke_it_cannot_acknowledge_it() {
    let scene = Scene::new(&may(""));
    scene.waits();
    let ack = ["break-glass", "ack", "last", "--reason", "fine"];
    scene.node.keepwell(&ack).exits(2).says(&["nobody broke"]);
    apply(&scene, &digits(&scene)).exits(0);
    scene
        .node
        .keepwell(&ack)
        .exits(4)
        .says(&["who broke the glass cannot"]);
    scene.node.keepwell(&["status"]).exits(3);
}

#[test]
fn only_the_plan_that_was_looked_at_and_only_once() {
    let nobody = Scene::new(WAIT);
    nobody.waits();
    whole(&nobody, &digits(&nobody), "lets nobody break the glass");

    let scene = Scene::new(&may(""));
    scene.waits();
    let right = digits(&scene);
    let mut wrong = right.clone().into_bytes();
    wrong[0] = if wrong[0] == b'0' { b'1' } else { b'0' };
    let wrong = String::from_utf8(wrong).unwrap();
    for typed in [wrong.as_str(), "", &right[..7], "sha256:", "........"] {
        whole(&scene, typed, "not how the plan's digest begins");
    }
    let words = [
        "break-glass",
        "apply",
        "last",
        "--digest",
        &right,
        "--reason",
        " ",
    ];
    scene
        .node
        .keepwell(&words)
        .exits(4)
        .says(&["the reason is empty"]);
    let nobody_asked = ["break-glass", "apply", "last", "--reason", REASON];
    scene
        .node
        .keepwell(&nobody_asked)
        .exits(2)
        .says(&["--digest"]);
    scene.nothing_changed();
    assert_eq!(
        apply(&scene, &right).exits(0).report().applied.done,
        scene.old
    );
    scene.node.keepwell(&["undo", "last"]).exits(0);
    whole(&scene, &right, "broken once for a plan");
    // The next plan lacks its approval as before.
    scene.waits();
    scene.node.journal_is_whole();
}

#[test]
fn the_digest_is_typed_at_a_terminal() {
    let scene = Scene::new(&may(""));
    scene.waits();
    let words = ["break-glass", "apply", "last", "--reason", REASON];
    let typing = |typed: &str| keepwell_typing(&scene.node.dir(), &words, typed);
    let out = typing("yes");
    out.exits(4).says(&[
        "10 actions",
        "type the first 8 digits",
        "not how the plan's digest",
    ]);
    scene.nothing_changed();
    typing(&digits(&scene)).exits(0);
    assert_eq!(last(&scene).applied.done, scene.old);
}

#[test]
fn what_was_denied_stays_denied_unless_the_policy_says_otherwise() {
    for overrides in [false, true] {
        let scene = Scene::new(&may(&format!("overrides-deny = {overrides}\n")));
        scene.waits();
        scene.import(&scene.answer("alice", "--deny")).exits(0);
        if overrides {
            let report = apply(&scene, &digits(&scene)).exits(0).report();
            assert!(report.glass.unwrap().over.contains("denied by alice"));
        } else {
            whole(&scene, &digits(&scene), "denied by alice");
            // Ended for good, and still.
            scene.over("denied by alice");
            whole(&scene, &digits(&scene), "denied by alice");
        }
    }
    let deny = may("").replace("then = 'approve'", "then = 'deny'");
    let scene = Scene::new(&deny);
    scene.node.keepwell(&["run", "temp-clean"]).exits(4);
    whole(&scene, &digits(&scene), "denied by rule 1");
}

#[test]
fn what_expired_is_applied_and_what_lacks_nothing_is_not() {
    let within = WAIT.to_owned() + "approve-within = '1s'\n";
    let scene = Scene::new(&may("").replace(WAIT, &within));
    scene.waits();
    std::thread::sleep(Duration::from_millis(1_100));
    scene.over("expired before enough people");
    let report = apply(&scene, &digits(&scene)).exits(0).report();
    assert_eq!(
        (report.state, report.applied.done),
        (RunState::Done, scene.old)
    );
    scene.node.journal_is_whole();

    let scene = Scene::new(&may(""));
    scene.waits();
    scene.import(&scene.answer("alice", "--grant")).exits(0);
    whole(&scene, &digits(&scene), "it is approved");
}

/// What happens between the plan and the glass.
type Change<'a> = &'a dyn Fn(&Scene);

#[test]
fn no_glass_covers_what_has_changed_or_is_not_safe() {
    let edit = |scene: &Scene, file: &str, from: &str, to: &str| {
        let path = scene.node.dir().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    };
    let task = "tasks/temp-clean.toml";
    let changes: [(&str, Change<'_>); 4] = [
        ("the grant is not the one", &|s| {
            edit(s, task, "100000", "99999");
        }),
        ("the settings is not the one", &|s| {
            edit(s, task, "'24h'", "'23h'");
        }),
        ("is not the one that was sealed", &|s| {
            let run = std::fs::read_dir(s.node.dir().join("runs")).unwrap().next();
            let plan = run.unwrap().unwrap().path().join("plan.jsonl");
            let text = std::fs::read_to_string(&plan).unwrap();
            std::fs::write(plan, text.replace("file-2", "file-3")).unwrap();
        }),
        ("refused", &|s| {
            s.node.keepwell(&["trust", "remove", "bundled"]).exits(0);
        }),
    ];
    for (why, change) in changes {
        let scene = Scene::new(&may("overrides-deny = true\n"));
        scene.waits();
        change(&scene);
        whole(&scene, &digits(&scene), why);
    }
    // A share that was small when it was planned, and is not any more.
    let scene = Scene::new(&may("overrides-deny = true\n"));
    edit(&scene, task, "'100%'", "'60%'");
    scene.waits();
    for n in (1..16).step_by(2) {
        std::fs::remove_file(scene.node.root().join(format!("file-{n}"))).unwrap();
    }
    let out = apply(&scene, &digits(&scene));
    out.exits(4).says(&["share"]);
    assert!(scene.node.root().join("file-2").exists());
    // A person has said that nothing of it may happen.
    let scene = Scene::new(&may("overrides-deny = true\n"));
    scene.waits();
    let pause = ["task", "pause", "temp-clean", "--reason", "moving house"];
    scene.node.keepwell(&pause).exits(0);
    apply(&scene, &digits(&scene))
        .exits(75)
        .says(&["moving house"]);
    scene.nothing_changed();
}

#[test]
fn killed_right_after_it_is_gone_on_with_for_a_short_time_only() {
    for (within, late) in [("1m", false), ("1s", true)] {
        let scene = Scene::new(&may(&format!("within = '{within}'\n")));
        scene.waits();
        let typed = digits(&scene);
        let words = ["break-glass", "apply", "last", "--reason", REASON];
        let words = [&words[..], &["--digest", &typed, "-o", "jsonl"]].concat();
        let mut child = start(Some(&scene.node.dir()), &words);
        let _pipe = wait_for(&mut child, "glass-broken");
        child.kill().unwrap();
        child.wait().unwrap();
        scene.node.keepwell(&["audit", "checkpoint"]).exits(0);
        if last(&scene).state != RunState::Interrupted {
            // It was faster than the kill.
            continue;
        }
        if late {
            std::thread::sleep(Duration::from_millis(1_100));
        }
        let out = scene.node.keepwell(&["runs", "resume", "last"]);
        if late {
            out.exits(4).says(&["for a short time"]);
        } else {
            out.exits(0);
            assert_eq!(last(&scene).applied.done, scene.old);
        }
        scene.node.keepwell(&["status"]).exits(3);
        scene.node.journal_is_whole();
    }
}
