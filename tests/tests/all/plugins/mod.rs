//! Installed plugins over time: versions side by side, upgrades, what is held, and going back.

mod crash;
mod full;
mod held;
mod hostile;
mod trial;
mod used;
mod versions;

use crate::harness::{Node, Output, guests};
use keepwell_bundle::{Draft, SecretKey, build};
use keepwell_model::manifest::Manifest;
use std::collections::BTreeMap;

/// A publisher with a plugin `made`, whose tasks are the hostile guests'. Each version is another
/// component.
#[derive(Debug)]
pub(crate) struct Maker {
    key: SecretKey,
    manifest: Manifest,
    component: Vec<u8>,
}

impl Maker {
    /// Trusted on the node for every capability.
    pub(crate) fn on(node: &Node) -> Self {
        let inspected = node.keepwell(&["plugin", "inspect", "hostile", "-o", "json"]);
        let mut manifest = inspected.exits(0).json()["manifest"].take();
        manifest["name"] = "made".into();
        let key = SecretKey::generate([9; 32]);
        let it = Self {
            manifest: Manifest::parse(&manifest.to_string()).unwrap(),
            component: std::fs::read(guests()).unwrap(),
            key,
        };
        it.trusted_as(node, "maker", "own");
        it
    }

    /// The key under a name and tier.
    pub(crate) fn trusted_as(&self, node: &Node, name: &str, tier: &str) {
        let public = self.key.public().to_string();
        let mut add = vec![
            "trust", "add", name, &public, "--names", "made", "--tier", tier,
        ];
        for capability in keepwell_model::capability::Capability::ALL {
            add.extend(["--capability", capability.name()]);
        }
        node.keepwell(&add).exits(0);
    }

    /// The same plugin signed by another key.
    pub(crate) fn other(&self, seed: u8) -> Self {
        Self {
            key: SecretKey::generate([seed; 32]),
            manifest: self.manifest.clone(),
            component: self.component.clone(),
        }
    }

    /// `change` makes it ask for something else.
    pub(crate) fn bundle(
        &self,
        version: &str,
        release: u64,
        change: &dyn Fn(&mut Manifest),
    ) -> Vec<u8> {
        let mut manifest = self.manifest.clone();
        manifest.version = version.to_owned();
        change(&mut manifest);
        let mut component = self.component.clone();
        // A section that only readers look at: the same code under another digest.
        let note = format!("\u{7}version{version}");
        component.extend([0, u8::try_from(note.len()).unwrap()]);
        component.extend(note.as_bytes());
        let draft = Draft {
            manifest,
            component,
            publisher: "maker".into(),
            release,
            issued_ms: None,
        };
        build(&draft).unwrap().sign(&self.key).unwrap()
    }

    /// The same as a file.
    pub(crate) fn file(
        &self,
        node: &Node,
        version: &str,
        release: u64,
        change: &dyn Fn(&mut Manifest),
    ) -> String {
        let bytes = self.bundle(version, release, change);
        write(node, &format!("made-{version}-{release}.kwb"), &bytes)
    }

    /// Version `0.N.0` is release N and asks for what the others ask for.
    pub(crate) fn plain(&self, node: &Node, n: u64) -> String {
        self.file(node, &format!("0.{n}.0"), n, &|_| {})
    }
}

pub(crate) fn write(node: &Node, name: &str, bytes: &[u8]) -> String {
    let path = node.scratch().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// One more task: the honest one under another name.
pub(crate) fn one_task_more(manifest: &mut Manifest) {
    let mut task = manifest.task("honest").unwrap().clone();
    task.name = "another".into();
    manifest.tasks.push(task);
}

/// Standing of each version of `made`, as `plugin list` shows it.
#[track_caller]
pub(crate) fn standings(node: &Node) -> BTreeMap<String, String> {
    rows(node)
        .into_iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            (text("version"), text("standing"))
        })
        .collect()
}

/// The rows of `made` in `plugin list`.
#[track_caller]
pub(crate) fn rows(node: &Node) -> Vec<serde_json::Value> {
    let listed = node.keepwell(&["plugin", "list", "-o", "json"]);
    let listed = listed.exits(0).json();
    let all = listed.as_array().unwrap().iter();
    all.filter(|row| row["name"] == "made").cloned().collect()
}

/// Which version a run of the task runs.
#[track_caller]
pub(crate) fn runs_as(node: &Node, task: &str) -> String {
    let (out, report) = node.run(task);
    out.exits(0);
    report.plugin_version.unwrap()
}

#[track_caller]
pub(crate) fn is(node: &Node, expected: &[(&str, &str)]) {
    let owned = |(version, standing): &(&str, &str)| (version.to_string(), standing.to_string());
    assert_eq!(standings(node), expected.iter().map(owned).collect());
}

/// Files of `made` in `plugins/`, and how many lie in the cache.
pub(crate) fn files(node: &Node) -> (Vec<String>, usize) {
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(node.dir().join(folder)).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let mut plugins = names("plugins");
    plugins.retain(|name| name.starts_with("made-") || !name.ends_with(".kwb"));
    (plugins, names("cache").len())
}

/// The first digits of the bundle's id of a version.
#[track_caller]
pub(crate) fn digits(node: &Node, version: &str) -> String {
    let rows = rows(node);
    let row = rows.iter().find(|row| row["version"] == version).unwrap();
    row["bundle"].as_str().unwrap()["sha256:".len()..][..8].to_owned()
}

#[track_caller]
pub(crate) fn accept(node: &Node, version: &str) -> Output {
    let (pin, digits) = (format!("made@{version}"), digits(node, version));
    node.keepwell(&["plugin", "accept", &pin, "--digest", &digits])
}
