//! How much of the daemon one user can take: connections at a time, and answers that do not count.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections of one user at a time: far more than a person or their scripts need. With the
/// length of a line it bounds what a user can make the daemon hold.
const EACH_MAX: usize = 256;
/// Bundles that are read at a time, of all users.
pub(super) const BUNDLES_MAX: usize = 2;
/// Requests that are worked on at a time, of all users. Less than the daemon has threads, so that
/// looking at what is due never waits for a person.
pub(super) const REQUESTS_MAX: usize = 32;
/// Answers of one user that do not count, before further ones must wait. Each is journaled, and
/// nobody shall fill the journal.
const REFUSED_MAX: u32 = 30;
/// The time in which these are counted.
const REFUSED_WITHIN: Duration = Duration::from_secs(60);

/// Who is in, by user.
#[derive(Debug, Default)]
pub(super) struct Door(Mutex<BTreeMap<u32, Guest>>);

#[derive(Debug, Default)]
struct Guest {
    inside: usize,
    refused: u32,
    since: Option<Instant>,
}

/// Held while a connection of that user lasts.
#[derive(Debug)]
pub(super) struct Inside {
    door: Arc<Door>,
    uid: u32,
}

impl Door {
    fn guests(&self) -> MutexGuard<'_, BTreeMap<u32, Guest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(self: &Arc<Self>, uid: u32) -> Result<Inside> {
        let mut guests = self.guests();
        let guest = guests.entry(uid).or_default();
        if guest.inside >= EACH_MAX {
            return Err(Error::not_now(format!(
                "user {uid} has {EACH_MAX} connections to the daemon already"
            ))
            .hint("try again when one of them has ended"));
        }
        guest.inside += 1;
        Ok(Inside {
            door: Arc::clone(self),
            uid,
        })
    }

    /// Whether another answer of that user is taken in now.
    pub(super) fn may_answer(&self, uid: u32, now: Instant) -> Result<()> {
        let mut guests = self.guests();
        let guest = guests.entry(uid).or_default();
        guest.forget(now);
        if guest.refused >= REFUSED_MAX {
            let within = REFUSED_WITHIN.as_secs();
            return Err(Error::not_now(format!(
                "{REFUSED_MAX} answers of user {uid} did not count; further ones wait"
            ))
            .hint(format!("no answer is looked at for at most {within} s")));
        }
        Ok(())
    }

    /// An answer of that user did not count.
    pub(super) fn refused(&self, uid: u32, now: Instant) {
        let mut guests = self.guests();
        let guest = guests.entry(uid).or_default();
        guest.forget(now);
        guest.since.get_or_insert(now);
        guest.refused += 1;
    }
}

impl Guest {
    fn forget(&mut self, now: Instant) {
        let over = |since: Instant| now.saturating_duration_since(since) >= REFUSED_WITHIN;
        if self.since.is_some_and(over) {
            self.since = None;
            self.refused = 0;
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut guests = self.door.guests();
        if let Some(guest) = guests.get_mut(&self.uid) {
            guest.inside -= 1;
            if guest.inside == 0 && guest.refused == 0 {
                guests.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_connections_and_another_has_theirs() {
        let door = Arc::new(Door::default());
        let mut inside: Vec<_> = (0..EACH_MAX).map(|_| door.enter(7).unwrap()).collect();
        assert!(door.enter(7).is_err());
        assert!(door.enter(8).is_ok());
        inside.pop();
        assert!(door.enter(7).is_ok());
        drop(inside);
        assert!(door.guests().is_empty());
    }

    #[test]
    fn answers_that_do_not_count_make_the_next_one_wait_a_minute() {
        let door = Arc::new(Door::default());
        let now = Instant::now();
        for _ in 0..REFUSED_MAX {
            door.may_answer(7, now).unwrap();
            door.refused(7, now);
        }
        assert!(door.may_answer(7, now + REFUSED_WITHIN / 2).is_err());
        assert!(door.may_answer(8, now).is_ok());
        assert!(door.may_answer(7, now + REFUSED_WITHIN).is_ok());
    }
}
