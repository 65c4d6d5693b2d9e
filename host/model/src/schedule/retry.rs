//! Trying again, and ceasing to: back-off, and the watchdog for tasks that our limiter killed.

use super::policy::{BadSchedule, draw};
use super::shape::RetryTable;
use crate::units::Span;
use crate::words::Failure;

/// More tries than this are a schedule of their own.
pub const ATTEMPTS_MAX: u32 = 20;
/// A shorter wait would hammer what has just failed.
pub const FIRST_MIN: Span = Span::secs(1);
/// A longer wait is the next slot's business.
pub const MOST_MAX: Span = Span::secs(86_400);

/// The watchdog: this many kills by our own limiter …
pub const KILLS_MAX: usize = 3;
/// … within this time …
pub const KILLS_WITHIN_MS: u64 = 86_400_000;
/// … put a task aside for this long. It comes back by itself: what killed it may be gone.
pub const ASIDE_MS: u64 = 86_400_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    attempts: u32,
    first_ms: u64,
    most_ms: u64,
}

/// Whether a failed try is followed by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    At { attempt: u32, not_before: u64 },
    No(WhyNot),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot {
    /// The schedule has no `retry`.
    NotAsked,
    /// The task did not call the error transient.
    NotTransient,
    Exhausted,
    /// The next try would begin after the window's cutoff.
    WindowClosed,
    /// A newer slot comes first.
    NextSlot,
}

impl Retry {
    pub(super) fn compile(table: &RetryTable) -> Result<Self, BadSchedule> {
        let bad = |key, message: String, hint: String| {
            Err(BadSchedule {
                key: format!("schedule.retry.{key}"),
                message,
                hint: Some(hint),
                never: false,
            })
        };
        let RetryTable {
            attempts,
            first,
            most,
        } = *table;
        if !(1..=ATTEMPTS_MAX).contains(&attempts) {
            let message = format!("{attempts} tries are out of bounds");
            return bad("attempts", message, format!("from 1 to {ATTEMPTS_MAX}"));
        }
        if first < FIRST_MIN || first > most {
            let message = format!("a first wait of {first} is out of bounds");
            return bad(
                "first",
                message,
                format!("from {FIRST_MIN} to `most` ({most})"),
            );
        }
        if most > MOST_MAX {
            let message = format!("a wait of {most} is out of bounds");
            return bad("most", message, format!("at most {MOST_MAX}"));
        }
        Ok(Self {
            attempts,
            first_ms: first.as_millis(),
            most_ms: most.as_millis(),
        })
    }

    /// The wait before try `attempt` (2 is the first repetition): doubled each time, and between
    /// half and all of that, by a draw that is this slot's own, so that nodes that failed together
    /// do not come back together and a restart does not change it.
    pub fn wait_ms(&self, node: &str, key: &str, slot: u64, attempt: u32) -> u64 {
        let doublings = attempt.saturating_sub(2).min(63);
        let full = self
            .first_ms
            .saturating_mul(1 << doublings)
            .min(self.most_ms);
        let half = full / 2;
        let (slot, attempt) = (slot.to_string(), attempt.to_string());
        half + draw(&["retry", node, key, &slot, &attempt]) % (full - half + 1)
    }
}

/// One try that failed.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    pub node: &'a str,
    pub key: &'a str,
    pub slot: u64,
    pub attempt: u32,
    pub ended: u64,
    pub failure: &'a Failure,
    /// The cutoff of the window it ran in.
    pub cutoff: Option<u64>,
    /// When the next slot is due.
    pub next_slot: u64,
}

/// Whether to try again, and when.
pub fn next(retry: Option<&Retry>, failed: &Failed<'_>) -> Next {
    let Some(retry) = retry else {
        return Next::No(WhyNot::NotAsked);
    };
    match failed.failure {
        Failure::Transient(_) => {}
        Failure::Permanent(_) | Failure::Refused(_) => return Next::No(WhyNot::NotTransient),
    }
    let attempt = failed.attempt.saturating_add(1);
    if attempt > retry.attempts {
        return Next::No(WhyNot::Exhausted);
    }
    let wait = retry.wait_ms(failed.node, failed.key, failed.slot, attempt);
    let not_before = failed.ended.saturating_add(wait);
    if failed.cutoff.is_some_and(|cutoff| not_before >= cutoff) {
        return Next::No(WhyNot::WindowClosed);
    }
    if not_before >= failed.next_slot {
        return Next::No(WhyNot::NextSlot);
    }
    Next::At {
        attempt,
        not_before,
    }
}

