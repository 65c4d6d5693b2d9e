//! Nodes that are well, ill, blind and in between.

use super::*;
use keepwell_sdk::metrics::{Contended, Cpu, Memory, Mount, Pressure, Process, Stall};
use keepwell_sdk::testing::Node;

fn cpu(busy_ratio: f64, load_1: f64, load_5: f64) -> Cpu {
    Cpu {
        cores: 4,
        busy_ratio,
        per_core: vec![busy_ratio; 4],
        load_1,
        load_5,
        load_15: load_5,
    }
}

fn memory(available: u64) -> Memory {
    Memory {
        total_bytes: 100,
        available_bytes: available,
        swap_total_bytes: 0,
        swap_used_bytes: 0,
    }
}

fn mount(used: u64) -> Mount {
    Mount {
        path: "/".into(),
        device: "/dev/sda1".into(),
        file_system: "ext4".into(),
        read_only: false,
        total_bytes: 100,
        used_bytes: used,
        available_bytes: 100 - used,
        total_inodes: 100,
        free_inodes: 90,
    }
}

fn waiting(avg_10: f64, avg_60: f64) -> Pressure {
    Pressure {
        some: Stall {
            avg_10,
            avg_60,
            avg_300: avg_60,
        },
        full: None,
    }
}

fn process(open_files: Option<u32>) -> Process {
    Process {
        pid: 7,
        name: "db".into(),
        cpu_ms: 1,
        resident_bytes: 1,
        started: 1,
        open_files,
    }
}

fn with(cpu: Cpu, memory: Memory, mount: Mount, io: Pressure) -> Node {
    Node::new()
        .cpu(cpu)
        .memory(memory)
        .mount(mount)
        .pressure(Contended::Cpu, waiting(0.0, 0.0))
        .pressure(Contended::Memory, waiting(0.0, 0.0))
        .pressure(Contended::Io, io)
        .process(process(Some(10)))
}

fn well() -> Node {
    with(cpu(0.1, 0.5, 0.5), memory(60), mount(40), waiting(0.0, 0.0))
}

fn word(node: &Node) -> String {
    node.run::<QuickCheck>(json!({})).summary().line.clone()
}

#[test]
fn one_word_exactly() {
    assert_eq!(word(&well()), "healthy");
    assert_eq!(
        word(&with(
            cpu(0.1, 0.5, 0.5),
            memory(8),
            mount(40),
            waiting(0.0, 0.0)
        )),
        "degraded"
    );
    assert_eq!(
        word(&with(
            cpu(0.1, 0.5, 0.5),
            memory(60),
            mount(99),
            waiting(0.0, 0.0)
        )),
        "critical"
    );
    assert_eq!(word(&Node::new()), "unknown");
    assert_eq!(
        well().run::<QuickCheck>(json!({})).summary().status,
        Status::Done
    );
    assert_eq!(
        Node::new().run::<QuickCheck>(json!({})).summary().status,
        Status::Warned
    );
}

