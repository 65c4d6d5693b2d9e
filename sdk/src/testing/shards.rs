//! The simulated `shards`: stores whose shards have the verdict the test gave them.

use super::{call, refusal, with};
use crate::Span;
use crate::shards::{BATCH, Budget, Scrubbed, Selector, Shard, Store, Verdict};
use crate::task::Refusal;
use globset::{GlobBuilder, GlobMatcher};
use std::cell::RefCell;

/// How fast the simulated node reads, so that `max-seconds` means something.
const BYTES_PER_SECOND: u64 = 100 << 20;

/// A store by name.
#[derive(Debug, Clone)]
pub struct SimStore {
    name: String,
    kind: String,
    shards: Vec<SimShard>,
    gone: bool,
}

/// A shard and what its verification will say.
#[derive(Debug, Clone)]
pub struct SimShard {
    pub name: String,
    pub bytes: u64,
    pub state: String,
    /// How long ago; `None`: never.
    pub verified: Option<Span>,
    /// Told by the listing alone; nothing of it can be read.
    pub absent: bool,
}

impl SimStore {
    pub fn new(name: &str, kind: &str) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            shards: Vec::new(),
            gone: false,
        }
    }
    /// A shard: its verdict, and how long ago it was verified, or `never`.
    #[must_use]
    pub fn shard(mut self, name: &str, bytes: u64, state: &str, verified: &str) -> Self {
        let verified = (verified != "never")
            .then(|| Span::parse(verified).expect("`never` or a span of time like 48h"));
        self.shards.push(SimShard {
            name: name.into(),
            bytes,
            state: state.into(),
            verified,
            absent: false,
        });
        self
    }
    /// What a listing tells without reading: `missing`, `vanished`, `extra`, `stale-temp`.
    #[must_use]
    pub fn absent(mut self, name: &str, state: &str) -> Self {
        self.shards.push(SimShard {
            name: name.into(),
            bytes: 0,
            state: state.into(),
            verified: None,
            absent: true,
        });
        self
    }
    /// Not mounted.
    #[must_use]
    pub fn gone(mut self) -> Self {
        self.gone = true;
        self
    }
}

fn last_verified(shard: &SimShard, now: u64) -> Option<u64> {
    shard.verified.map(|age| now.saturating_sub(age.millis()))
}

pub(crate) fn stores() -> Result<Vec<Store>, Refusal> {
    call("shards", |run| {
        let now = run.node.now;
        let store = |s: &SimStore| {
            let there = || s.shards.iter().filter(|x| !x.absent);
            let times: Option<Vec<u64>> = there().map(|x| last_verified(x, now)).collect();
            Store {
                name: s.name.clone(),
                kind: s.kind.clone(),
                shards: Some(there().count() as u64),
                bytes: Some(there().map(|x| x.bytes).sum()),
                oldest_verified: times.and_then(|times| times.into_iter().min()),
            }
        };
        Ok(run.node.stores.iter().map(store).collect())
    })
}

fn selected(
    node: &super::Node,
    store: &str,
    selector: &Selector,
) -> Result<Vec<SimShard>, Refusal> {
    let denied = || refusal("denied", &format!("store `{store}` is not granted"));
    let it = node
        .stores
        .iter()
        .find(|s| s.name == store)
        .ok_or_else(denied)?;
    if it.gone || it.shards.is_empty() {
        return Err(refusal(
            "gone",
            "the store is missing, empty or not mounted",
        ));
    }
    let mut globs: Vec<GlobMatcher> = Vec::new();
    for glob in &selector.globs {
        let built = GlobBuilder::new(glob).literal_separator(true).build();
        globs.push(
            built
                .map_err(|e| refusal("invalid", &e.to_string()))?
                .compile_matcher(),
        );
    }
    let mut shards: Vec<_> = it
        .shards
        .iter()
        .filter(|s| globs.is_empty() || globs.iter().any(|g| g.is_match(&s.name)))
        .filter(|s| {
            let since = selector.not_verified_since;
            s.absent || since == 0 || last_verified(s, node.now).is_none_or(|at| at < since)
        })
        .cloned()
        .collect();
    shards.sort_by_key(|s| (last_verified(s, node.now), s.name.clone()));
    Ok(shards)
}

