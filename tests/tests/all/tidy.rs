//! The form of the code itself: which crate may know which, and how a file begins.

use crate::harness::{checkout, command};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Of our crates, those that each may depend on: imports run one way only.
const MAY: &[(&str, &[&str])] = &[
    ("host/model", &[]),
    ("host/bundle", &["keepwell-model"]),
    ("host/journal", &["keepwell-model"]),
    ("host/store", &["keepwell-model", "keepwell-bundle"]),
    ("host/node", &["keepwell-model", "keepwell-store"]),
    ("host/sandbox", &["keepwell-model", "keepwell-node"]),
    (
        "host/keepwell",
        &[
            "keepwell-model",
            "keepwell-bundle",
            "keepwell-journal",
            "keepwell-node",
            "keepwell-sandbox",
            "keepwell-store",
        ],
    ),
    ("host/pull", &["keepwell-model", "keepwell-bundle"]),
    ("sdk", &[]),
    ("xtask", &[]),
];

/// What only one room may name, and where.
const DOORS: &[(&str, &[&str])] = &[
    ("wasmtime", &["host/sandbox"]),
    ("rusqlite", &["host/journal"]),
    ("ed25519-dalek", &["host"]),
    ("reed-solomon-simd", &["host/store"]),
    ("landlock", &["host/sandbox", "host/pull"]),
    ("tough", &["host/pull"]),
    ("oci-client", &["host/pull"]),
    ("reqwest", &["host/pull"]),
    ("rustls", &["host/pull"]),
];

/// Dependencies of a crate, those of its tests left out.
fn dependencies(of: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(of.join("Cargo.toml")).unwrap();
    let file: toml::Table = text.parse().unwrap();
    let mut names = BTreeSet::new();
    for table in ["dependencies", "build-dependencies"] {
        if let Some(table) = file.get(table) {
            names.extend(table.as_table().unwrap().keys().cloned());
        }
    }
    names
}

#[test]
fn imports_run_one_way() {
    for (room, may) in MAY {
        let ours: Vec<String> = dependencies(&checkout().join(room))
            .into_iter()
            .filter(|name| name.starts_with("keepwell"))
            .collect();
        for name in &ours {
            assert!(
                may.contains(&name.as_str()),
                "{room} may not depend on {name}"
            );
        }
    }
    for folder in ["host", "plugins"] {
        for room in std::fs::read_dir(checkout().join(folder)).unwrap() {
            let room = room.unwrap().path();
            if !room.join("Cargo.toml").exists() {
                continue;
            }
            let name = room
                .strip_prefix(checkout())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let known = MAY.iter().any(|(room, _)| *room == name);
            let plugin = folder == "plugins";
            assert!(known || plugin, "the tidy test does not know {name}");
            let host = dependencies(&room);
            let host = host
                .iter()
                .find(|d| d.starts_with("keepwell") && *d != "keepwell-sdk");
            assert!(
                !plugin || host.is_none(),
                "{name} names {host:?}: plugins meet the host in wit/ alone"
            );
        }
    }
}

#[test]
fn doors_are_where_they_are_said_to_be() {
    for (room, _) in MAY {
        for name in dependencies(&checkout().join(room)) {
            for (door, places) in DOORS {
                assert!(
                    name != *door || places.iter().any(|place| room.starts_with(place)),
                    "{room} names {door}"
                );
            }
        }
    }
}

/// The daemon and the command line ask no network for plugins: nothing they are built of could.
#[test]
fn no_network_client_is_linked_into_keepwell() {
    let tree = |package: &str| {
        let args = [
            "tree",
            "--locked",
            "--offline",
            "-e",
            "normal",
            "--prefix",
            "none",
            "-p",
        ];
        let manifest = checkout().join("Cargo.toml");
        let manifest = ["--manifest-path", manifest.to_str().unwrap()];
        command("cargo", &[&args[..], &[package], &manifest].concat(), &[])
    };
    let names = |tree: &str| -> BTreeSet<String> {
        let first = |line: &str| line.split(' ').next().unwrap().to_owned();
        tree.lines().map(first).collect()
    };
    let (keepwell, puller) = (names(&tree("keepwell")), names(&tree("keepwell-pull")));
    for client in [
        "tough",
        "oci-client",
        "reqwest",
        "rustls",
        "hyper",
        "ureq",
        "aws-lc-rs",
        "keepwell-pull",
    ] {
        assert!(!keepwell.contains(client), "keepwell links {client}");
    }
    // The names are right: this is how they are spelled where they are linked.
    for client in [
        "tough",
        "oci-client",
        "reqwest",
        "rustls",
        "hyper",
        "aws-lc-rs",
    ] {
        assert!(
            puller.contains(client),
            "keepwell-pull does not link {client}"
        );
    }
    assert!(keepwell.contains("wasmtime") && !puller.contains("wasmtime"));
}

