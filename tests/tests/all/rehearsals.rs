//! `plugin test` and `plugin dev`: a plugin in the real sandbox before anybody installs it, with its
//! calls failing one after the other, and again whenever its source changes.

use crate::authors::new;
use crate::harness::{Node, bundles, keepwell, shared, start};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Building on a busy machine.
const LONG: Duration = Duration::from_secs(100);

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// The component of a plugin of ours.
fn component(node: &Node, name: &str) -> String {
    let bundle = std::fs::read(bundles().join(format!("{name}.kwb"))).unwrap();
    let entries = keepwell_bundle::tar::read(&bundle).unwrap();
    let wasm = entries.iter().find(|e| e.content.starts_with(b"\0asm"));
    let path = node.scratch().join(format!("{name}.wasm"));
    std::fs::write(&path, wasm.unwrap().content).unwrap();
    text(&path)
}

/// Whatever is refused, none of our own plugins panics.
#[test]
fn our_plugins_survive_every_failing_call() {
    let node = Node::new(shared());
    let clean = ["--set", "older-than=1m", "--set", "age-by=modified"];
    let tune = ["--set", "param=rehearsal", "--set", "values=8,16"];
    for (name, set, calls_least) in [
        ("health", &[][..], 20),
        ("disk", &[], 2),
        ("clean", &clean, 6),
        ("scrub", &[], 5),
        ("tune", &tune, 4),
    ] {
        for code in ["io", "denied", "gone"] {
            let component = component(&node, name);
            let each = format!("--fail-each={code}");
            let args = [&["plugin", "test", &component, &each, "--json"], set].concat();
            let out = keepwell(None, &args);
            let tasks = out.exits(0).json();
            let fails = tasks.as_array().unwrap().iter().flat_map(|task| {
                assert_eq!(task["fails"].as_array().unwrap().len(), task["calls"]);
                task["fails"].as_array().unwrap()
            });
            let mut seen = 0;
            for fail in fails {
                assert_eq!(fail["reached"], true, "{name}: {fail}");
                assert_eq!(fail["crashed"], false, "{name}: {fail}");
                seen += 1;
            }
            assert!(seen >= calls_least, "{name}: {seen} calls");
        }
    }
}

const NAIVE: &str = r#"//! Believes that every call works.
use keepwell_sdk::prelude::*;

fn naive(_: &Request) -> Result<Summary, Failure> {
    let _ = metrics::cpu();
    let memory = metrics::memory().expect("there is memory");
    Ok(Summary::done(format!("{}", memory.total_bytes > 0)))
}
keepwell_sdk::task! {
    /// Reads two numbers
    naive as Naive, needs [need(METRICS, "to read them")]
}
keepwell_sdk::plugin!("naive", "Believes", [Naive]);
"#;

#[test]
fn a_plugin_that_panics_at_a_refusal_is_caught_with_the_call() {
    let node = Node::new(shared());
    let dir = new(&node, "naive", "check");
    std::fs::write(dir.join("src/lib.rs"), NAIVE).unwrap();
    let out = keepwell(None, &["plugin", "test", &text(&dir), "--fail-each"]);
    out.exits(1);
    assert!(
        out.out.contains("naive, 2 calls, done: true"),
        "{}",
        out.out
    );
    assert!(
        out.out
            .contains("  call 1 metrics.get-cpu -> injected io: done: true"),
        "{}",
        out.out
    );
    // With the panic's own words, of which the trap knows nothing.
    let crashed = "  call 2 metrics.get-memory -> injected io: crashed: panicked at src/lib.rs:6";
    assert!(out.out.contains(crashed), "{}", out.out);

    let component = text(&dir.join("target/naive.wasm"));
    let test = |more: &[&str]| keepwell(None, &[&["plugin", "test", &component], more].concat());
    test(&[]).exits(0);
    let one = test(&["--fail", "metrics.get-memory=gone", "--json"]);
    let fail = &one.exits(1).json()[0]["fails"][0];
    assert_eq!(fail["function"], "metrics.get-memory");
    assert_eq!(
        (&fail["code"], &fail["crashed"]),
        (&"gone".into(), &true.into())
    );
    test(&["--fail", "metrics.get-cpu:1=busy"]).exits(0);
    // A call that is not made so often proves nothing, and says so.
    let never = test(&["--fail", "metrics.get-cpu:5"]);
    assert!(
        never
            .exits(3)
            .out
            .contains("metrics.get-cpu was not called 5 times"),
        "{}",
        never.out
    );
    test(&["--fail", "storage.walk"])
        .exits(2)
        .says(&["does not call `storage.walk`", "metrics.get-memory"]);
    test(&["--fail", "metrics.get-cpu=odd"])
        .exits(2)
        .says(&["denied, limit, gone"]);
    test(&["--fail", "metrics.get-cpu:0"])
        .exits(2)
        .says(&["from 1"]);
    test(&["--fail-each=odd"]).exits(2);
    test(&["--task", "other"]).exits(2).says(&["it has: naive"]);
    test(&["--set", "odd=1"]).exits(1);
    let nothing = text(&node.scratch().join("nothing"));
    keepwell(None, &["plugin", "test", &nothing])
        .exits(2)
        .says(&["is no plugin"]);
}

