//! What comes next: the next runs, and the next daylight-saving edge with the runs around it.

use super::pattern::NoSlot;
use super::policy::Schedule;
use super::zone::Edge;

/// Zones that keep daylight saving have an edge within a year; we look a little further.
const EDGE_DAYS: u16 = 400;
/// As many runs as a person reads.
pub const UPCOMING_MAX: usize = 1_000;

/// The next edge of a schedule's zone, with the slots around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeView {
    pub edge: Edge,
    /// The last slot before the edge.
    pub before: Option<u64>,
    /// The first slot from the edge on, and the one after it.
    pub first: u64,
    pub second: u64,
    /// The first slot is there because its own time of day was left out.
    pub moved: bool,
    /// It runs on the days before and after, and not on the day of the edge.
    pub lost: bool,
    /// A day or more of the calendar is left out or repeated.
    pub whole_day: bool,
}

impl Schedule {
    /// The next `n` slots after `now`.
    pub fn upcoming(&self, now: u64, n: usize) -> Result<Vec<u64>, NoSlot> {
        let mut at = now;
        (0..n.min(UPCOMING_MAX))
            .map(|_| {
                at = self.pattern.next_after(at)?;
                Ok(at)
            })
            .collect()
    }

    /// The next time the zone's clock jumps; `None` where it never does. Intervals are not
    /// affected, since they follow real time.
    pub fn next_edge(&self, now: u64) -> Result<Option<EdgeView>, NoSlot> {
        let Some(edge) = self.pattern.zone().next_edge(now, EDGE_DAYS)? else {
            return Ok(None);
        };
        let around = |from: i64, hours: u64| {
            let from = edge.at.saturating_add_signed(from * 3_600_000);
            let count = self.pattern.count(from, from + hours * 3_600_000)?;
            Ok::<bool, NoSlot>(count.slots > 0)
        };
        let lost = edge.is_gap() && around(-36, 24)? && !around(-12, 24)? && around(12, 24)?;
        let just_before = edge.at.saturating_sub(1);
        let first = self.pattern.next_after(just_before)?;
        Ok(Some(EdgeView {
            edge,
            before: self.pattern.last_at_or_before(just_before)?,
            first,
            second: self.pattern.next_after(first)?,
            lost,
            moved: self.pattern.is_moved(first)?,
            whole_day: (edge.after - edge.before).abs() >= 86_400,
        }))
    }
}
