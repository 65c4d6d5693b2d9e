//! How a person steers what goes on: a window that stays open for longer, a slot that goes first, a
//! run that does less. Each is an entry of the journal with who and why, and holds through restarts.

use super::find_run;
use super::request::{Answer, Less};
use crate::clock::readable;
use crate::config::{Line, timetable};
use crate::error::{Error, Result, chain};
use crate::node::Node;
use keepwell_journal::{Filter, Reader};
use keepwell_model::bound::Bound;
use keepwell_model::event::{Event, Record};
use keepwell_model::id::Digest;
use keepwell_model::schedule::{Criticality, Extension, NoSlot, Urgent};
use keepwell_model::slot::Slot;
use keepwell_model::units::Span;
use keepwell_model::window::DURATION_MAX;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::time::Duration;

/// What people said of openings and slots that can still matter.
#[derive(Debug, Default)]
pub struct Said {
    windows: BTreeMap<String, Extension>,
    slots: BTreeMap<String, Urgent>,
}

impl Said {
    pub fn read(reader: &Reader, now: u64) -> Result<Self> {
        // No opening lasts longer, extended or not.
        let back = DURATION_MAX.as_millis().saturating_mul(2);
        let filter = Filter {
            kinds: vec!["window-extended".into(), "slot-prioritized".into()],
            since_ms: Some(now.saturating_sub(back)),
            ..Filter::default()
        };
        let mut said = Self::default();
        reader.records(&filter, &mut |_, record| {
            said.add(record.event);
            ControlFlow::Continue(())
        })?;
        Ok(said)
    }

    fn add(&mut self, event: Event) {
        if let Event::WindowExtended {
            schedule,
            opens,
            by_ms,
            ..
        } = event
        {
            let all = self.windows.entry(schedule);
            let all = all.or_insert(Extension { opens, by_ms: 0 });
            if all.opens < opens {
                *all = Extension { opens, by_ms: 0 };
            }
            if all.opens == opens {
                all.by_ms = all.by_ms.saturating_add(by_ms);
            }
        } else if let Event::SlotPrioritized {
            schedule,
            due: slot,
            criticality,
            ..
        } = event
        {
            self.slots.insert(schedule, Urgent { slot, criticality });
        }
    }

    /// The newest opening of a schedule's window that was extended.
    pub fn extended(&self, key: &str) -> Option<Extension> {
        self.windows.get(key).copied()
    }

    pub fn urgent(&self, key: &str) -> Option<Urgent> {
        self.slots.get(key).copied()
    }
}

/// When each schedule began, and with which pattern.
pub fn begun(reader: &Reader) -> Result<BTreeMap<String, (Digest, u64)>> {
    let mut begun = BTreeMap::new();
    let filter = Filter {
        kinds: vec!["schedule-began".into()],
        ..Filter::default()
    };
    reader.records(&filter, &mut |_, record| {
        if let Event::ScheduleBegan {
            schedule, pattern, ..
        } = record.event
        {
            begun.insert(schedule, (pattern, record.at));
        }
        ControlFlow::Continue(())
    })?;
    Ok(begun)
}

impl Line {
    /// The newest slot that every task has behind it. A task without any is new to the set.
    pub fn handled(&self, reader: &Reader) -> Result<Option<u64>> {
        let mut handled: Option<u64> = None;
        for task in &self.tasks {
            if let Some(last) = reader.last_slot(task.as_str(), Some(&self.key))? {
                handled = Some(handled.map_or(last.due, |h| h.min(last.due)));
            }
        }
        Ok(handled)
    }

    /// The slot that is due and was not begun yet, else the next one; and whether it is due.
    fn waiting(&self, reader: &Reader, now: u64) -> Result<(u64, bool)> {
        let pattern = &self.schedule.pattern;
        let began = begun(reader)?.get(&self.key).map(|(_, at)| *at);
        let seen = self.handled(reader)?.max(began);
        let newest = pattern.last_at_or_before(now).map_err(|e| lost(&e))?;
        match newest.filter(|slot| seen.is_some_and(|seen| *slot > seen)) {
            Some(slot) => Ok((slot, true)),
            None => Ok((pattern.next_after(now).map_err(|e| lost(&e))?, false)),
        }
    }
}

