//! A schedule as it is obeyed: what an operator wrote, checked and compiled.

use super::pattern::{BadPattern, NoSlot, Pattern};
use super::retry::Retry;
use super::shape::{Criticality, OnInterrupt, Overlap, ScheduleTable};
use super::zone::Zone;
use crate::id::{Digest, GroupName};
use crate::units::Span;
use crate::window::{Window, WindowTable};
use chrono::DateTime;

/// More jitter than a day would move a slot into another one's day.
pub const JITTER_MAX: Span = Span::secs(86_400);
/// What was missed longer ago than this is no catching up.
pub const CATCH_UP_MAX: Span = Span::secs(31 * 86_400);
/// The default of `catch-up` is half the period, but not more than this.
pub const CATCH_UP_DEFAULT_MAX: Span = Span::secs(86_400);
/// Pausing after more failures than this is the same as never.
pub const PAUSE_AFTER_MAX: u32 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub pattern: Pattern,
    pub window: Option<Window>,
    /// `None`: half the period.
    pub catch_up_ms: Option<u64>,
    pub jitter_ms: u64,
    pub overlap: Overlap,
    pub retry: Option<Retry>,
    pub pause_after: Option<u32>,
    pub group: Option<GroupName>,
    pub criticality: Criticality,
    pub on_interrupt: OnInterrupt,
}

/// What is wrong, with its key: `cron` of the schedule, or `window.cutoff`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadSchedule {
    /// Dotted, seen from the task: `schedule.cron`, `window.cutoff`.
    pub key: String,
    pub message: String,
    pub hint: Option<String>,
    /// Well formed, but no day ever matches.
    pub never: bool,
}

impl BadSchedule {
    fn new(key: &str, message: impl Into<String>, hint: &str) -> Self {
        Self {
            key: format!("schedule.{key}"),
            message: message.into(),
            hint: Some(hint.to_owned()),
            never: false,
        }
    }
    pub(crate) fn window(key: &str, message: String, hint: String) -> Self {
        Self {
            key: format!("window.{key}"),
            message,
            hint: Some(hint).filter(|h| !h.is_empty()),
            never: false,
        }
    }
}

impl From<BadPattern> for BadSchedule {
    fn from(bad: BadPattern) -> Self {
        Self {
            key: format!("schedule.{}", bad.key),
            message: bad.message,
            hint: bad.hint,
            never: bad.never,
        }
    }
}

impl ScheduleTable {
    pub fn compile(&self, window: Option<&WindowTable>) -> Result<Schedule, BadSchedule> {
        let zone = match &self.zone {
            None => Zone::UTC,
            Some(name) => name.parse::<Zone>().map_err(|e| {
                let hint = "a name of the IANA table, for example `Europe/Berlin`";
                BadSchedule::new("zone", e.to_string(), hint)
            })?,
        };
        let bounded = |key, given: Option<Span>, most: Span| match given {
            Some(span) if span > most => Err(BadSchedule::new(
                key,
                format!("{span} is out of bounds"),
                &format!("at most {most}"),
            )),
            Some(span) => Ok(Some(span.as_millis())),
            None => Ok(None),
        };
        if let Some(n) = self.pause_after
            && !(1..=PAUSE_AFTER_MAX).contains(&n)
        {
            let message = format!("a pause after {n} failures is out of bounds");
            return Err(BadSchedule::new("pause-after", message, "from 1 to 1000"));
        }
        Ok(Schedule {
            pattern: self.pattern(zone)?,
            window: window.map(|w| w.compile(zone)).transpose()?,
            catch_up_ms: bounded("catch-up", self.catch_up, CATCH_UP_MAX)?,
            jitter_ms: bounded("jitter", self.jitter, JITTER_MAX)?.unwrap_or(0),
            overlap: self.overlap,
            retry: self.retry.as_ref().map(Retry::compile).transpose()?,
            pause_after: self.pause_after,
            group: self.group.clone(),
            criticality: self.criticality,
            on_interrupt: self.on_interrupt,
        })
    }

    fn pattern(&self, zone: Zone) -> Result<Pattern, BadSchedule> {
        let only = |key: &str, given: bool, owner: &str| {
            let message = format!("`{key}` belongs to `{owner}`");
            let hint = format!("leave `{key}` out, or say when with `{owner}`");
            if given {
                Err(BadSchedule::new(key, message, &hint))
            } else {
                Ok(())
            }
        };
        let hint = "say when with one of `cron`, `every` and `slot`";
        match (&self.cron, self.every, self.slot) {
            (Some(cron), None, None) => {
                only("from", self.from.is_some(), "every")?;
                only("at", self.at.is_some(), "slot")?;
                only("on", self.on.is_some(), "slot")?;
                Ok(Pattern::cron(cron, zone)?)
            }
            (None, Some(every), None) => {
                only("at", self.at.is_some(), "slot")?;
                only("on", self.on.is_some(), "slot")?;
                let from = self.from.as_deref().map(instant).transpose()?;
                Ok(Pattern::every(every, from, zone)?)
            }
            (None, None, Some(slot)) => {
                only("from", self.from.is_some(), "every")?;
                Ok(Pattern::slot(
                    slot,
                    self.at.as_deref(),
                    self.on.as_deref(),
                    zone,
                )?)
            }
            (None, None, None) => Err(BadSchedule::new("cron", "it does not say when", hint)),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => Err(
                BadSchedule::new("cron", "it says when more than once", hint),
            ),
        }
    }
}

fn instant(text: &str) -> Result<u64, BadSchedule> {
    let time = DateTime::parse_from_rfc3339(text).ok();
    let ms = time.and_then(|t| u64::try_from(t.timestamp_millis()).ok());
    ms.ok_or_else(|| {
        let message = format!("`{}` is no time", crate::words::printable(text, 40));
        BadSchedule::new("from", message, "for example `2026-01-01T00:00:00Z`")
    })
}

impl Schedule {
    /// By how much this node is late for every slot of `key`: the same at each slot and after
    /// each restart, different on each node.
    pub fn offset_ms(&self, node: &str, key: &str) -> u64 {
        if self.jitter_ms == 0 {
            return 0;
        }
        draw(&["jitter", node, key]) % (self.jitter_ms + 1)
    }

    /// How late a slot may start after it was due.
    pub fn catch_up_at(&self, slot: u64) -> Result<u64, NoSlot> {
        match self.catch_up_ms {
            Some(ms) => Ok(ms),
            None => {
                let half = self.pattern.period_at(slot)? / 2;
                Ok(half.min(CATCH_UP_DEFAULT_MAX.as_millis()))
            }
        }
    }

    /// Whether this many failures in a row pause it.
    pub fn pauses_after(&self, failures: u32) -> bool {
        self.pause_after.is_some_and(|n| failures >= n)
    }
}

/// A number that depends on the words alone, spread evenly.
pub(super) fn draw(words: &[&str]) -> u64 {
    let digest = Digest::of(words.join("\0").as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_be_bytes(first)
}
