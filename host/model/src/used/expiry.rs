//! When a grant that nobody uses ends, where the policy says that it does.

use crate::units::Span;

/// The last part of its time, in which it is told that it will end: a quarter.
const AHEAD: u64 = 4;

/// Shortest time: a weekly task must be able to use what it holds.
pub const UNUSED_LEAST: Span = Span::secs(14 * 86_400);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unused {
    /// Used or granted not long ago.
    Fresh,
    /// Unless it is used: milliseconds since the Unix epoch.
    EndsAt(u64),
    /// It was neither used nor granted anew since.
    Ended { since: u64 },
}

/// Of a grant that was written down at `granted` and used at `last`, in milliseconds since the Unix
/// epoch. A clock that was set back ends nothing.
pub fn unused(after: Span, granted: u64, last: Option<u64>, now: u64) -> Unused {
    let since = last.map_or(granted, |last| last.max(granted));
    let span = u64::try_from(after.0.as_millis()).unwrap_or(u64::MAX);
    let ends = since.saturating_add(span);
    if now >= ends {
        Unused::Ended { since }
    } else if now >= ends - span / AHEAD {
        Unused::EndsAt(ends)
    } else {
        Unused::Fresh
    }
}
