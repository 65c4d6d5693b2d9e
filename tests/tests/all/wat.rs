//! Guests in WebAssembly text, for what Rust cannot be made to do: `tests/guests/wat`.

use crate::harness::{Busy, Node, Output, alone, checkout, shared};
use keepwell_bundle::{Draft, SecretKey, encode};
use keepwell_model::manifest::Manifest;
use keepwell_model::report::Report;
use std::path::PathBuf;
use std::time::Duration;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const PLUGIN: &str = "text";

fn text(name: &str) -> String {
    let path = checkout()
        .join("tests/guests/wat")
        .join(format!("{name}.wat"));
    std::fs::read_to_string(path).unwrap()
}

/// A core module with the contract's types attached becomes a component.
fn component(name: &str) -> Vec<u8> {
    let binary = wat::parse_str(text(name)).unwrap();
    if text(name).contains("\n(component") {
        return binary;
    }
    let mut resolve = Resolve::default();
    resolve.push_dir(checkout().join("wit")).unwrap();
    let world = "package test:guest; world guest { export keepwell:task/task@0.1.0; }";
    let package = resolve.push_str("guest.wit", world).unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    let mut module = binary;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    encode(&module).unwrap()
}

/// With the line that ends in `;; repeat` so many times.
fn repeated(name: &str, times: usize) -> Vec<u8> {
    let text = text(name);
    let line = text.lines().find(|l| l.ends_with(";; repeat")).unwrap();
    let lines = format!("{line}\n").repeat(times);
    wat::parse_str(text.replace(line, &lines)).unwrap()
}

/// Signed by a key the node trusts: everything but the component is in order.
fn install(node: &Node, component: Vec<u8>) -> Result<Output, String> {
    let json = serde_json::json!({
        "schema": 1, "name": PLUGIN, "version": "1.0.0", "description": "text", "contract": "0.1.0",
        "tasks": [{ "name": "task", "description": "text", "needs": [], "settings": [] }],
    });
    let draft = Draft {
        manifest: Manifest::parse(&json.to_string()).unwrap(),
        component,
        publisher: "text".into(),
        release: 1,
        issued_ms: None,
    };
    let key = SecretKey::generate([9; 32]);
    let unsigned = keepwell_bundle::build(&draft).map_err(|e| format!("{e:?}"))?;
    let file = node.scratch().join("text.kwb");
    std::fs::write(&file, unsigned.sign(&key).unwrap()).unwrap();
    let public = key.public().to_string();
    node.keepwell(&[
        "trust", "add", "text", &public, "--names", PLUGIN, "--tier", "own",
    ])
    .exits(0);
    Ok(node.keepwell(&["plugin", "install", file.to_str().unwrap()]))
}

/// Installs it, runs it, and sees that the next run is unaffected.
#[track_caller]
fn run(node: &Node, component: Vec<u8>) -> (Output, Report) {
    install(node, component).unwrap().exits(0);
    node.task(
        "task",
        "plugin = 'text'\n[limits]\nwall = '300ms'\nmemory = '16MiB'\n",
    );
    node.task("honest", "plugin = 'hostile'\n");
    let (out, report) = node.run("task");
    assert!(
        report.usage.worker_bytes < 64 << 20,
        "{}",
        report.usage.worker_bytes
    );
    assert!(out.peak_bytes < 96 << 20, "{}", out.peak_bytes);
    let records = node.journal(&["--run", &report.run.to_string()]);
    assert_eq!(Report::fold(&records), Some(report.clone()));
    node.run("honest").0.exits(0);
    (out, report)
}

#[track_caller]
fn limited(name: &str, limit: &str) {
    let node = Node::new(alone());
    let _busy = Busy::start();
    let (out, mut report) = run(&node, component(name));
    out.exits(5);
    assert_eq!(report.limit.unwrap().as_str(), limit, "{:?}", report.reason);
    // Other processes only ever add time, so it may try again.
    for _ in 0..3 {
        if report.usage.wall_us <= 400_000 {
            return;
        }
        report = node.run("task").1;
    }
    panic!("it took {:?}", Duration::from_micros(report.usage.wall_us));
}

#[test]
fn quiet() {
    let node = Node::new(shared());
    let (out, report) = run(&node, component("quiet"));
    out.exits(1);
    assert_eq!(report.state.as_str(), "failed");
    assert!(report.usage.fuel > 0 && report.limit.is_none());
}

#[test]
fn loop_in_start() {
    limited("loop-in-start", "wall");
}

#[test]
fn loop_in_realloc() {
    limited("loop-in-realloc", "wall");
}

#[test]
fn recurse() {
    limited("recurse", "stack");
}

#[test]
fn grow_table() {
    limited("grow-table", "memory");
}

#[test]
fn huge_memory() {
    limited("huge-memory", "memory");
}

#[test]
fn bad_realloc() {
    let node = Node::new(shared());
    let (out, report) = run(&node, component("bad-realloc"));
    out.exits(1);
    assert_eq!(report.state.as_str(), "failed");
}

#[test]
fn wrong_type() {
    let node = Node::new(shared());
    let (out, report) = run(&node, component("wrong-type"));
    out.exits(1);
    let reason = report.reason.unwrap();
    assert!(reason.contains("type"), "{reason}");
}

/// A few memories more than a component may have: the run ends. Far more: it is no component.
#[test]
fn many_memories() {
    let node = Node::new(shared());
    let (out, report) = run(&node, repeated("many-memories", 100));
    out.exits(5);
    assert_eq!(
        report.limit.unwrap().as_str(),
        "memory",
        "{:?}",
        report.reason
    );
}

#[test]
fn ten_thousand_memories() {
    let node = Node::new(shared());
    for name in ["many-memories", "ten-thousand-memories"] {
        let refused = match install(&node, repeated(name, 10_000)) {
            Err(why) => why,
            Ok(out) => {
                assert_ne!(out.code, 0, "{name} was installed");
                out.err
            }
        };
        assert!(!refused.is_empty());
    }
    node.keepwell(&["plugin", "inspect", PLUGIN]).exits(78);
}

fn written(node: &Node, name: &str) -> PathBuf {
    let path = node.scratch().join(format!("{name}.wasm"));
    std::fs::write(&path, component(name)).unwrap();
    path
}

/// `bundle build` of a component, with a key that is in order.
fn build(node: &Node, name: &str) -> Output {
    let (component, key) = (written(node, name), node.scratch().join("key"));
    let key = key.to_str().unwrap();
    node.keepwell(&["bundle", "keygen", key]).exits(0);
    let out = node.scratch().join("out.kwb");
    let args = [
        "bundle",
        "build",
        component.to_str().unwrap(),
        "--publisher",
        "x",
        "--key",
        key,
        "--out",
        out.to_str().unwrap(),
    ];
    let built = node.keepwell(&args);
    assert!(!out.exists(), "{name} became a bundle");
    built
}

#[test]
fn undeclared_import() {
    let node = Node::new(shared());
    build(&node, "undeclared-import")
        .exits(4)
        .says(&["wasi:http/outgoing-handler"]);
    let why = install(&node, component("undeclared-import")).unwrap_err();
    assert!(why.contains("wasi:http/outgoing-handler"), "{why}");
}

/// Describing itself is bounded too: whoever builds a bundle of a stranger's component waits no
/// longer than that.
#[test]
fn a_component_that_will_not_describe_itself_is_not_bundled() {
    let node = Node::new(shared());
    let out = build(&node, "loop-in-start");
    out.exits(1).says(&["does not describe itself"]);
    assert!(out.took < Duration::from_secs(12), "{:?}", out.took);
}
