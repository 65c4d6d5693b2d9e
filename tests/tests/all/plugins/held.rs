//! An upgrade that asks for more waits until it is accepted; so does the way back.

use super::{Maker, accept, digits, files, is, one_task_more, rows, runs_as};
use crate::harness::{Daemon, Node, keepwell_typing, shared};
use keepwell_model::capability::Capability;
use keepwell_model::event::Event;
use keepwell_model::manifest::Manifest;
use keepwell_model::units::Bytes;

fn budget(manifest: &mut Manifest, files: Option<u64>) {
    for task in &mut manifest.tasks {
        for need in task
            .needs
            .iter_mut()
            .filter(|n| n.capability == Capability::StorageClean)
        {
            need.max_files = files;
            need.max_bytes = files.map(Bytes);
        }
    }
}

/// A node with version 0.1.0 active, whose clean budget is 10 files.
fn scene() -> (Node, Maker) {
    let node = Node::new(shared());
    let maker = Maker::on(&node);
    let one = maker.file(&node, "0.1.0", 1, &|m| budget(m, Some(10)));
    node.keepwell(&["plugin", "install", &one]).exits(0);
    node.task("active", "plugin = 'made'\ntask = 'honest'\n");
    (node, maker)
}

#[test]
fn what_widens_is_printed_and_nothing_of_it_runs() {
    let (node, maker) = scene();
    let before = files(&node).1;
    let two = maker.file(&node, "0.2.0", 2, &|m| {
        budget(m, None);
        one_task_more(m);
    });
    let out = node.keepwell(&["plugin", "upgrade", &two]);
    for words in [
        "max-files without a bound, before 10",
        "max-bytes",
        "task `another` is new",
    ] {
        assert!(out.exits(4).out.contains(words), "{words}: {}", out.out);
    }
    out.says(&["keepwell plugin accept made@0.2.0"]);
    is(&node, &[("0.1.0", "active"), ("0.2.0", "held")]);
    assert_eq!(files(&node).1, before, "it was compiled");
    assert_eq!(runs_as(&node, "active"), "0.1.0");
    // By its version or its digest it does not run either.
    let id = rows(&node)[1]["bundle"].as_str().unwrap().to_owned();
    for wanted in ["made@0.2.0", &id] {
        node.task("pinned", &format!("plugin = '{wanted}'\ntask = 'honest'\n"));
        let (out, report) = node.run("pinned");
        out.exits(4);
        assert!(report.reason.unwrap().contains("is held"));
    }
    let held = node.journal(&["--kind", "plugin-held"]);
    let Some(Event::PluginHeld { wider, .. }) = held.last().map(|r| &r.event) else {
        panic!("{held:?}");
    };
    assert!(wider.iter().any(|l| l.contains("max-files")), "{wider:?}");
    // Once more changes nothing.
    node.keepwell(&["plugin", "upgrade", &two]).exits(4);
    is(&node, &[("0.1.0", "active"), ("0.2.0", "held")]);
    accept(&node, "0.2.0").exits(0);
    is(&node, &[("0.1.0", "beside"), ("0.2.0", "active")]);
    assert_eq!(runs_as(&node, "active"), "0.2.0");
    node.journal_is_whole();
}

#[test]
fn less_or_the_same_needs_nobody() {
    let (node, maker) = scene();
    let two = maker.file(&node, "0.2.0", 2, &|m| budget(m, Some(9)));
    node.keepwell(&["plugin", "upgrade", &two]).exits(0);
    assert_eq!(runs_as(&node, "active"), "0.2.0");
}

/// Another signer, or one of a lower tier, is more as well.
#[test]
fn another_signer_is_held() {
    let (node, maker) = scene();
    let other = maker.other(11);
    other.trusted_as(&node, "stranger", "third-party");
    let two = other.file(&node, "0.2.0", 2, &|m| budget(m, Some(10)));
    let out = node.keepwell(&["plugin", "upgrade", &two]);
    for words in ["tier third-party, before own", "signed by `stranger`"] {
        assert!(out.exits(4).out.contains(words), "{words}: {}", out.out);
    }
    node.keepwell(&["plugin", "reject", "made"]).exits(0);
    is(&node, &[("0.1.0", "active")]);
    assert_eq!(files(&node).0, ["made-0.1.0.kwb"]);
    node.keepwell(&["plugin", "accept", "made", "--digest", "00000000"])
        .exits(2)
        .says(&["no version"]);
}

