//! Stores and their shards: listed and verified by the host, judged by the task.

use crate::task::Refusal;
use crate::wit::sys;

pub use crate::wit::keepwell::task::shards::{Budget, Scrubbed, Selector, Shard, Store, Verdict};

/// The most shards or verdicts one call gives, from the contract.
pub const BATCH: u32 = 4_096;

/// The stores granted to this task.
pub fn stores() -> Result<Vec<Store>, Refusal> {
    sys::shards::stores()
}

/// All shards, whenever verified.
pub fn everything() -> Selector {
    Selector {
        globs: Vec::new(),
        not_verified_since: 0,
    }
}

/// The shards of a store, batch by batch; ends after a refusal.
pub fn list(
    store: &str,
    selector: &Selector,
) -> Result<impl Iterator<Item = Result<Vec<Shard>, Refusal>> + use<>, Refusal> {
    let lister = sys::shards::list_shards(store, selector)?;
    let mut ended = false;
    Ok(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let answer = lister.next(BATCH);
        ended = answer.as_ref().map_or(true, Vec::is_empty);
        match answer {
            Ok(shards) if shards.is_empty() => None,
            answer => Some(answer),
        }
    }))
}

/// Starts reading, least recently verified first.
pub fn verify(store: &str, selector: &Selector, budget: Budget) -> Result<Scrub, Refusal> {
    Ok(Scrub {
        scrub: sys::shards::verify(store, selector, budget)?,
        ended: false,
    })
}

/// A scrub under way. Iterating gives batches of verdicts; after a refusal it ends.
#[derive(Debug)]
pub struct Scrub {
    scrub: sys::shards::Scrub,
    ended: bool,
}

impl Scrub {
    /// How far it is.
    pub fn progress(&self) -> Scrubbed {
        self.scrub.progress()
    }
}

impl Iterator for Scrub {
    type Item = Result<Vec<Verdict>, Refusal>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let answer = self.scrub.next(BATCH);
        self.ended = answer.as_ref().map_or(true, Vec::is_empty);
        match answer {
            Ok(verdicts) if verdicts.is_empty() => None,
            answer => Some(answer),
        }
    }
}
