//! How the store is: each group's shards, and how many more it can lose.

use crate::error::{Error, Result};
use crate::format::{SHARDS, Store};
use crate::manifest::{Manifest, Object};
use crate::shards;
use keepwell_model::store::State;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A group and the states of its shards, by index.
#[derive(Debug, Clone)]
pub struct Group {
    pub manifest: Manifest,
    pub states: Vec<State>,
}

impl Group {
    pub fn good(&self) -> usize {
        let good = |s: &&State| matches!(s, State::Ok | State::Unverifiable);
        self.states.iter().filter(good).count()
    }

    /// Shards that may still be lost; `None` when too many are already.
    pub fn spare(&self) -> Option<usize> {
        self.good().checked_sub(self.manifest.scheme.k())
    }
}

/// All of a store.
#[derive(Debug, Default)]
pub struct Survey {
    pub objects: Vec<(Object, bool)>,
    pub groups: Vec<Group>,
    /// Shards by state. What was not read is `unverifiable` at best.
    pub states: BTreeMap<State, u64>,
    pub bytes: u64,
    /// Files among the shards that no manifest names.
    pub extra: Vec<PathBuf>,
    pub wrong: Vec<Error>,
}

/// Of all shards, more than these are an outbreak, and fewer than so many are none.
const OUTBREAK_PERCENT: u64 = 5;
const OUTBREAK_LEAST: u64 = 10;

impl Survey {
    /// Shards that are not as they must be.
    pub fn bad(&self) -> u64 {
        let bad = |state: &State| !matches!(state, State::Ok | State::Unverifiable);
        self.states
            .iter()
            .filter(|(s, _)| bad(s))
            .map(|(_, n)| n)
            .sum()
    }

    /// Whether so many are bad that it is no shard's own misfortune, and what is written now may be the next.
    pub fn is_outbreak(&self) -> bool {
        let all: u64 = self.states.values().sum();
        self.bad() >= OUTBREAK_LEAST && self.bad() * 100 > all * OUTBREAK_PERCENT
    }

    /// Groups that cannot be read any more.
    pub fn lost(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|g| g.spare().is_none())
    }

    /// Groups that can be read and have lost something.
    pub fn degraded(&self) -> impl Iterator<Item = &Group> {
        self.groups
            .iter()
            .filter(|g| g.spare().is_some() && g.good() < g.states.len())
    }
}

impl Store {
    /// Looks at every shard: at its bytes when `verify`, else at its length. `told` hears of each
    /// shard's bytes.
    pub fn survey(&self, verify: bool, told: &mut dyn FnMut(u64)) -> Result<Survey> {
        let (objects, wrong) = self.objects()?;
        let mut survey = Survey {
            wrong,
            ..Survey::default()
        };
        let mut named = BTreeSet::new();
        for listed in objects {
            let complete = listed.is_complete();
            survey.objects.push((listed.object, complete));
            for manifest in listed.groups {
                let mut states = vec![];
                for shard in &manifest.shards {
                    let state = match verify {
                        true => self.check(shard).0,
                        false => self.glance(shard),
                    };
                    named.insert(shards::place(&shard.digest));
                    *survey.states.entry(state).or_default() += 1;
                    survey.bytes += shard.len;
                    told(shard.len);
                    states.push(state);
                }
                survey.groups.push(Group { manifest, states });
            }
        }
        for first in self.names(Path::new(SHARDS))? {
            for second in self.names(&first)? {
                let all = self.names(&second)?.into_iter();
                survey.extra.extend(all.filter(|it| !named.contains(it)));
            }
        }
        Ok(survey)
    }
}
