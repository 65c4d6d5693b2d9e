//! Bundles that must not come in, and compiled code that must not run.

use crate::harness::{Node, bundles, checkout, command, guests, have, keepwell, shared, snapshot};
use keepwell_bundle::{BUNDLE_MAX_BYTES, Draft, SecretKey, Unsigned, build};
use keepwell_model::event::Event;
use keepwell_model::manifest::Manifest;
use std::path::{Path, PathBuf};

/// Installing `bytes` must be refused with exit 4 and these words, written down, and change
/// nothing.
#[track_caller]
fn refused(node: &Node, what: &str, bytes: &[u8], words: &[&str]) {
    let file = node.scratch().join(format!("{what}.kwb"));
    std::fs::write(&file, bytes).unwrap();
    let state = |node: &Node| {
        let lock = std::fs::read(node.dir().join("plugins.lock")).unwrap();
        (
            lock,
            snapshot(&node.dir().join("plugins")),
            snapshot(&node.dir().join("cache")),
        )
    };
    let before = state(node);
    let out = node.keepwell(&["plugin", "install", file.to_str().unwrap()]);
    assert_eq!(out.code, 4, "{what}: {}", out.err);
    out.says(words);
    assert!(state(node) == before, "{what} has changed something");
    let records = node.journal(&["--kind", "plugin-refused"]);
    let Some(Event::PluginRefused { source, reason }) = records.last().map(|r| &r.event) else {
        panic!("{what} is not in the journal");
    };
    assert!(
        source.contains(what) && !reason.is_empty(),
        "{source}: {reason}"
    );
}

fn health() -> Vec<u8> {
    std::fs::read(bundles().join("health.kwb")).unwrap()
}

#[test]
fn damaged_bundles_are_refused() {
    let node = Node::new(shared());
    let whole = health();
    refused(&node, "empty", &[], &[]);
    refused(&node, "noise", &[0x5a; 4_096], &[]);
    for part in 1..8 {
        let cut = &whole[..whole.len() * part / 8];
        refused(&node, &format!("cut-{part}"), cut, &[]);
    }
    for part in 0..16 {
        let mut flipped = whole.clone();
        // Never at the same place of two blocks.
        let at = (whole.len() / 16) * part + 37 * part;
        flipped[at] ^= 1;
        refused(&node, &format!("flipped-at-{at}"), &flipped, &[]);
    }
    let mut longer = whole;
    longer.push(0);
    refused(&node, "longer", &longer, &[]);
    node.journal_is_whole();
    node.task("quick-check", "plugin = 'health'\n[grant]\nmetrics = {}\n");
    assert!(node.run("quick-check").0.code <= 3);
}

#[test]
fn an_oversized_bundle_is_refused_without_reading_it_all() {
    let node = Node::new(shared());
    refused(
        &node,
        "huge",
        &vec![0; BUNDLE_MAX_BYTES + 1],
        &["is refused"],
    );
    let file = node.scratch().join("sparse.kwb");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let out = node.keepwell(&["plugin", "install", file.to_str().unwrap()]);
    out.exits(4);
    assert!(
        out.peak_bytes < 3 * BUNDLE_MAX_BYTES as u64 + (64 << 20),
        "{}",
        out.peak_bytes
    );
}

/// The hostile guests under another name, built and not signed.
fn draft(node: &Node, name: &str) -> Unsigned {
    let plugin = node.keepwell(&["plugin", "inspect", "hostile", "-o", "json"]);
    let mut manifest = plugin.exits(0).json()["manifest"].take();
    manifest["name"] = name.into();
    let draft = Draft {
        manifest: Manifest::parse(&manifest.to_string()).unwrap(),
        component: std::fs::read(guests()).unwrap(),
        publisher: "somebody".into(),
        release: 1,
        issued_ms: None,
    };
    build(&draft).unwrap()
}

