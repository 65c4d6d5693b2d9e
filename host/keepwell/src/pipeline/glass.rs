//! Breaking the glass: a plan that lacks approval is applied on one person's word. The model judges;
//! this gathers what it judges by, and writes down what was done, tried, and looked at afterwards.

use super::gate::{self, Asked};
use super::recover::{carry_on, granted_to, not_paused, planned_again};
use super::run_log::{Halt, Observer, RunLog};
use super::{Approved, Brake, Planned, admit};
use crate::error::{Error, Result};
use crate::node::Node;
use keepwell_journal::{Filter, Reader};
use keepwell_model::approval::{REASON_MAX_BYTES, Subject};
use keepwell_model::event::{Event, Record};
use keepwell_model::gate::Facts;
use keepwell_model::glass::{self, Acknowledged, Broken, Case, Glass, Whole};
use keepwell_model::id::{Digest, RunId};
use keepwell_model::report::Report;
use keepwell_model::role::Peer;
use keepwell_model::words::printable;
use serde::Serialize;
use std::ops::ControlFlow;

/// A run whose glass was broken.
#[derive(Debug, Clone, Serialize)]
pub struct BrokenRun {
    pub run: RunId,
    pub task: String,
    #[serde(flatten)]
    pub glass: Glass,
}

/// Applies the plan of `run`, whose digest begins as `typed`, without the approvals it lacks.
pub fn break_glass(
    node: &Node,
    run: RunId,
    (typed, reason): (&str, &str),
    observer: &mut dyn Observer,
    brake: &Brake,
) -> Result<Report> {
    let _hold = node.in_hand.take(run, brake)?;
    let reader = node.reader()?;
    let records = reader.run(run)?;
    let report =
        Report::fold(&records).ok_or_else(|| Error::usage(format!("there is no run {run}")))?;
    not_paused(&reader, &report.task)?;
    let by = caller(node)?;
    let answers = gate::hold_answers(node);
    let (planned, broken) = match may(node, &report, &records, &by, (typed, reason)) {
        Ok(may) => may,
        Err(no) => return Err(refuse(node, &report, no)?),
    };
    let _watch = super::watch::Watch::again(node, run, brake)?;
    let mut log = RunLog::reopen(node, report, observer);
    let broke = log.tell(Event::GlassBroken {
        digest: planned.plan.digest,
        by: by.uid,
        reason: reason.trim().to_owned(),
        over: broken.over,
        until: broken.until,
    });
    drop(answers);
    tracing::warn!(
        run = run.short(),
        "user {} broke the glass: {reason}",
        by.uid
    );
    let ended = broke.and_then(|()| carry_on(node, Approved { planned }, &mut log, brake));
    let report = log.end(ended)?;
    super::remember::remember(node, &report);
    Ok(report)
}

/// The plan, if the glass may be broken for it; what cannot be overridden is looked at as well.
fn may<'a>(
    node: &'a Node,
    report: &Report,
    records: &[Record],
    by: &Peer,
    (typed, reason): (&str, &str),
) -> Result<(Planned<'a>, Broken)> {
    let policy = &node.config.node.policy;
    glass::named(policy, &node.roles, by).map_err(|no| whole(&no))?;
    let planned = planned_again(node, report, records)?;
    let due = &planned.granted.due;
    let grant = &planned.granted.grant;
    let effects = gate::effects_of(&planned);
    let asked = Asked::of(records);
    let was = subject_then(planned.plan.digest, records)?;
    let answered = asked.as_ref().map(|asked| asked.judge(node, &was));
    let answered = answered.transpose()?.map(|judged| judged.state);
    let broken = glass::judge(&Case {
        policy,
        roles: &node.roles,
        by,
        typed,
        reason,
        state: report.state,
        let_through: records.iter().any(let_through),
        sealed: sealed(records),
        planned: &was,
        now_is: &gate::subject(planned.plan.digest, grant, &due.settings),
        ruling: &keepwell_model::gate::ruling(&gate::facts(node, &planned, &effects)),
        answered: answered.as_ref(),
        now: node.clock.now_ms(),
    });
    let broken = broken.map_err(|no| whole(&no))?;
    let clock = node.clock_doubt()?;
    let facts = Facts {
        clock,
        ..gate::facts(node, &planned, &effects)
    };
    if let Some(doubt) = keepwell_model::gate::doubted(&facts) {
        return Err(Error::from(doubt.denial()));
    }
    let hard =
        admit::check_roots(node, grant).and_then(|()| admit::check_shares(grant, &planned.plan));
    match hard {
        Ok(()) => Ok((planned, broken)),
        Err(Halt::End { reason, hint, .. }) => Err(Error {
            hint,
            ..Error::denied(reason)
        }),
        Err(Halt::Journal(error)) => Err(error),
        Err(Halt::Waiting { .. }) => Err(Error::failed("a look at roots waits for nobody")),
    }
}

