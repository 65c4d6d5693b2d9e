//! Windows: when work may begin, when no new step is taken, when it stops.

use crate::capability::Class;
use crate::schedule::pattern::{NoSlot, Pattern};
use crate::schedule::shape::NamedSlot;
use crate::schedule::{BadSchedule, Zone};
use crate::units::{Share, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A window longer than this is no window; the runbook's longest is a week.
pub const DURATION_MAX: Span = Span::secs(31 * 86_400);
/// Fewer measured runs than this say nothing about the next one.
pub const P90_MIN_RUNS: usize = 5;
/// Less than a tenth of the work is not worth the start.
pub const SHARE_MIN_PERCENT: u64 = 10;

/// A window as an operator writes it. All times but `start` count from its opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WindowTable {
    /// Time of day at which it opens, as `01:00`, in the schedule's zone. Default: with the slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// How long it is open.
    pub duration: Span,
    /// How long before its end nothing new begins: no run, no step. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutoff: Option<Span>,
    /// When work is stopped at its next safe point. Default: `duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_end: Option<Span>,
    /// What may be done in it. Default: every class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Class>,
    /// By how much a person may extend it, in all. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_extend: Option<Span>,
    /// What happens when the usual duration does not fit into what is left.
    #[serde(default)]
    pub too_long: TooLong,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TooLong {
    /// The slot is skipped.
    #[default]
    Skip,
    /// It runs with a smaller scope.
    Shrink,
}

/// A window, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    start: Option<Pattern>,
    duration_ms: u64,
    cutoff_ms: u64,
    hard_end_ms: u64,
    classes: Vec<Class>,
    max_extend_ms: u64,
    too_long: TooLong,
}

/// One opening of a window, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    pub opens: u64,
    /// From here on nothing new begins.
    pub cutoff: u64,
    pub ends: u64,
    /// From here on work stops at its next safe point.
    pub hard_end: u64,
}

/// Whether work may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayStart {
    Yes,
    /// With this share of its scope.
    Shrunk(Share),
    Early {
        opens: u64,
    },
    /// Past the cutoff.
    Closed,
    /// It usually takes longer than what is left.
    TooLong {
        p90_ms: u64,
        left_ms: u64,
    },
}

/// Whether work that runs may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayGoOn {
    Yes,
    /// What was begun is finished, nothing new is.
    NoNewStep,
    /// Stop at the next safe point; the rest is for the next window.
    Stop,
}

impl WindowTable {
    pub fn compile(&self, zone: Zone) -> Result<Window, BadSchedule> {
        let bad = |key, message: String, hint| Err(BadSchedule::window(key, message, hint));
        let duration = self.duration;
        if duration.as_millis() == 0 || duration > DURATION_MAX {
            return bad(
                "duration",
                format!("a window of {duration} is out of bounds"),
                format!("longer than nothing, at most {DURATION_MAX}"),
            );
        }
        let cutoff = self.cutoff.unwrap_or(Span::secs(0));
        if cutoff >= duration {
            return bad(
                "cutoff",
                format!("the cutoff of {cutoff} leaves nothing of {duration}: no run can begin"),
                "make `cutoff` shorter than `duration`".into(),
            );
        }
        let hard_end = self.hard_end.unwrap_or(duration);
        if hard_end < duration || hard_end > DURATION_MAX {
            return bad(
                "hard-end",
                format!("a hard end after {hard_end} is out of bounds"),
                format!("it counts from the opening: from {duration} to {DURATION_MAX}"),
            );
        }
        let max_extend = self.max_extend.unwrap_or(Span::secs(0));
        if max_extend > DURATION_MAX {
            return bad(
                "max-extend",
                format!("an extension by {max_extend} is out of bounds"),
                format!("at most {DURATION_MAX}"),
            );
        }
        let start = self.start.as_deref().map(|at| {
            Pattern::slot(NamedSlot::Daily, Some(at), None, zone)
                .map_err(|e| BadSchedule::window("start", e.message, e.hint.unwrap_or_default()))
        });
        Ok(Window {
            start: start.transpose()?,
            duration_ms: duration.as_millis(),
            cutoff_ms: cutoff.as_millis(),
            hard_end_ms: hard_end.as_millis(),
            classes: self.classes.clone(),
            max_extend_ms: max_extend.as_millis(),
            too_long: self.too_long,
        })
    }
}