#[derive(Debug)]
pub(crate) struct Lister(RefCell<std::vec::IntoIter<Shard>>);

pub(crate) fn list_shards(store: &str, selector: &Selector) -> Result<Lister, Refusal> {
    call("shards", |run| {
        let now = run.node.now;
        let shard = |s: SimShard| Shard {
            last_verified: last_verified(&s, now),
            name: s.name,
            bytes: s.bytes,
        };
        let all: Vec<_> = selected(&run.node, store, selector)?
            .into_iter()
            .filter(|s| !s.absent)
            .map(shard)
            .collect();
        Ok(Lister(RefCell::new(all.into_iter())))
    })
}

impl Lister {
    pub(crate) fn next(&self, max: u32) -> Result<Vec<Shard>, Refusal> {
        let max = max.min(BATCH) as usize;
        call("shards", |_| {
            Ok(self.0.borrow_mut().by_ref().take(max).collect())
        })
    }
}

#[derive(Debug)]
pub(crate) struct Scrub {
    /// With whether the verdict comes of reading, and counts as progress.
    coming: RefCell<std::vec::IntoIter<(SimShard, bool)>>,
    progress: RefCell<Scrubbed>,
}

pub(crate) fn verify(store: &str, selector: &Selector, budget: Budget) -> Result<Scrub, Refusal> {
    call("shards", |run| {
        if run.scrubs > 0 {
            return Err(refusal("limit", "another scrub of this run is open"));
        }
        let scrub = planned(selected(&run.node, store, selector)?, budget);
        run.scrubs += 1;
        Ok(scrub)
    })
}

/// As the host chooses: what alone exceeds the bytes is told and passed over, everything else is
/// taken in order as far as the budget reaches.
fn planned(selected: Vec<SimShard>, budget: Budget) -> Scrub {
    let unless_0 = |bound: u64| if bound == 0 { u64::MAX } else { bound };
    let most_bytes = unless_0(budget.max_bytes);
    let most_by_time = unless_0(u64::from(budget.max_seconds) * BYTES_PER_SECOND);
    let most_shards = unless_0(budget.max_shards);
    let mut progress = Scrubbed {
        shards: 0,
        bytes: 0,
        total_shards: 0,
        total_bytes: 0,
        left: 0,
    };
    let (absent, there): (Vec<_>, Vec<_>) = selected.into_iter().partition(|s| s.absent);
    let (fit, never): (Vec<_>, Vec<_>) = there.into_iter().partition(|s| s.bytes <= most_bytes);
    progress.left += never.len() as u64;
    let never = never.into_iter().take(1).map(|s| SimShard {
        state: "unverifiable".into(),
        ..s
    });
    let mut coming: Vec<_> = never.chain(absent).map(|s| (s, false)).collect();
    let mut reached = true;
    for shard in fit {
        let bytes = progress.total_bytes + shard.bytes;
        reached &= bytes <= most_bytes.min(most_by_time) && progress.total_shards < most_shards;
        if !reached {
            progress.left += 1;
            continue;
        }
        progress.total_bytes = bytes;
        progress.total_shards += 1;
        coming.push((shard, true));
    }
    Scrub {
        coming: coming.into_iter().into(),
        progress: progress.into(),
    }
}

impl Scrub {
    pub(crate) fn next(&self, max: u32) -> Result<Vec<Verdict>, Refusal> {
        let max = max.min(BATCH) as usize;
        call("shards", |_| {
            let mut progress = self.progress.borrow_mut();
            let batch: Vec<_> = self.coming.borrow_mut().by_ref().take(max).collect();
            for (shard, _) in batch.iter().filter(|(_, read)| *read) {
                progress.shards += 1;
                progress.bytes += shard.bytes;
            }
            let verdict = |(s, _): (SimShard, bool)| Verdict {
                shard: s.name,
                state: s.state,
                bytes: s.bytes,
                detail: None,
            };
            Ok(batch.into_iter().map(verdict).collect())
        })
    }
    pub(crate) fn progress(&self) -> Scrubbed {
        *self.progress.borrow()
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        with(|run| run.scrubs = run.scrubs.saturating_sub(1));
    }
}