/// Shared by several test binaries, each of which uses another part: an expectation of dead code
/// would fail in one of them.
const SHARED: &[&str] = &["host/sandbox/tests/common/mod.rs"];

/// Every Rust file of the checkout, built ones left out.
pub(crate) fn sources(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, all);
        } else if name.ends_with(".rs") {
            all.push(path);
        }
    }
}

/// Calls can be made to fail, and sensors to say what an author likes, where a plugin is rehearsed, and
/// by nothing that a node does.
#[test]
fn only_a_rehearsal_makes_calls_fail() {
    let mut all = vec![];
    sources(&checkout().join("host"), &mut all);
    for (words, rooms) in [
        (
            "Rehearsed::new(",
            &[
                "keepwell/src/pipeline/rehearsed.rs",
                "keepwell/src/rehearsal/mod.rs",
            ][..],
        ),
        (
            "Rehearsal::new(",
            &[
                "keepwell/src/cli/plugin/dev.rs",
                "keepwell/src/cli/plugin/test.rs",
            ],
        ),
        (".rehearsed = ", &["keepwell/src/rehearsal/mod.rs"]),
    ] {
        let names = |path: &&PathBuf| std::fs::read_to_string(path).unwrap().contains(words);
        let mut found: Vec<PathBuf> = all.iter().filter(names).cloned().collect();
        found.sort();
        let expected = rooms.iter().map(|room| checkout().join("host").join(room));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{words}");
    }
}

#[test]
fn files_say_what_they_are_for_and_leave_nothing_undone() {
    let mut all = vec![];
    sources(&checkout(), &mut all);
    assert!(all.len() > 200, "only {} files", all.len());
    // Taken apart, so that this file passes its own test.
    let banned = [
        ["to", "do!("].concat(),
        ["unimple", "mented!("].concat(),
        ["[al", "low("].concat(),
    ];
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        let at = path.strip_prefix(checkout()).unwrap().to_str().unwrap();
        assert!(
            text.starts_with("//! "),
            "{at}: the first line does not say what the file is for"
        );
        for (n, line) in text.lines().enumerate() {
            let found = banned
                .iter()
                .find(|b| line.contains(b.as_str()) && !line.trim_start().starts_with("//"));
            let known = SHARED.contains(&at);
            assert!(found.is_none() || known, "{at}:{}: {line}", n + 1);
        }
    }
}

#[test]
fn crates_take_the_lints_of_their_workspace() {
    let rooms = MAY
        .iter()
        .map(|(room, _)| *room)
        .chain(["tests", "tests/guests"]);
    for room in rooms {
        let text = std::fs::read_to_string(checkout().join(room).join("Cargo.toml")).unwrap();
        let file: toml::Table = text.parse().unwrap();
        let lints = &file["lints"];
        if lints.get("workspace") == Some(&toml::Value::Boolean(true)) {
            continue;
        }
        // A crate that needs `unsafe` in a place or two has to write the whole table itself.
        assert!(
            ["host/node", "host/sandbox", "sdk"].contains(&room),
            "{room} has lints of its own"
        );
        assert_eq!(
            lints["rust"]["unsafe_code"].as_str(),
            Some("deny"),
            "{room}"
        );
        for lint in ["allow_attributes", "unwrap_used", "todo"] {
            assert_eq!(
                lints["clippy"][lint].as_str(),
                Some("warn"),
                "{room}: {lint}"
            );
        }
    }
}
