//! What `schedule validate` finds: each flaw with its place, a message and what to do about it.

use super::pattern::NoSlot;
use super::policy::{BadSchedule, Schedule};
use super::shape::{NamedSlot, ScheduleFile, ScheduleTable};
use crate::id::{SlotName, TaskName};
use crate::units::Span;
use crate::window::{Occurrence, WindowTable};
use crate::words::Severity;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// More slots in one named schedule than this are several schedules.
pub const SLOTS_MAX: usize = 64;
/// A set of tasks runs one after the other; a longer one does not fit into any window.
pub const TASKS_MAX: usize = 256;
/// How far ahead overlap is looked for: a year holds every way in which slots of a calendar meet.
const AHEAD_MS: u64 = 366 * 86_400_000;
/// Of the rarer schedule of a pair, so many slots are tried.
const TRIED_SLOTS: usize = 64;
/// Pairs compared in one check, so that a thousand schedules in one group take no minutes.
const PAIRS_MAX: usize = 2_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// Whose it is, where several were looked at together: `standard-maintenance/daily`.
    pub of: Option<String>,
    /// Dotted key in its file: `schedule.cron`, `slots.daily.window.cutoff`.
    pub place: String,
    /// `Critical`: it cannot be used.
    pub severity: Severity,
    pub message: String,
    pub hint: Option<String>,
}

/// A compiled schedule and where it stands.
#[derive(Debug, Clone)]
pub struct Placed {
    /// `temp-clean`, or `standard-maintenance/daily`.
    pub key: String,
    /// What its keys begin with: `schedule`, or `slots.daily`.
    pub place: String,
    pub schedule: Schedule,
    pub p90_ms: Option<u64>,
}

