//! Interface `shards`: listing and verifying granted stores, here behind the walls, at native
//! speed. What is remembered between runs is asked of the host and told to it.

use super::bindings::shards as wit;
use super::storage::NEXT_MAX;
use crate::ctx::{Answered, Ctx, No, wrong_answer};
use crate::frame::pieces;
use crate::protocol::{Answer, Ask, Told};
use keepwell_model::capability::Capability;
use keepwell_model::id::NAME_MAX_BYTES;
use keepwell_model::store::Remembered;
use keepwell_model::units::Span;
use keepwell_model::words::{Refusal, printable};
use keepwell_node::shards::{Budget, ListSelector, Listed, Listing, Scrub, Store};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::Resource;

/// As the contract says of `scrub.next`.
const PATIENCE: Duration = Duration::from_millis(500);
/// The longest rest between two looks at how busy the machine is.
const REST_MAX: Duration = Duration::from_secs(2);
/// Bytes of names in one answer, so that it stays within what a call may move.
const ANSWER_BYTES: usize = 4 << 20;
/// Of a shard in an answer, beside its name.
const SHARD_BYTES: usize = 64;

/// A listing as the guest holds it: how much of it was given.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Lister {
    store: String,
    listing: Listing,
    given: usize,
}

/// A scrub as the guest holds it.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Scrubbing {
    store: String,
    scrub: Scrub,
}

impl std::fmt::Debug for Lister {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lister")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Scrubbing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrubbing")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl Ctx {
    /// The store, or a denial with the line to add.
    fn store(&self, name: &str) -> Result<Arc<Store>, No> {
        self.need(Capability::Shards)?;
        match self.stores.get(name) {
            Some(Ok(store)) => Ok(Arc::clone(store)),
            Some(Err(refusal)) => Err(refusal.clone().into()),
            None => {
                let name = printable(name, NAME_MAX_BYTES);
                Err(Refusal::denied(format!("store `{name}` is not granted"))
                    .hint(format!(
                        "add `shards.stores = [\"{name}\"]` to [grant] of this task"
                    ))
                    .into())
            }
        }
    }

    fn list(&mut self, store: &str, selector: wit::Selector) -> Result<(Arc<Store>, Listing), No> {
        let opened = self.store(store)?;
        let Answer::Remembered(remembered) = self.ask(Ask::Remembered {
            store: store.to_owned(),
        })?
        else {
            return Err(wrong_answer());
        };
        let selector = ListSelector {
            globs: selector.globs,
            not_verified_since_ms: selector.not_verified_since,
        };
        let listing = opened.list(&remembered?, &selector)?;
        Ok((opened, listing))
    }

    /// What the task asked for, within what is left of what was granted to the run.
    fn budget(&mut self, asked: wit::Budget) -> Result<Budget, No> {
        let granted = &self.assignment.scrub_budget;
        let wall = self.meter.wall();
        let since = *self.scrubbed.since.get_or_insert(wall);
        let left = |key: &str, granted: Option<u64>, spent: u64| match granted {
            Some(most) if spent >= most => Err(No::from(
                Refusal::limit(format!("the scrubs of this run have used up `{key}`")).hint(
                    format!(
                        "raise `shards.{key}` in [grant] of this task, or go on in the next run"
                    ),
                ),
            )),
            Some(most) => Ok(Some(most - spent)),
            None => Ok(None),
        };
        let ran_ms = u64::try_from(wall.saturating_sub(since).as_millis()).unwrap_or(u64::MAX);
        let bytes = left(
            "max-bytes",
            granted.max_bytes.map(|b| b.0),
            self.scrubbed.bytes,
        )?;
        let shards = left("max-shards", granted.max_shards, self.scrubbed.shards)?;
        let ms = left("max-time", granted.max_time.map(Span::as_millis), ran_ms)?;
        let least = |asked: u64, granted: Option<u64>| match (asked, granted) {
            (0, granted) => granted,
            (asked, None) => Some(asked),
            (asked, Some(granted)) => Some(asked.min(granted)),
        };
        Ok(Budget {
            max_bytes: least(asked.max_bytes, bytes),
            max_shards: least(asked.max_shards, shards),
            max_time: least(u64::from(asked.max_seconds) * 1_000, ms).map(Duration::from_millis),
        })
    }

    /// Tells the host what the verdicts given so far mean for the next run.
    fn remember(&mut self, scrubbing: &Resource<Scrubbing>) -> Result<(), No> {
        let now_ms = self.assignment.now_ms;
        let ran_ms = u64::try_from(self.meter.wall().as_millis()).unwrap_or(0);
        let held = self
            .table
            .get_mut(scrubbing)
            .map_err(|e| No::Ended(e.into()))?;
        let (remembered, gone) = held.scrub.take_memory(now_ms.saturating_add(ran_ms));
        let store = held.store.clone();
        for piece in pieces(remembered, |r: &Remembered| r.shard.len() + SHARD_BYTES) {
            if !piece.is_empty() {
                let store = store.clone();
                self.tell(Told::Verified {
                    store,
                    remembered: piece,
                    gone: vec![],
                })?;
            }
        }
        for piece in pieces(gone, String::len) {
            if !piece.is_empty() {
                let store = store.clone();
                self.tell(Told::Verified {
                    store,
                    remembered: vec![],
                    gone: piece,
                })?;
            }
        }
        Ok(())
    }
}

fn shard(listed: &Listed) -> wit::Shard {
    wit::Shard {
        name: listed.name.clone(),
        bytes: listed.bytes,
        last_verified: listed.verified_ms,
    }
}

