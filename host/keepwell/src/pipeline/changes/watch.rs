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
use std::time::{Duration, Instant};

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
    /// When each is over by the machine's own steady count, which nobody can set back.
    over: BTreeMap<(RunId, u64), Instant>,
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
                // It was intended when it was armed, so a journal that is full holds up no revert;
                // the record follows when there is room, and until then it stays due.
                let recorded = record(node, &changed, event);
                watch.say(changed.key(), what, say);
                match recorded {
                    Ok(()) => watch.forget(changed.key()),
                    Err(e) => drop(untold.get_or_insert(e)),
                }
                continue;
            }
            Ok(None) => {}
            Err(no) => {
                let what = format!(
                    "the change of `{}` cannot be taken back now, and is tried again: {}",
                    changed.commit.param, no.message
                );
                watch.say(changed.key(), what, say);
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
        let now_ms = self.no_earlier(changed.key(), commit.deadline_ms, now_ms, Instant::now());
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
        let due = self.due.get(&changed.key()).map(String::as_str);
        let why = match turn(what, due, settled) {
            Turn::Waits => return Ok(None),
            Turn::Overtaken => return overtaken(&hand, changed, settled, now_ms),
            Turn::Due(why) => why.to_owned(),
            Turn::Back(why) => told_why(why, figures),
        };
        self.due.insert(changed.key(), why.clone());
        put_back(&hand, action, why).map(Some)
    }

    /// The time, for a deadline that a clock set back does not put off: it was so and so far away
    /// when it was first looked at.
    fn no_earlier(
        &mut self,
        key: (RunId, u64),
        deadline_ms: u64,
        now_ms: u64,
        steady: Instant,
    ) -> u64 {
        let left = Duration::from_millis(deadline_ms.saturating_sub(now_ms));
        let over = self.over.entry(key).or_insert(steady + left);
        if steady >= *over {
            now_ms.max(deadline_ms)
        } else {
            now_ms
        }
    }

    /// Says it, unless that is what was said of this change last.
    fn say(&mut self, key: (RunId, u64), what: String, say: &dyn Fn(&str)) {
        if self.said.get(&key) != Some(&what) {
            say(&what);
            self.said.insert(key, what);
        }
    }

    fn forget(&mut self, key: (RunId, u64)) {
        self.measured.forget(key);
        self.due.remove(&key);
        self.over.remove(&key);
        self.said.remove(&key);
    }
}

/// What to do about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn<'d> {
    Waits,
    Overtaken,
    Back(Why),
    /// It goes back for the reason that was found before.
    Due(&'d str),
}

/// What to do, given why it is due already. What is due and shows one of our two values goes back,
/// whatever was measured since: it may be back, with the record of that yet to be written.
const fn turn(what: WhatNow, due: Option<&str>, settled: Settled) -> Turn<'_> {
    match (what, due, settled) {
        (_, Some(why), Settled::Applied | Settled::NotApplied) => Turn::Due(why),
        (WhatNow::Revert(why), _, _) => Turn::Back(why),
        (WhatNow::Overtaken, _, _) => Turn::Overtaken,
        (WhatNow::Keep, _, _) => Turn::Waits,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_puts_no_deadline_off() {
        let mut watch = Watch::default();
        let key = (RunId::new(1, [0; 10]), 0);
        let (began, hour) = (Instant::now(), 3_600_000);
        let mut at = |now_ms, after| {
            let steady = began + Duration::from_millis(after);
            watch.no_earlier(key, 10 * hour, now_ms, steady)
        };
        assert_eq!(at(9 * hour, 0), 9 * hour);
        assert_eq!(at(7 * hour, hour - 1), 7 * hour);
        assert_eq!(at(8 * hour, hour), 10 * hour);
        assert_eq!(at(11 * hour, hour), 11 * hour);
    }

    #[test]
    fn what_is_due_stays_due_until_its_record_is_written() {
        let (due, back) = (Some("breached"), Turn::Due("breached"));
        // Put back, and the journal could not take the record: it is not somebody else's value.
        let (at_once, later) = (WhatNow::Revert(Why::Guard), WhatNow::Overtaken);
        assert_eq!(
            turn(at_once, None, Settled::Applied),
            Turn::Back(Why::Guard)
        );
        assert_eq!(turn(later, due, Settled::NotApplied), back);
        // The guard holds again, and the value could not be put back before.
        assert_eq!(turn(WhatNow::Keep, due, Settled::Applied), back);
        // Another value, or none that can be read, is never ours.
        assert_eq!(turn(later, due, Settled::Unknown), Turn::Overtaken);
        assert_eq!(turn(later, None, Settled::NotApplied), Turn::Overtaken);
        assert_eq!(turn(WhatNow::Keep, None, Settled::Applied), Turn::Waits);
    }

    #[test]
    fn the_same_thing_is_said_once() {
        let told = std::cell::RefCell::new(vec![]);
        let say = |what: &str| told.borrow_mut().push(what.to_owned());
        let mut watch = Watch::default();
        let key = (RunId::new(1, [1; 10]), 0);
        for what in ["a", "a", "b", "b", "a"] {
            watch.say(key, what.to_owned(), &say);
        }
        assert_eq!(*told.borrow(), ["a", "b", "a"]);
    }
}
