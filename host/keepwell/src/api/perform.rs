//! Does what was asked, on an opened node.

use super::approvals::{answer, import};
use super::baseline::baseline;
use super::controls;
use super::held::{accept, reject};
use super::plugins::{install, remove};
use super::request::{Answer, Request};
use super::steering;
use super::trust::trust;
use crate::error::{Error, Result};
use crate::node::Node;
use crate::node_dir::make_private_dir;
use crate::pipeline::{self, Brake, CANCEL_FILE, Due, Kept, Observer, Which};
use keepwell_journal::Reader;
use keepwell_model::event::{Event, Mode};
use keepwell_model::id::RunId;
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use std::path::Path;

const STOPS: &str = "asked it to stop at the next safe point";

pub fn perform(
    node: &Node,
    request: Request,
    observer: &mut dyn Observer,
    brake: &Brake,
) -> Result<Answer> {
    match request {
        Request::Run {
            task,
            set,
            mode,
            trigger,
            yes,
        } => run(node, &task, &set, mode, &trigger, yes, observer, brake),
        Request::Resume { run } => resume(node, &run, observer, brake),
        Request::Undo { run, only } => {
            let which = if only.is_empty() {
                Which::All
            } else {
                Which::Only(only.into_iter().collect())
            };
            let run = find_run(&node.reader()?, &run)?;
            report(pipeline::undo(node, run, &which, observer)?)
        }
        Request::Confirm { run } => {
            let run = find_run(&node.reader()?, &run)?;
            let stay = pipeline::confirm(node, run)?;
            Ok(Answer::Said(format!(
                "confirmed: {stay} changed parameters stay"
            )))
        }
        Request::Cancel { run } => {
            let reader = node.reader()?;
            if let Some(answer) = withdraw(node, &reader, &run)? {
                return Ok(answer);
            }
            match node.in_hand.brake(find_run(&reader, &run)?) {
                Some(brake) => {
                    let why = format!("cancelled by {}", node.actor);
                    brake.pull(RunState::Cancelled, why, None);
                    Ok(Answer::Said(STOPS.into()))
                }
                None => cancel(&node.dir, &reader, &run),
            }
        }
        Request::Control {
            task,
            control,
            reason,
        } => controls::steer(node, &task, control, &reason),
        Request::Done { task, slot, reason } => controls::done(node, &task, slot, &reason),
        Request::Backfill {
            task,
            schedule,
            from,
            to,
            reason,
        } => controls::backfill(node, &task, schedule.as_deref(), from..=to, &reason),
        Request::RunNow { task, set, reason } => controls::run_now(node, &task, &set, &reason),
        Request::Extend {
            what,
            by_ms,
            reason,
        } => steering::extend(node, &what, by_ms, &reason),
        Request::Prioritize {
            schedule,
            criticality,
            reason,
        } => steering::prioritize(node, &schedule, criticality, &reason),
        Request::Adjust { run, less, reason } => steering::adjust(node, &run, less, &reason),
        Request::Expire { all } => {
            let now = node.clock.now_ms();
            let due: Vec<Kept> = pipeline::kept(&node.config)
                .into_iter()
                .filter(|k| all || k.expires_ms <= now)
                .collect();
            let (entries, bytes) = pipeline::expire(node, &due)?;
            node.journal.checkpoint()?;
            Ok(Answer::Expired { entries, bytes })
        }
        Request::ClearState { task, reason } => controls::clear_state(node, &task, &reason),
        Request::Install {
            source,
            bundle,
            endorsement,
            upgrade,
        } => {
            let source = Path::new(&source);
            install(node, source, &bundle, endorsement.as_deref(), upgrade)
        }
        Request::Remove { plugin } => remove(node, &plugin),
        Request::Accept { plugin, digits } => accept(node, &plugin, &digits),
        Request::Reject { plugin } => reject(node, &plugin),
        Request::Trust { name, change } => trust(node, &name, change),
        Request::Answer {
            run,
            answer: said,
            reason,
        } => answer(node, &run, said, &reason),
        Request::Import { answer } => import(node, &answer),
        Request::BreakGlass {
            run,
            digest,
            reason,
        } => {
            let run = find_run(&node.reader()?, &run)?;
            let words = (digest.as_str(), reason.as_str());
            report(pipeline::break_glass(node, run, words, observer, brake)?)
        }
        Request::Acknowledge { run, reason } => {
            let run = find_run(&node.reader()?, &run)?;
            pipeline::acknowledge(node, run, &reason)?;
            let short = run.short();
            Ok(Answer::Said(format!(
                "acknowledged: the glass broken for run {short}"
            )))
        }
        Request::Sweep => {
            let stopped = || brake.is_pulled();
            Ok(Answer::Forgotten(pipeline::sweep(node, &stopped)?))
        }
        Request::Baseline { name, make } => baseline(node, &name, make),
        Request::Checkpoint => Ok(Answer::Note(node.journal.checkpoint()?)),
        Request::Look { .. } => Err(Error::usage("no daemon runs on this node")
            .hint("without one, the node directory is read by who may")),
        Request::Reload => Err(Error::usage("no daemon runs on this node")
            .hint("without one, every command reads the configuration as it is")),
    }
}

