//! Tests of scheduling as a whole.

mod checks;
mod decisions;
mod edges;
mod holds;
mod properties;
mod simulation;

use super::{EntryState, Schedule, ScheduleTable, Zone};
use crate::window::WindowTable;
use chrono::{DateTime, FixedOffset};

pub(super) const MIN: u64 = 60_000;
pub(super) const HOUR: u64 = 60 * MIN;
pub(super) const DAY: u64 = 24 * HOUR;

/// `2026-03-29T02:00:00+01:00` in milliseconds.
pub(super) fn at(text: &str) -> u64 {
    let time: DateTime<FixedOffset> = DateTime::parse_from_rfc3339(text).unwrap();
    u64::try_from(time.timestamp_millis()).unwrap()
}

pub(super) fn table(json: &str) -> ScheduleTable {
    serde_json::from_str(json).unwrap()
}

pub(super) fn schedule(json: &str) -> Schedule {
    table(json).compile(None).unwrap()
}

pub(super) fn windowed(json: &str, window: &str) -> Schedule {
    let window: WindowTable = serde_json::from_str(window).unwrap();
    table(json).compile(Some(&window)).unwrap()
}

pub(super) fn cron(text: &str, zone: &str) -> super::Pattern {
    super::Pattern::cron(text, zone.parse::<Zone>().unwrap()).unwrap()
}

pub(super) fn seen(at: u64) -> EntryState {
    EntryState::created(at)
}
