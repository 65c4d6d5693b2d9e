//! Time zones: from an instant to the wall clock and back, and the edges where the clock jumps.

use super::pattern::NoSlot;
use chrono::{DateTime, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _};
use chrono_tz::{GapInfo, Tz};
use std::fmt;
use std::str::FromStr;

/// Seconds since the epoch, UTC. Zones and cron know no smaller unit.
pub(super) type Secs = i64;

pub(super) const DAY: Secs = 86_400;

/// The last second we reckon with, the start of the year 4000: no zone table means anything there,
/// and the calendar we use still works.
const LAST: Secs = 64_060_588_800;

/// An IANA time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

/// A name that the zone table does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("time zone `{0}` is not known")]
pub struct UnknownZone(pub String);

/// An instant at which the wall clock jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The first instant of the new offset, milliseconds.
    pub at: u64,
    /// Seconds east of UTC before and from it.
    pub before: i32,
    pub after: i32,
}

impl Edge {
    /// The clock goes forward: wall-clock times are left out.
    pub const fn is_gap(&self) -> bool {
        self.after > self.before
    }
}

/// What a wall-clock time is in a zone.
pub(super) enum Wall {
    Once(Secs),
    /// The clock went back: the first and the second time it was shown.
    Twice(Secs, Secs),
    /// The clock went forward over it; the first instant after that.
    Never(Secs),
}

/// Which zone table is built in: rules of zones change, so records name it.
pub const fn zone_table_version() -> &'static str {
    chrono_tz::IANA_TZDB_VERSION
}

impl Zone {
    pub const UTC: Self = Self(Tz::UTC);

    pub(super) fn local(self, at: Secs) -> Result<NaiveDateTime, NoSlot> {
        let utc = utc(at)?;
        Ok(utc + TimeDelta::seconds(self.shift(&utc)))
    }

    /// Seconds east of UTC.
    pub(super) fn offset(self, at: Secs) -> Result<i64, NoSlot> {
        Ok(self.shift(&utc(at)?))
    }

    fn shift(self, utc: &NaiveDateTime) -> i64 {
        let offset = self.0.offset_from_utc_datetime(utc).fix();
        i64::from(offset.local_minus_utc())
    }

    pub(super) fn resolve(self, wall: NaiveDateTime) -> Result<Wall, NoSlot> {
        Ok(match self.0.from_local_datetime(&wall) {
            chrono::LocalResult::Single(t) => Wall::Once(t.timestamp()),
            chrono::LocalResult::Ambiguous(first, second) => {
                Wall::Twice(first.timestamp(), second.timestamp())
            }
            chrono::LocalResult::None => {
                let end = GapInfo::new(&wall, &self.0).and_then(|gap| gap.end);
                Wall::Never(end.ok_or(NoSlot::Range)?.timestamp())
            }
        })
    }

    /// The first edge in `(after, until]`. Looks once a day: two edges within one day that undo
    /// each other are not seen, and no zone has had such a day since 1970.
    pub(super) fn edge_within(self, after: Secs, until: Secs) -> Result<Option<Secs>, NoSlot> {
        let mut from = after;
        let before = self.offset(from)?;
        while from < until {
            let to = until.min(from + DAY);
            if self.offset(to)? != before {
                return self.bisect(from, to).map(Some);
            }
            from = to;
        }
        Ok(None)
    }

    /// The last edge in `(since, until]`.
    pub(super) fn last_edge_within(self, since: Secs, until: Secs) -> Result<Option<Secs>, NoSlot> {
        let mut to = until;
        let after = self.offset(to)?;
        while to > since {
            let from = since.max(to - DAY);
            if self.offset(from)? != after {
                return self.bisect(from, to).map(Some);
            }
            to = from;
        }
        Ok(None)
    }

    /// The first second whose offset is not that of `from`, given that `to` is such a second.
    fn bisect(self, mut from: Secs, mut to: Secs) -> Result<Secs, NoSlot> {
        let before = self.offset(from)?;
        while to - from > 1 {
            let middle = from + (to - from) / 2;
            if self.offset(middle)? == before {
                from = middle;
            } else {
                to = middle;
            }
        }
        Ok(to)
    }

    /// The next edge after `now` (milliseconds) within `days`.
    pub fn next_edge(self, now: u64, days: u16) -> Result<Option<Edge>, NoSlot> {
        let now = secs(now)?;
        let Some(at) = self.edge_within(now, now + i64::from(days) * DAY)? else {
            return Ok(None);
        };
        Ok(Some(Edge {
            at: millis(at),
            before: i32::try_from(self.offset(at - 1)?).unwrap_or_default(),
            after: i32::try_from(self.offset(at)?).unwrap_or_default(),
        }))
    }

    /// The wall clock for people: `2026-03-29 03:00 +02:00`.
    pub fn show(self, at: u64) -> Result<String, NoSlot> {
        let at = secs(at)?;
        let (local, offset) = (self.local(at)?, self.offset(at)?);
        let (sign, east) = (if offset < 0 { '-' } else { '+' }, offset.abs());
        let text = local.to_string();
        let text = text.strip_suffix(":00").unwrap_or(&text);
        Ok(format!(
            "{text} {sign}{:02}:{:02}",
            east / 3_600,
            east / 60 % 60
        ))
    }
}

fn utc(at: Secs) -> Result<NaiveDateTime, NoSlot> {
    let in_range = (0..=LAST).contains(&at);
    let time = DateTime::from_timestamp(at, 0).filter(|_| in_range);
    Ok(time.ok_or(NoSlot::Range)?.naive_utc())
}

/// Whole seconds, rounded down.
pub(super) fn secs(ms: u64) -> Result<Secs, NoSlot> {
    let at = Secs::try_from(ms / 1_000).map_err(|_| NoSlot::Range)?;
    if at > LAST {
        return Err(NoSlot::Range);
    }
    Ok(at)
}

pub(super) fn millis(at: Secs) -> u64 {
    u64::try_from(at).unwrap_or(0).saturating_mul(1_000)
}

impl FromStr for Zone {
    type Err = UnknownZone;
    fn from_str(text: &str) -> Result<Self, UnknownZone> {
        let unknown = |_| UnknownZone(crate::words::printable(text, 64));
        text.parse().map(Self).map_err(unknown)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.name())
    }
}
