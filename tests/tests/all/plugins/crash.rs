//! `kill -9` at each step of each change of the installed plugins. The next command that opens the
//! node finds what was before or what was to be: in the lock, in the files, and in the journal.

use super::{Maker, accept, digits, files, is, one_task_more, standings};
use crate::harness::{Node, Output, keepwell_set, shared};
use keepwell_model::event::Event;
use std::collections::BTreeMap;

/// What an earlier step leaves is taken back; a later one is finished.
const STEPS: [&str; 8] = [
    "begun", "compiled", "stored", "prepared", "telling", "told", "switched", "cleared",
];
/// The first step whose kill comes too late to change what comes of it.
const DECIDED: &str = "telling";

type Facts = (BTreeMap<String, String>, (Vec<String>, usize), Vec<String>);

/// What there is, and what the journal was told of it.
fn facts(node: &Node) -> Facts {
    let kinds = [
        "installed",
        "switched",
        "held",
        "accepted",
        "rejected",
        "removed",
        "rolled-back",
        "proven",
    ];
    let kinds: Vec<String> = kinds.iter().map(|k| format!("plugin-{k}")).collect();
    let mut filter = vec![];
    for kind in &kinds {
        filter.extend(["--kind", kind]);
    }
    let told = node.journal(&filter);
    let told = told.iter().map(|r| r.event.kind().to_owned()).collect();
    (standings(node), files(node), told)
}

/// One change, made on a node on which `before` was done.
struct Case {
    before: fn(&Node, &Maker),
    change: fn(&Node, &Maker) -> Vec<String>,
    code: i32,
    /// Steps that it does not have.
    without: &'static [&'static str],
}