impl wit::Host for Ctx {
    fn stores(&mut self) -> Answered<Vec<wit::Store>> {
        self.call("shards.stores", "", |ctx| {
            ctx.need(Capability::Shards)?;
            let stores: Vec<_> = ctx
                .assignment
                .stores
                .iter()
                .map(|(name, config)| (name.as_str().to_owned(), config.kind.as_str()))
                .collect();
            let mut all = Vec::with_capacity(stores.len());
            for (name, kind) in stores {
                let ask = Ask::StoreFigures {
                    store: name.clone(),
                };
                let Answer::StoreFigures(figures) = ctx.ask(ask)? else {
                    return Err(wrong_answer());
                };
                let figures = figures?;
                all.push(wit::Store {
                    name,
                    kind: kind.to_owned(),
                    shards: figures.shards,
                    bytes: figures.bytes,
                    oldest_verified: figures.oldest_verified_ms,
                });
            }
            Ok(all)
        })
    }

    fn list_shards(
        &mut self,
        store: String,
        selector: wit::Selector,
    ) -> Answered<Resource<Lister>> {
        self.call("shards.list-shards", &store, |ctx| {
            let (_, listing) = ctx.list(&store, selector)?;
            let lister = Lister {
                store: store.clone(),
                listing,
                given: 0,
            };
            ctx.table.push(lister).map_err(|e| No::Ended(e.into()))
        })
    }

    fn verify(
        &mut self,
        store: String,
        selector: wit::Selector,
        budget: wit::Budget,
    ) -> Answered<Resource<Scrubbing>> {
        self.call("shards.verify", &store, |ctx| {
            ctx.store(&store)?;
            if ctx.scrub_open {
                return Err(Refusal::limit("another scrub of this run is open")
                    .hint("finish one scrub before the next")
                    .into());
            }
            let (opened, listing) = ctx.list(&store, selector)?;
            let budget = ctx.budget(budget)?;
            let scrub = Scrub::start(opened, listing, &budget)?;
            let scrubbing = Scrubbing {
                store: store.clone(),
                scrub,
            };
            let held = ctx.table.push(scrubbing).map_err(|e| No::Ended(e.into()))?;
            ctx.scrub_open = true;
            Ok(held)
        })
    }
}

impl wit::HostLister for Ctx {
    fn next(&mut self, lister: Resource<Lister>, max: u32) -> Answered<Vec<wit::Shard>> {
        let store = self.table.get(&lister)?.store.clone();
        self.call("shards.lister.next", &store, |ctx| {
            let held = ctx
                .table
                .get_mut(&lister)
                .map_err(|e| No::Ended(e.into()))?;
            let most = usize::try_from(max.min(NEXT_MAX)).unwrap_or(0);
            let rest = held.listing.shards().get(held.given..).unwrap_or_default();
            let (mut given, mut bytes) = (Vec::new(), 0);
            for listed in rest.iter().take(most) {
                bytes += listed.name.len() + SHARD_BYTES;
                if bytes > ANSWER_BYTES && !given.is_empty() {
                    break;
                }
                given.push(shard(listed));
            }
            held.given += given.len();
            Ok(given)
        })
    }

    fn drop(&mut self, lister: Resource<Lister>) -> wasmtime::Result<()> {
        self.table.delete(lister)?;
        Ok(())
    }
}

impl wit::HostScrub for Ctx {
    fn next(&mut self, scrubbing: Resource<Scrubbing>, max: u32) -> Answered<Vec<wit::Verdict>> {
        let store = self.table.get(&scrubbing)?.store.clone();
        self.call("shards.scrub.next", &store, |ctx| {
            // Whoever does not say has no need of it.
            if let Answer::Rest(ms) = ctx.ask(Ask::Rest)? {
                let rest = Duration::from_millis(ms).min(REST_MAX);
                let held = ctx.table.get(&scrubbing);
                held.map_err(|e| No::Ended(e.into()))?.scrub.rest(rest);
            }
            let held = ctx
                .table
                .get_mut(&scrubbing)
                .map_err(|e| No::Ended(e.into()))?;
            let most = usize::try_from(max.min(NEXT_MAX)).unwrap_or(0);
            let verdicts = held.scrub.next(most, PATIENCE)?;
            ctx.remember(&scrubbing)?;
            let wit = |v: keepwell_model::store::Verdict| wit::Verdict {
                shard: v.shard,
                state: v.state.as_str().to_owned(),
                bytes: v.bytes,
                detail: v.detail,
            };
            Ok(verdicts.into_iter().map(wit).collect())
        })
    }

    fn progress(&mut self, scrubbing: Resource<Scrubbing>) -> wasmtime::Result<wit::Scrubbed> {
        let sum = self.table.get(&scrubbing)?.scrub.progress();
        Ok(wit::Scrubbed {
            shards: sum.shards,
            bytes: sum.bytes,
            total_shards: sum.total_shards,
            total_bytes: sum.total_bytes,
            left: sum.left,
        })
    }

    fn drop(&mut self, scrubbing: Resource<Scrubbing>) -> wasmtime::Result<()> {
        // Stopping the readers takes a moment, which is not the guest's.
        let since = crate::bounds::thread_cpu();
        let sum = self.table.delete(scrubbing)?.scrub.progress();
        self.scrubbed.bytes = self.scrubbed.bytes.saturating_add(sum.bytes);
        self.scrubbed.shards = self.scrubbed.shards.saturating_add(sum.shards);
        self.meter.host_worked_since(since);
        self.scrub_open = false;
        Ok(())
    }
}
