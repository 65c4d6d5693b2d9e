//! What `plugin new` makes is a plugin: its tests pass as they are, and what is built of it is signed,
//! installed and run.

use crate::harness::{Node, Output, checkout, shared};
use std::path::{Path, PathBuf};

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A new plugin, which takes what the plugins' workspace has locked and built.
pub(crate) fn new(node: &Node, name: &str, kind: &str) -> PathBuf {
    let dir = node.scratch().join(name);
    let sdk = text(&checkout().join("sdk"));
    let made = node.keepwell(&["plugin", "new", &text(&dir), "--kind", kind, "--sdk", &sdk]);
    made.exits(0);
    share(&dir);
    dir
}

fn share(dir: &Path) {
    let plugins = checkout().join("plugins");
    std::fs::copy(plugins.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    std::fs::create_dir_all(dir.join(".cargo")).unwrap();
    let config = format!("[build]\ntarget-dir = {:?}\n", plugins.join("target"));
    std::fs::write(dir.join(".cargo/config.toml"), config).unwrap();
}

/// Builds, signs and installs it, and gives it a task with this grant.
fn brought(node: &Node, dir: &Path, name: &str, capabilities: &[&str], task: &str, grant: &str) {
    let tested = node.keepwell(&["plugin", "test", &text(dir), "--fail-each"]);
    assert!(
        tested.exits(0).out.contains("-> injected io: "),
        "{}",
        tested.out
    );
    let component = text(&dir.join("target").join(format!("{name}.wasm")));
    let key = text(&node.scratch().join("author.key"));
    node.keepwell(&["bundle", "keygen", &key]).exits(0);
    let out = text(&node.scratch().join("plugin.kwb"));
    let mut args = vec!["bundle", "build", &component, "--publisher", "Example"];
    args.extend(["--key", &key, "--out", &out]);
    node.keepwell(&args).exits(0);
    let public = std::fs::read_to_string(format!("{key}.pub")).unwrap();
    let mut trust = vec!["trust", "add", name, public.trim(), "--names", name];
    for capability in capabilities {
        trust.extend(["--capability", capability]);
    }
    node.keepwell(&trust).exits(0);
    node.keepwell(&["plugin", "install", &out]).exits(0);
    node.task(task, &format!("plugin = '{name}'\n[grant]\n{grant}\n"));
}

fn line(out: &Output) -> String {
    out.report().summary.map(|s| s.line).unwrap_or_default()
}

#[test]
fn a_new_check_is_a_plugin() {
    let node = Node::new(shared());
    let dir = new(&node, "new-check", "check");
    let grant = "metrics = {}";
    brought(&node, &dir, "new-check", &["metrics"], "load-check", grant);
    let (out, _) = node.run("load-check");
    assert!(line(&out).starts_with("load per core"), "{}", out.err);
}

#[test]
fn a_new_cleaner_is_a_plugin() {
    let node = Node::new(shared());
    let dir = new(&node, "new-cleaner", "cleaner");
    let both = ["storage", "storage-clean"];
    let grant = "storage = { roots = ['tmp'] }\n\
                 storage-clean = { roots = ['tmp'], max-files = 10, max-share = '100%', min-age = '1m', age-by = 'modified' }";
    brought(&node, &dir, "new-cleaner", &both, "part-clean", grant);
    let file = node.root().join("a.part");
    std::fs::write(&file, "half").unwrap();
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(3_600);
    let half = std::fs::File::options().write(true).open(&file).unwrap();
    half.set_modified(then).unwrap();
    drop(half);
    let args = ["plan", "part-clean", "--set", "older-than=0s", "-o", "json"];
    let out = node.keepwell(&args);
    assert_eq!(
        line(&out),
        "1 proposed, 0 refused",
        "{}{}",
        out.out,
        out.err
    );
    assert!(node.root().join("a.part").exists());
}

#[test]
fn a_new_scrubber_is_a_plugin() {
    let node = Node::new(shared());
    let store = node.scratch().join("store");
    std::fs::create_dir(&store).unwrap();
    std::fs::write(store.join("a"), "whole").unwrap();
    let sum = "b9ab2a2b5cf1ab5f2a3bd59b0a1c2e9d9d2f3f5c6e8a7b1c0d4e5f6071829304";
    std::fs::write(store.join("SHA256SUMS"), format!("{sum}  a\n")).unwrap();
    node.configure(&[], &[("backup", "sha256sums", &store)]);
    let dir = new(&node, "new-scrubber", "scrubber");
    let grant = "shards = { stores = ['backup'] }";
    brought(
        &node,
        &dir,
        "new-scrubber",
        &["shards"],
        "store-check",
        grant,
    );
    let (out, report) = node.run("store-check");
    assert_eq!(line(&out), "1 shards read, 1 not whole", "{}", out.err);
    assert_eq!(report.findings[0].id, "shard-bad");
}

/// The plugin of twelve lines, which `sdk/tests/least.rs` counts, as a component.
#[test]
fn the_least_plugin_is_a_small_component() {
    const MOST_BYTES: u64 = 60_000;
    let node = Node::new(shared());
    let dir = new(&node, "least", "check");
    let source = checkout().join("sdk/tests/least/plugin.rs");
    std::fs::copy(source, dir.join("src/lib.rs")).unwrap();
    let out = node.scratch().join("least.wasm");
    let args = ["plugin", "build", &text(&dir), "--out", &text(&out)];
    node.keepwell(&args).exits(0);
    let bytes = std::fs::metadata(&out).unwrap().len();
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
}

/// The same source in two folders gives the same component, byte for byte.
#[test]
fn where_the_source_lies_does_not_matter() {
    let node = Node::new(shared());
    let first = new(&node, "new-twice", "check");
    let second = node.scratch().join("somewhere/else/and-longer");
    std::fs::create_dir_all(second.join("src")).unwrap();
    for file in ["Cargo.toml", "src/lib.rs"] {
        std::fs::copy(first.join(file), second.join(file)).unwrap();
    }
    share(&second);
    let built = [&first, &second].map(|dir| {
        let out = node.scratch().join("built.wasm");
        let args = ["plugin", "build", &text(dir), "--out", &text(&out)];
        node.keepwell(&args).exits(0);
        std::fs::read(&out).unwrap()
    });
    assert!(built[0] == built[1], "the folder shows in the component");
    let place = text(&checkout());
    let shows = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(!shows(&built[0], &place), "the checkout's place is in it");
    assert!(
        !shows(&built[0], ".cargo/registry"),
        "cargo's home is in it"
    );
}