#[test]
fn bundles_without_a_trusted_signature_are_refused() {
    let node = Node::new(shared());
    let draft = draft(&node, "stranger");
    refused(&node, "unsigned", &draft.unsigned().unwrap(), &["sign"]);
    let key = SecretKey::generate([7; 32]);
    let signed = draft.sign(&key).unwrap();
    refused(&node, "unknown", &signed, &[]);

    // Trusted for other names, then for fewer capabilities than it asks for, then for both.
    let public = key.public().to_string();
    let trust = |args: &[&str]| {
        let all = [&["trust", "add", "stranger", &public], args].concat();
        node.keepwell(&all).exits(0);
    };
    let remove = || {
        node.keepwell(&["trust", "remove", "stranger"]).exits(0);
    };
    trust(&["--names", "other-*", "--capability", "metrics"]);
    refused(&node, "other-name", &signed, &["stranger"]);
    remove();
    trust(&["--names", "stranger", "--capability", "metrics"]);
    refused(&node, "too-wide", &signed, &["storage"]);
    remove();
    let all = [
        "--names",
        "stranger",
        "--capability",
        "metrics",
        "--capability",
        "storage",
        "--capability",
        "storage-clean",
        "--capability",
        "shards",
        "--capability",
        "config-read",
        "--capability",
        "config-write",
        "--capability",
        "state",
    ];
    trust(&all);
    let file = node.scratch().join("good.kwb");
    std::fs::write(&file, &signed).unwrap();
    node.keepwell(&["plugin", "install", file.to_str().unwrap()])
        .exits(0);

    // What was installed does not run any more when its key is not trusted.
    node.task("honest", "plugin = 'stranger'\n");
    node.run("honest").0.exits(0);
    remove();
    let (out, report) = node.run("honest");
    out.exits(4);
    assert_eq!(report.state.as_str(), "denied");
}

fn machine_code(node: &Node) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(node.dir().join("cache")).unwrap();
    let files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    assert!(files.len() >= 5, "{files:?}");
    files
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// Machine code that the node did not seal is compiled again, wherever it was changed.
#[test]
fn poisoned_machine_code_never_runs() {
    let node = Node::new(shared());
    node.task("honest", "plugin = 'hostile'\n");
    node.run("honest").0.exits(0);
    let length = machine_code(&node)
        .iter()
        .map(|f| f.metadata().unwrap().len())
        .min()
        .unwrap();
    for at in [0, 8, 40, length as usize / 2, length as usize - 1] {
        for file in machine_code(&node) {
            flip(&file, at);
        }
        let (out, _) = node.run("honest");
        out.exits(0).says(&["compiling it again"]);
        let (out, _) = node.run("honest");
        assert!(
            !out.exits(0).err.contains("compiling"),
            "it was not sealed anew: {}",
            out.err
        );
    }
    for file in machine_code(&node) {
        std::fs::write(file, b"").unwrap();
    }
    node.run("honest").0.exits(0).says(&["compiling it again"]);
}

/// An installed bundle that somebody replaced does not run.
#[test]
fn a_replaced_bundle_is_refused() {
    let node = Node::new(shared());
    node.task("honest", "plugin = 'hostile'\n");
    let plugins = std::fs::read_dir(node.dir().join("plugins")).unwrap();
    for file in plugins.map(|e| e.unwrap().path()) {
        if file.to_string_lossy().contains("hostile") {
            std::fs::write(&file, health()).unwrap();
        }
    }
    let (out, report) = node.run("honest");
    out.exits(4);
    assert!(report.reason.unwrap().contains("plugins.lock"));
}

#[test]
fn a_key_is_never_overwritten() {
    let node = Node::new(shared());
    let key = node.scratch().join("key");
    let args = ["bundle", "keygen", key.to_str().unwrap()];
    keepwell(None, &args).exits(0);
    let first = std::fs::read(&key).unwrap();
    keepwell(None, &args).exits(2).says(&["never overwritten"]);
    assert_eq!(std::fs::read(&key).unwrap(), first);
}

