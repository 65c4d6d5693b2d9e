//! The decision: what each schedule is to do now, with its reason, and when to look again.
//!
//! Each schedule is weighed by itself; what may start is then put in order, by criticality and
//! then by how long it has been due, and started as far as groups and places allow. Nothing here
//! remembers: the same facts give the same decisions, and `EntryState::after` turns a decision
//! into the state that the next one starts from.

use super::act::{Act, Decision, HoldWhy, MissWhy, SkipWhy, Slots, TooLate};
use super::late::{not_any_more, range, superseded, waited};
use super::pattern::NoSlot;
use super::places::Places;
use super::policy::Schedule;
use super::pressure::Pressed;
use super::shape::{Criticality, Overlap};
use super::state::EntryState;
use crate::id::GroupName;
use crate::units::Share;
use crate::window::{MayStart, Occurrence};
use std::collections::BTreeMap;

/// The longest sleep. Clocks are stepped and machines suspended without telling anyone.
pub const SLEEP_MAX_MS: u64 = 60_000;
/// A slot that starts within this is on time, whatever `catch-up` says: two sleeps.
pub const ON_TIME_MS: u64 = 2 * SLEEP_MAX_MS;

/// What is true now.
#[derive(Debug)]
pub struct Facts<'a> {
    pub now: u64,
    /// The node's name or key: its jitter is its own.
    pub node: &'a str,
    /// How many runs may begin.
    pub free: usize,
    /// Groups held by runs that no entry knows of, such as manual ones, and by which.
    pub busy: &'a BTreeMap<GroupName, String>,
    pub pressed: Option<&'a Pressed>,
}

/// One schedule: a task with an inline schedule, or a slot of a named one.
#[derive(Debug)]
pub struct Entry<'a> {
    /// `temp-clean`, or `standard-maintenance/daily`.
    pub key: &'a str,
    pub schedule: &'a Schedule,
    pub state: &'a EntryState,
    /// How long nine of ten runs take, where that is known.
    pub p90_ms: Option<u64>,
    /// Not looked at before then: what the last outlook said, as long as neither its state
    /// changed nor the clock was stepped. 0 is always right.
    pub asleep_until: u64,
}

impl Entry<'_> {
    /// What a person said of this slot, else what its schedule says.
    pub fn criticality(&self, slot: u64) -> Criticality {
        let urgent = self.state.urgent.filter(|urgent| urgent.slot == slot);
        urgent.map_or(self.schedule.criticality, |urgent| urgent.criticality)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// In the order in which they are to be carried out.
    pub decisions: Vec<Decision>,
    /// When to decide again at the latest. Sooner when a run ends or a state is changed.
    pub wake: u64,
    /// For each entry, in order, when it wants to be looked at again.
    pub wakes: Vec<u64>,
}

/// A slot that may start as far as its own schedule goes.
struct Ready {
    slot: u64,
    attempt: u32,
    due: u64,
    scope: Share,
    window: Option<Occurrence>,
}

pub(super) struct Weighed {
    pub(super) acts: Vec<Act>,
    ready: Option<Ready>,
    wake: u64,
}

/// What to do now, and when to look again.
pub fn decide(facts: &Facts<'_>, entries: &[Entry<'_>]) -> Outlook {
    let latest = facts.now.saturating_add(SLEEP_MAX_MS);
    let mut decisions = vec![];
    let mut queue = vec![];
    let mut wakes = Vec::with_capacity(entries.len());
    for (entry, it) in entries.iter().enumerate() {
        if it.asleep_until > facts.now {
            wakes.push(it.asleep_until);
            continue;
        }
        let weighed = weigh(facts, it).unwrap_or_else(|why| Weighed {
            acts: vec![Act::Fault { why }],
            ready: None,
            wake: latest,
        });
        wakes.push(weighed.wake);
        decisions.extend(weighed.acts.into_iter().map(|act| Decision { entry, act }));
        queue.extend(weighed.ready.map(|ready| (entry, ready)));
    }
    queue.sort_by(|(a, ready_a), (b, ready_b)| {
        let (a, b) = (&entries[*a], &entries[*b]);
        let urgent = b
            .criticality(ready_b.slot)
            .cmp(&a.criticality(ready_a.slot));
        urgent
            .then(ready_a.due.cmp(&ready_b.due))
            .then_with(|| a.key.cmp(b.key))
    });
    let mut places = Places::new(facts, entries);
    for (entry, ready) in queue {
        let it = &entries[entry];
        let act = match places.take(it, it.criticality(ready.slot)) {
            Ok(()) => Act::Start {
                slot: ready.slot,
                attempt: ready.attempt,
                late_ms: facts.now.saturating_sub(ready.due),
                scope: ready.scope,
                window: ready.window,
            },
            Err((why, until)) => {
                // A slot that waits may get too old while it does: keep looking.
                wakes[entry] = wakes[entry].min(until.unwrap_or(latest));
                Act::Hold {
                    slot: ready.slot,
                    why,
                    until,
                }
            }
        };
        decisions.push(Decision { entry, act });
    }
    let wake = wakes.iter().copied().min().unwrap_or(latest).min(latest);
    Outlook {
        decisions,
        wake: wake.max(facts.now + 1),
        wakes,
    }
}

