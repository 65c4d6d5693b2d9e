//! Plugins of other languages, each built by its own tools, signed, installed and run in the real
//! sandbox; and what a program finds in the WASI that it is given there.

use crate::harness::{Node, Output, checkout, command, have, have_at, shared};
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use std::path::{Path, PathBuf};
use std::process::Command;

const WASIP2: &str = "wasm32-wasip2";
/// Where `.ci/run` installs the tools of other languages.
const TOOLS: &str = "target/languages";

/// Builds one of the plugins' workspace for `wasm32-wasip2`; `what` is `--lib` or an example.
/// `None` where the target's standard library is not installed.
fn rust(package: &str, what: &[&str], file: &str) -> Option<PathBuf> {
    let lib = command(
        "rustc",
        &["--print", "target-libdir", "--target", WASIP2],
        &[],
    );
    if !have_at(Path::new(lib.trim())) {
        return None;
    }
    let target = checkout().join("plugins/target");
    let mut build = Command::new("cargo");
    build.current_dir(checkout().join("plugins"));
    build.args([
        "build",
        "--quiet",
        "--locked",
        "--release",
        "--target",
        WASIP2,
    ]);
    build.args(["--package", package]).args(what);
    build.arg("--target-dir").arg(&target);
    let out = build.output().unwrap();
    assert!(
        out.status.success(),
        "{package}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Some(target.join(WASIP2).join("release").join(file))
}

/// The contract beside the world of an example, where its tools look for it.
fn with_contract(example: &str, to: &Path) {
    let from = checkout().join("examples").join(example);
    let deps = to.join("wit/deps/keepwell");
    std::fs::create_dir_all(&deps).unwrap();
    for (from, to) in [
        (from.clone(), to.to_owned()),
        (from.join("wit"), to.join("wit")),
        (checkout().join("wit"), deps),
    ] {
        for entry in std::fs::read_dir(from).unwrap().flatten() {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
}

/// Runs a tool in `dir`; it must succeed.
fn tool(dir: &Path, program: &Path, args: &[&str]) {
    let out = Command::new(program).args(args).current_dir(dir).output();
    let out = out.unwrap();
    assert!(
        out.status.success(),
        "{} {args:?}: {}",
        program.display(),
        String::from_utf8_lossy(&out.stderr)
    );
}

fn python(dir: &Path, stubs: &[&str]) -> Option<PathBuf> {
    let componentize = checkout().join(TOOLS).join("python/bin/componentize-py");
    if !have_at(&componentize) {
        return None;
    }
    with_contract("python", dir);
    let mut args = vec!["--quiet", "--wit-path", "wit", "--world", "memory"];
    args.extend(["componentize", "plugin", "--output", "plugin.wasm"]);
    args.extend(stubs);
    tool(dir, &componentize, &args);
    Some(dir.join("plugin.wasm"))
}

fn javascript(dir: &Path) -> Option<PathBuf> {
    let modules = checkout().join(TOOLS).join("javascript/node_modules");
    if !have("node") || !have_at(&modules.join("@bytecodealliance/componentize-js")) {
        return None;
    }
    with_contract("javascript", dir);
    std::os::unix::fs::symlink(&modules, dir.join("node_modules")).unwrap();
    tool(dir, Path::new("node"), &["build.mjs"]);
    Some(dir.join("plugin.wasm"))
}

fn bundle(node: &Node, component: &Path) -> Output {
    let key = node.scratch().join("author.key");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    if !key.exists() {
        node.keepwell(&["bundle", "keygen", &text(&key)]).exits(0);
    }
    let (component, key) = (text(component), text(&key));
    let out = text(&node.scratch().join("plugin.kwb"));
    let mut args = vec!["bundle", "build", &component, "--publisher", "Example"];
    args.extend(["--key", &key, "--out", &out]);
    node.keepwell(&args)
}

/// Signed by a third party whose walls must stand, and installed.
fn install(node: &Node, component: &Path, name: &str) {
    bundle(node, component).exits(0);
    let public = std::fs::read_to_string(node.scratch().join("author.key.pub")).unwrap();
    let mut trust = vec!["trust", "add", name, public.trim(), "--names", name];
    trust.extend(["--capability", "metrics"]);
    node.keepwell(&trust).exits(0);
    let file = node.scratch().join("plugin.kwb");
    node.keepwell(&["plugin", "install", file.to_str().unwrap()])
        .exits(0);
}

/// All of `examples/` do the same: a finding when less memory is available than `least-available`.
#[track_caller]
fn checks_memory(node: &Node, plugin: &str, wasi: bool) {
    let inspected = node.keepwell(&["plugin", "inspect", plugin, "-o", "json"]);
    assert_eq!(inspected.exits(0).json()["wasi"], wasi);
    let task = |least: &str| {
        format!(
            "plugin = '{plugin}'\nsettings = {{ least-available = {least} }}\n\
             [grant]\nmetrics = {{}}\n[limits]\nmemory = '128MiB'\n"
        )
    };
    node.task("memory-check", &task("1.0"));
    let (out, report) = node.run("memory-check");
    assert_eq!(
        (out.code, report.state),
        (3, RunState::Warned),
        "{}",
        out.err
    );
    let finding = &report.findings[0];
    assert_eq!(
        (finding.id.as_str(), finding.subject.as_str()),
        ("memory-low", "memory")
    );
    assert!(logged(node, "of the memory is available"), "{report:?}");
    node.task("memory-check", &task("0.0"));
    let (out, report) = node.run("memory-check");
    assert_eq!((out.code, report.state), (0, RunState::Done), "{}", out.err);
    assert!(report.findings.is_empty());
    // A refusal reaches the author as an error of the language, and the run as a refusal.
    node.task("memory-check", &format!("plugin = '{plugin}'\n"));
    let (out, _) = node.plan("memory-check");
    assert_eq!(out.code, 4, "{} {}", out.out, out.err);
    node.journal_is_whole();
}

/// What the manifest of an example says of its setting holds before anything of it runs.
#[track_caller]
fn holds_to_its_schema(node: &Node, plugin: &str) {
    let task = format!("plugin = '{plugin}'\nsettings = {{ least-available = 2.0 }}\n");
    node.task("memory-check", &task);
    let out = node.keepwell(&["plan", "memory-check"]);
    out.exits(4).says(&["least-available", "0", "1"]);
}

fn logged(node: &Node, words: &str) -> bool {
    let records = node.journal(&["--kind", "logged", "--run", "last"]);
    let mut lines = records.iter().map(|record| format!("{:?}", record.event));
    lines.any(|line| line.contains(words))
}

#[test]
fn rust_for_wasip2() {
    let Some(component) = rust("memory-rust", &["--lib"], "memory_rust.wasm") else {
        return;
    };
    let node = Node::new(shared());
    install(&node, &component, "memory-rust");
    checks_memory(&node, "memory-rust", true);
}

#[test]
fn javascript_by_componentize_js() {
    let node = Node::new(shared());
    let scratch = tempfile::tempdir().unwrap();
    let Some(component) = javascript(scratch.path()) else {
        return;
    };
    install(&node, &component, "memory-javascript");
    checks_memory(&node, "memory-javascript", true);
    holds_to_its_schema(&node, "memory-javascript");
}

#[test]
fn python_by_componentize_py() {
    let node = Node::new(shared());
    let scratch = tempfile::tempdir().unwrap();
    let Some(component) = python(scratch.path(), &["--stub-wasi"]) else {
        return;
    };
    install(&node, &component, "memory-python");
    checks_memory(&node, "memory-python", false);
    holds_to_its_schema(&node, "memory-python");
}

/// Python's own library reaches for sockets; without the stubs its component is refused by that.
#[test]
fn python_with_sockets_is_refused_by_name() {
    let node = Node::new(shared());
    let scratch = tempfile::tempdir().unwrap();
    let Some(component) = python(scratch.path(), &[]) else {
        return;
    };
    let out = bundle(&node, &component);
    out.exits(4).says(&["`wasi:sockets/", "inert part of WASI"]);
}

#[test]
fn rust_with_sockets_is_refused_by_name() {
    let what = ["--example", "connect"];
    let Some(component) = rust("hostile-wasi", &what, "examples/connect.wasm") else {
        return;
    };
    let node = Node::new(shared());
    let out = bundle(&node, &component);
    out.exits(4).says(&["`wasi:sockets/", "inert part of WASI"]);
}

#[test]
fn a_program_finds_no_file_no_environment_and_no_way_out() {
    let Some(component) = rust("hostile-wasi", &["--lib"], "hostile_wasi.wasm") else {
        return;
    };
    let node = Node::new(shared());
    install(&node, &component, "hostile-wasi");
    let run = |task: &str| -> (Output, Report) {
        let text = "plugin = 'hostile-wasi'\n[limits]\nwall = '1s'\n";
        node.task(task, text);
        node.run(task)
    };
    let line = |report: &Report| report.summary.as_ref().map(|s| s.line.clone());
    let (out, report) = run("see-files");
    assert_eq!(
        line(&report).as_deref(),
        Some("saw 0 files []"),
        "{}",
        out.err
    );
    let (out, report) = run("see-environment");
    let nothing = "saw 0 things, false, false";
    assert_eq!(line(&report).as_deref(), Some(nothing), "{}", out.err);
    let (out, report) = run("sleep-on");
    assert_eq!(
        (out.code, report.state),
        (5, RunState::Limited),
        "{}",
        out.err
    );
    assert!(out.took.as_secs() < 10, "{:?}", out.took);
    let (out, report) = run("print-on");
    assert_eq!(
        (out.code, report.state),
        (5, RunState::Limited),
        "{}",
        out.err
    );
    let (out, report) = run("exit");
    assert_eq!(
        (out.code, report.state),
        (1, RunState::Failed),
        "{}",
        out.err
    );
    assert!(logged(&node, "almost done"));
    assert!(!Path::new("/tmp/keepwell-was-here").exists());
    node.journal_is_whole();
}