/// What it was planned with, by the journal.
fn subject_then(plan: Digest, records: &[Record]) -> Result<Subject> {
    let granted = granted_to(records)?;
    let settings = records.iter().find_map(|r| match &r.event {
        Event::RunDue { settings, .. } => Some(settings),
        _ => None,
    });
    let settings =
        settings.ok_or_else(|| Error::failed("the journal does not say how it began"))?;
    Ok(gate::subject(plan, &granted, settings))
}

fn sealed(records: &[Record]) -> u64 {
    let sealed = |r: &&Record| matches!(r.event, Event::PlanSealed { .. });
    records.iter().find(sealed).map_or(0, |r| r.at)
}

fn let_through(record: &Record) -> bool {
    matches!(
        record.event,
        Event::Approved { .. } | Event::GlassBroken { .. }
    )
}

fn whole(no: &Whole) -> Error {
    Error::denied(format!("the glass stays whole: {no}")).hint(no.hint())
}

/// Who asks, as the kernel knows them.
fn caller(node: &Node) -> Result<Peer> {
    node.caller
        .clone()
        .ok_or_else(|| Error::denied("nobody in particular cannot do this"))
}

/// Journals that somebody tried, and gives the error.
fn refuse(node: &Node, report: &Report, no: Error) -> Result<Error> {
    let event = Event::GlassRefused {
        why: printable(&no.message, 400),
    };
    node.journal.commit(Record {
        run: Some(report.run),
        ..node.record(Some(&report.task), event)
    })?;
    Ok(no)
}

/// Somebody else says that they have looked at what was done.
pub fn acknowledge(node: &Node, run: RunId, reason: &str) -> Result<()> {
    let _hold = node.in_hand.take(run, &Brake::default())?;
    let report = node
        .reader()?
        .report(run)?
        .ok_or_else(|| Error::usage(format!("there is no run {run}")))?;
    let short = run.short();
    let glass = report.glass.as_ref().ok_or_else(|| {
        Error::usage(format!("nobody broke the glass for run {short}"))
            .hint("`keepwell break-glass list` names the runs")
    })?;
    if let Some(Acknowledged { by, .. }) = &glass.acknowledged {
        return Err(Error::usage(format!(
            "user {by} has acknowledged it already"
        )));
    }
    if reason.trim().is_empty() || reason.len() > REASON_MAX_BYTES {
        return Err(Error::usage("the reason is empty or very long")
            .hint("say in a sentence what you found"));
    }
    let by = caller(node)?.uid;
    if by == glass.by {
        let no = Error::denied("who broke the glass cannot acknowledge it")
            .hint("somebody else has to look at what was done");
        return Err(refuse(node, &report, no)?);
    }
    let event = Event::GlassAcknowledged {
        by,
        reason: reason.trim().to_owned(),
    };
    node.journal.commit_with_checkpoint(Record {
        run: Some(run),
        ..node.record(Some(&report.task), event)
    })?;
    Ok(())
}

/// Every run whose glass was broken, the oldest first.
pub fn broken(reader: &Reader) -> Result<Vec<BrokenRun>> {
    let filter = Filter {
        kinds: vec!["glass-broken".into()],
        ..Filter::default()
    };
    let mut runs = vec![];
    reader.records(&filter, &mut |_, record| {
        runs.extend(record.run);
        ControlFlow::Continue(())
    })?;
    let mut all = vec![];
    for run in runs {
        let Some(report) = reader.report(run)? else {
            continue;
        };
        let (task, glass) = (report.task, report.glass);
        all.extend(glass.map(|glass| BrokenRun { run, task, glass }));
    }
    Ok(all)
}
