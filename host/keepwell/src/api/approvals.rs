//! Answers to requests for approval: taken in, or turned away with the reason; both are journaled.

use super::find_run;
use super::request::Answer;
use crate::config::timetable;
use crate::error::{Error, Result};
use crate::node::Node;
use crate::pipeline::{Asked, hold_answers};
use keepwell_bundle::ANSWER_MAX_BYTES;
use keepwell_journal::Reader;
use keepwell_model::approval::{self, Decision, Refused, RequestId, State};
use keepwell_model::event::{Event, Record};
use keepwell_model::id::RunId;
use keepwell_model::state::RunState;
use keepwell_model::words::printable;
use std::fmt::Display;

/// The answer of somebody the kernel names.
pub(super) fn answer(
    node: &Node,
    run: &str,
    answer: approval::Answer,
    reason: &str,
) -> Result<Answer> {
    let _one_at_a_time = hold_answers(node);
    let (run, asked) = waiting(&node.reader()?, run)?;
    let peer = node
        .caller
        .clone()
        .ok_or_else(|| Error::denied("nobody in particular cannot answer"))?;
    let now = node.clock.now_ms();
    match Decision::by_peer(&asked.request, answer, peer, now, reason) {
        Ok(decision) => take(node, run, asked, decision),
        Err(why) => Err(refuse(node, Some((run, asked.request.id())), &why)?),
    }
}

/// An answer signed elsewhere: it names its request itself.
pub(super) fn import(node: &Node, base64: &str) -> Result<Answer> {
    let too_long = base64.len() > ANSWER_MAX_BYTES * 2;
    let bytes = data_encoding::BASE64
        .decode(base64.as_bytes())
        .ok()
        .filter(|_| !too_long)
        .ok_or_else(|| Error::usage("that is no signed answer"))?;
    let _one_at_a_time = hold_answers(node);
    let reader = node.reader()?;
    let now = node.clock.now_ms();
    let mut last = None;
    for (run, asked) in all_waiting(&reader)? {
        match keepwell_bundle::verify_decision(&bytes, &node.approvers, &asked.request, now) {
            Ok(decision) => return take(node, run, asked, decision),
            Err(Refused::OtherRequest { found }) => {
                last.get_or_insert((None, Refused::OtherRequest { found }));
            }
            Err(why) => last = Some((Some((run, asked.request.id())), why)),
        }
    }
    match last {
        Some((about, why)) => Err(refuse(node, about, &why)?),
        None => Err(refuse(node, None, &"no run waits for approval")?),
    }
}

/// Journals it if it counts, and says where the request stands.
fn take(node: &Node, run: RunId, mut asked: Asked, decision: Decision) -> Result<Answer> {
    asked.decisions.push(decision.clone());
    // What would be applied is compared when it is applied; here only the answer is weighed.
    let subject = asked.request.subject;
    let judged = asked.judge(node, &subject)?;
    let at = asked.decisions.len() - 1;
    if let Some((_, why)) = judged.refused.into_iter().find(|(index, _)| *index == at) {
        return Err(refuse(node, Some((run, asked.request.id())), &why)?);
    }
    let event = Event::ApprovalAnswered { decision };
    node.journal.commit(record(node, run, &asked, event))?;
    node.journal.checkpoint()?;
    let short = run.short();
    let by_itself = match windowed(node, &asked)? {
        Some(key) => format!("a daemon does so in the window of {key}"),
        None => "a daemon does so by itself".to_owned(),
    };
    Ok(Answer::Said(match judged.state {
        State::Approved => format!(
            "run {short} is approved; `keepwell runs resume {short}` applies it, {by_itself}"
        ),
        State::Waiting { have, need } => {
            format!("taken in: run {short} has {have} of {need} approvals")
        }
        other => format!("taken in: the request of run {short} is {other}"),
    }))
}

/// The schedule in whose window a daemon applies the plan.
fn windowed(node: &Node, asked: &Asked) -> Result<Option<String>> {
    let lines = timetable(&node.config)?;
    let line = lines.into_iter().find(|line| asked.is_of(line));
    Ok(line.filter(|l| l.schedule.window.is_some()).map(|l| l.key))
}

fn record(node: &Node, run: RunId, asked: &Asked, event: Event) -> Record {
    Record {
        run: Some(run),
        ..node.record(Some(asked.request.task.as_str()), event)
    }
}

/// Journals why an answer does not count, and gives the error.
fn refuse(node: &Node, about: Option<(RunId, RequestId)>, why: &dyn Display) -> Result<Error> {
    let event = Event::ApprovalRefused {
        request: about.map(|(_, request)| request),
        why: printable(&why.to_string(), 400),
    };
    let mut record = node.record(None, event);
    record.run = about.map(|(run, _)| run);
    node.journal.commit(record)?;
    Ok(Error::denied(format!("the answer does not count: {why}"))
        .hint("`keepwell approvals show RUN` says what is asked and who may answer"))
}

/// The run that waits, by its own name or its request's.
pub fn waiting(reader: &Reader, text: &str) -> Result<(RunId, Asked)> {
    let by_request = all_waiting(reader)?
        .into_iter()
        .find(|(_, asked)| text.len() >= 8 && asked.request.id().hex().starts_with(text));
    if let Some(found) = by_request {
        return Ok(found);
    }
    let run = find_run(reader, text)?;
    let records = reader.run(run)?;
    let asked = Asked::of(&records).ok_or_else(|| {
        Error::usage(format!("run {} does not wait for approval", run.short()))
            .hint("`keepwell approvals list` shows those that do")
    })?;
    Ok((run, asked))
}

/// Every run that waits, oldest first.
pub fn all_waiting(reader: &Reader) -> Result<Vec<(RunId, Asked)>> {
    let mut found = vec![];
    for run in reader.in_state(RunState::Waiting)? {
        if let Some(asked) = Asked::of(&reader.run(run)?) {
            found.push((run, asked));
        }
    }
    Ok(found)
}