impl Window {
    /// The opening that belongs to a slot: the one it lies in, else the next one.
    pub fn occurrence(&self, slot: u64) -> Result<Occurrence, NoSlot> {
        let opens = match &self.start {
            None => slot,
            Some(start) => match start.last_at_or_before(slot)? {
                Some(opened) if slot < self.at(opened).cutoff => opened,
                Some(_) | None => start.next_after(slot)?,
            },
        };
        Ok(self.at(opens))
    }

    fn at(&self, opens: u64) -> Occurrence {
        let ends = opens.saturating_add(self.duration_ms);
        Occurrence {
            opens,
            cutoff: ends - self.cutoff_ms,
            ends,
            hard_end: opens.saturating_add(self.hard_end_ms),
        }
    }

    /// From opening to the last moment a run may begin.
    pub const fn startable_ms(&self) -> u64 {
        self.duration_ms - self.cutoff_ms
    }

    pub fn allows(&self, class: Class) -> bool {
        self.classes.is_empty() || self.classes.contains(&class)
    }

    /// Whether a run may begin now. `p90_ms` is how long it usually takes, where that is known.
    pub fn may_start(&self, it: &Occurrence, now: u64, p90_ms: Option<u64>) -> MayStart {
        if now < it.opens {
            return MayStart::Early { opens: it.opens };
        }
        if now >= it.cutoff {
            return MayStart::Closed;
        }
        let left_ms = it.ends - now;
        let Some(p90_ms) = p90_ms.filter(|p90| *p90 > left_ms) else {
            return MayStart::Yes;
        };
        match (self.too_long, shrink_to(left_ms, p90_ms)) {
            (TooLong::Shrink, Some(share)) => MayStart::Shrunk(share),
            (TooLong::Shrink, None) | (TooLong::Skip, _) => MayStart::TooLong { p90_ms, left_ms },
        }
    }

    /// Moves cutoff, end and hard end. `already_ms` is what earlier extensions gave.
    pub fn extend(
        &self,
        it: &Occurrence,
        by: Span,
        reason: &str,
        already_ms: u64,
    ) -> Result<Occurrence, BadSchedule> {
        let no = |message: String, hint: &str| {
            Err(BadSchedule::window("max-extend", message, hint.to_owned()))
        };
        if reason.trim().is_empty() {
            return no(
                "an extension needs a reason".into(),
                "say why, for the record",
            );
        }
        let total = already_ms.saturating_add(by.as_millis());
        if total > self.max_extend_ms {
            return no(
                format!(
                    "extended by {} in all, but at most {} is allowed",
                    span(total),
                    span(self.max_extend_ms)
                ),
                "raise `max-extend` in the window, or let the rest run in the next one",
            );
        }
        Ok(it.extended(by.as_millis()))
    }
}

impl Occurrence {
    #[must_use]
    pub const fn extended(&self, by_ms: u64) -> Self {
        Self {
            opens: self.opens,
            cutoff: self.cutoff.saturating_add(by_ms),
            ends: self.ends.saturating_add(by_ms),
            hard_end: self.hard_end.saturating_add(by_ms),
        }
    }

    pub const fn may_go_on(&self, now: u64) -> MayGoOn {
        if now >= self.hard_end {
            MayGoOn::Stop
        } else if now >= self.cutoff {
            MayGoOn::NoNewStep
        } else {
            MayGoOn::Yes
        }
    }

    pub const fn overlaps(&self, other: &Self) -> bool {
        self.opens < other.hard_end && other.opens < self.hard_end
    }
}

/// The share of its scope that a run has time for; `None` if that is too little to begin.
pub fn shrink_to(left_ms: u64, p90_ms: u64) -> Option<Share> {
    let percent = u64::try_from(u128::from(left_ms) * 100 / u128::from(p90_ms.max(1))).ok()?;
    let percent = percent.min(100);
    let share = format!("{percent}%").parse().ok();
    share.filter(|_| percent >= SHARE_MIN_PERCENT)
}

/// The duration that nine of ten runs did not exceed (nearest rank); `None` for too few runs.
pub fn p90(durations_ms: &[u64]) -> Option<u64> {
    if durations_ms.len() < P90_MIN_RUNS {
        return None;
    }
    let mut sorted = durations_ms.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * 9).div_ceil(10) - 1).copied()
}

fn span(ms: u64) -> Span {
    Span(std::time::Duration::from_millis(ms))
}

#[cfg(test)]
mod tests;
