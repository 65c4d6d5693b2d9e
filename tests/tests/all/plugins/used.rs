//! What a task used of its grant: shown, proposed to be taken away, and ended by the policy.

use super::Maker;
use crate::cleaning::TASK;
use crate::harness::{Aged, Node, age, shared};
use keepwell_model::capability::Capability;
use keepwell_model::manifest::Request;

/// A node whose task cleans `tmp`, and ran five times.
fn scene() -> (Node, String) {
    let node = Node::new(shared());
    let text = TASK.replace("storage = {", "# looked at by night\nstorage = {");
    assert_ne!(text, TASK);
    node.task("temp-clean", &text);
    for run in 0..5 {
        for n in 0..=run {
            let file = node.root().join(format!("{run}-{n}"));
            std::fs::write(&file, "old").unwrap();
            age(&file, Aged::days(10));
        }
        // Young ones beside, so that the share fits.
        for n in 0..40 {
            std::fs::write(node.root().join(format!("young-{n}")), "new").unwrap();
        }
        let (out, report) = node.run("temp-clean");
        assert!([0, 3].contains(&out.code), "{}", out.err);
        assert_eq!(report.applied.done, run + 1);
    }
    (node, text)
}

#[test]
fn use_is_shown_and_the_smallest_grant_proposed() {
    let (node, text) = scene();
    let inspected = node.keepwell(&["plugin", "inspect", "clean", "-o", "json"]);
    let inspected = inspected.exits(0).json();
    let tasks = inspected["tasks"].as_array().unwrap();
    let task = tasks.iter().find(|t| t["task"] == "temp-clean").unwrap();
    let asks = task["asks"].as_array().unwrap();
    let asked = asks
        .iter()
        .find(|a| a["capability"] == "storage-clean")
        .unwrap();
    let (allowed, granted) = (&asked["allowed"], &asked["granted"][0]);
    assert_eq!(
        (allowed, &granted["task"]),
        (&true.into(), &"temp-clean".into())
    );
    assert_eq!(
        (&granted["runs"], &granted["used"]["runs"]),
        (&5.into(), &5.into())
    );
    assert_eq!(granted["used"]["files"], 15, "{granted}");
    assert_eq!(granted["used"]["files_most"], 5, "{granted}");
    assert_eq!(granted["rule"]["roots"][0], "tmp");
    let shown = node.keepwell(&["plugin", "inspect", "clean"]);
    assert!(shown.out.contains("used in 5 of 5 runs"), "{}", shown.out);

    let file = node.dir().join("tasks/temp-clean.toml");
    let proposed = node.keepwell(&["plugin", "tighten", "temp-clean"]);
    for words in [
        "grant.storage-clean.max-files = 10  # now",
        "the largest of 5 plans took 5",
        "grant.storage-clean.max-bytes = \"1MiB\"",
    ] {
        assert!(
            proposed.exits(0).out.contains(words),
            "{words}: {}",
            proposed.out
        );
    }
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        text,
        "it applied by itself"
    );
    node.keepwell(&["plugin", "tighten", "temp-clean", "--write"])
        .exits(0);
    let now = std::fs::read_to_string(&file).unwrap();
    assert!(now.contains("# looked at by night"), "{now}");
    assert!(
        now.contains("max-files = 10,") && now.contains("1MiB"),
        "{now}"
    );
    let out = node.run("temp-clean").0;
    assert!([0, 3].contains(&out.code), "{}", out.err);
    // Nothing is left to propose, and the lock knows the grant that is held by now.
    let again = node.keepwell(&["plugin", "tighten", "temp-clean"]);
    again.exits(0).says(&["nothing of its grant is wider"]);
    let listed = node.keepwell(&["plugin", "list", "-o", "json"]).json();
    let row = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["name"] == "clean")
        .unwrap();
    let shown = node
        .keepwell(&["task", "show", "temp-clean", "-o", "json"])
        .json();
    assert_eq!(row["tasks"]["temp-clean"], shown["grant_digest"]);
    node.journal_is_whole();
}

/// A root that no call was about is taken out of its list, and the list keeps its comment.
#[test]
fn roots_that_are_not_used_are_taken_out() {
    let node = Node::new(shared());
    let spare = node.scratch().join("spare");
    std::fs::create_dir(&spare).unwrap();
    node.configure(&[("tmp", &node.root()), ("spare", &spare)], &[]);
    std::fs::write(node.root().join("ready"), "").unwrap();
    let text = "plugin = 'hostile'\ntask = 'flaky'\n[grant]\nstorage = { roots = ['tmp', 'spare'] } # both\n";
    node.task("looking", text);
    for _ in 0..5 {
        node.run("looking").0.exits(0);
    }
    let proposed = node.keepwell(&["plugin", "tighten", "looking"]);
    let words = "grant.storage.roots = [\"tmp\"]  # now tmp, spare: none of 5 calls in 5 runs was about spare";
    assert!(proposed.exits(0).out.contains(words), "{}", proposed.out);
    node.keepwell(&["plugin", "tighten", "looking", "--write"])
        .exits(0);
    let now = std::fs::read_to_string(node.dir().join("tasks/looking.toml")).unwrap();
    assert_eq!(now, text.replace(", 'spare'", ""));
    node.run("looking").0.exits(0);
}

