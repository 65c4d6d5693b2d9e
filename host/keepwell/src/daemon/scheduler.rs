//! The scheduler: looks at what is due, has it decided by the model, and carries that out. Its
//! state is the journal's; what is kept here is only so that it need not be read again each time.

use super::running::Running;
use super::set::{Start, run_set};
use super::shared::Shared;
use crate::api::{Said, begun};
use crate::config::{Config, Line, timetable};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::pressure;
use keepwell_model::event::Event;
use keepwell_model::id::GroupName;
use keepwell_model::schedule::{Act, Decision, Entry, EntryState, Facts, HoldWhy, Slots, decide};
use keepwell_model::window::Occurrence;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// After this a clock that runs is no longer said to run: it was stepped.
const STEP_MS: u64 = 5_000;
/// Before a slot is begun again that the journal could not take.
const LOST_AGAIN_MS: u64 = 1_000;

/// All schedules and where they stand.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) lines: Vec<Standing>,
    /// Entries that asked for what is under way; with the task, where no schedule runs it.
    pub(super) serving: BTreeMap<u64, Option<String>>,
    /// The clock and the machine's own steady count at the last look.
    last: Option<(u64, u64)>,
    /// The configuration the lines were made from. Held, so that no later one can take its place
    /// in memory and pass for it.
    made_from: Option<Arc<Config>>,
}

#[derive(Debug)]
pub(super) struct Standing {
    pub(super) line: Arc<Line>,
    pub(super) state: EntryState,
    asleep_until: u64,
    usual_ms: Option<u64>,
    window: Option<Occurrence>,
    held: Option<HoldWhy>,
}

impl Scheduler {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks once and starts what is due. Gives when to look again, in milliseconds since the epoch.
    pub(super) fn look(&self, shared: &Arc<Shared>) -> Result<u64> {
        let node = shared.node();
        let now = node.clock.now_ms();
        let mut board = self.board();
        board.follow(&node, now)?;
        let ends = shared.running.end_windows(now);
        let table = &node.config.node.daemon.pressure;
        let pressed = table.pressed(&pressure::reading(table));
        let busy = board.busy(shared);
        let facts = Facts {
            now,
            node: &node.config.node_name(),
            free: board.free(shared, &node),
            busy: &busy,
            pressed: pressed.as_ref(),
        };
        let entries: Vec<Entry<'_>> = board.lines.iter().map(Standing::entry).collect();
        let outlook = decide(&facts, &entries);
        for (standing, wake) in board.lines.iter_mut().zip(outlook.wakes) {
            standing.asleep_until = wake;
        }
        let mut wake = outlook.wake;
        for decision in outlook.decisions {
            board.carry_out(shared, &node, &decision, now)?;
        }
        board.serve(shared, &node, pressed.is_some())?;
        // Windows of what was begun just now, too.
        for standing in &board.lines {
            let ends = standing.state.running.and(standing.window);
            wake = ends.map_or(wake, |w| wake.min(w.hard_end.max(now + 1)));
        }
        Ok(ends.map_or(wake, |ends| wake.min(ends.max(now + 1))))
    }

    /// A run of this schedule ended.
    pub(super) fn ended(&self, node: &Node, key: &str, end: &super::set::End) -> Result<()> {
        let reader = node.reader()?;
        let now = node.clock.now_ms();
        let mut board = self.board();
        board.look_at_the_held();
        let Some(standing) = board.lines.iter_mut().find(|s| s.line.key == key) else {
            return Ok(());
        };
        standing.state = standing.state.ended(end.failed, end.again);
        standing.asleep_until = 0;
        if end.lost {
            // Nothing in the journal says that its slot was begun: it is still to be done.
            standing.state.handled = standing.line.handled(&reader)?;
            standing.asleep_until = now.saturating_add(LOST_AGAIN_MS);
        }
        standing.window = None;
        let said = Said::read(&reader, now)?;
        standing
            .line
            .refresh(&reader, &said, &mut standing.state, now)?;
        standing.usual_ms = standing.line.usual_ms(&reader)?;
        Ok(())
    }

    /// What the entry `asked` asked for ended, or one slot of it; `key` is its schedule's.
    pub(super) fn served(&self, node: &Node, asked: u64, key: Option<&str>) -> Result<()> {
        let mut board = self.board();
        board.serving.remove(&asked);
        board.look_at_the_held();
        let standing = board
            .lines
            .iter_mut()
            .find(|s| Some(s.line.key.as_str()) == key);
        if let Some(standing) = standing {
            standing.state.running = None;
            standing.asleep_until = 0;
            let (now, reader) = (node.clock.now_ms(), node.reader()?);
            let said = Said::read(&reader, now)?;
            standing
                .line
                .refresh(&reader, &said, &mut standing.state, now)?;
        }
        Ok(())
    }