fn weigh(facts: &Facts<'_>, it: &Entry<'_>) -> Result<Weighed, NoSlot> {
    let (now, state, schedule) = (facts.now, it.state, it.schedule);
    let offset = schedule.offset_ms(facts.node, it.key);
    let seen = state.seen_to();
    let next = schedule
        .pattern
        .next_after(seen.max(now.saturating_sub(offset)))?;
    let mut out = Weighed {
        acts: vec![],
        ready: None,
        wake: next.saturating_add(offset),
    };
    if seen > now {
        out.hold(seen, HoldWhy::ClockBehind, Some(seen));
        return Ok(out);
    }
    // Between midnight of 1970 and its own jitter, a node has no slots.
    let newest = match now.checked_sub(offset) {
        Some(shifted) => schedule.pattern.last_at_or_before(shifted)?,
        None => None,
    };
    match newest.filter(|slot| *slot > seen) {
        Some(slot) => weigh_new(facts, it, slot, offset, &mut out)?,
        None => weigh_old(facts, it, offset, &mut out)?,
    }
    Ok(out)
}

/// A slot that is due and was not seen before.
fn weigh_new(
    facts: &Facts<'_>,
    it: &Entry<'_>,
    slot: u64,
    offset: u64,
    out: &mut Weighed,
) -> Result<(), NoSlot> {
    let (now, state, schedule) = (facts.now, it.state, it.schedule);
    let seen = state.seen_to();
    if let Some(why) = stopped(state, now) {
        out.skip_buffered(state, why.clone());
        let slots = range(schedule, seen, slot)?;
        out.acts.push(Act::Skip { slots, why });
        return Ok(());
    }
    let before = schedule.pattern.last_at_or_before(slot - 1)?;
    if let Some(before) = before.filter(|b| *b > seen) {
        superseded(schedule, state, (seen, before), out)?;
    }
    if state.skip_next {
        let why = SkipWhy::SkipNext;
        out.acts.push(Act::Skip {
            slots: Slots::one(slot),
            why,
        });
        out.wake_for_what_waits(state, now);
        return Ok(());
    }
    let due = slot.saturating_add(offset);
    // What a window of its own start holds back is not late.
    let opens = window_of(it, slot)?.map_or(due, |w| due.max(w.opens));
    let late_ms = now.saturating_sub(opens);
    let catch_up_ms = schedule.catch_up_at(slot)?.max(ON_TIME_MS);
    if late_ms > catch_up_ms {
        let why = MissWhy::TooOld {
            late_ms,
            catch_up_ms,
        };
        out.acts
            .push(not_any_more(state, slot, why, TooLate::TooOld));
        out.wake_for_what_waits(state, now);
        return Ok(());
    }
    if let Some(running) = &state.running {
        match schedule.overlap {
            Overlap::Skip => {
                let why = SkipWhy::StillRunning {
                    since: running.since,
                };
                out.acts.push(Act::Skip {
                    slots: Slots::one(slot),
                    why,
                });
            }
            Overlap::BufferOne => {
                out.skip_buffered(state, SkipWhy::Superseded);
                out.acts.push(Act::Buffer { slot });
            }
            Overlap::CancelOther if running.cancelling => {
                out.hold(slot, HoldWhy::Cancelling, None);
                out.wake = out.wake.min(now.saturating_add(SLEEP_MAX_MS));
            }
            Overlap::CancelOther => {
                let running = running.slot;
                out.acts.push(Act::CancelOther { slot, running });
                out.wake = out.wake.min(now.saturating_add(SLEEP_MAX_MS));
            }
        }
        return Ok(());
    }
    out.skip_buffered(state, SkipWhy::Superseded);
    admit(facts, it, Ready::first(slot, due), out)
}