#[test]
fn a_spike_is_no_alarm_and_a_lasting_load_is() {
    let spike = with(
        cpu(1.0, 0.4, 0.4),
        memory(60),
        mount(40),
        waiting(0.9, 0.01),
    );
    assert_eq!(word(&spike), "healthy");
    let lasting = with(
        cpu(1.0, 24.0, 24.0),
        memory(60),
        mount(40),
        waiting(0.5, 0.5),
    );
    let outcome = lasting.run::<ResourceCheck>(json!({}));
    let found = outcome.found();
    for expected in [
        ("resource-cpu", "cpu"),
        ("resource-load", "load"),
        ("resource-pressure", "io"),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    assert!(
        outcome
            .findings
            .iter()
            .all(|f| f.severity == Severity::Critical)
    );
}

#[test]
fn raising_and_clearing_differ() {
    // The minute was above 10 %; the last ten seconds are just below.
    let coming_back = with(
        cpu(0.1, 0.5, 0.5),
        memory(60),
        mount(40),
        waiting(0.096, 0.12),
    );
    assert_eq!(word(&coming_back), "degraded");
    let back = with(
        cpu(0.1, 0.5, 0.5),
        memory(60),
        mount(40),
        waiting(0.05, 0.12),
    );
    assert_eq!(word(&back), "healthy");
}

#[test]
fn missing_readings_lower_the_confidence_and_never_make_a_node_well() {
    let whole = well().run::<HealthScore>(json!({})).json();
    assert_eq!(
        (&whole["score"], &whole["confidence"]),
        (&json!(1.0), &json!(1.0))
    );
    // The last two are not readings: they are what it remembers.
    let calls = well().run::<HealthScore>(json!({})).calls - 2;
    for nth in 1..=calls {
        let data = well()
            .fail_call(nth, "io")
            .run::<HealthScore>(json!({}))
            .json();
        assert!(data["confidence"].as_f64().unwrap() < 1.0, "call {nth}");
    }
    for essential in 1..=3 {
        assert_eq!(
            word(&well().fail_call(essential, "io")),
            "unknown",
            "call {essential}"
        );
    }
    let nothing = Node::new().deny(METRICS).run::<HealthScore>(json!({}));
    assert_eq!(nothing.json()["score"], Value::Null);
    assert!(!nothing.metrics.iter().any(|m| m.name == "health_score"));
}

#[test]
fn the_line_tells_what_is_bad_and_what_is_not_known() {
    let line = |node: &Node| {
        let outcome = node.run::<ResourceCheck>(json!({}));
        outcome.summary().line.clone()
    };
    assert_eq!(line(&well()), "9 resources well, 0 unknown");
    let full = with(cpu(0.1, 0.5, 0.5), memory(60), mount(90), waiting(0.0, 0.0));
    assert_eq!(line(&full), "disk /: 90.0 percent, warning");
    let blind = line(&full.fail_call(1, "io"));
    let expected = "unknown: 2 resources cannot be read; disk /: 90.0 percent, warning";
    assert_eq!(blind, expected);
}

#[test]
fn a_thousand_mounts_stay_within_what_a_run_may_report() {
    let named = |n: u64| Mount {
        path: format!("/m{n:04}"),
        ..mount(if n == 1_023 { 99 } else { 40 })
    };
    let node = (0..1_024).fold(well(), |node, n| node.mount(named(n)));
    let outcome = node.run::<ResourceCheck>(json!({}));
    assert!(outcome.metrics.len() < 1_000 && outcome.findings.len() < 1_000);
    assert_eq!(
        outcome.found(),
        [("resource-disk", "/m1023")],
        "the worst is kept"
    );
}

#[test]
fn thresholds_are_ranges_or_plain_numbers() {
    let warned = well().run::<ResourceCheck>(json!({ "disk-warn": 30 }));
    assert_eq!(warned.found(), [("resource-disk", "/")]);
    let ranged = well().run::<ResourceCheck>(json!({ "memory-warn": "70:", "memory-crit": "61:" }));
    assert_eq!(ranged.findings[0].severity, Severity::Critical);
    let wrong = well().run::<ResourceCheck>(json!({ "disk-warn": "much" }));
    assert!(matches!(wrong.failure(), Failure::Permanent(m) if m.contains("`disk-warn`")));
}

#[test]
fn the_unseen_is_unknown() {
    let node = with(cpu(0.1, 0.5, 0.5), memory(60), mount(40), waiting(0.0, 0.0));
    assert!(node.run::<ResourceCheck>(json!({})).found().is_empty());
    let hidden = Node::new()
        .cpu(cpu(0.1, 0.5, 0.5))
        .memory(memory(60))
        .mount(mount(40));
    let outcome = hidden
        .process(process(None))
        .run::<ResourceCheck>(json!({}));
    assert!(
        outcome
            .found()
            .contains(&("resource-open-files", "open-files"))
    );
    assert_eq!(outcome.findings[0].severity, Severity::Info);
}

/// A node whose disk is this full, after earlier runs.
fn then(node: &Node, used: u64) -> Node {
    let now = with(
        cpu(0.1, 0.5, 0.5),
        memory(60),
        mount(used),
        waiting(0.0, 0.0),
    );
    now.keeping(&node.run::<ResourceCheck>(json!({})))
}

fn disk(node: &Node, settings: Value) -> Option<Severity> {
    let outcome = node.run::<ResourceCheck>(settings);
    let found = outcome.findings.iter().find(|f| f.id == "resource-disk");
    found.map(|f| f.severity)
}

#[test]
fn a_disk_is_told_when_it_stays_full_and_until_it_stays_well() {
    let begun = then(&well(), 90);
    assert_eq!(disk(&begun, json!({})), None, "it may pass");
    let held = then(&begun, 90);
    assert_eq!(disk(&held, json!({})), Some(Severity::Warning));
    let back = then(&held, 40);
    assert_eq!(disk(&back, json!({})), Some(Severity::Warning));
    let told = back.run::<ResourceCheck>(json!({})).summary().line.clone();
    assert!(
        told.contains("40.0 percent, warning (this run ok)"),
        "{told}"
    );
    assert_eq!(disk(&then(&back, 40), json!({})), None);
    // What was seen once and went away has to begin anew.
    let again = then(&then(&begun, 40), 90);
    assert_eq!(disk(&again, json!({})), None);
}

#[test]
fn without_state_or_a_past_a_reading_is_told_as_it_stands() {
    let full = with(cpu(0.1, 0.5, 0.5), memory(60), mount(99), waiting(0.0, 0.0));
    assert_eq!(
        disk(&full, json!({})),
        Some(Severity::Critical),
        "the first run of all"
    );
    let denied = then(&well(), 99).deny("state");
    assert_eq!(disk(&denied, json!({})), Some(Severity::Critical));
    let broken = then(&well(), 99).state("seen", b"not ours");
    assert_eq!(disk(&broken, json!({})), Some(Severity::Critical));
    let once = json!({ "fire-after": 1, "clear-after": 1 });
    assert_eq!(disk(&then(&well(), 99), once), Some(Severity::Critical));
    let never = full.run::<ResourceCheck>(json!({ "fire-after": 0 }));
    assert!(matches!(never.failure(), Failure::Permanent(why) if why.contains("fire-after")));
}

/// A write that does not come through must not make the task wait for a past it never gets.
#[test]
fn whatever_call_fails_what_is_full_is_told() {
    let node = then(&well(), 99);
    let calls = node.run::<ResourceCheck>(json!({})).calls;
    for call in calls - 1..=calls {
        for code in ["io", "limit", "busy"] {
            let node = node.clone().fail_call(call, code);
            assert_eq!(
                disk(&node, json!({})),
                Some(Severity::Critical),
                "{call} {code}"
            );
        }
    }
}

/// More than can be remembered is told as it stands, in this run and the one after.
#[test]
fn too_much_to_remember_is_told_at_once() {
    let mounts = |used: u64| {
        (0..200).fold(well(), |node, n| {
            let path = format!("/{n}/{}", "x".repeat(500));
            node.mount(Mount {
                path,
                ..mount(used)
            })
        })
    };
    let full = mounts(99).keeping(&mounts(40).run::<ResourceCheck>(json!({})));
    let outcome = full.run::<ResourceCheck>(json!({}));
    assert!(outcome.findings.len() >= 200, "{}", outcome.findings.len());
    let after = mounts(40).keeping(&outcome).run::<ResourceCheck>(json!({}));
    assert_eq!(after.findings.len(), 0);
}