/// A new plugin and what it is built to.
fn built(node: &Node, name: &str, kind: &str) -> (PathBuf, String) {
    let dir = new(node, name, kind);
    keepwell(None, &["plugin", "build", &text(&dir)]).exits(0);
    let component = text(&dir.join("target").join(format!("{name}.wasm")));
    (dir, component)
}

const PARTS: &str = r#"
[roots.downloads]
"old.part" = { age = "8d", size = "4KiB" }
"deep/older.part" = { age = "30d", size = "1MiB" }
"young.part" = { age = "1h" }
"old.iso" = { age = "8d" }
"#;

/// Ages count by all three times of a file, so the grant and the selector need not be loosened.
#[test]
fn a_scenario_says_what_there_is_and_every_run_finds_it_so() {
    let node = Node::new(shared());
    let (dir, component) = built(&node, "swept", "cleaner");
    let scenario = text(&dir.join("tests/node.toml"));
    std::fs::create_dir(dir.join("tests")).unwrap();
    let write = |more: &str| std::fs::write(&scenario, format!("{PARTS}{more}")).unwrap();
    write("");
    let run =
        |what: &str, more: &[&str]| keepwell(None, &[&["plugin", "test", what], more].concat());

    // A plugin's folder has it; the plan is sealed and shown.
    let out = run(&text(&dir), &[]);
    out.exits(0);
    assert!(
        out.out.contains("done: 2 proposed, 0 refused"),
        "{}",
        out.out
    );
    assert!(out.out.contains("  plan sha256:"), "{}", out.out);
    let shown = "    quarantine downloads:old.part (an old unfinished download)";
    assert!(out.out.contains(shown), "{}", out.out);
    assert!(!out.out.contains("young.part"), "{}", out.out);

    // A component is told of it. What is applied in one run is there again in the next.
    let told = |more: &[&str]| run(&component, &[&["--scenario", &scenario], more].concat());
    let each = told(&["--apply", "--fail-each", "--json"]);
    let task = &each.exits(0).json()[0];
    assert_eq!(
        (&task["plan"]["actions"], &task["plan"]["applied"]),
        (&2.into(), &2.into())
    );
    assert_eq!(task["called"]["storage.walker.next"], 2);
    let fails = task["fails"].as_array().unwrap();
    assert_eq!(fails.len(), task["calls"]);
    for (i, fail) in fails.iter().enumerate() {
        assert_eq!(
            (&fail["call"], &fail["reached"]),
            (&(i + 1).into(), &true.into()),
            "{fail}"
        );
        assert_eq!(
            (&fail["state"], &fail["crashed"]),
            (&"failed".into(), &false.into()),
            "{fail}"
        );
    }
    assert_eq!(fails[0]["function"], "storage.roots");

    // How it should end is part of it.
    write("[tasks.part-clean]\nends = \"warned\"\n");
    let wrong = told(&[]);
    assert!(
        wrong.exits(1).out.contains("not how it should end"),
        "{}",
        wrong.out
    );
    write("[tasks.part-clean]\nsettings = { older-than = \"20d\" }\nends = \"done\"\n");
    let one = told(&[]);
    assert!(
        one.exits(0).out.contains("done: 1 proposed, 0 refused"),
        "{}",
        one.out
    );
    // And what it is granted.
    write("[tasks.part-clean.grant]\nstorage = { roots = [\"downloads\"] }\n");
    let less = told(&[]);
    assert!(less.exits(1).out.contains("denied: "), "{}", less.out);

    write("[rots.a]\n");
    told(&[]).exits(78).says(&["rots"]);
    write("[tasks.other]\nends = \"done\"\n");
    told(&[])
        .exits(78)
        .says(&["`other`", "the plugin has: part-clean"]);
    write("[roots.odd]\n\"../out\" = {}\n");
    told(&[]).exits(78).says(&["../out"]);
    write("[roots.odd]\nfile = { age = \"36501d\" }\n");
    told(&[]).exits(78).says(&["`file`", "hundred years"]);
    write("[roots.odd]\nfile = { age = \"36500d\" }\n");
    told(&[]).exits(0);
    run(&component, &["--scenario", "missing.toml"])
        .exits(78)
        .says(&["missing.toml"]);
}