#[test]
fn too_few_runs_say_too_little() {
    let node = Node::new(shared());
    node.task("quick-check", "plugin = 'health'\n[grant]\nmetrics = {}\n");
    node.run("quick-check");
    let out = node.keepwell(&["plugin", "tighten", "quick-check", "--write"]);
    out.exits(75).says(&["1 whole runs", "5 that say enough"]);
}

/// A bundle that is not installed is looked into by its file, and only when it is trusted.
#[test]
fn a_file_is_inspected_before_it_is_installed() {
    let node = Node::new(shared());
    let maker = Maker::on(&node);
    let file = maker.plain(&node, 1);
    let out = node.keepwell(&["plugin", "inspect", &file]);
    assert!(out.exits(0).out.contains("made@0.1.0"), "{}", out.out);
    assert!(out.out.contains("not granted"), "{}", out.out);
    let stranger = maker.other(12).plain(&node, 1);
    node.keepwell(&["plugin", "inspect", &stranger])
        .exits(4)
        .says(&["is refused"]);
}

#[test]
fn what_nobody_uses_ends_where_the_policy_says_so() {
    let node = Node::new(shared());
    let maker = Maker::on(&node);
    let bundle = maker.file(&node, "0.1.0", 1, &|manifest| {
        let honest = manifest
            .tasks
            .iter_mut()
            .find(|t| t.name == "honest")
            .unwrap();
        honest.needs.push(Request {
            capability: Capability::Metrics,
            reason: "perhaps".into(),
            max_files: None,
            max_bytes: None,
            max_keys: None,
            optional: true,
        });
    });
    node.keepwell(&["plugin", "install", &bundle]).exits(0);
    let text = "plugin = 'made'\ntask = 'honest'\n[grant]\nmetrics = {}\n";
    node.task("idle", text);
    node.task(
        "busy",
        "plugin = 'health'\ntask = 'quick-check'\n[grant]\nmetrics = {}\n",
    );
    let sound = |task: &str| {
        let out = node.run(task).0;
        assert!([0, 1, 3].contains(&out.code), "{}", out.err);
    };
    sound("busy");
    let saved = |days| {
        for task in ["idle", "busy"] {
            age(
                &node.dir().join(format!("tasks/{task}.toml")),
                Aged::days(days),
            );
        }
    };
    // Without a word in the policy nothing ends.
    saved(400);
    sound("idle");
    node.configure_more("[policy]\nunused-grants = '20d'\nany-clock = true\n");
    saved(18);
    sound("idle");
    let ahead = node.keepwell(&["findings", "--task", "idle"]);
    assert!(
        ahead.exits(3).out.contains("unused grant `metrics` ends"),
        "{}",
        ahead.out
    );
    saved(21);
    let (out, report) = node.run("idle");
    out.exits(4);
    let reason = report.reason.unwrap();
    assert!(reason.contains("did not use `metrics` for 20d"), "{reason}");
    assert!(
        report
            .hint
            .unwrap()
            .contains("keepwell plugin tighten idle")
    );
    let ended = node.keepwell(&["findings", "--task", "idle"]);
    assert!(
        ended.exits(3).out.contains("grant `metrics` has ended"),
        "{}",
        ended.out
    );
    // What was used lately stays, however old its file is.
    sound("busy");
    assert!(
        !node
            .keepwell(&["findings", "--task", "busy"])
            .out
            .contains("metrics`")
    );
    // Saved again it is granted anew; taken out it is not missed.
    node.task("idle", text);
    sound("idle");
    node.task("idle", "plugin = 'made'\ntask = 'honest'\n");
    saved(21);
    sound("idle");
    node.configure_more("[[policy.rules]]\nthen = 'allow'\n");
    let file = node.dir().join("keepwell.toml");
    let short = std::fs::read_to_string(&file)
        .unwrap()
        .replace("'20d'", "'1d'");
    std::fs::write(&file, short).unwrap();
    node.keepwell(&["config", "check"])
        .exits(78)
        .says(&["a weekly task would lose"]);
}
