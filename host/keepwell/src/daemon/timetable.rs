//! Where each schedule of the timetable stands, as the journal tells it.

use crate::api::Said;
use crate::config::Line;
use crate::error::Result;
use crate::node::Node;
use keepwell_journal::{PAUSED, Reader, RunQuery, SKIP_NEXT};
use keepwell_model::event::Event;
use keepwell_model::id::Digest;
use keepwell_model::schedule::{Again, EntryState, retry};
use keepwell_model::slot::Handled;
use keepwell_model::state::RunState;
use keepwell_model::window::p90;
use std::collections::BTreeMap;

/// Runs that a usual duration is told from.
const DURATIONS: u64 = 50;
/// Kills by our own limiter that the watchdog looks at.
const KILLS: u64 = 8;

/// Until when the watchdog puts a task aside, if it does.
pub(super) fn aside_until(reader: &Reader, task: &str, now: u64) -> Result<Option<u64>> {
    let kills = reader.runs(&RunQuery {
        task: Some(task.to_owned()),
        state: Some(RunState::Limited),
        before: None,
        limit: Some(KILLS),
    })?;
    let kills: Vec<u64> = kills.iter().filter_map(|run| run.ended).collect();
    Ok(retry::aside_until(&kills, now))
}

impl Line {
    /// What the journal says of it: the state a daemon starts from, after any end of the one before.
    pub(super) fn state(
        &self,
        node: &Node,
        reader: &Reader,
        (begun, said): (&BTreeMap<String, (Digest, u64)>, &Said),
        now: u64,
    ) -> Result<EntryState> {
        let created = match begun.get(&self.key) {
            Some((pattern, at)) if *pattern == self.pattern => *at,
            Some(_) | None => {
                // First seen, or seen with another pattern: slots up to now are nobody's.
                let event = Event::ScheduleBegan {
                    schedule: self.key.clone(),
                    pattern: self.pattern,
                    zone: self.schedule.pattern.zone().to_string(),
                };
                node.journal.commit(node.record(None, event))?;
                now
            }
        };
        let mut state = EntryState::created(created);
        state.handled = self.handled(reader)?;
        self.refresh(reader, said, &mut state, now)?;
        state.again = self.again(node, reader, &state)?;
        Ok(state)
    }

    /// A try that was to be repeated when the daemon before ended.
    fn again(&self, node: &Node, reader: &Reader, state: &EntryState) -> Result<Option<Again>> {
        let [task] = self.tasks.as_slice() else {
            return Ok(None);
        };
        let last = reader.last_slot(task.as_str(), Some(&self.key))?;
        let last = last.filter(|row| row.how == Handled::Started && state.handled == Some(row.due));
        let Some((row, run)) = last.and_then(|row| row.run.map(|run| (row, run))) else {
            return Ok(None);
        };
        let Some(report) = reader.report(run)? else {
            return Ok(None);
        };
        let window = self.schedule.window.as_ref();
        let opening = window.and_then(|window| window.occurrence(row.due).ok());
        let cutoff = opening.map(|opening| {
            let extended = state.extended.filter(|e| e.opens == opening.opens);
            opening.extended(extended.map_or(0, |e| e.by_ms)).cutoff
        });
        let tried = (row.due, row.attempt);
        Ok(super::set::again(node, self, tried, cutoff, &report))
    }

    /// What people and ends of runs change about it.
    pub(super) fn refresh(
        &self,
        reader: &Reader,
        said: &Said,
        state: &mut EntryState,
        now: u64,
    ) -> Result<()> {
        state.extended = said.extended(&self.key);
        state.urgent = said.urgent(&self.key);
        if let Some(slot) = self.done_by_hand(reader)? {
            *state = state.done_by_hand(slot);
        }
        let [task] = self.tasks.as_slice() else {
            return Ok(());
        };
        let task = task.as_str();
        if self.inline {
            state.paused = reader.flag(task, PAUSED)?;
            state.skip_next = reader.flag(task, SKIP_NEXT)?.is_some();
        }
        let failures = reader.history(task, 0)?.failures;
        state.failures = u32::try_from(failures).unwrap_or(u32::MAX);
        state.aside_until = aside_until(reader, task, now)?;
        Ok(())
    }

    /// The newest slot that people did by hand for every task of the set.
    fn done_by_hand(&self, reader: &Reader) -> Result<Option<u64>> {
        let mut all: Option<u64> = None;
        for task in &self.tasks {
            let last = reader.last_slot(task.as_str(), Some(&self.key))?;
            let Some(last) = last.filter(|slot| slot.how == Handled::ByHand) else {
                return Ok(None);
            };
            all = Some(all.map_or(last.due, |all| all.min(last.due)));
        }
        Ok(all)
    }

    /// How long nine of ten of its runs take, all its tasks together.
    pub(super) fn usual_ms(&self, reader: &Reader) -> Result<Option<u64>> {
        let mut all = Some(0);
        for task in &self.tasks {
            let one = p90(&reader.history(task.as_str(), DURATIONS)?.durations_ms);
            all = all.zip(one).map(|(all, one): (u64, u64)| all + one);
        }
        Ok(all)
    }
}
