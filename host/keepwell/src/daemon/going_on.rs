//! Runs that go on without anybody asking again: those a crash cut off, as their schedule says, and
//! those whose plans were approved, denied or have expired since.

use super::running::{For, NotNow};
use super::shared::Shared;
use crate::api::Said;
use crate::config::{Line, timetable};
use crate::error::Result;
use crate::pipeline::{self, Brake, Silent};
use keepwell_journal::{PAUSED, Reader, RunQuery};
use keepwell_model::approval::State;
use keepwell_model::event::Mode;
use keepwell_model::id::RunId;
use keepwell_model::schedule::OnInterrupt;
use keepwell_model::state::RunState;
use keepwell_model::window::{MayGoOn, Occurrence};
use std::sync::Arc;

/// Among as many of a task's newest runs is what was cut off; what is older has had its successors.
const RUNS: u64 = 16;

/// Runs of a task that were cut off after their plan was made, newest first. What a later run has
/// done to the end leaves nothing of them.
pub(super) fn cut_off(reader: &Reader, task: &str) -> Result<Vec<RunId>> {
    let runs = reader.runs(&RunQuery {
        task: Some(task.to_owned()),
        limit: Some(RUNS),
        ..RunQuery::default()
    })?;
    let ended =
        |state, mode| mode == Mode::Apply && matches!(state, RunState::Done | RunState::Warned);
    Ok(runs
        .into_iter()
        .take_while(|run| !ended(run.state, run.mode))
        .filter(|run| run.state == RunState::Interrupted)
        .map(|run| run.run)
        .collect())
}

/// Finishes what the crash before this start cut off, where a schedule of the task says `resume` and
/// its window, if it has one, is open. The rest is for the next slot, or for a person to look at.
pub(super) fn after_a_crash(shared: &Arc<Shared>) -> Result<()> {
    let node = shared.node();
    let (now, reader) = (node.clock.now_ms(), node.reader()?);
    let said = Said::read(&reader, now)?;
    for line in timetable(&node.config)? {
        if line.schedule.on_interrupt != OnInterrupt::Resume {
            continue;
        }
        let window = opening(&line, &said, now);
        if line.schedule.window.is_some() && window.is_none() {
            continue;
        }
        for task in &line.tasks {
            for run in cut_off(&reader, task.as_str())? {
                let what = For {
                    schedule: Some(line.key.clone()),
                    task: Some(task.to_string()),
                    run: Some(run),
                    window,
                };
                go_on(shared, run, what);
            }
        }
    }
    Ok(())
}

/// The window of a schedule, if work may begin in it now.
fn opening(line: &Line, said: &Said, now: u64) -> Option<Occurrence> {
    let slot = line.schedule.pattern.last_at_or_before(now).ok()??;
    let opening = line.schedule.window.as_ref()?.occurrence(slot).ok()?;
    let extended = said.extended(&line.key);
    let extended = extended.filter(|e| e.opens == opening.opens);
    let open = opening.extended(extended.map_or(0, |e| e.by_ms));
    (open.opens <= now && open.may_go_on(now) == MayGoOn::Yes).then_some(open)
}

/// Looks at every plan that waits: what is decided goes on, to be applied or to its end. What a
/// schedule made due is applied as the schedule would: inside its window, and not beside what its
/// group excludes. A person who does not want to wait for that resumes it.
pub(super) fn approved(shared: &Arc<Shared>) -> Result<()> {
    let node = shared.node();
    let (now, reader) = (node.clock.now_ms(), node.reader()?);
    let waiting = crate::api::all_waiting(&reader)?;
    if waiting.is_empty() {
        return Ok(());
    }
    let (lines, said) = (timetable(&node.config)?, Said::read(&reader, now)?);
    for (run, asked) in waiting {
        let task = asked.request.task.as_str();
        // Whether anything has changed is looked at when it goes on; here only the answers count.
        let subject = asked.request.subject;
        let state = asked.judge(&node, &subject)?.state;
        if reader.flag(task, PAUSED)?.is_some() || matches!(state, State::Waiting { .. }) {
            continue;
        }
        let line = lines.iter().find(|line| asked.is_of(line));
        let mut window = None;
        if let Some(line) = line.filter(|_| state == State::Approved) {
            window = opening(line, &said, now);
            let closed = line.schedule.window.is_some() && window.is_none();
            if closed || shared.scheduler.is_held_out(shared, line) {
                continue;
            }
        }
        let what = For {
            schedule: Some(line.map_or_else(|| run.to_string(), |line| line.key.clone())),
            task: Some(task.to_owned()),
            run: Some(run),
            window,
        };
        go_on(shared, run, what);
    }
    Ok(())
}

fn go_on(shared: &Arc<Shared>, run: RunId, what: For) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let brake = Brake::default();
        let task = what.task.clone().unwrap_or_default();
        let _under_way = match shared.running.begin(what, &brake) {
            Ok(under_way) => under_way,
            Err(NotNow::Ending | NotNow::GoesOn) => return,
        };
        let node = shared.node();
        match pipeline::resume(&node, run, &mut Silent, &brake) {
            Ok(report) => {
                tracing::info!(run = run.short(), "{task} went on, ended {}", report.state);
                shared.wake.notify_one();
            }
            // It stays as it is: looking again at once would only find the same.
            Err(e) => tracing::warn!(run = run.short(), "{task} cannot go on: {e}"),
        }
    });
}
