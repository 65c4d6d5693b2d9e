//! Making lost shards anew. What was there is moved aside, never deleted, and only when what takes
//! its place is known to be right.

use crate::codec;
use crate::error::{Error, Result};
use crate::format::{QUARANTINE, Store};
use crate::manifest::Manifest;
use crate::shards;
use crate::survey::{Group, Survey};
use keepwell_model::store::State;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A group that has fewer good shards than it takes. Nothing of it was touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub good: usize,
    pub needed: usize,
}

/// What was done to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repaired {
    /// Nothing was wrong, or so many shards were made anew.
    Whole {
        made: usize,
    },
    Lost(Loss),
}

impl Store {
    /// The groups that can be repaired, those first that can lose least.
    pub fn order<'a>(&self, groups: impl Iterator<Item = &'a Group>) -> Vec<&'a Group> {
        let mut all: Vec<&Group> = groups.collect();
        all.sort_by_key(|g| (g.spare(), g.manifest.group));
        all
    }

    /// Verifies every shard of a group and makes the bad ones anew.
    pub fn repair(&self, group: &Manifest, now_ms: u64) -> Result<Repaired> {
        let (mut some, mut bad) = (vec![], vec![]);
        for shard in &group.shards {
            match self.check(shard) {
                (State::Ok, Some(payload)) => some.push((usize::from(shard.index), payload)),
                (state, _) => bad.push((shard, state)),
            }
        }
        let (good, needed) = (some.len(), group.scheme.k());
        if bad.is_empty() {
            return Ok(Repaired::Whole { made: 0 });
        }
        if good < needed {
            return Ok(Repaired::Lost(Loss { good, needed }));
        }
        let all = codec::complete(&some, group.scheme)?;
        for (shard, state) in &bad {
            let payload = &all[usize::from(shard.index)];
            let digest = shard.digest.hash.of(payload);
            let file = shards::file(group.header(shard.index, payload, digest), payload);
            if shard.digest.hash.of(&file) != shard.digest {
                return Err(Error::damaged(
                    format!("group {}", group.group),
                    &format!("shard {} comes out other than it was", shard.index),
                ));
            }
            let folder = shards::folder(&shard.digest);
            let name = shards::name(&shard.digest);
            // The new one is on the disk before the old one leaves its place.
            let aside = || self.set_aside(&folder.join(&name), *state, now_ms);
            self.put_after(&folder, &name, &file, aside)?;
            self.sync(&folder)?;
        }
        Ok(Repaired::Whole { made: bad.len() })
    }

    /// What no manifest names and was last changed before then.
    pub fn unnamed_before(&self, survey: &Survey, before_ms: u64) -> Result<Vec<PathBuf>> {
        let mut old = vec![];
        for place in &survey.extra {
            let changed = || self.dir.symlink_metadata(place)?.modified();
            let changed = changed().map_err(Error::io("look at", &self.at(place)))?;
            let since = changed.into_std().duration_since(SystemTime::UNIX_EPOCH);
            // Before the epoch is long ago.
            let since = since.unwrap_or_default();
            if since.as_millis() < u128::from(before_ms) {
                old.push(place.clone());
            }
        }
        Ok(old)
    }

    /// Moves what no manifest names to the quarantine.
    pub fn retire(&self, place: &Path, now_ms: u64) -> Result<()> {
        self.set_aside(place, State::Extra, now_ms)?;
        self.sync(place.parent().unwrap_or(place))
    }

    /// Moves what lies at a shard's place to the quarantine, whatever it is.
    fn set_aside(&self, place: &Path, state: State, now_ms: u64) -> Result<()> {
        if self.dir.symlink_metadata(place).is_err() {
            return Ok(());
        }
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let folder = format!("{now_ms}-{}-{name}", state.as_str());
        let folder = Path::new(QUARANTINE).join(folder);
        self.dir
            .create_dir_all(&folder)
            .map_err(Error::io("create", &self.at(&folder)))?;
        let to = folder.join(&*name);
        self.dir
            .rename(place, &self.dir, &to)
            .map_err(Error::io("move aside", &self.at(place)))?;
        self.sync(&folder)
    }
}
