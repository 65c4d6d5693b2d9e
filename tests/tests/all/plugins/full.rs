//! A disk that is full while plugins are installed and upgraded: what was there stays, and is said.

use super::{Maker, is, standings};
use crate::full_disk::Small;
use crate::harness::{Node, alone, keepwell};
use std::process::Command;

#[test]
fn full_while_installing() {
    let node = Node::new(alone());
    let maker = Maker::on(&node);
    node.keepwell(&["plugin", "install", &maker.plain(&node, 1)])
        .exits(0);
    node.task("active", "plugin = 'made'\ntask = 'honest'\n");
    let two = maker.plain(&node, 2);
    let Some(small) = Small::mount(&node.scratch().join("small"), "96M") else {
        return;
    };
    let moved = small.0.join("node");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(node.dir())
        .arg(&moved)
        .status();
    assert!(copied.unwrap().success());
    let on_small = |args: &[&str]| keepwell(Some(&moved), args);
    let version = || -> String {
        let listed = on_small(&["plugin", "list", "-o", "json"]);
        let listed = listed.exits(0).json();
        let mut all = listed.as_array().unwrap().iter();
        let active = all.find(|r| r["name"] == "made" && r["standing"] == "active");
        active.unwrap()["version"].as_str().unwrap().to_owned()
    };
    let mut failed = 0;
    for free in [
        0,
        4_096,
        65_536,
        262_144,
        524_288,
        1 << 20,
        2 << 20,
        3 << 20,
        4 << 20,
    ] {
        let filler = small.fill(free);
        let out = on_small(&["plugin", "upgrade", &two]);
        std::fs::remove_file(filler).unwrap();
        // The next start finds what was under way.
        on_small(&["audit", "checkpoint"]).exits(0);
        on_small(&["audit", "verify"]).exits(0);
        let now = version();
        let run = on_small(&["run", "active", "-o", "json"]);
        assert_eq!(run.exits(0).report().plugin_version.unwrap(), now);
        if out.code == 0 {
            assert_eq!(now, "0.2.0");
            break;
        }
        failed += 1;
        assert!(
            [1, 6].contains(&out.code),
            "with {free} bytes free: {}",
            out.err
        );
        let told = out.err.to_lowercase();
        assert!(
            ["space", "full", "room"].iter().any(|w| told.contains(w)),
            "{told}"
        );
        if now == "0.2.0" {
            break;
        }
    }
    assert!(failed >= 2, "the disk was never full at the wrong moment");
    if version() == "0.1.0" {
        on_small(&["plugin", "upgrade", &two]).exits(0);
    }
    assert_eq!(version(), "0.2.0");
    is(&node, &[("0.1.0", "active")]);
    assert_eq!(standings(&node).len(), 1);
}
