//! What else is true after one particular misbehaviour.

use crate::harness::Node;
use keepwell_model::report::Report;
use serde_json::Value;

fn data(report: &Report) -> Value {
    serde_json::from_str(&report.summary.as_ref().unwrap().data).unwrap()
}

pub(super) fn panic_is_logged(_: &Node, report: &Report) {
    let said = &report.log.last().unwrap().message;
    assert!(
        said.contains("the hostile guest panics on purpose"),
        "{said}"
    );
    assert!(said.contains("panic.rs"), "the place is missing: {said}");
}

pub(super) fn log_is_bounded(_: &Node, report: &Report) {
    let kept: usize = report.log.iter().map(|l| l.message.len()).sum();
    assert!(kept > 0 && kept <= 64 << 10, "{kept}");
    assert!(report.log.iter().all(|l| l.message.len() <= (4 << 10) + 4));
}

/// A line without text is a record too, and is charged.
pub(super) fn lines_are_few(node: &Node, report: &Report) {
    let filter = ["--run", &report.run.to_string(), "--kind", "logged"];
    let kept = node.journal(&filter).len();
    assert!(kept > 100 && kept <= (64 << 10) / 64, "{kept}");
}

/// Bytes, keys, values and the shape of keys; and what it tried is what it keeps.
pub(super) fn quotas_of_state_hold(node: &Node, report: &Report) {
    let data = data(report);
    let shapes = data["shapes"].as_array().unwrap();
    assert_eq!(shapes.len(), 8);
    assert!(
        shapes.iter().all(|s| s == "invalidinvalidinvalid"),
        "{data}"
    );
    assert_eq!(data["large"], "limit");
    // 15 times 64 KiB with what each key costs are within a mebibyte, and 16 are not.
    assert_eq!(data["bytes"], 15);
    assert_eq!(
        (&data["keys"], &data["full"]),
        (&100.into(), &"limit".into())
    );
    assert_eq!(data["used"], 99);
    let kept = report.state_kept.as_ref().unwrap();
    assert_eq!((kept.set, kept.deleted, &kept.why), (99, 0, &None));
    let listed = node.keepwell(&["task", "state", "list", "-o", "json"]);
    let listed = listed.exits(0).json();
    assert_eq!(listed[0]["task"], "state-flood");
    assert_eq!(listed[0]["keys"], 99);
    assert!(listed[0]["bytes"].as_u64().unwrap() <= 1 << 20);
}

/// 255 values with their keys are within 16 MiB; what the host holds of them was measured.
pub(super) fn sixteen_mebibytes_are_kept(node: &Node, report: &Report) {
    assert_eq!(data(report)["kept"], 255);
    assert_eq!(report.state_kept.as_ref().unwrap().set, 255);
    let show = ["task", "state", "show", "state-hoard", "-o", "json"];
    let shown = node.keepwell(&show).exits(0).json();
    assert_eq!(shown.as_array().unwrap().len(), 255);
}

pub(super) fn state_is_denied(node: &Node, report: &Report) {
    assert_eq!(data(report)["codes"], serde_json::json!(vec!["denied"; 6]));
    let hint = report.refusals[0].hint.as_ref().unwrap();
    assert!(hint.contains("state = {}"), "{hint}");
    assert!(report.state_kept.is_none());
    let listed = node.keepwell(&["task", "state", "list", "-o", "json"]);
    assert_eq!(listed.exits(0).json().as_array().unwrap().len(), 0);
}

pub(super) fn runs_are_counted(_: &Node, report: &Report) {
    assert!(report.state_kept.as_ref().unwrap().version.is_some());
}

/// Neither in what is kept of the run nor in what a person is shown of it.
pub(super) fn nothing_rules_the_terminal(node: &Node, report: &Report) {
    let rules = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut kept: Vec<&str> = report.log.iter().map(|l| l.message.as_str()).collect();
    for finding in &report.findings {
        kept.extend([finding.title.as_str(), &finding.subject]);
        // A detail may have lines; they are checked one by one.
        kept.extend(finding.detail.lines());
    }
    kept.push(&report.summary.as_ref().unwrap().line);
    assert!(kept.len() > 20);
    for text in kept {
        assert!(!text.contains(rules) && !text.contains('\n'), "{text:?}");
    }
    let shown = node.keepwell(&["run", "log-escapes"]);
    let (shown, journal) = (shown.exits(0), node.keepwell(&["audit", "show"]));
    for text in [&shown.out, &shown.err, &journal.exits(0).out] {
        assert!(!text.contains(rules), "{text:?}");
    }
    let forged = shown.err.lines().chain(shown.out.lines());
    assert_eq!(
        forged
            .filter(|l| l.starts_with("keepwell: all is well"))
            .count(),
        0
    );
}

pub(super) fn no_summary_is_kept(_: &Node, report: &Report) {
    assert!(report.summary.is_none());
}