fn report(report: Report) -> Result<Answer> {
    Ok(Answer::Report(Box::new(report)))
}

#[expect(clippy::too_many_arguments, reason = "the fields of one request")]
fn run(
    node: &Node,
    task: &str,
    set: &[(String, serde_json::Value)],
    mode: Mode,
    trigger: &str,
    yes: bool,
    observer: &mut dyn Observer,
    brake: &Brake,
) -> Result<Answer> {
    let task = node.config.task(task)?;
    let due = Due::now(node, task, trigger, mode, yes, set)?;
    let ended = pipeline::run(node, due, observer, brake)?;
    if mode == Mode::Apply
        && let Err(e) = pipeline::expire_due(node, node.clock.now_ms())
    {
        crate::talk::say(&format!(
            "  quarantine that has expired was not deleted: {e}"
        ));
    }
    report(ended)
}

fn resume(node: &Node, run: &str, observer: &mut dyn Observer, brake: &Brake) -> Result<Answer> {
    let run = find_run(&node.reader()?, run)?;
    report(pipeline::resume(node, run, observer, brake)?)
}

/// Ends a run whose plan waits: nothing runs, so there is nobody to tell.
fn withdraw(node: &Node, reader: &Reader, run: &str) -> Result<Option<Answer>> {
    let run = find_run(reader, run)?;
    // Who goes on with it just now lets it wait no longer, and is told to stop as any other.
    let Ok(_hold) = node.in_hand.take(run, &Brake::default()) else {
        return Ok(None);
    };
    let waiting = reader
        .report(run)?
        .filter(|report| report.state == RunState::Waiting);
    let Some(report) = waiting else {
        return Ok(None);
    };
    let event = Event::RunEnded {
        state: RunState::Cancelled,
        reason: Some("withdrawn before its plan was approved".into()),
        hint: None,
        limit: None,
        again: false,
        fault: false,
    };
    let mut record = node.record(Some(&report.task), event);
    record.run = Some(run);
    node.journal.commit_with_checkpoint(record)?;
    Ok(Some(Answer::Said(format!(
        "run {} is withdrawn; nothing of its plan was applied",
        run.short()
    ))))
}

/// Leaves the file that whoever runs it looks for. Needs no lock, so it works beside any process.
pub fn cancel(dir: &crate::node_dir::NodeDir, reader: &Reader, run: &str) -> Result<Answer> {
    let run = find_run(reader, run)?;
    let report = reader
        .report(run)?
        .ok_or_else(|| Error::usage(format!("there is no run {run}")))?;
    if report.state != RunState::Running {
        return Err(Error::usage(format!("the run ended {}", report.state)));
    }
    let file = dir.run(run).join(CANCEL_FILE);
    make_private_dir(&dir.run(run))?;
    std::fs::write(&file, b"").map_err(|e| Error::io("write", &file, &e))?;
    Ok(Answer::Said(STOPS.into()))
}

/// The one run that `text` names.
pub fn find_run(reader: &Reader, text: &str) -> Result<RunId> {
    let found = reader.find_runs(text)?;
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Error::usage(format!("there is no run `{text}`"))
            .hint("`keepwell runs list` names them")),
        many => {
            Err(Error::usage(format!("`{text}` names {} runs", many.len()))
                .hint("give more of its id"))
        }
    }
}