/// Until when a task is put aside, given when our own limiter killed it (fuel, memory, time).
/// Kills by anything else, such as the machine's own lack of memory, are not the task's fault and
/// must not be among them.
pub fn aside_until(kills: &[u64], now: u64) -> Option<u64> {
    let since = now.saturating_sub(KILLS_WITHIN_MS + ASIDE_MS);
    let mut recent: Vec<u64> = kills.iter().copied().filter(|k| *k >= since).collect();
    recent.sort_unstable();
    let burst = recent
        .windows(KILLS_MAX)
        .rev()
        .find(|w| w[KILLS_MAX - 1] - w[0] <= KILLS_WITHIN_MS)?;
    Some(burst[KILLS_MAX - 1].saturating_add(ASIDE_MS)).filter(|until| *until > now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Refusal;
    use proptest::prelude::*;

    fn retry() -> Retry {
        Retry::compile(&RetryTable::default()).unwrap()
    }

    fn failed(failure: &Failure) -> Failed<'_> {
        Failed {
            node: "node-7",
            key: "temp-clean",
            slot: 1_000,
            attempt: 1,
            ended: 5_000,
            failure,
            cutoff: None,
            next_slot: u64::MAX,
        }
    }

    #[test]
    fn only_transient_errors_are_tried_again_and_not_for_ever() {
        let transient = Failure::Transient("busy".into());
        let it = failed(&transient);
        assert!(matches!(
            next(Some(&retry()), &it),
            Next::At { attempt: 2, .. }
        ));
        assert_eq!(next(None, &it), Next::No(WhyNot::NotAsked));
        let last = Failed { attempt: 3, ..it };
        assert_eq!(next(Some(&retry()), &last), Next::No(WhyNot::Exhausted));
        for other in [
            Failure::Permanent("no".into()),
            Failure::Refused(Refusal::denied("no")),
        ] {
            let it = failed(&other);
            assert_eq!(next(Some(&retry()), &it), Next::No(WhyNot::NotTransient));
        }
    }

    #[test]
    fn never_beyond_the_window_or_the_next_slot() {
        let transient = Failure::Transient("busy".into());
        let it = failed(&transient);
        let closed = Failed {
            cutoff: Some(5_000 + 14_999),
            ..it
        };
        assert_eq!(
            next(Some(&retry()), &closed),
            Next::No(WhyNot::WindowClosed)
        );
        let late = Failed {
            next_slot: 5_000 + 14_999,
            ..it
        };
        assert_eq!(next(Some(&retry()), &late), Next::No(WhyNot::NextSlot));
    }

    #[test]
    fn tables_out_of_bounds_are_refused() {
        let span = Span::secs;
        for table in [
            RetryTable {
                attempts: 0,
                ..RetryTable::default()
            },
            RetryTable {
                attempts: 21,
                ..RetryTable::default()
            },
            RetryTable {
                first: span(0),
                ..RetryTable::default()
            },
            RetryTable {
                first: span(61),
                most: span(60),
                ..RetryTable::default()
            },
            RetryTable {
                most: span(86_401),
                ..RetryTable::default()
            },
        ] {
            assert!(Retry::compile(&table).is_err(), "{table:?}");
        }
    }

    #[test]
    fn three_kills_in_a_day_put_a_task_aside_for_a_day() {
        const HOUR: u64 = 3_600_000;
        let now = 100 * 24 * HOUR;
        assert_eq!(aside_until(&[now, now], now), None);
        let kills = [now - 2 * HOUR, now - HOUR, now];
        assert_eq!(aside_until(&kills, now), Some(now + 24 * HOUR));
        assert_eq!(aside_until(&kills, now + 23 * HOUR), Some(now + 24 * HOUR));
        assert_eq!(aside_until(&kills, now + 24 * HOUR), None);
        assert_eq!(aside_until(&[now - 30 * HOUR, now - HOUR, now], now), None);
    }

    proptest! {
        #[test]
        fn waits_grow_within_bounds_and_do_not_change(slot: u64, attempt in 2u32..=20, node in "[a-z]{1,8}") {
            let wait = retry().wait_ms(&node, "k", slot, attempt);
            let full = (30_000u64 << (attempt - 2)).min(1_800_000);
            prop_assert!((full / 2..=full).contains(&wait));
            prop_assert_eq!(wait, retry().wait_ms(&node, "k", slot, attempt));
        }
    }
}