/// Far fewer than their number allows, and showing them again is as cheap.
pub(super) fn findings_are_bounded(node: &Node, report: &Report) {
    let kept = report.findings.len();
    assert!(kept > 50 && kept < 500, "{kept}");
    let shown = node.keepwell(&["runs", "show", &report.run.to_string()]);
    assert!(shown.exits(0).peak_bytes < 96 << 20, "{}", shown.peak_bytes);
}

pub(super) fn fifty_findings(_: &Node, report: &Report) {
    assert_eq!(report.findings.len(), 50);
}

pub(super) fn fifty_metrics(_: &Node, report: &Report) {
    assert!(report.metrics.len() <= 50);
    assert!(report.metrics.iter().all(|m| m.value.is_finite()));
    assert!(report.metrics.iter().all(|m| !m.name.contains('\n')));
}

/// As often as they may come, and none that is too long.
pub(super) fn few_checkpoints(node: &Node, report: &Report) {
    let filter = ["--run", &report.run.to_string(), "--kind", "checkpointed"];
    let kept = node.journal(&filter).len();
    assert!(kept < 200, "{kept} checkpoints in the journal");
    let last = report.checkpoint.as_ref().unwrap();
    assert!(last.len() <= (64 << 10) * 4 / 3 + 4);
}

pub(super) fn lengths_are_bounded(_: &Node, report: &Report) {
    let data = data(report);
    assert!(data["largest-batch"].as_u64().unwrap() <= 4_096);
    assert!(data["processes"].as_u64().unwrap() > 0);
    assert_eq!(data["globs"], "invalid");
}

pub(super) fn eight_walkers(_: &Node, report: &Report) {
    assert_eq!(data(report)["opened"], 8);
    assert_eq!(data(report)["codes"], serde_json::json!(["limit"]));
}

pub(super) fn eight_walkers_still(_: &Node, report: &Report) {
    assert_eq!(data(report)["open"], 8);
    assert_eq!(data(report)["refused"], 10_000 - 8);
}

/// The root's own usage is the one thing that is given; nothing is opened, so a FIFO is only seen.
pub(super) fn no_path_leaves_the_root(_: &Node, report: &Report) {
    let answers = data(report);
    let answers = answers.as_object().unwrap();
    assert!(answers.len() > 20);
    for (path, answer) in answers {
        for (call, said) in answer.as_object().unwrap() {
            let said = said.as_str().unwrap();
            let given = said.starts_with("gave");
            let may = matches!(
                (path.as_str(), call.as_str()),
                ("empty", "usage") | ("fifo", "stat")
            );
            assert_eq!(given, may, "{call} of `{path}`: {said}");
            assert!(
                given || ["invalid", "denied", "gone"].contains(&said),
                "{path}: {said}"
            );
        }
    }
}

pub(super) fn all_denied(_: &Node, report: &Report) {
    let answers = data(report);
    let answers = answers["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 9);
    for answer in answers {
        for call in ["walk", "stat", "usage", "list", "verify"] {
            assert_eq!(answer[call], "denied", "{answer}");
        }
    }
    assert!(report.refusals.iter().all(|r| r.hint.is_some()));
}

/// What was granted is the run's, however many scrubs it opens.
pub(super) fn three_shards_are_read(_: &Node, report: &Report) {
    let data = data(report);
    assert_eq!(data["read"], 3, "{data}");
    assert!(data["refused"].as_u64().unwrap() >= 190, "{data}");
    let no = report
        .refusals
        .iter()
        .find(|r| r.message.contains("used up"));
    assert!(
        no.unwrap()
            .hint
            .as_ref()
            .unwrap()
            .contains("shards.max-shards")
    );
}

pub(super) fn nothing_is_planned(_: &Node, report: &Report) {
    assert!(report.plan.is_none());
    assert_eq!(report.applied.done, 0);
}

/// It dies of its last call; what it proposed before was refused entry by entry.
pub(super) fn forgeries_are_refused(_: &Node, report: &Report) {
    let said: Vec<&str> = report.refusals.iter().map(|r| r.message.as_str()).collect();
    for part in ["`..`", "absolute", "NUL", "not there", "younger than"] {
        assert!(
            said.iter().any(|s| s.contains(part)),
            "`{part}` in {said:?}"
        );
    }
    assert_eq!(report.applied.done, 0);
    assert!(report.plan.is_none());
}

/// Of everything proposed, one change is within the grant; it is made, and nothing else.
pub(super) fn only_what_may_be_set(node: &Node, report: &Report) {
    let said = data(report);
    let codes: Vec<&str> = said["codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_str().unwrap())
        .collect();
    let names = ["denied"; 4];
    assert_eq!(codes[..4], names);
    assert_eq!(codes[4..7], ["limit"; 3]);
    assert!(
        codes[7..].iter().all(|code| *code == "invalid"),
        "{codes:?}"
    );
    assert_eq!(said["read"], "denied");
    assert_eq!(said["taken"], 1);
    assert_eq!(report.applied.done, 1);
    let file = std::fs::read_to_string(node.scratch().join("app.toml")).unwrap();
    assert_eq!(file, "size = 20\nother = 1\n");
}