    /// Whether nothing that it started is still under way.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.board().lines.iter().all(|s| s.state.running.is_none())
    }

    /// Somebody paused, resumed or skipped a task, extended a window, or let a slot go first.
    pub(super) fn changed(&self, node: &Node, running: &Running) -> Result<()> {
        let mut board = self.board();
        let reader = node.reader()?;
        let now = node.clock.now_ms();
        let said = Said::read(&reader, now)?;
        for standing in &mut board.lines {
            standing
                .line
                .refresh(&reader, &said, &mut standing.state, now)?;
            standing.asleep_until = 0;
            standing.extend(running);
        }
        Ok(())
    }

    /// Whether something is under way beside which nothing of this schedule may run.
    pub(super) fn is_held_out(&self, shared: &Shared, line: &Line) -> bool {
        let group = line.schedule.group.as_ref();
        group.is_some_and(|group| self.board().busy(shared).contains_key(group))
    }

    /// The window in which the schedule's work goes on, as it is now.
    pub(super) fn window(&self, key: &str) -> Option<Occurrence> {
        let board = self.board();
        let standing = board.lines.iter().find(|s| s.line.key == key)?;
        standing.window
    }
}

impl Board {
    /// Makes the lines anew when the configuration is another, keeping where each stands; and
    /// trusts no sleep over a clock that was stepped.
    fn follow(&mut self, node: &Node, now: u64) -> Result<()> {
        let same = |from: &Arc<Config>| Arc::ptr_eq(from, &node.config);
        if !self.made_from.as_ref().is_some_and(same) {
            // Nothing is forgotten when the journal cannot tell it now.
            self.lines = self.made_anew(node, now)?;
            self.made_from = Some(Arc::clone(&node.config));
        }
        let steady_ms = crate::clock::since_boot_ms();
        if let Some((then, at)) = self.last.replace((now, steady_ms)) {
            let should = then.saturating_add(steady_ms.saturating_sub(at));
            if now.abs_diff(should) > STEP_MS {
                let by = i128::from(now) - i128::from(should);
                let by = i64::try_from(by).unwrap_or(i64::MAX);
                tracing::warn!("the clock was stepped by {by} ms");
                node.steps.saw(by);
                for standing in &mut self.lines {
                    standing.asleep_until = 0;
                }
            }
        }
        Ok(())
    }

    fn made_anew(&self, node: &Node, now: u64) -> Result<Vec<Standing>> {
        let reader = node.reader()?;
        let known = (begun(&reader)?, Said::read(&reader, now)?);
        let old: BTreeMap<&str, &Standing> = self
            .lines
            .iter()
            .map(|standing| (standing.line.key.as_str(), standing))
            .collect();
        let mut lines = vec![];
        for line in timetable(&node.config)? {
            let kept = old.get(line.key.as_str());
            let state = match kept.filter(|s| s.line.pattern == line.pattern) {
                Some(standing) => standing.state.clone(),
                // Another pattern, but what runs by the old one still does.
                None => EntryState {
                    running: kept.and_then(|s| s.state.running),
                    ..line.state(node, &reader, (&known.0, &known.1), now)?
                },
            };
            lines.push(Standing {
                usual_ms: line.usual_ms(&reader)?,
                line: Arc::new(line),
                state,
                asleep_until: 0,
                window: kept.and_then(|s| s.window),
                held: None,
            });
        }
        Ok(lines)
    }

    /// How many more runs of schedules may begin. What was begun counts before its thread does.
    pub(super) fn free(&self, shared: &Shared, node: &Node) -> usize {
        let lines = self.lines.iter().filter(|s| s.state.running.is_some());
        let asked = self.serving.values().filter(|task| task.is_some());
        let (scheduled, going_on) = shared.running.scheduled();
        let taken = (lines.count() + asked.count() + going_on).max(scheduled);
        (node.config.node.daemon.runs as usize).saturating_sub(taken)
    }

    /// Groups of what is under way, whoever began it, and what holds each.
    pub(super) fn busy(&self, shared: &Shared) -> BTreeMap<GroupName, String> {
        let mut work = shared.running.at_work();
        work.extend(self.serving.values().map(|task| (None, task.clone())));
        let mut busy = BTreeMap::new();
        for standing in &self.lines {
            let line = &standing.line;
            let runs = |task: &String| line.tasks.iter().any(|t| t.as_str() == task);
            let holds = work.iter().any(|(key, task)| {
                key.as_ref() == Some(&line.key)
                    || (key.is_none() && task.as_ref().is_some_and(runs))
            });
            if let Some(group) = line.schedule.group.as_ref().filter(|_| holds) {
                busy.insert(group.clone(), line.key.clone());
            }
        }
        busy
    }

