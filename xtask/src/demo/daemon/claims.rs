//! What the daemon's act claims, judged from what the program itself reports. Pure: each claim can
//! fail, and the tests make it.

use super::super::stage::{number, text};
use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::BTreeSet;

/// States in which a slot may end here: a real machine may well deserve a warning.
const ENDED_WELL: [&str; 2] = ["done", "warned"];

/// Every start by a schedule, each slot once, and of each schedule as many as came due in the time
/// watched, but for those at its ends. Gives the number of starts.
pub(super) fn each_slot_once(
    started: &[Value],
    every: &[(&str, u64)],
    seconds: u64,
) -> Result<u64> {
    let mut seen = BTreeSet::new();
    for entry in started {
        let slot = &entry["record"]["event"]["slot"];
        let (task, due) = (&entry["record"]["task"], &slot["due"]);
        if slot.is_null() {
            continue;
        }
        let task = task.as_str().unwrap_or_default();
        if !seen.insert((task.to_owned(), due.as_u64().unwrap_or_default())) {
            return failed(format!("the slot {due} of {task} was started twice"));
        }
    }
    for (task, period) in every {
        let count = seen.iter().filter(|(name, _)| name == task).count() as u64;
        let least = (seconds / period).saturating_sub(2).max(1);
        if count < least {
            return failed(format!(
                "{task} ran {count} times in {seconds} s; every {period} s is at least {least}"
            ));
        }
    }
    Ok(seen.len() as u64)
}

/// No run of these tasks ended other than well.
pub(super) fn all_ended_well(runs: &[Value], tasks: &[&str]) -> Result<()> {
    for run in runs {
        let (task, state) = (text(run, "task")?, text(run, "state")?);
        let under_way = state == "running";
        if tasks.contains(&task.as_str()) && !under_way && !ENDED_WELL.contains(&state.as_str()) {
            return failed(format!("a run of {task} ended {state}"));
        }
    }
    Ok(())
}

/// The plan of a run waits, and nothing of it was applied. Gives its digest.
pub(super) fn waits(report: &Value) -> Result<String> {
    let state = text(report, "state")?;
    if state != "waiting" {
        return failed(format!("the plan was to wait, and its run is {state}"));
    }
    match number(report, &["applied", "done"])? {
        0 => text(report, "digest"),
        done => failed(format!(
            "{done} actions were applied before anybody approved"
        )),
    }
}

/// What was applied is the plan that waited, all of it.
pub(super) fn applied_as_approved(report: &Value, digest: &str) -> Result<u64> {
    let (state, is) = (text(report, "state")?, text(report, "digest")?);
    if state != "done" {
        return failed(format!("the approved run ended {state}"));
    }
    if is != digest {
        return failed(format!("{is} was applied, and {digest} approved"));
    }
    let (planned, done) = (
        number(report, &["plan", "actions"])?,
        number(report, &["applied", "done"])?,
    );
    if done == 0 || done != planned {
        return failed(format!("{done} of {planned} approved actions were applied"));
    }
    Ok(done)
}

/// One answer was taken in, and it was signed by this key.
pub(super) fn answered_by(entries: &[Value], key_id: &str) -> Result<()> {
    let [one] = entries else {
        return failed(format!(
            "{} answers are in the journal, not one",
            entries.len()
        ));
    };
    let key = &one["record"]["event"]["decision"]["approver"]["key"];
    if key == key_id {
        return Ok(());
    }
    failed(format!("the answer was signed by {key}, not by {key_id}"))
}

/// A file holds exactly this; `when` is for the message.
pub(super) fn holds(file: &str, expected: &str, when: &str) -> Result<()> {
    if file == expected {
        return Ok(());
    }
    failed(format!("{when} the file is\n{file}and must be\n{expected}"))
}

/// The newest change was taken back, and by the deadline.
pub(super) fn reverted(changes: &[Value]) -> Result<()> {
    let Some(newest) = changes.first() else {
        return failed("no change of a parameter is known".into());
    };
    let (state, why) = (text(newest, "state")?, text(newest, "why")?);
    if state == "reverted" && why.contains("not confirmed") {
        return Ok(());
    }
    failed(format!("the change is {state}: {why}"))
}

