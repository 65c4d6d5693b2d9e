//! Hands other than ours in the installed plugins: replaced files, edited locks, poisoned code, and
//! names that look like others.

use super::{Maker, accept, digits, is, one_task_more, runs_as, write};
use crate::harness::{Node, shared};
use keepwell_bundle::{Draft, SecretKey, build};

fn held() -> (Node, Maker) {
    let node = Node::new(shared());
    let maker = Maker::on(&node);
    node.task("active", "plugin = 'made'\ntask = 'honest'\n");
    node.keepwell(&["plugin", "install", &maker.plain(&node, 1)])
        .exits(0);
    let two = maker.file(&node, "0.2.0", 2, &one_task_more);
    node.keepwell(&["plugin", "upgrade", &two]).exits(4);
    (node, maker)
}

/// Between the look and the word of who accepts it, another bundle takes its place.
#[test]
fn a_replaced_held_file_is_not_accepted() {
    let (node, maker) = held();
    let file = node.dir().join("plugins/made-0.2.0.kwb");
    let other = maker.bundle("0.2.0", 3, &one_task_more);
    std::fs::write(&file, other).unwrap();
    let out = accept(&node, "0.2.0");
    out.exits(4)
        .says(&["plugins.lock says", "somebody replaced the file"]);
    std::fs::remove_file(&file).unwrap();
    assert_ne!(accept(&node, "0.2.0").code, 0);
    is(&node, &[("0.1.0", "active"), ("0.2.0", "held")]);
    assert_eq!(runs_as(&node, "active"), "0.1.0");
    node.keepwell(&["plugin", "reject", "made"]).exits(0);
}

#[test]
fn a_lock_edited_by_hand_is_not_believed() {
    let (node, _) = held();
    let path = node.dir().join("plugins.lock");
    let text = std::fs::read_to_string(&path).unwrap();
    let standing = text
        .replace("\"active\"", "\"beside\"")
        .replace("\"held\"", "\"active\"");
    let unsealed = text.split_once('\n').unwrap().1.to_owned();
    let other_seal = text.replacen("seal = \"", "seal = \"00", 1);
    let space = format!("{text}\n");
    for edited in [standing, unsealed, other_seal, space] {
        std::fs::write(&path, edited).unwrap();
        let (out, report) = node.run("active");
        out.exits(4);
        assert!(
            report
                .reason
                .unwrap()
                .contains("changed by another program")
        );
        let digits = "0".repeat(8);
        for verb in [
            &["list"][..],
            &["accept", "made", "--digest", &digits],
            &["remove", "made"],
        ] {
            let out = node.keepwell(&[&["plugin"], verb].concat());
            out.exits(4)
                .says(&["changed by another program", "restore it"]);
        }
    }
    std::fs::write(&path, text).unwrap();
    assert_eq!(runs_as(&node, "active"), "0.1.0");
}

#[test]
fn poisoned_machine_code_of_an_upgrade_never_runs() {
    let (node, _) = held();
    accept(&node, "0.2.0").exits(0);
    for entry in std::fs::read_dir(node.dir().join("cache")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    node.run("active").0.exits(0).says(&["compiling it again"]);
    assert!(!node.run("active").0.err.contains("compiling"));
    // Nor is it taken over when the same component comes once more.
    let again = node.scratch().join("made-0.2.0-2.kwb");
    node.keepwell(&["plugin", "install", again.to_str().unwrap()])
        .exits(0);
    assert_eq!(runs_as(&node, "active"), "0.2.0");
}

/// Names are of `[a-z0-9-]`: what differs in case, or by a letter of another script, is none.
#[test]
fn a_name_that_looks_like_another_is_refused() {
    let (node, maker) = held();
    let key = SecretKey::generate([9; 32]);
    let draft = build(&Draft {
        manifest: maker.manifest.clone(),
        component: maker.component.clone(),
        publisher: "maker".into(),
        release: 9,
        issued_ms: None,
    });
    let draft = draft.unwrap();
    let payload = String::from_utf8(draft.payload.clone()).unwrap();
    for name in [
        "Made",
        "mad\u{435}",
        "m\u{e0}de",
        "made\u{200b}",
        "made ",
        "made_",
        "ma/de",
        "",
    ] {
        let renamed = payload.replace("\"name\":\"made\"", &format!("\"name\":\"{name}\""));
        assert_ne!(renamed, payload);
        let mut unsigned = draft.clone();
        unsigned.payload = renamed.into_bytes();
        let file = write(&node, "look-alike.kwb", &unsigned.sign(&key).unwrap());
        let out = node.keepwell(&["plugin", "install", &file]);
        assert_eq!(out.code, 4, "{name}: {}", out.err);
        out.says(&["is refused", "is not a plugin name"]);
    }
    for name in ["Made", "mad\u{435}"] {
        node.keepwell(&["plugin", "remove", name])
            .exits(2)
            .says(&["lower-case letters"]);
        node.task("other", &format!("plugin = '{name}'\ntask = 'honest'\n"));
        node.keepwell(&["config", "check"])
            .exits(78)
            .says(&["lower-case letters"]);
    }
    is(&node, &[("0.1.0", "active"), ("0.2.0", "held")]);
    assert_eq!(digits(&node, "0.2.0").len(), 8);
}