    /// A place or a group is free again: who was held for it is looked at now.
    fn look_at_the_held(&mut self) {
        for held in self.lines.iter_mut().filter(|s| s.held.is_some()) {
            held.asleep_until = 0;
        }
    }

    fn carry_out(
        &mut self,
        shared: &Arc<Shared>,
        node: &Node,
        decision: &Decision,
        now: u64,
    ) -> Result<()> {
        let standing = &mut self.lines[decision.entry];
        let line = Arc::clone(&standing.line);
        let next = standing.state.after(&decision.act, now);
        let held = std::mem::take(&mut standing.held);
        match &decision.act {
            Act::Start {
                slot,
                attempt,
                late_ms,
                scope,
                window,
            } => {
                standing.window = *window;
                let start = Start {
                    slot: *slot,
                    attempt: *attempt,
                    late_ms: *late_ms,
                    scope: *scope,
                    window: *window,
                };
                tracing::info!(schedule = line.key, "slot is due");
                begin(shared, line, start);
            }
            Act::Miss { slots, why } => {
                tracing::warn!(schedule = line.key, "missed {} slots: {why}", slots.count);
                missed(node, &line, slots, &why.to_string())?;
            }
            Act::Skip { slots, why } if slots.count == 1 => {
                tracing::info!(schedule = line.key, "skipped: {why}");
                let asked = standing.state.skip_next && !next.skip_next;
                for task in &line.tasks {
                    let event = Event::SlotSkipped {
                        schedule: line.key.clone(),
                        due: slots.to,
                        why: why.to_string(),
                        asked,
                    };
                    told(node, task.as_str(), event)?;
                }
            }
            Act::Skip { slots, why } => {
                tracing::info!(schedule = line.key, "skipped {} slots: {why}", slots.count);
                missed(node, &line, slots, &format!("skipped: {why}"))?;
            }
            Act::Buffer { slot } => {
                tracing::info!(schedule = line.key, slot, "waits for the run before it");
            }
            Act::Hold { why, .. } => {
                if held.as_ref() != Some(why) {
                    tracing::info!(schedule = line.key, "held: {why}");
                }
                standing.held = Some(why.clone());
            }
            Act::CancelOther { .. } => {
                tracing::info!(schedule = line.key, "the run before it is cancelled");
                shared.running.stop_for_next(&line.key);
            }
            Act::NoRetry { attempt, .. } => {
                tracing::info!(schedule = line.key, "no time left for try {attempt}");
            }
            Act::Fault { why } => {
                tracing::error!(schedule = line.key, "its slots cannot be told: {why}");
            }
        }
        standing.state = next;
        Ok(())
    }
}

impl Standing {
    /// What runs goes on for as long as its window is open now.
    fn extend(&mut self, running: &Running) {
        let (Some(runs), Some(window)) = (self.state.running, &self.line.schedule.window) else {
            return;
        };
        let Some(opening) = self.window.and(window.occurrence(runs.slot).ok()) else {
            return;
        };
        let extended = self.state.extended.filter(|e| e.opens == opening.opens);
        let longer = opening.extended(extended.map_or(0, |e| e.by_ms));
        self.window = Some(longer);
        running.set_window(&self.line.key, longer);
    }

    fn entry(&self) -> Entry<'_> {
        Entry {
            key: &self.line.key,
            schedule: &self.line.schedule,
            state: &self.state,
            p90_ms: self.usual_ms,
            asleep_until: self.asleep_until,
        }
    }
}

/// Each slot has a thread of its own; there are as many as the node lets run at a time.
fn begin(shared: &Arc<Shared>, line: Arc<Line>, start: Start) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let node = shared.node();
        let end = run_set(&shared, &node, &line, &start);
        if let Err(e) = shared.scheduler.ended(&node, &line.key, &end) {
            tracing::error!(schedule = line.key, "{e}");
        }
        shared.wake.notify_one();
    });
}

fn missed(node: &Node, line: &Line, slots: &Slots, why: &str) -> Result<()> {
    for task in &line.tasks {
        let event = Event::SlotMissed {
            schedule: line.key.clone(),
            from: slots.from,
            to: slots.to,
            count: slots.count,
            why: why.to_owned(),
        };
        told(node, task.as_str(), event)?;
    }
    Ok(())
}

/// Journals what became of a slot. One that something happened to already has its end.
pub(super) fn told(node: &Node, task: &str, event: Event) -> Result<()> {
    match node.journal.commit(node.record(Some(task), event)) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == keepwell_journal::ErrorKind::Taken => Ok(()),
        Err(e) => Err(Error::from(e)),
    }
}
