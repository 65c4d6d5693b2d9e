//! When a schedule is due: a cron pattern, an interval or a named slot.

use super::cron::Cron;
use super::named;
use super::shape::NamedSlot;
use super::zone::{Zone, millis, secs};
use crate::units::Span;
use std::fmt;

/// More often than this is not maintenance but a loop.
pub const EVERY_MIN_MS: u64 = 1_000;
/// Longer than a year is an annual slot with a date, which people can foresee.
pub const EVERY_MAX_MS: u64 = 366 * 86_400_000;

/// A rule that gives slots: instants at which something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    rule: Rule,
    zone: Zone,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    // Boxed: a parsed pattern is far larger than an interval.
    Cron(Box<Cron>),
    Every { ms: u64, anchor: u64 },
}

/// What is wrong with a pattern, and with which key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadPattern {
    pub key: &'static str,
    pub message: String,
    pub hint: Option<String>,
    /// Well formed, but no day ever matches.
    pub never: bool,
}

impl BadPattern {
    pub(super) fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self {
            key,
            message: message.into(),
            hint: None,
            never: false,
        }
    }
    pub(super) fn never(text: &str) -> Self {
        let mut bad = Self::new("cron", format!("`{text}` never comes"))
            .hint("no such day is in the calendar; look at day-of-month and month");
        bad.never = true;
        bad
    }
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Why no slot could be told. Never means that there are no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSlot {
    #[error("cannot search `{pattern}`: {why}")]
    Search { pattern: String, why: String },
    #[error("the time lies outside 1970 to 4000")]
    Range,
}

/// How many slots lie in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub slots: u64,
    /// False: at least this many; the range is too long to count.
    pub exact: bool,
}

impl Pattern {
    pub fn cron(text: &str, zone: Zone) -> Result<Self, BadPattern> {
        Ok(Self {
            rule: Rule::Cron(Box::new(Cron::parse(text)?)),
            zone,
        })
    }

    pub fn slot(
        slot: NamedSlot,
        at: Option<&str>,
        on: Option<&str>,
        zone: Zone,
    ) -> Result<Self, BadPattern> {
        Self::cron(&named::cron_of(slot, at, on)?, zone)
    }

    /// Slots at `anchor` (default: the epoch) and every `every` from then on, in real time.
    pub fn every(every: Span, anchor: Option<u64>, zone: Zone) -> Result<Self, BadPattern> {
        let ms = every.as_millis();
        if !(EVERY_MIN_MS..=EVERY_MAX_MS).contains(&ms) {
            return Err(
                BadPattern::new("every", format!("every {every} is out of bounds"))
                    .hint("from `1s` to `366d`"),
            );
        }
        let anchor = anchor.unwrap_or(0);
        Ok(Self {
            rule: Rule::Every { ms, anchor },
            zone,
        })
    }

    pub const fn zone(&self) -> Zone {
        self.zone
    }

    /// Whether it names times of day, which daylight saving can leave out or repeat.
    pub fn is_fixed(&self) -> bool {
        match &self.rule {
            Rule::Cron(cron) => cron.is_fixed(),
            Rule::Every { .. } => false,
        }
    }

    /// The first slot later than `t`.
    pub fn next_after(&self, t: u64) -> Result<u64, NoSlot> {
        let at = secs(t)?;
        match &self.rule {
            Rule::Cron(cron) => Ok(millis(cron.next_after(self.zone, at)?)),
            Rule::Every { anchor, .. } if t < *anchor => Ok(*anchor),
            Rule::Every { ms, anchor } => {
                let gone = (t - anchor) / ms + 1;
                Ok(anchor.saturating_add(gone.saturating_mul(*ms)))
            }
        }
    }

    /// The newest slot not later than `t`; `None` before the first.
    pub fn last_at_or_before(&self, t: u64) -> Result<Option<u64>, NoSlot> {
        let at = secs(t)?;
        match &self.rule {
            Rule::Cron(cron) => Ok(cron.last_at_or_before(self.zone, at)?.map(millis)),
            Rule::Every { anchor, .. } if t < *anchor => Ok(None),
            Rule::Every { ms, anchor } => Ok(Some(t - (t - anchor) % ms)),
        }
    }

    /// How many slots lie in `(after, upto]`, without visiting each.
    pub fn count(&self, after: u64, upto: u64) -> Result<Count, NoSlot> {
        match &self.rule {
            Rule::Cron(cron) => cron.count(self.zone, secs(after)?, secs(upto)?),
            Rule::Every { ms, anchor } => {
                let slots_to = |t: u64| t.checked_sub(*anchor).map_or(0, |gone| gone / ms + 1);
                Ok(Count {
                    slots: slots_to(upto).saturating_sub(slots_to(after)),
                    exact: true,
                })
            }
        }
    }

    /// From this slot to the next.
    pub fn period_at(&self, slot: u64) -> Result<u64, NoSlot> {
        Ok(self.next_after(slot)?.saturating_sub(slot))
    }

    /// Whether the slot is behind a gap because its own time was left out.
    pub fn is_moved(&self, slot: u64) -> Result<bool, NoSlot> {
        match &self.rule {
            Rule::Cron(cron) if cron.is_fixed() => Ok(!cron.names(self.zone, secs(slot)?)?),
            Rule::Cron(_) | Rule::Every { .. } => Ok(false),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::Cron(cron) => write!(f, "{} {}", cron.text(), self.zone),
            Rule::Every { ms, .. } => {
                write!(f, "every {}", Span(std::time::Duration::from_millis(*ms)))
            }
        }
    }
}