impl Flaw {
    fn new(severity: Severity, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            of: None,
            place: place.into(),
            severity,
            message: message.into(),
            hint: None,
        }
    }
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    fn of(mut self, it: &Placed) -> Self {
        self.of = Some(it.key.clone());
        self
    }
    fn bad(bad: BadSchedule, place: String) -> Self {
        Self {
            of: None,
            place,
            severity: Severity::Critical,
            message: bad.message,
            hint: bad.hint,
        }
    }
    fn lost(place: &str, why: &NoSlot) -> Self {
        Self::new(Severity::Critical, place, why.to_string())
            .hint("its slots cannot be told; write the pattern in another way")
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A task's inline schedule.
pub fn task(
    key: &TaskName,
    table: &ScheduleTable,
    window: Option<&WindowTable>,
) -> Result<Placed, Flaw> {
    let compiled = table.compile(window);
    let schedule = compiled.map_err(|bad| {
        let place = bad.key.clone();
        Flaw::bad(bad, place)
    })?;
    Ok(Placed {
        key: key.to_string(),
        place: "schedule".into(),
        schedule,
        p90_ms: None,
    })
}

/// A named schedule: the slots that can be used, and what is wrong. `knows` tells which tasks
/// there are.
pub fn file(
    name: &str,
    file: &ScheduleFile,
    knows: impl Fn(&TaskName) -> bool,
) -> (Vec<Placed>, Vec<Flaw>) {
    let (mut placed, mut flaws) = (vec![], vec![]);
    if file.slots.is_empty() || file.slots.len() > SLOTS_MAX {
        let message = format!("{} slots are out of bounds", file.slots.len());
        let hint = format!("from 1 to {SLOTS_MAX}, each as `[slots.daily]`");
        flaws.push(Flaw::new(Severity::Critical, "slots", message).hint(hint));
    }
    for (slot_name, slot) in file.slots.iter().take(SLOTS_MAX) {
        let place = format!("slots.{slot_name}");
        tasks_of(&slot.tasks, &place, &knows, &mut flaws);
        let table = file.schedule(slot_name, slot);
        match table.compile(file.window(slot)) {
            Ok(schedule) => placed.push(Placed {
                key: format!("{name}/{slot_name}"),
                place,
                schedule,
                p90_ms: None,
            }),
            Err(bad) => flaws.push(slot_flaw(file, slot_name, bad)),
        }
    }
    (placed, flaws)
}

fn tasks_of(
    tasks: &[TaskName],
    place: &str,
    knows: impl Fn(&TaskName) -> bool,
    flaws: &mut Vec<Flaw>,
) {
    let place = format!("{place}.tasks");
    let mut bad = |message: String, hint: &str| {
        flaws.push(Flaw::new(Severity::Critical, place.clone(), message).hint(hint));
    };
    if tasks.is_empty() || tasks.len() > TASKS_MAX {
        let message = format!("{} tasks are out of bounds", tasks.len());
        bad(
            message,
            &format!("from 1 to {TASKS_MAX}, in the order in which they run"),
        );
    }
    let mut seen = BTreeSet::new();
    for task in tasks.iter().take(TASKS_MAX) {
        if !seen.insert(task) {
            bad(
                format!("task `{task}` stands in it twice"),
                "a task runs once in a slot",
            );
        } else if !knows(task) {
            bad(
                format!("task `{task}` is not known"),
                "`keepwell task list` names the tasks of this node",
            );
        }
    }
}

/// A flaw of a slot, at the key that holds it: the file's own where the slot takes it from there.
fn slot_flaw(file: &ScheduleFile, name: &SlotName, bad: BadSchedule) -> Flaw {
    let own = format!("slots.{name}");
    let slot = &file.slots[name];
    let silent = slot.cron.is_none() && slot.every.is_none() && slot.slot.is_none();
    let place = match bad.key.strip_prefix("schedule.") {
        Some("zone") if slot.zone.is_none() => "zone".into(),
        Some(key) => format!("{own}.{key}"),
        None if slot.window.is_none() => bad.key.clone(),
        None => format!("{own}.{}", bad.key),
    };
    let mut flaw = Flaw::bad(bad, place);
    if silent && NamedSlot::from_name(name.as_str()).is_none() {
        let names: Vec<_> = NamedSlot::ALL.iter().map(|s| s.as_str()).collect();
        flaw.hint = Some(format!(
            "give it `cron` or `every`, or call it {}",
            names.join(", ")
        ));
    }
    flaw
}

/// What is doubtful in one schedule.
pub fn alone(it: &Placed, now: u64) -> Vec<Flaw> {
    let mut flaws = vec![];
    if let Err(why) = alone_into(it, now, &mut flaws) {
        flaws.push(Flaw::lost(&it.place, &why));
    }
    flaws
}

fn alone_into(it: &Placed, now: u64, flaws: &mut Vec<Flaw>) -> Result<(), NoSlot> {
    let Placed {
        place,
        schedule,
        p90_ms,
        ..
    } = it;
    let next = schedule.pattern.next_after(now)?;
    let period = schedule.pattern.period_at(next)?;
    let mut warn = |key: &str, message: String, hint: &str| {
        let place = format!("{place}.{key}");
        flaws.push(Flaw::new(Severity::Warning, place, message).hint(hint));
    };
    if schedule.jitter_ms > period / 2 {
        let message = format!(
            "a jitter of {} is more than half the period",
            span(schedule.jitter_ms)
        );
        warn(
            "jitter",
            message,
            "nodes would run at their neighbour's slot; make it shorter",
        );
    }
    if let Some(window) = &schedule.window {
        if schedule.jitter_ms >= window.startable_ms() {
            let message = format!(
                "a jitter of {} reaches past the cutoff: some nodes could never start",
                span(schedule.jitter_ms)
            );
            let place = format!("{place}.jitter");
            let hint = format!("keep it under {}", span(window.startable_ms()));
            flaws.push(Flaw::new(Severity::Critical, place, message).hint(hint));
            return Ok(());
        }
        let occurrence = window.occurrence(next)?;
        let length = occurrence.hard_end - occurrence.opens;
        if length > period {
            let message = format!("the window of {} is longer than the period", span(length));
            warn(
                "window.duration",
                message,
                "the next slot comes while it is still open",
            );
        }
        let open = occurrence.ends - occurrence.opens;
        if let Some(p90) = p90_ms.filter(|p90| *p90 > open) {
            let message = format!(
                "nine of ten runs take up to {}, the window is {}",
                span(p90),
                span(open)
            );
            warn(
                "window.duration",
                message,
                "make it longer, or set `too-long = \"shrink\"`",
            );
        }
    }
    if let Some(view) = schedule.next_edge(now)? {
        let zone = schedule.pattern.zone();
        if view.whole_day {
            let message = format!(
                "a whole day of {zone} is left out or repeated at {}",
                zone.show(view.edge.at)?
            );
            warn(
                "zone",
                message,
                "look at `schedule next`, and run that day's work by hand",
            );
        } else if view.lost {
            let message = format!(
                "it does not run on the day of {}: its hour is left out",
                zone.show(view.edge.at)?
            );
            warn(
                "cron",
                message,
                "a `*` in the minute follows real time; name the minutes, or another hour",
            );
        } else if view.moved {
            let message = format!(
                "its time of day is left out once; that run is at {}",
                zone.show(view.first)?
            );
            flaws.push(
                Flaw::new(Severity::Info, place.clone(), message)
                    .hint("a time outside the hour that daylight saving skips is never moved"),
            );
        }
    }
    Ok(())
}

/// What is doubtful in several schedules together: windows of one group that overlap, and slots
/// that come at the same instant.
pub fn together(all: &[Placed], now: u64) -> Vec<Flaw> {
    let mut flaws = stacked(all, now);
    let mut groups: BTreeMap<_, Vec<&Placed>> = BTreeMap::new();
    for it in all {
        if let Some(group) = &it.schedule.group {
            groups.entry(group).or_default().push(it);
        }
    }
    let mut pairs = 0;
    for (group, members) in groups {
        for (index, a) in members.iter().enumerate() {
            for b in &members[index + 1..] {
                pairs += 1;
                if pairs > PAIRS_MAX {
                    let message = format!("only {PAIRS_MAX} pairs of schedules were compared");
                    flaws.push(
                        Flaw::new(Severity::Info, "group", message)
                            .hint("split the groups; so many schedules cannot take turns"),
                    );
                    return flaws;
                }
                match meeting(a, b, now) {
                    Ok(None) => {}
                    Ok(Some(at)) => {
                        let zone = a.schedule.pattern.zone();
                        let when = zone.show(at).unwrap_or_default();
                        let message = format!(
                            "its window overlaps with that of `{}` in group `{group}`, first at {when}",
                            b.key
                        );
                        flaws.push(Flaw::new(Severity::Warning, format!("{}.window", a.place), format!("`{}`: {message}", a.key))
                            .hint("one waits for the other and may miss its window; move or shorten one")
                            .of(a));
                    }
                    Err(why) => flaws.push(Flaw::lost(&a.place, &why).of(a)),
                }
            }
        }
    }
    flaws
}

/// When two schedules of a group are first open at the same time.
fn meeting(a: &Placed, b: &Placed, now: u64) -> Result<Option<u64>, NoSlot> {
    let period = |it: &Placed| it.schedule.pattern.period_at(now);
    let (rare, often) = if period(a)? >= period(b)? {
        (a, b)
    } else {
        (b, a)
    };
    for slot in rare.schedule.upcoming(now, TRIED_SLOTS)? {
        if slot > now.saturating_add(AHEAD_MS) {
            break;
        }
        let mine = open_at(rare, slot)?;
        let pattern = &often.schedule.pattern;
        let next = pattern.next_after(mine.opens)?;
        let near = [pattern.last_at_or_before(mine.opens)?, Some(next)];
        for other in near.into_iter().flatten() {
            let other = open_at(often, other)?;
            if mine.overlaps(&other) {
                return Ok(Some(mine.opens.max(other.opens)));
            }
        }
    }
    Ok(None)
}

/// The time a slot takes: its window, else what it usually takes, else its very instant.
fn open_at(it: &Placed, slot: u64) -> Result<Occurrence, NoSlot> {
    if let Some(window) = &it.schedule.window {
        return window.occurrence(slot);
    }
    let ends = slot.saturating_add(it.p90_ms.unwrap_or(1));
    Ok(Occurrence {
        opens: slot,
        cutoff: ends,
        ends,
        hard_end: ends,
    })
}

/// Schedules whose next slots fall on one instant and that no jitter spreads.
fn stacked(all: &[Placed], now: u64) -> Vec<Flaw> {
    let mut at: BTreeMap<u64, Vec<&Placed>> = BTreeMap::new();
    for it in all.iter().filter(|it| it.schedule.jitter_ms == 0) {
        // A pattern that cannot be searched is reported by `alone`.
        if let Ok(next) = it.schedule.pattern.next_after(now) {
            at.entry(next).or_default().push(it);
        }
    }
    at.into_iter()
        .filter(|(_, here)| here.len() > 1)
        .map(|(slot, here)| {
            let zone = here[0].schedule.pattern.zone();
            let when = zone.show(slot).unwrap_or_default();
            let named: Vec<_> = here.iter().take(5).map(|it| it.key.as_str()).collect();
            let message = format!(
                "{} schedules are due at {when}: {}",
                here.len(),
                named.join(", ")
            );
            Flaw::new(Severity::Info, here[0].place.clone(), message)
                .hint("give them `jitter`, or times of their own")
                .of(here[0])
        })
        .collect()
}

fn span(ms: u64) -> Span {
    Span(std::time::Duration::from_millis(ms))
}