/// No new slot: one that waits, or a try that is to be repeated.
fn weigh_old(
    facts: &Facts<'_>,
    it: &Entry<'_>,
    offset: u64,
    out: &mut Weighed,
) -> Result<(), NoSlot> {
    let (now, state) = (facts.now, it.state);
    if state.running.is_some() {
        return Ok(());
    }
    let stopped = stopped(state, now);
    if let Some(slot) = state.buffered {
        if let Some(why) = stopped {
            out.skip_buffered(state, why);
            return Ok(());
        }
        return admit(
            facts,
            it,
            Ready::first(slot, slot.saturating_add(offset)),
            out,
        );
    }
    let Some(again) = state.again else {
        return Ok(());
    };
    if let Some(why) = stopped {
        let until = match why {
            SkipWhy::Aside { until } => Some(until),
            SkipWhy::Paused
            | SkipWhy::SkipNext
            | SkipWhy::StillRunning { .. }
            | SkipWhy::Superseded
            | SkipWhy::TooLong { .. }
            | SkipWhy::Held { .. } => None,
        };
        out.hold(again.slot, HoldWhy::Paused, until);
        return Ok(());
    }
    if again.not_before > now {
        out.wake = out.wake.min(again.not_before);
        return Ok(());
    }
    let ready = Ready {
        attempt: again.attempt,
        ..Ready::first(again.slot, again.not_before)
    };
    admit(facts, it, ready, out)
}

/// Whether its window lets it begin.
fn admit(
    facts: &Facts<'_>,
    it: &Entry<'_>,
    mut ready: Ready,
    out: &mut Weighed,
) -> Result<(), NoSlot> {
    let slot = ready.slot;
    let (Some(window), Some(occurrence)) = (&it.schedule.window, window_of(it, slot)?) else {
        out.ready = Some(ready);
        return Ok(());
    };
    ready.window = Some(occurrence);
    let slots = Slots::one(slot);
    let no = match window.may_start(&occurrence, facts.now, it.p90_ms) {
        MayStart::Yes => {
            out.ready = Some(ready);
            return Ok(());
        }
        MayStart::Shrunk(scope) => {
            out.ready = Some(Ready { scope, ..ready });
            return Ok(());
        }
        MayStart::Early { opens } => {
            out.hold(slot, HoldWhy::WindowNotOpen, Some(opens));
            return Ok(());
        }
        MayStart::Closed => {
            let why = MissWhy::WindowClosed;
            not_any_more(it.state, slot, why, TooLate::WindowClosed)
        }
        MayStart::TooLong { p90_ms, left_ms } => {
            let why = SkipWhy::TooLong { p90_ms, left_ms };
            Act::Skip { slots, why }
        }
    };
    out.acts.push(match ready.attempt {
        1 => no,
        attempt => Act::NoRetry { slot, attempt },
    });
    Ok(())
}

fn window_of(it: &Entry<'_>, slot: u64) -> Result<Option<Occurrence>, NoSlot> {
    let Some(window) = &it.schedule.window else {
        return Ok(None);
    };
    let occurrence = window.occurrence(slot)?;
    let extended = it.state.extended.filter(|e| e.opens == occurrence.opens);
    Ok(Some(occurrence.extended(extended.map_or(0, |e| e.by_ms))))
}

fn stopped(state: &EntryState, now: u64) -> Option<SkipWhy> {
    if state.paused.is_some() {
        return Some(SkipWhy::Paused);
    }
    let until = state.aside_until.filter(|until| *until > now)?;
    Some(SkipWhy::Aside { until })
}

impl Ready {
    const fn first(slot: u64, due: u64) -> Self {
        Self {
            slot,
            attempt: 1,
            due,
            scope: Share::ALL,
            window: None,
        }
    }
}

impl Weighed {
    fn hold(&mut self, slot: u64, why: HoldWhy, until: Option<u64>) {
        self.wake = self.wake.min(until.unwrap_or(u64::MAX));
        self.acts.push(Act::Hold { slot, why, until });
    }

    /// What waited was not looked at this time, because a newer slot was.
    fn wake_for_what_waits(&mut self, state: &EntryState, now: u64) {
        if state.buffered.is_some() || state.again.is_some() {
            self.wake = now;
        }
    }

    fn skip_buffered(&mut self, state: &EntryState, why: SkipWhy) {
        if let Some(slot) = state.buffered {
            let slots = Slots::one(slot);
            let why = waited(state, slot, why);
            self.acts.push(Act::Skip { slots, why });
        }
    }
}
