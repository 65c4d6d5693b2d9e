//! A repository with its keys in a folder of a test's own, and bundles to put into it.

use crate::harness::{Output, keepwell, pull};
use keepwell_bundle::{Draft, SecretKey, build};
use keepwell_model::manifest::Manifest;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

#[derive(Debug)]
pub(super) struct Scene {
    folder: TempDir,
}

impl Scene {
    /// Keys `root`, `online` and `acme`, and an empty repository `plugins` of the first two, whose
    /// root is pinned in `root.json`.
    pub(super) fn new() -> Self {
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for key in ["root", "online", "acme"] {
            scene.key(key);
        }
        scene
            .repo(
                &["init", "plugins"],
                &["root"],
                &["--online-key", "online.key"],
            )
            .exits(0);
        std::fs::copy(scene.metadata("1.root.json"), scene.at("root.json")).unwrap();
        scene
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    pub(super) fn metadata(&self, name: &str) -> PathBuf {
        self.at("plugins").join("metadata").join(name)
    }

    /// A key pair `NAME.key`.
    pub(super) fn key(&self, name: &str) {
        let file = self.text(&format!("{name}.key"));
        keepwell(None, &["bundle", "keygen", &file]).exits(0);
    }

    pub(super) fn public(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.at(&format!("{name}.key.pub"))).unwrap();
        text.trim().to_owned()
    }

    /// A verb of `repo` with these keys. Words that name files of the scene are taken as such.
    pub(super) fn repo(&self, words: &[&str], keys: &[&str], more: &[&str]) -> Output {
        let mut args = vec!["repo".to_owned()];
        let keys: Vec<String> = keys.iter().map(|key| format!("{key}.key")).collect();
        let keys = keys.iter().flat_map(|key| ["--key", key]);
        for word in words
            .iter()
            .copied()
            .chain(keys)
            .chain(more.iter().copied())
        {
            let path = self.at(word);
            let file = path.exists() || ["plugins", "outgoing"].contains(&word);
            args.push(if file {
                self.text(word)
            } else {
                word.to_owned()
            });
        }
        pull(&args)
    }

    /// Signed and unsigned bundles are all the same to a repository; this one has no signature.
    pub(super) fn bundle(&self, name: &str, version: &str, release: u64) -> PathBuf {
        let path = self.at(&format!("{name}-{version}.kwb"));
        std::fs::write(&path, kwb(name, version, release, &[])).unwrap();
        path
    }

    /// Adds a bundle of the owner's.
    #[track_caller]
    pub(super) fn add(&self, name: &str, version: &str, release: u64) {
        let file = self.bundle(name, version, release);
        let added = self.repo(
            &["add", "plugins", file.to_str().unwrap()],
            &["root", "online"],
            &[],
        );
        added.exits(0);
    }

    /// Delegates `acme-*` to `acme`, who offers one bundle.
    pub(super) fn delegate(&self) {
        let file = self.bundle("acme-sweep", "1.0.0", 1);
        let offer = [
            "offer",
            "outgoing",
            file.to_str().unwrap(),
            "--publisher",
            "acme",
        ];
        self.repo(&offer, &["acme"], &[]).exits(0);
        let public = self.public("acme");
        let delegate = [
            "delegate",
            "plugins",
            "--publisher",
            "acme",
            "--names",
            "acme-*",
            "--public",
            &public,
            "--from",
            "outgoing",
        ];
        self.repo(&delegate, &["root", "online"], &[]).exits(0);
    }

    /// `repo search` from the pinned root.
    pub(super) fn search(&self, repo: &str) -> Output {
        let (root, known) = (self.text("root.json"), self.text("known"));
        pull(&[
            "repo", "search", "--repo", repo, "--root", &root, "--known", &known, "--json",
        ])
    }

    /// The same of the scene's own folder.
    pub(super) fn look(&self) -> Output {
        self.search(&self.text("plugins"))
    }

    /// `repo fetch` into the folder `got`.
    pub(super) fn fetch(&self, plugin: &str) -> Output {
        let (repo, root) = (self.text("plugins"), self.text("root.json"));
        let (known, got) = (self.text("known"), self.text("got"));
        pull(&[
            "repo", "fetch", plugin, "--repo", &repo, "--root", &root, "--known", &known, "--out",
            &got, "--json",
        ])
    }

    /// What lies in the repository, to be put back later.
    pub(super) fn keep(&self, name: &str) {
        copy(&self.at("plugins"), &self.at(name));
    }

    /// Puts back what was kept.
    pub(super) fn put_back(&self, name: &str) {
        std::fs::remove_dir_all(self.at("plugins")).unwrap();
        copy(&self.at(name), &self.at("plugins"));
    }

    /// What is offered, as `NAME@VERSION`.
    #[track_caller]
    pub(super) fn offered(&self) -> Vec<String> {
        let all = self.look().exits(0).json();
        let all = all.as_array().unwrap().iter();
        let text = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap().to_owned();
        all.map(|one| format!("{}@{}", text(one, "plugin"), text(one, "version")))
            .collect()
    }
}

/// A bundle of the smallest component, for a plugin of that name and version.
pub(super) fn kwb(name: &str, version: &str, release: u64, keys: &[&SecretKey]) -> Vec<u8> {
    let out = keepwell(
        None,
        &[
            "bundle",
            "inspect",
            crate::harness::bundles()
                .join("health.kwb")
                .to_str()
                .unwrap(),
            "--json",
        ],
    );
    let mut manifest = out.exits(0).json()["manifest"].take();
    manifest["name"] = name.into();
    manifest["version"] = version.into();
    let health = std::fs::read(crate::harness::bundles().join("health.kwb")).unwrap();
    let entries = keepwell_bundle::tar::read(&health).unwrap();
    let component = entries
        .iter()
        .find(|e| e.content.starts_with(b"\0asm"))
        .unwrap();
    let draft = Draft {
        manifest: Manifest::parse(&manifest.to_string()).unwrap(),
        component: component.content.to_vec(),
        publisher: "acme".into(),
        release,
        issued_ms: None,
    };
    let mut bundle = build(&draft).unwrap().unsigned().unwrap();
    for key in keys {
        bundle = keepwell_bundle::add_signature(&bundle, key).unwrap();
    }
    bundle
}

pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(&path, &copied).unwrap();
        }
    }
}
