//! What a period came to, and where numbers go, from what a node kept.

use crate::cleaning::TASK;
use crate::harness::{Aged, Node, age, shared};

#[test]
fn a_report_counts_what_happened_in_its_time_alone() {
    let node = Node::new(shared());
    node.task("temp-clean", TASK);
    node.task("honest", "plugin = 'hostile'\n");
    node.task("panic", "plugin = 'hostile'\n");
    for n in 0..8 {
        let file = node.root().join(format!("file-{n}"));
        std::fs::write(&file, "0123456789").unwrap();
        if n < 2 {
            age(&file, Aged::days(10));
        }
    }
    node.run("temp-clean").0.exits(0);
    for _ in 0..3 {
        node.run("honest").0.exits(0);
    }
    assert_eq!(node.run("panic").0.code, 1);
    node.keepwell(&["task", "pause", "honest", "--reason", "enough"])
        .exits(0);
    assert_eq!(node.run("honest").0.code, 75);

    let report = |args: &[&str]| {
        let words = [&["report", "--json"], args].concat();
        node.keepwell(&words).exits(0).json()
    };
    let all = report(&["--since", "1h"]);
    let honest = &all["tasks"]["honest"];
    let counts = ["runs", "done", "failed", "other"].map(|key| honest[key].as_u64().unwrap());
    assert_eq!(counts, [4, 3, 0, 1], "{honest}");
    assert!(honest["median_ms"].as_u64() <= honest["longest_ms"].as_u64());
    assert_eq!(honest["median_before_ms"], serde_json::Value::Null);
    assert_eq!(all["tasks"]["panic"]["failed"], 1);
    let clean = &all["tasks"]["temp-clean"];
    assert_eq!(
        (&clean["actions"], &clean["bytes"]),
        (&2.into(), &20.into())
    );
    assert_eq!(all["quarantine_entries"], 2);
    // Before all of it, nothing was.
    let before = report(&["--since", "2d", "--until", "1d"]);
    assert!(before["tasks"].as_object().unwrap().is_empty(), "{before}");
    let text = node.keepwell(&["report"]).exits(0).out.clone();
    for words in [
        "# Maintenance of under-test",
        "| honest | 4 | 3 |",
        "## Findings",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    node.keepwell(&["report", "--since", "1d", "--until", "2d"])
        .exits(2)
        .says(&["ends before it begins"]);
}

#[test]
fn a_trend_needs_its_days_and_says_so() {
    let node = Node::new(shared());
    node.keepwell(&["measure", "trend"])
        .exits(2)
        .says(&["nothing was measured yet"]);
    let task = "plugin = 'disk'\n[grant]\nmetrics = {}\n";
    node.task("disk-check", task);
    node.run("disk-check");
    node.keepwell(&["measure", "trend"])
        .exits(0)
        .says(&["it takes 14 days"]);
    let root = ["measure", "trend", "disk_used", "--label", "mount=/"];
    let out = node.keepwell(&root);
    assert!(
        out.exits(0).out.contains("1 points of the 7 it takes"),
        "{}",
        out.out
    );
    let json = node.keepwell(&[&root[..], &["--reaches", "0.9", "--json"]].concat());
    let json = json.exits(0).json();
    assert_eq!(json["forecast"]["state"], "not-enough");
    assert_eq!(json["level"], 0.9);
    node.keepwell(&["measure", "trend", "--reaches", "1"])
        .exits(2);
    node.keepwell(&["measure", "trend", "disk_usde"])
        .exits(2)
        .says(&["did you mean `disk_used`?"]);
}
