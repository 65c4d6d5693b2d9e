//! Tasks that look and change nothing: this machine, and the stores with their damage.

use super::node::scrub_task;
use super::stage::{DONE, FAILED, Stage, WARNED, find};
use super::stores::Damaged;
use crate::error::{Error, Result};

/// A real machine may well deserve a warning or worse; what must be is an answer.
const ANY_ANSWER: [i32; 3] = [DONE, FAILED, WARNED];

pub(crate) fn machine(stage: &Stage) -> Result<()> {
    println!("\nThis machine");
    for words in [
        &["run", "quick-check"][..],
        &["run", "resource-check"],
        &["run", "health-score"],
        &["run", "disk-check", "--set", "threshold=85"],
        &["run", "disk-usage"],
    ] {
        stage.show(words, &ANY_ANSWER)?;
        let report = stage.ask(&["runs", "show", "last"])?;
        if !find(&report, "summary").is_some_and(serde_json::Value::is_object) {
            return Err(Error::Unexpected(format!(
                "`keepwell {}` ended without an answer",
                words.join(" ")
            )));
        }
    }
    Ok(())
}

/// Every shard damaged on purpose must be named, with the right verdict.
pub(crate) fn stores(stage: &Stage, stores: &[Damaged]) -> Result<()> {
    println!("\nThe stores, each with damage that only reading every byte can find");
    for store in stores {
        stage.show(&["run", &scrub_task(store)], &[FAILED])?;
        let report = stage.ask(&["runs", "show", "last"])?;
        let findings = find(&report, "findings")
            .and_then(serde_json::Value::as_array)
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
        println!(
            "expected: all {} damaged shards of `{}` are named",
            store.damaged.len(),
            store.name
        );
    }
    Ok(())
}