#[test]
fn only_the_bundle_that_was_looked_at_is_accepted() {
    let (node, maker) = scene();
    let two = maker.file(&node, "0.2.0", 2, &one_task_more);
    node.keepwell(&["plugin", "upgrade", &two]).exits(4);
    for wrong in [
        "",
        "0",
        "00000000",
        "zzzzzzzz",
        &digits(&node, "0.2.0")[..7],
    ] {
        let out = node.keepwell(&["plugin", "accept", "made", "--digest", wrong]);
        out.exits(4).says(&["bundle's id"]);
    }
    node.keepwell(&["plugin", "accept", "made"])
        .exits(2)
        .says(&["--digest"]);
    let typed = keepwell_typing(&node.dir(), &["plugin", "accept", "made"], "00000000");
    typed
        .exits(4)
        .says(&["task `another` is new", "type the first 8 digits"]);
    is(&node, &[("0.1.0", "active"), ("0.2.0", "held")]);
    let digits = digits(&node, "0.2.0");
    keepwell_typing(&node.dir(), &["plugin", "accept", "made"], &digits).exits(0);
    is(&node, &[("0.1.0", "beside"), ("0.2.0", "active")]);
    assert_eq!(node.journal(&["--kind", "plugin-accepted"]).len(), 1);
}

/// Held by a daemon, restarted, accepted through its socket.
#[test]
fn a_daemon_holds_and_accepts_through_its_restart() {
    let (node, maker) = scene();
    let two = maker.file(&node, "0.2.0", 2, &one_task_more);
    let daemon = Daemon::on(&node);
    node.keepwell(&["plugin", "upgrade", &two]).exits(4);
    daemon.killed();
    let daemon = Daemon::on(&node);
    is(&node, &[("0.1.0", "active"), ("0.2.0", "held")]);
    let status = node.keepwell(&["status"]);
    assert!(
        status.out.contains("keepwell plugin accept made@0.2.0"),
        "{}",
        status.out
    );
    assert_eq!(runs_as(&node, "active"), "0.1.0");
    accept(&node, "0.2.0").exits(0);
    assert_eq!(runs_as(&node, "active"), "0.2.0");
    drop(daemon);
    node.journal_is_whole();
}

/// Back only to what was accepted here, and only by somebody's word.
#[test]
fn a_downgrade_is_accepted_or_refused() {
    let (node, maker) = scene();
    let one = maker.file(&node, "0.1.0", 1, &|m| budget(m, Some(10)));
    let three = maker.file(&node, "0.3.0", 3, &|m| budget(m, Some(10)));
    node.keepwell(&["plugin", "upgrade", &three]).exits(0);
    let never = maker.file(&node, "0.2.0", 2, &|m| budget(m, Some(10)));
    for verb in ["upgrade", "install"] {
        let out = node.keepwell(&["plugin", verb, &never]);
        out.exits(4).says(&["it is older", "accepted here before"]);
    }
    // A lower release under a higher version is as old.
    let dressed = maker.file(&node, "0.9.0", 2, &|m| budget(m, Some(10)));
    node.keepwell(&["plugin", "upgrade", &dressed])
        .exits(4)
        .says(&["it is older"]);
    let out = node.keepwell(&["plugin", "upgrade", &one]);
    assert!(
        out.exits(4).out.contains("it is older: 0.1.0 (release 1)"),
        "{}",
        out.out
    );
    is(&node, &[("0.1.0", "beside"), ("0.3.0", "active")]);
    assert_eq!(runs_as(&node, "active"), "0.3.0");
    accept(&node, "0.1.0").exits(0);
    assert_eq!(runs_as(&node, "active"), "0.1.0");
}
