//! Watching over changes that wait: what is due goes back, newest first, and is said.

use super::guard::Measured;
use super::{Changed, changes, current, hold, put_back, record};
use crate::error::Result;
use crate::node::Node;
use keepwell_model::event::Event;
use keepwell_model::id::RunId;
use keepwell_model::param::{Commit, CommitState, WhatNow, Why, after_restart, what_now};
use keepwell_model::words::{Code, Refusal};
use keepwell_node::params::ConfigWrite;
use keepwell_node::quarantine::Settled;
use std::collections::BTreeMap;

/// How often a change that waits is looked at: its guard is measured, and whether somebody else set
/// another value.
const LOOK_EVERY_MS: u64 = 5_000;

/// What is remembered of changes that wait, from one look to the next.
#[derive(Debug, Default)]
pub struct Watch {
    measured: Measured,
    /// Those that must go back, and why. What could not be done at once, on a full disk or while
    /// an editor replaces the file, stays due whatever is measured later.
    due: BTreeMap<(RunId, u64), String>,
    /// What stood in the way when it was said last, so that it is said once.
    said: BTreeMap<(RunId, u64), String>,
}

/// Takes back every change that waits and is due, newest first, and says so. `restarted` tells
/// whether what watched over a change was gone for a while. Gives when to look again.
pub fn take_back(
    node: &Node,
    watch: &mut Watch,
    restarted: &dyn Fn(RunId) -> bool,
    say: &dyn Fn(&str),
) -> Result<Option<u64>> {
    let _one_at_a_time = hold(node);
    let mut next = None;
    let mut untold = None;
    for changed in changes(&node.reader()?)?.into_iter().rev() {
        if changed.commit.state != CommitState::Armed {
            continue;
        }
        let now_ms = node.clock.now_ms();
        let restarted = restarted(changed.commit.run);
        match watch.look(node, &changed, now_ms, restarted) {
            Ok(Some(event)) => {
                let what = told(&changed, &event);
                watch.forget(changed.key());
                say(&what);
                // It was intended when it was armed, so a journal that is full holds up no revert;
                // the record follows when there is room.
                if let Err(e) = record(node, &changed, event) {
                    untold.get_or_insert(e);
                }
                continue;
            }
            Ok(None) => {}
            Err(no) => {
                if watch.said.get(&changed.key()) != Some(&no.message) {
                    say(&format!(
                        "the change of `{}` cannot be taken back now, and is tried again: {}",
                        changed.commit.param, no.message
                    ));
                    watch.said.insert(changed.key(), no.message);
                }
            }
        }
        let deadline = changed.commit.deadline_ms;
        let again = if deadline > now_ms {
            deadline.min(now_ms + LOOK_EVERY_MS)
        } else {
            now_ms + LOOK_EVERY_MS
        };
        next = Some(next.map_or(again, |n: u64| n.min(again)));
    }
    untold.map_or(Ok(next), Err)
}

impl Watch {
    /// What becomes of one change that waits: nothing yet, or what to write down.
    fn look(
        &mut self,
        node: &Node,
        changed: &Changed,
        now_ms: u64,
        restarted: bool,
    ) -> Result<Option<Event>, Refusal> {
        let Changed { commit, action, .. } = changed;
        let (verdict, figures) = self.measured.verdict(node, changed, now_ms);
        let hand = ConfigWrite::new(commit.run);
        let settled = hand.settled(action);
        let current = current(settled, commit);
        let what = if restarted {
            self.due.insert(changed.key(), Why::Restart.to_string());
            after_restart(commit, current)
        } else {
            what_now(commit, current, now_ms, verdict)
        };
        let why = match (what, self.due.get(&changed.key())) {
            (WhatNow::Overtaken, _) => return overtaken(&hand, changed, settled, now_ms),
            (WhatNow::Keep | WhatNow::Revert(_), Some(why)) => why.clone(),
            (WhatNow::Revert(why), None) => told_why(why, figures),
            (WhatNow::Keep, None) => return Ok(None),
        };
        self.due.insert(changed.key(), why.clone());
        put_back(&hand, action, why).map(Some)
    }

    fn forget(&mut self, key: (RunId, u64)) {
        self.measured.forget(key);
        self.due.remove(&key);
        self.said.remove(&key);
    }
}

/// Neither value is known to stand there: whether another one does, or nothing can be read now.
fn overtaken(
    hand: &ConfigWrite,
    changed: &Changed,
    settled: Settled,
    now_ms: u64,
) -> Result<Option<Event>, Refusal> {
    let action = &changed.action;
    let theirs = match settled {
        Settled::Applied | Settled::NotApplied => true,
        // A file that an editor is just replacing is not there for a moment.
        Settled::Unknown => match hand.holds_another(action) {
            Err(no) if no.code == Code::Gone => now_ms >= changed.commit.deadline_ms,
            other => other?,
        },
    };
    Ok(theirs.then_some(Event::CommitOvertaken { action: action.id }))
}

/// Why, with what was measured where that is the reason.
fn told_why(why: Why, figures: Option<String>) -> String {
    match (why, figures) {
        (Why::Guard | Why::Silence, Some(figures)) => format!("{why}: {figures}"),
        (Why::Guard | Why::Silence | Why::Deadline | Why::Restart | Why::Clock, _) => {
            why.to_string()
        }
    }
}

fn told(changed: &Changed, event: &Event) -> String {
    let Commit {
        run, param, old, ..
    } = &changed.commit;
    let run = run.short();
    match event {
        Event::CommitReverted { why, .. } => {
            format!("`{param}`, changed by run {run}, is `{old}` again: {why}")
        }
        _ => format!("`{param}`, changed by run {run}, was set by somebody else and stays so"),
    }
}
