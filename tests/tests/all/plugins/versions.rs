//! Several versions of one plugin: which one runs, and how they come and go.

use super::{Maker, files, is, rows, runs_as};
use crate::harness::{Daemon, Node, shared, start};

#[test]
fn a_version_stands_beside_until_it_is_upgraded_to() {
    let node = Node::new(shared());
    let maker = Maker::on(&node);
    node.task("active", "plugin = 'made'\ntask = 'honest'\n");
    node.task("pinned", "plugin = 'made@0.2.0'\ntask = 'honest'\n");
    let (one, two) = (maker.plain(&node, 1), maker.plain(&node, 2));
    node.keepwell(&["plugin", "install", &one]).exits(0);
    node.keepwell(&["config", "check"])
        .exits(78)
        .says(&["made@0.2.0", "installed as 0.1.0"]);
    let out = node.keepwell(&["plugin", "install", &two]);
    assert!(
        out.exits(0).out.contains("beside the active version"),
        "{}",
        out.out
    );
    is(&node, &[("0.1.0", "active"), ("0.2.0", "beside")]);
    assert_eq!(runs_as(&node, "active"), "0.1.0");
    assert_eq!(runs_as(&node, "pinned"), "0.2.0");
    node.keepwell(&["plugin", "upgrade", &two]).exits(0);
    is(&node, &[("0.1.0", "beside"), ("0.2.0", "active")]);
    assert_eq!(runs_as(&node, "active"), "0.2.0");
    node.keepwell(&["plugin", "upgrade", &two])
        .exits(4)
        .says(&["not newer"]);
    node.keepwell(&["config", "check"]).exits(0);
    node.journal_is_whole();
}

#[test]
fn what_is_needed_is_not_removed() {
    let node = Node::new(shared());
    let maker = Maker::on(&node);
    for n in 1..=2 {
        node.keepwell(&["plugin", "install", &maker.plain(&node, n)])
            .exits(0);
    }
    node.keepwell(&["plugin", "upgrade", &maker.plain(&node, 3)])
        .exits(0);
    let remove = |what: &str| node.keepwell(&["plugin", "remove", what]);
    remove("made@0.3.0")
        .exits(4)
        .says(&["is the active version"]);
    remove("made@0.1.0").exits(4).says(&["would go back to"]);
    node.task("pinned", "plugin = 'made@0.2.0'\ntask = 'honest'\n");
    remove("made@0.2.0").exits(4).says(&["used by: pinned"]);
    remove("made").exits(4).says(&["used by: pinned"]);
    std::fs::remove_file(node.dir().join("tasks/pinned.toml")).unwrap();
    remove("made@0.2.0").exits(0).says(&["removed made@0.2.0"]);
    is(&node, &[("0.1.0", "beside"), ("0.3.0", "active")]);
    let (_, before) = files(&node);
    remove("made").exits(0).says(&["made@0.1.0, made@0.3.0"]);
    assert_eq!(files(&node), (vec![], before - 2));
    remove("made").exits(2).says(&["not installed"]);
    // What was accepted once is remembered: nothing older comes in by this door.
    let older = maker.file(&node, "0.0.9", 1, &|_| {});
    node.keepwell(&["plugin", "install", &older])
        .exits(4)
        .says(&["older", "accepted here before"]);
    node.keepwell(&["plugin", "install", &maker.plain(&node, 3)])
        .exits(0);
    is(&node, &[("0.3.0", "active")]);
    node.journal_is_whole();
}

#[test]
fn a_version_has_one_content() {
    let node = Node::new(shared());
    let maker = Maker::on(&node);
    node.keepwell(&["plugin", "install", &maker.plain(&node, 1)])
        .exits(0);
    let other = maker.file(&node, "0.1.0", 2, &|_| {});
    for verb in ["install", "upgrade"] {
        node.keepwell(&["plugin", verb, &other])
            .exits(4)
            .says(&["with other content"]);
    }
    // The same once more mends a file that was lost.
    std::fs::remove_file(node.dir().join("plugins/made-0.1.0.kwb")).unwrap();
    node.keepwell(&["plugin", "install", &maker.plain(&node, 1)])
        .exits(0);
    node.task("active", "plugin = 'made'\ntask = 'honest'\n");
    assert_eq!(runs_as(&node, "active"), "0.1.0");
}

/// Whoever is second waits or is told so; no version is lost, and the lock says what is there.
#[test]
fn many_at_once_get_into_nobodys_way() {
    let node = Node::new(shared());
    let maker = Maker::on(&node);
    node.keepwell(&["plugin", "install", &maker.plain(&node, 1)])
        .exits(0);
    let all: Vec<String> = (2..=5).map(|n| maker.plain(&node, n)).collect();
    let at_once = |files: &[String]| -> Vec<i32> {
        let each = files.iter().flat_map(|f| [f, f]);
        let begun: Vec<_> = each
            .map(|f| start(Some(&node.dir()), &["plugin", "install", f]))
            .collect();
        let ended = begun.into_iter().map(|c| c.wait_with_output().unwrap());
        ended.map(|out| out.status.code().unwrap()).collect()
    };
    let codes = at_once(&all[..2]);
    assert!(
        codes.iter().all(|c| [0, 75].contains(c)) && codes.contains(&0),
        "{codes:?}"
    );
    let daemon = Daemon::on(&node);
    let codes = at_once(&all);
    assert!(codes.iter().all(|c| [0, 75].contains(c)), "{codes:?}");
    drop(daemon);
    for file in &all {
        node.keepwell(&["plugin", "install", file]).exits(0);
    }
    let versions: Vec<_> = rows(&node).iter().map(|r| r["version"].clone()).collect();
    assert_eq!(versions, ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0"]);
    assert_eq!(files(&node).0.len(), 5);
    node.journal_is_whole();
}

/// The form that the version before wrote is read, and written anew with the next change.
#[test]
fn the_lock_of_the_version_before_is_read() {
    let node = Node::new(shared());
    let maker = Maker::on(&node);
    node.keepwell(&["plugin", "install", &maker.plain(&node, 1)])
        .exits(0);
    let path = node.dir().join("plugins.lock");
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, body) = keepwell_bundle::split(&text);
    let mut file: toml::Table = body.parse().unwrap();
    for key in ["form", "accepted", "grants"] {
        file.remove(key);
    }
    for plugin in file["plugin"].as_array_mut().unwrap() {
        for key in ["standing", "signers"] {
            plugin.as_table_mut().unwrap().remove(key);
        }
    }
    std::fs::write(&path, file.to_string()).unwrap();
    is(&node, &[("0.1.0", "active")]);
    assert_eq!(rows(&node)[0]["signers"][0], rows(&node)[0]["signer"]);
    node.keepwell(&["plugin", "install", &maker.plain(&node, 2)])
        .exits(0);
    is(&node, &[("0.1.0", "active"), ("0.2.0", "beside")]);
    let now = std::fs::read_to_string(&path).unwrap();
    assert!(
        now.starts_with("seal = ") && now.contains("form = 2"),
        "{now}"
    );
}