pub(super) fn extend(node: &Node, what: &str, by_ms: u64, reason: &str) -> Result<Answer> {
    if by_ms == 0 {
        return Err(Error::usage("an extension by nothing changes nothing"));
    }
    let _one_at_a_time = node.windows.lock().unwrap_or_else(PoisonError::into_inner);
    let now = node.clock.now_ms();
    let reader = node.reader()?;
    let said = Said::read(&reader, now)?;
    let (line, slot) = opened(node, &reader, what, now)?;
    let key = &line.key;
    let window = line.schedule.window.as_ref().ok_or_else(|| {
        Error::usage(format!("`{key}` has no window: nothing ends its runs"))
            .hint("`keepwell runs cancel RUN` stops one")
    })?;
    let opening = window.occurrence(slot).map_err(|e| lost(&e))?;
    let already = said.extended(key).filter(|e| e.opens == opening.opens);
    let already_ms = already.map_or(0, |e| e.by_ms);
    let open = opening.extended(already_ms);
    if now < open.opens || now >= open.hard_end {
        let message = if now < open.opens {
            format!(
                "the window of `{key}` is not open yet: it opens {}",
                readable(open.opens)
            )
        } else {
            format!("the window of `{key}` was over {}", readable(open.hard_end))
        };
        return Err(not_open(key, message));
    }
    let by = Span(Duration::from_millis(by_ms));
    let longer = window.extend(&open, by, reason, already_ms).map_err(|no| {
        let error = Error::denied(no.message);
        match no.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })?;
    let event = Event::WindowExtended {
        schedule: key.clone(),
        opens: opening.opens,
        by_ms,
        reason: reason.to_owned(),
    };
    node.journal
        .commit_with_checkpoint(node.record(only_task(&line), event))?;
    let (begin, end) = (readable(longer.cutoff), readable(longer.hard_end));
    Ok(Answer::Said(format!(
        "the window of {key} is open until {end}; what is due may begin until {begin}"
    )))
}

pub(super) fn prioritize(
    node: &Node,
    what: &str,
    criticality: Criticality,
    reason: &str,
) -> Result<Answer> {
    needs_reason(reason)?;
    let now = node.clock.now_ms();
    let mut lines = named(node, what)?;
    let line = match lines.len() {
        0 => return Err(no_schedule(what)),
        1 => lines.remove(0),
        _ => return Err(several(what, &lines)),
    };
    let (due, waits) = line.waiting(&node.reader()?, now)?;
    let event = Event::SlotPrioritized {
        schedule: line.key.clone(),
        due,
        criticality,
        reason: reason.to_owned(),
    };
    node.journal
        .commit_with_checkpoint(node.record(only_task(&line), event))?;
    let (key, at) = (&line.key, readable(due));
    let which = if waits {
        "the slot that waits"
    } else {
        "the next slot"
    };
    Ok(Answer::Said(format!(
        "{which} of {key}, {at}, goes as {criticality}"
    )))
}

pub(super) fn adjust(node: &Node, run: &str, less: Less, reason: &str) -> Result<Answer> {
    needs_reason(reason)?;
    let reader = node.reader()?;
    let run = find_run(&reader, run)?;
    let short = run.short();
    let report = reader
        .report(run)?
        .ok_or_else(|| Error::usage(format!("there is no run {run}")))?;
    let Some(brake) = node.in_hand.brake(run) else {
        let message = format!("run {short} is not under way here: it is {}", report.state);
        return Err(Error::usage(message)
            .hint("only what a daemon runs can be adjusted; `runs cancel` stops the rest"));
    };
    let bounds = [
        less.max_actions,
        less.max_seconds,
        less.max_rate.map(u64::from),
    ];
    if bounds.iter().all(Option::is_none) || bounds.contains(&Some(0)) {
        return Err(Error::usage("say how much less: at least 1 of something")
            .hint("--max-actions, --max-seconds or --max-rate; `runs cancel` stops it now"));
    }
    let now = node.clock.now_ms();
    let bound = Bound {
        before_action: less.max_actions.map(|n| brake.at().saturating_add(n)),
        until_ms: less
            .max_seconds
            .map(|n| now.saturating_add(n.saturating_mul(1_000))),
        rate: less.max_rate,
    };
    if !brake.bound().is_narrowed_by(&bound) {
        return Err(
            Error::usage(format!("run {short} is held to as little already"))
                .hint("a run that goes on is never widened; what is left is done next time"),
        );
    }
    let reason = reason.to_owned();
    let event = Event::RunAdjusted { bound, reason };
    node.journal.commit(Record {
        run: Some(run),
        ..node.record(Some(&report.task), event)
    })?;
    brake.narrow(bound);
    Ok(Answer::Said(format!(
        "run {short} does no more than that; what is left is done next time"
    )))
}