/// Sixteen people sign one bundle, another program agrees with each of them, and a seventeenth
/// finds no room.
#[test]
fn openssl_agrees_with_every_signature_over_what_pae_prints() {
    if !have("openssl") {
        return;
    }
    let node = Node::new(shared());
    let at = |name: &str| node.scratch().join(name);
    let text = |name: &str| at(name).to_str().unwrap().to_owned();
    std::fs::copy(bundles().join("health.kwb"), at("b.kwb")).unwrap();
    let mut keys = vec![];
    for n in 1..=17 {
        let key = SecretKey::generate([n; 32]);
        let file = text(&format!("{n}.pem"));
        keepwell_bundle::write_secret(Path::new(&file), &key.to_pem().unwrap()).unwrap();
        let out = keepwell(None, &["bundle", "sign", &text("b.kwb"), "--key", &file]);
        // The publisher's own is one of the sixteen.
        if n < 16 {
            out.exits(0);
            keys.push(key);
        } else {
            assert_ne!(out.code, 0);
            out.says(&["signatures"]);
        }
    }
    let pae = keepwell(None, &["bundle", "pae", &text("b.kwb")]);
    std::fs::write(at("pae"), &pae.exits(0).out).unwrap();
    let kwb = std::fs::read(at("b.kwb")).unwrap();
    let entries = keepwell_bundle::tar::read(&kwb).unwrap();
    let mut contents = entries.iter().map(|e| e.content);
    let envelope = contents.find(|c| c.starts_with(b"{\"payload\"")).unwrap();
    let envelope: serde_json::Value = serde_json::from_slice(envelope).unwrap();
    let signatures = envelope["signatures"].as_array().unwrap();
    assert_eq!(signatures.len(), 16);
    for key in &keys {
        let id = key.public().key_id();
        let one = signatures
            .iter()
            .find(|s| s["keyid"] == id.as_str())
            .unwrap();
        let sig = one["sig"].as_str().unwrap();
        let sig = data_encoding::BASE64.decode(sig.as_bytes()).unwrap();
        std::fs::write(at("sig"), sig).unwrap();
        std::fs::write(at("pub"), key.public().to_pem()).unwrap();
        let (public, pae, sig) = (text("pub"), text("pae"), text("sig"));
        let args = [
            "pkeyutl", "-verify", "-pubin", "-inkey", &public, "-rawin", "-in", &pae, "-sigfile",
            &sig,
        ];
        assert!(command("openssl", &args, &[]).contains("Verified Successfully"));
    }
}

/// What comes with Keepwell says what it was built from: each package with its licence and checksum, and
/// nothing of the machine that built it.
#[test]
fn the_bundles_tell_what_they_were_built_from() {
    let bundle = bundles().join("clean.kwb");
    let bundle = bundle.to_str().unwrap();
    let shown = |what: &str| keepwell(None, &["bundle", "inspect", bundle, what]);
    let sbom = shown("--sbom");
    let document = sbom.exits(0).json();
    assert_eq!(document["bomFormat"], "CycloneDX");
    let components = document["components"].as_array().unwrap();
    let serde = components.iter().find(|it| it["name"] == "serde").unwrap();
    assert_eq!(serde["hashes"][0]["content"].as_str().unwrap().len(), 64);
    assert_eq!(serde["licenses"][0]["expression"], "MIT OR Apache-2.0");
    assert!(components.iter().any(|it| it["name"] == "keepwell-sdk"));
    let provenance = shown("--provenance");
    let component = &provenance.exits(0).json()["subject"][0]["digest"]["sha256"];
    let said = keepwell(None, &["bundle", "inspect", bundle, "-o", "json"]).json();
    let digest = said["component-digest"].as_str().unwrap();
    assert_eq!(format!("sha256:{}", component.as_str().unwrap()), digest);
    let here = checkout();
    for text in [sbom.out, provenance.out] {
        assert!(!text.contains(here.to_str().unwrap()), "{text}");
    }
}

/// What was built with a released version of the contract goes on running, as it was built then.
#[test]
fn released_components_go_on_running() {
    let mut seen = 0;
    for entry in std::fs::read_dir(checkout().join("tests/released")).unwrap() {
        let component = entry.unwrap().path();
        let node = Node::new(shared());
        let file = |name: &str| node.scratch().join(name).to_str().unwrap().to_owned();
        let (key, bundle) = (file("released.key"), file("released.kwb"));
        let made = keepwell(None, &["bundle", "keygen", &key]);
        let public = made.exits(0).out.trim().to_owned();
        let build = [
            "bundle",
            "build",
            component.to_str().unwrap(),
            "--publisher",
            "Released",
            "--key",
            &key,
            "--out",
            &bundle,
        ];
        keepwell(None, &build).exits(0);
        let trust = [
            "trust",
            "add",
            "released",
            &public,
            "--names",
            "*",
            "--capability",
            "metrics",
        ];
        node.keepwell(&trust).exits(0);
        node.keepwell(&["plugin", "install", &bundle]).exits(0);
        node.task(
            "load-check",
            "plugin = 'tally'\nsettings = { most-per-core = 10000 }\n[grant]\nmetrics = {}\n",
        );
        let (out, report) = node.run("load-check");
        out.exits(0);
        assert!(
            report.summary.unwrap().line.contains("load per core"),
            "{component:?}"
        );
        seen += 1;
    }
    assert!(seen > 0, "no released component");
}