fn killed_at_each_step(case: &Case) {
    let scene = || {
        let node = Node::new(shared());
        let maker = Maker::on(&node);
        (case.before)(&node, &maker);
        let words = (case.change)(&node, &maker);
        (node, words)
    };
    let go = |node: &Node, words: &[String], at: &[(&str, &str)]| -> Output {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        keepwell_set(&node.dir(), &words, at)
    };
    let (node, words) = scene();
    let old = facts(&node);
    go(&node, &words, &[]).exits(case.code);
    let new = facts(&node);
    assert_ne!(old, new);
    drop(node);
    let steps = STEPS.iter().filter(|s| !case.without.contains(s));
    for (at, twice) in steps.flat_map(|at| [(at, false), (at, true)]) {
        let (node, words) = scene();
        go(&node, &words, &[("KEEPWELL_KILL_AT", at)]).exits(-1);
        let open = ["audit".to_owned(), "checkpoint".to_owned()];
        if twice {
            // Killed again while it is finished, if there is something left to tell.
            go(&node, &open, &[("KEEPWELL_KILL_AT", "telling")]);
        }
        go(&node, &open, &[]).exits(0);
        let decided =
            STEPS.iter().position(|s| s == at) >= STEPS.iter().position(|s| *s == DECIDED);
        let now = facts(&node);
        assert_eq!(
            now,
            if decided { new.clone() } else { old.clone() },
            "killed when {at}"
        );
        for left in ["state/plugins.jsonl", "plugins.lock.next"] {
            assert!(!node.dir().join(left).exists(), "{left} is left when {at}");
        }
        let told = node.journal(&["--kind", "plugin-cut-off"]);
        let [Event::PluginCutOff { finished, step, .. }] =
            &*told.iter().map(|r| r.event.clone()).collect::<Vec<_>>()
        else {
            panic!("{at}: {told:?}");
        };
        assert_eq!(*finished, decided, "{at}: {step}");
        // Whatever is active runs.
        if now.0.values().any(|standing| standing == "active") {
            node.task("sound", "plugin = 'made'\ntask = 'honest'\n");
            node.run("sound").0.exits(0);
        }
        node.journal_is_whole();
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

fn first(node: &Node, maker: &Maker) {
    node.keepwell(&["plugin", "install", &maker.plain(node, 1)])
        .exits(0);
}

fn wider(node: &Node, maker: &Maker) -> String {
    maker.file(node, "0.2.0", 2, &one_task_more)
}

#[test]
fn killed_while_installing() {
    killed_at_each_step(&Case {
        before: |_, _| {},
        change: |node, maker| words(&["plugin", "install", &maker.plain(node, 1)]),
        code: 0,
        without: &[],
    });
}

#[test]
fn killed_while_upgrading() {
    killed_at_each_step(&Case {
        before: first,
        change: |node, maker| words(&["plugin", "upgrade", &maker.plain(node, 2)]),
        code: 0,
        without: &[],
    });
}

#[test]
fn killed_while_removing() {
    killed_at_each_step(&Case {
        before: |node, maker| {
            first(node, maker);
            node.keepwell(&["plugin", "upgrade", &maker.plain(node, 2)])
                .exits(0);
        },
        change: |_, _| words(&["plugin", "remove", "made"]),
        code: 0,
        without: &["compiled", "stored"],
    });
}

#[test]
fn killed_while_holding() {
    killed_at_each_step(&Case {
        before: first,
        change: |node, maker| words(&["plugin", "upgrade", &wider(node, maker)]),
        code: 4,
        without: &[],
    });
}

#[test]
fn killed_while_accepting() {
    killed_at_each_step(&Case {
        before: |node, maker| {
            first(node, maker);
            node.keepwell(&["plugin", "upgrade", &wider(node, maker)])
                .exits(4);
        },
        change: |node, _| {
            words(&[
                "plugin",
                "accept",
                "made",
                "--digest",
                &digits(node, "0.2.0"),
            ])
        },
        code: 0,
        without: &[],
    });
}

/// The change comes at the end of a run, which is whole in each case.
#[test]
fn killed_while_rolling_back() {
    killed_at_each_step(&Case {
        before: |node, maker| {
            first(node, maker);
            node.configure_more("[plugins]\ntrial-faults = 1\n");
            node.keepwell(&["plugin", "upgrade", &maker.plain(node, 2)])
                .exits(0);
            node.task("bad", "plugin = 'made'\ntask = 'trap'\n");
        },
        change: |_, _| words(&["run", "bad"]),
        code: 1,
        without: &[],
    });
}

/// What proves itself takes the version before along, or does not.
#[test]
fn killed_while_old_versions_go() {
    killed_at_each_step(&Case {
        before: |node, maker| {
            first(node, maker);
            node.configure_more("[plugins]\ntrial-runs = 1\ntrial-faults = 1\n");
            node.keepwell(&["plugin", "upgrade", &maker.plain(node, 2)])
                .exits(0);
            node.task("good", "plugin = 'made'\ntask = 'honest'\n");
        },
        change: |_, _| words(&["run", "good"]),
        code: 0,
        without: &["compiled", "stored"],
    });
}

/// A half-written journal of a change, and one that names files elsewhere, harm nothing.
#[test]
fn a_journal_of_a_change_that_is_damaged_is_no_danger() {
    let node = Node::new(shared());
    let maker = Maker::on(&node);
    first(&node, &maker);
    let (path, key) = (
        node.dir().join("state/plugins.jsonl"),
        node.dir().join("keys/node.key"),
    );
    std::fs::write(&path, "{\"what\":\"inst").unwrap();
    node.keepwell(&["audit", "checkpoint"]).exits(0);
    let elsewhere = serde_json::json!({
        "what": "install", "plugin": "made", "version": "0.9.0", "actor": "uid:0", "entries": 0,
        "made": ["plugins/../keys/node.key", "/etc/hostname"], "gone": ["../keys/node.key"],
        "events": [], "lock": "",
    });
    std::fs::write(&path, format!("{elsewhere}\n")).unwrap();
    node.keepwell(&["audit", "checkpoint"]).exits(0);
    assert!(key.exists() && !path.exists());
    is(&node, &[("0.1.0", "active")]);
    node.keepwell(&["plugin", "upgrade", &wider(&node, &maker)])
        .exits(4);
    accept(&node, "0.2.0").exits(0);
}