fn needs_reason(reason: &str) -> Result<()> {
    if reason.trim().is_empty() {
        return Err(Error::usage("that needs a reason").hint("say why, for the record"));
    }
    Ok(())
}

/// The schedules of that name: one, or all of one file.
fn named(node: &Node, what: &str) -> Result<Vec<Line>> {
    let mut lines = timetable(&node.config)?;
    let of_file = format!("{what}/");
    lines.retain(|line| line.key == what || line.key.starts_with(&of_file));
    Ok(lines)
}

/// Which schedule, and which of its slots: the one that a run was started for, else the newest; of
/// several schedules the one whose window is open.
fn opened(node: &Node, reader: &Reader, what: &str, now: u64) -> Result<(Line, u64)> {
    let mut lines = named(node, what)?;
    if lines.is_empty() {
        let slot = slot_of(reader, what)?;
        let lines = timetable(&node.config)?;
        let line = lines.into_iter().find(|line| line.key == slot.schedule);
        let line =
            line.ok_or_else(|| Error::usage(format!("its schedule `{}` is gone", slot.schedule)))?;
        return Ok((line, slot.due));
    }
    if lines.len() > 1 {
        let all = lines.clone();
        lines.retain(|line| is_open(line, now));
        if lines.len() != 1 {
            return Err(several(what, &all));
        }
    }
    let line = lines.remove(0);
    let newest = line.schedule.pattern.last_at_or_before(now);
    let slot = newest
        .map_err(|e| lost(&e))?
        .ok_or_else(|| not_open(&line.key, format!("no slot of `{}` was due yet", line.key)))?;
    Ok((line, slot))
}

fn not_open(key: &str, why: String) -> Error {
    Error::not_now(why).hint(format!(
        "only what is open can be extended; `keepwell schedule next {key}` shows when that is"
    ))
}

fn is_open(line: &Line, now: u64) -> bool {
    let newest = line.schedule.pattern.last_at_or_before(now).ok().flatten();
    let window = line.schedule.window.as_ref().zip(newest);
    window.is_some_and(|(window, slot)| {
        let opening = window.occurrence(slot);
        opening.is_ok_and(|it| (it.opens..it.hard_end).contains(&now))
    })
}

fn slot_of(reader: &Reader, what: &str) -> Result<Slot> {
    let run = find_run(reader, what).map_err(|_| no_schedule(what))?;
    let records = reader.run(run)?;
    let slot = records.into_iter().find_map(|record| match record.event {
        Event::RunDue { slot, .. } => slot,
        _ => None,
    });
    slot.ok_or_else(|| {
        Error::usage(format!(
            "no schedule started run {}: no window ends it",
            run.short()
        ))
    })
}

/// The task whose own schedule it is; a set's entry is about no task in particular.
fn only_task(line: &Line) -> Option<&str> {
    let own = line.tasks.first().filter(|_| line.inline);
    own.map(keepwell_model::id::TaskName::as_str)
}

fn no_schedule(what: &str) -> Error {
    Error::usage(format!("there is no schedule and no run `{what}`"))
        .hint("`keepwell schedule list` names the schedules")
}

fn several(what: &str, lines: &[Line]) -> Error {
    let keys: Vec<&str> = lines.iter().map(|line| line.key.as_str()).collect();
    Error::usage(format!("`{what}` is {} schedules", keys.len()))
        .hint(format!("name one of them: {}", keys.join(", ")))
}

fn lost(why: &NoSlot) -> Error {
    Error::usage(chain(why))
}