/// What the sensors say is the scenario's, whatever machine this is; and a run can be ended at a call.
#[test]
fn sensors_say_what_the_scenario_says_and_a_run_can_end_at_a_call() {
    let node = Node::new(shared());
    let (_, component) = built(&node, "loaded", "check");
    let test = |more: &[&str]| keepwell(None, &[&["plugin", "test", &component], more].concat());
    let quiet = test(&[]);
    assert!(
        quiet
            .exits(0)
            .out
            .contains("done: load per core 0.10, at most 2"),
        "{}",
        quiet.out
    );
    let scenario = text(&node.scratch().join("busy.toml"));
    std::fs::write(&scenario, "[metrics.cpu]\ncores = 8\nload-5 = 100\n").unwrap();
    let busy = test(&["--scenario", &scenario]);
    assert!(
        busy.exits(0)
            .out
            .contains("warned: load per core 12.50, at most 2"),
        "{}",
        busy.out
    );

    for (end, ended) in [
        ("out-of-fuel", "limited: "),
        ("out-of-time", "limited: "),
        ("cancelled", "cancelled: "),
        ("denied", "denied: "),
    ] {
        let out = test(&["--fail", &format!("metrics.get-cpu={end}")]);
        let line = format!("  call 1 metrics.get-cpu -> injected {end}: {ended}");
        assert!(out.exits(0).out.contains(&line), "{}", out.out);
    }
}

/// The injected call is counted over the look and the review after it.
#[test]
fn a_review_is_made_to_fail_too() {
    let node = Node::new(shared());
    let component = component(&node, "tune");
    // Without its state, with which it would measure first.
    let scenario = node.scratch().join("node.toml");
    let grant = "[tasks.param-tune]\nsettings = { param = \"rehearsal\", values = [\"8\", \"16\"] }\n\
         grant = { config-read = { params = [\"rehearsal\"] }, config-write = { params = [\"rehearsal\"] }, metrics = {} }\n";
    std::fs::write(&scenario, grant).unwrap();
    let args = ["plugin", "test", &component, "--scenario", &text(&scenario)];
    let out = keepwell(
        None,
        &[&args[..], &["--apply", "--json", "--fail-each"]].concat(),
    );
    let task = &out.exits(0).json()[0];
    assert_eq!(task["plan"]["applied"], 1, "{task}");
    assert_eq!(
        task["called"]["metrics.get-pressure"], 2,
        "once in the look, once in the review"
    );
    let fails = task["fails"].as_array().unwrap();
    assert_eq!(fails.len(), task["calls"]);
    assert!(
        fails
            .iter()
            .all(|fail| fail["reached"] == true && fail["crashed"] == false),
        "{task}"
    );
}

/// The program, watching; its lines as they come.
struct Watching {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Watching {
    fn new(dir: &Path) -> Self {
        let mut child = start(None, &["plugin", "dev", &text(dir)]);
        let (to, lines) = channel();
        send(child.stdout.take().unwrap(), to.clone());
        send(child.stderr.take().unwrap(), to);
        Self {
            child,
            lines,
            seen: vec![],
        }
    }

    /// Waits for a line with these words.
    #[track_caller]
    fn until(&mut self, words: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(LONG) else {
                panic!("`{words}` does not come after {:?}", self.seen);
            };
            self.seen.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }
}

fn send(from: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = to.send(line);
        }
    });
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_change_is_built_and_tried_at_once() {
    let node = Node::new(shared());
    let dir = new(&node, "watched", "check");
    let source: PathBuf = dir.join("src/lib.rs");
    std::fs::write(&source, NAIVE.replace("Naive", "Watched")).unwrap();
    let edit = |from: &str, to: &str| {
        let text = std::fs::read_to_string(&source).unwrap();
        assert!(text.contains(from));
        std::fs::write(&source, text.replace(from, to)).unwrap();
    };
    let once = ["plugin", "dev", &text(&dir), "--once", "--json"];
    let round = keepwell(None, &once).exits(0).json();
    assert_eq!(round["asks"][0], "naive: metrics");

    let mut watching = Watching::new(&dir);
    watching.until("naive in");
    edit("memory.total_bytes > 0", "memory.total_bytes == 0");
    watching.until("done: false");
    // What does not compile is told, and the next change is seen all the same.
    edit("Ok(Summary", "Ok((Summary");
    watching.until("could not compile");
    watching.until("watching");
    edit("Ok((Summary", "Ok(Summary");
    watching.until("done: false");
    edit(
        "need(METRICS, \"to read them\")",
        "need(METRICS, \"\"), need(STATE, \"\")",
    );
    watching.until("asks anew    naive: state");
    let pid = Pid::from_child(&watching.child);
    kill_process(pid, Signal::INT).unwrap();
    assert!(watching.child.wait().unwrap().success());

    edit("Ok(Summary", "Ok((Summary");
    keepwell(None, &once).exits(1);
    let empty = node.scratch().join("empty");
    std::fs::create_dir(&empty).unwrap();
    keepwell(None, &["plugin", "dev", &text(&empty), "--once"])
        .exits(2)
        .says(&["Cargo.toml"]);
}
