//! What a run costs: `cargo run --release -p keepwell-sandbox --example sandbox_bench`. Build the
//! example `worker` in the same profile first.

#[path = "../tests/common/mod.rs"]
mod common;

use common::{LOG, Notes, assignment, code, guest, look_with};
use keepwell_model::id::RootName;
use keepwell_model::limits::Limits;
use keepwell_sandbox::{Assignment, Checks, Ended, Outcome, RootAt};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const RUNS: usize = 50;
const INSTANCES: usize = 2_000;
const GRANTS: usize = 64;
const ROUNDS: u32 = 20_000;
const CALLS: u32 = 200_000;
const NOW: &str = r#"(import "keepwell:task/core@0.1.0" "now" (func $now (result i64)))"#;

fn main() {
    let trivial = guest(
        LOG,
        "",
        "(call $log (i32.const 1) (i32.const 16) (i32.const 5))",
    );
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| timed(&trivial, &assignment()).0)
        .collect();
    times.sort();
    println!(
        "spawn to exit, all walls up: p50 {:?}, p95 {:?}",
        times[RUNS / 2],
        times[RUNS * 95 / 100]
    );

    instances(&trivial);
    let started = timed(&trivial, &assignment()).1.usage.wall_us;
    per_call(
        "core.now",
        NOW,
        "(drop (call $now))",
        &assignment(),
        started,
    );
    let root = std::env::temp_dir();
    let name = RootName::new("tmp").expect("a name");
    let identity = keepwell_node::root::Root::open(&name, &root)
        .ok()
        .map(|root| root.identity());
    let storage = BTreeMap::from([(
        name,
        RootAt {
            path: root.clone(),
            identity,
        },
    )]);
    let granted = Assignment {
        storage,
        ..assignment()
    };
    let body = "(global.set $top (i32.const 8192)) (call $roots (i32.const 4096))";
    checks(&root);
    per_call(
        "storage.roots (checked, recorded, statvfs)",
        common::ROOTS,
        body,
        &granted,
        started,
    );
}

/// Each of as many roots and parameters as a task may be granted.
fn checks(root: &std::path::Path) {
    let checks = Checks::new(assignment(), root, GRANTS).expect("a folder");
    let each = checks.time(ROUNDS).expect("all are granted");
    let counted = allocation_counter::measure(|| checks.once().expect("all are granted"));
    assert_eq!(counted.count_total, 0, "allocations");
    println!(
        "permission check with {GRANTS} grants: {} ns a check",
        each.as_nanos()
    );
}

/// Of the small guest, and of a real component when one is named.
fn instances(trivial: &str) {
    let (file, of) = match std::env::args_os().nth(1) {
        Some(path) => {
            let component = std::fs::read(&path).expect("a component");
            let code = keepwell_sandbox::compile(&common::program(), &["compile"], &component);
            let of = path.to_string_lossy().into_owned();
            (common::sealed(&code.expect("it compiles")), of)
        }
        None => (code(trivial), "a small guest".to_owned()),
    };
    let times = keepwell_sandbox::time_instances(&file, &assignment(), INSTANCES).expect("it fits");
    let at = |percent: usize| times.instances[INSTANCES * percent / 100];
    println!(
        "instantiate from the warm cache: p50 {:?}, p95 {:?} ({of}; before it, once: engine {:?}, \
         load {:?}, link {:?})",
        at(50),
        at(95),
        times.engine,
        times.load,
        times.prepare
    );
}

fn timed(text: &str, assignment: &Assignment) -> (Duration, Ended) {
    let file = code(text);
    let began = Instant::now();
    let ended = look_with(&["worker"], file, assignment, &mut Notes::default());
    let took = began.elapsed();
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
    (took, ended)
}

fn per_call(what: &str, import: &str, call: &str, assignment: &Assignment, started_us: u64) {
    let body = format!(
        "(loop $l {call}
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $i) (i32.const {CALLS}))))"
    );
    let assignment = Assignment {
        limits: Limits::default(),
        ..assignment.clone()
    };
    let (_, ended) = timed(&guest(import, "", &body), &assignment);
    let us = ended.usage.wall_us.saturating_sub(started_us);
    println!("{what}: {} ns a call", us * 1_000 / u64::from(CALLS));
}
