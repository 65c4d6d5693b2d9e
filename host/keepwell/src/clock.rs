//! The one place that asks what time it is, and for randomness.

use keepwell_model::clock::{ClockFacts, DOUBT_MS};
use keepwell_model::id::RunId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where a node takes its time from. Clones tell the same time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// This machine's.
    pub fn system() -> Self {
        Self(Arc::new(now_ms))
    }

    /// One that tells what it is set to, for tests and simulations.
    pub fn set_by(hand: &Arc<AtomicU64>) -> Self {
        let hand = Arc::clone(hand);
        Self(Arc::new(move || hand.load(Ordering::Relaxed)))
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({})", self.now_ms())
    }
}

/// The last step of the clock that this process saw. Clones saw the same.
#[derive(Debug, Clone, Default)]
pub struct Steps(Arc<Mutex<Option<(i64, Instant)>>>);

impl Steps {
    /// It was stepped by so many milliseconds just now; forward is positive.
    pub fn saw(&self, by_ms: i64) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((by_ms, Instant::now()));
    }

    /// By how much, when that is not longer ago than a doubt lasts; else 0.
    fn lately_ms(&self) -> i64 {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let doubt = Duration::from_millis(DOUBT_MS);
        last.filter(|(_, at)| at.elapsed() < doubt)
            .map_or(0, |(by_ms, _)| by_ms)
    }
}

/// What is known of this machine's clock.
pub fn facts(clock: &Clock, steps: &Steps, newest_ms: Option<u64>) -> ClockFacts {
    ClockFacts {
        synchronised: keepwell_node::clock::synchronised(),
        stepped_ms: steps.lately_ms(),
        behind_ms: newest_ms.map_or(0, |newest| newest.saturating_sub(clock.now_ms())),
    }
}

/// Milliseconds since the Unix epoch, by this machine's clock.
pub fn now_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "this is the door to the clock")]
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds that this machine has been up, asleep or awake: no step of the clock changes them.
pub fn since_boot_ms() -> u64 {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (up.tv_sec, up.tv_nsec);
    let ms = i128::from(seconds) * 1_000 + i128::from(nanos) / 1_000_000;
    u64::try_from(ms).unwrap_or(0)
}

/// Random bytes from the system.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// The id of a run that begins now.
pub fn new_run(now_ms: u64) -> Result<RunId, getrandom::Error> {
    Ok(RunId::new(now_ms, random()?))
}

/// `2026-11-23 20:08:15Z`: UTC, to the second, for people.
pub fn readable(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(
            || format!("{ms} ms"),
            |t| t.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        )
}

/// A time as people give it: RFC 3339, a date, or a span ago such as `2h`.
pub fn parse_time(text: &str, now_ms: u64) -> Option<u64> {
    if let Ok(span) = text.parse::<keepwell_model::units::Span>() {
        return Some(now_ms.saturating_sub(span.as_millis()));
    }
    let stamp = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let date = text.parse::<jiff::civil::Date>().ok()?;
        date.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|z| z.timestamp())
    })?;
    u64::try_from(stamp.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_stepped_or_is_behind_its_journal_is_doubted() {
        let hand = Arc::new(AtomicU64::new(1_000_000));
        let (clock, steps) = (Clock::set_by(&hand), Steps::default());
        let now = facts(&clock, &steps, Some(900_000));
        assert_eq!((now.stepped_ms, now.behind_ms), (0, 0));
        steps.clone().saw(-7_200_000);
        let now = facts(&clock, &steps, Some(1_400_000));
        assert_eq!((now.stepped_ms, now.behind_ms), (-7_200_000, 400_000));
        assert!(now.doubt().is_some());
    }

    #[test]
    fn times_as_people_give_them() {
        assert_eq!(parse_time("2h", 10_000_000), Some(2_800_000));
        assert_eq!(parse_time("1970-01-02", 0), Some(86_400_000));
        assert_eq!(parse_time("1970-01-01T00:00:01Z", 0), Some(1_000));
        assert_eq!(parse_time("soon", 0), None);
        assert_eq!(readable(0), "1970-01-01 00:00:00Z");
    }
}
