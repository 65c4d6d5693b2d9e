//! Tasks that look and change nothing: this machine, and the stores with their damage.

use super::node::scrub_task;
use super::stage::{DONE, FAILED, Stage, WARNED, find};
use super::stores::Damaged;
use crate::error::{Error, Result};
use serde_json::Value;

/// A real machine may well deserve a warning or worse; what must be is an answer.
const ANY_ANSWER: [i32; 3] = [DONE, FAILED, WARNED];

/// Tasks, and what their summary line must look like.
const LOOKS: [(&[&str], Line); 5] = [
    (&["run", "quick-check"], Line::OneWord),
    (&["run", "resource-check"], Line::Any),
    (&["run", "health-score"], Line::Any),
    (&["run", "disk-check", "--set", "threshold=85"], Line::Any),
    (&["run", "disk-usage"], Line::Percent),
];

/// What scripts rely on.
#[derive(Debug, Clone, Copy)]
enum Line {
    Any,
    OneWord,
    Percent,
}

pub(crate) fn machine(stage: &Stage) -> Result<()> {
    println!("\nThis machine");
    for (words, expected) in LOOKS {
        stage.show(words, &ANY_ANSWER)?;
        let report = stage.ask(&["runs", "show", "last"])?;
        answered(&words.join(" "), &report, expected)?;
    }
    Ok(())
}

fn answered(command: &str, report: &Value, expected: Line) -> Result<()> {
    let line = find(report, "summary").and_then(|summary| summary["line"].as_str());
    let line = line.unwrap_or_default();
    let fits = match expected {
        Line::Any => !line.is_empty(),
        Line::OneWord => line.chars().all(char::is_alphabetic) && !line.is_empty(),
        Line::Percent => line.parse().is_ok_and(|percent: u8| percent <= 100),
    };
    if fits {
        return Ok(());
    }
    Err(Error::Unexpected(format!(
        "the answer of `keepwell {command}` is `{line}`"
    )))
}

/// Every shard damaged on purpose must be named, with the right verdict.
pub(crate) fn stores(stage: &Stage, stores: &[Damaged]) -> Result<()> {
    println!("\nThe stores, each with damage that only reading every byte can find");
    for store in stores {
        stage.show(&["run", &scrub_task(store)], &[FAILED])?;
        found_all(&stage.ask(&["runs", "show", "last"])?, store)?;
        let name = store.name;
        let shards = match store.damaged.len() {
            1 => format!("the damaged shard of `{name}` is"),
            all => format!("all {all} damaged shards of `{name}` are"),
        };
        println!("expected: {shards} named, and no other");
    }
    Ok(())
}

/// One finding for each damaged shard, with its verdict, and no finding more.
fn found_all(report: &Value, store: &Damaged) -> Result<()> {
    let findings = find(report, "findings")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    for (verdict, shard) in &store.damaged {
        let found = findings.iter().any(|finding| {
            let text = finding.to_string();
            text.contains(shard) && text.contains(verdict)
        });
        if !found {
            return Err(Error::Unexpected(format!(
                "store `{}`: shard {shard} is {verdict} and no finding says so",
                store.name
            )));
        }
    }
    if findings.len() != store.damaged.len() {
        return Err(Error::Unexpected(format!(
            "store `{}`: {} findings for {} damaged shards",
            store.name,
            findings.len(),
            store.damaged.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_of_another_shape_fails_it() {
        let says = |line: &str| json!({ "summary": { "line": line } });
        assert!(answered("run", &says("healthy"), Line::OneWord).is_ok());
        assert!(answered("run", &says("not healthy"), Line::OneWord).is_err());
        assert!(answered("run", &says("70"), Line::Percent).is_ok());
        for bad in ["70%", "101", "", "-1"] {
            assert!(answered("run", &says(bad), Line::Percent).is_err(), "{bad}");
        }
        assert!(answered("run", &json!({ "summary": null }), Line::Any).is_err());
    }

    #[test]
    fn a_shard_not_found_misjudged_or_one_too_many_fails_it() {
        let store = Damaged {
            name: "s",
            kind: "oci",
            path: "/s".into(),
            damaged: vec![("corrupt", "aa".into()), ("missing", "bb".into())],
        };
        let found = |all: &[&str]| json!({ "findings": all });
        assert!(found_all(&found(&["aa is corrupt", "bb is missing"]), &store).is_ok());
        assert!(found_all(&found(&["aa is corrupt"]), &store).is_err());
        assert!(found_all(&found(&["aa is missing", "bb is missing"]), &store).is_err());
        assert!(
            found_all(
                &found(&["aa is corrupt", "bb is missing", "cc is corrupt"]),
                &store
            )
            .is_err()
        );
        assert!(found_all(&json!({}), &store).is_err());
    }
}