fn failed<T>(why: String) -> Result<T> {
    Err(Error::Unexpected(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn start(task: &str, due: u64) -> Value {
        json!({ "index": 1, "record": { "task": task, "event": { "kind": "run-due", "slot": { "due": due } } } })
    }

    fn starts(task: &str, count: u64) -> Vec<Value> {
        (0..count).map(|n| start(task, n * 3_000)).collect()
    }

    #[test]
    fn a_slot_twice_or_a_schedule_that_stands_still_fails_it() {
        let every = [("disk-usage", 3)];
        assert_eq!(
            each_slot_once(&starts("disk-usage", 9), &every, 30).unwrap(),
            9
        );
        let mut twice = starts("disk-usage", 9);
        twice.push(start("disk-usage", 3_000));
        assert!(each_slot_once(&twice, &every, 30).is_err());
        assert!(each_slot_once(&starts("disk-usage", 7), &every, 30).is_err());
        assert!(each_slot_once(&starts("other", 9), &every, 30).is_err());
        assert!(each_slot_once(&[], &every, 30).is_err());
        // A person's run has no slot and counts for none.
        let by_hand = json!({ "record": { "task": "disk-usage", "event": { "kind": "run-due" } } });
        assert!(each_slot_once(&vec![by_hand; 9], &every, 30).is_err());
    }

    #[test]
    fn a_scheduled_run_that_failed_fails_it() {
        let run = |task: &str, state: &str| json!({ "task": task, "state": state });
        let tasks = ["disk-usage"];
        let good = [
            run("disk-usage", "done"),
            run("disk-usage", "running"),
            run("x", "failed"),
        ];
        assert!(all_ended_well(&good, &tasks).is_ok());
        for bad in ["failed", "skipped", "limited", "interrupted"] {
            assert!(
                all_ended_well(&[run("disk-usage", bad)], &tasks).is_err(),
                "{bad}"
            );
        }
    }

    fn report(state: &str, digest: &str, planned: u64, done: u64) -> Value {
        json!({ "state": state, "plan": { "digest": digest, "actions": planned }, "applied": { "done": done } })
    }

    #[test]
    fn a_plan_that_does_not_wait_fails_it() {
        assert_eq!(waits(&report("waiting", "d", 9, 0)).unwrap(), "d");
        assert!(waits(&report("done", "d", 9, 0)).is_err());
        assert!(waits(&report("waiting", "d", 9, 1)).is_err());
    }

    #[test]
    fn another_plan_half_of_it_or_none_fails_it() {
        assert_eq!(
            applied_as_approved(&report("done", "d", 9, 9), "d").unwrap(),
            9
        );
        assert!(applied_as_approved(&report("waiting", "d", 9, 9), "d").is_err());
        assert!(applied_as_approved(&report("done", "e", 9, 9), "d").is_err());
        assert!(applied_as_approved(&report("done", "d", 9, 8), "d").is_err());
        assert!(applied_as_approved(&report("done", "d", 0, 0), "d").is_err());
    }

    #[test]
    fn an_answer_of_somebody_else_fails_it() {
        let by = |key: &str| {
            let decision = json!({ "answer": "grant", "approver": { "key": key } });
            json!({ "record": { "event": { "decision": decision } } })
        };
        assert!(answered_by(&[by("a1")], "a1").is_ok());
        assert!(answered_by(&[by("b2")], "a1").is_err());
        assert!(answered_by(&[], "a1").is_err());
        assert!(answered_by(&[by("a1"), by("a1")], "a1").is_err());
        let peer = json!({ "record": { "event": { "decision": { "approver": { "uid": 0 } } } } });
        assert!(answered_by(&[peer], "a1").is_err());
    }

    #[test]
    fn a_value_that_stays_fails_it() {
        assert!(holds("a", "a", "").is_ok() && holds("b", "a", "").is_err());
        let change = |state: &str, why: &str| json!({ "state": state, "why": why });
        assert!(reverted(&[change("reverted", "it was not confirmed by then")]).is_ok());
        assert!(reverted(&[change("reverted", "undone")]).is_err());
        assert!(reverted(&[change("armed", "not confirmed")]).is_err());
        assert!(reverted(&[]).is_err());
    }
}
