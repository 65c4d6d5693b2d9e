//! The kinds of stores: which files are shards, what the store says of them itself, and what it is
//! never without. One file each; a new kind is one more, and a line in `of`.

mod bagit;
mod borg1;
mod borg2;
mod cas;
mod casync;
mod flatfs;
mod garage;
mod git;
mod list;
mod native;
mod oci;
mod ostree_meta;
mod restic;
mod shard_table;
mod sums;

use super::layout::{Expected, Layout, LayoutError};
use keepwell_model::store::{StoreConfig, StoreKind, Verdict};
use keepwell_model::words::Refusal;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::FileType;
use std::collections::HashMap;
use std::fmt;

/// What tells one kind of store from another.
pub(super) trait Kind: fmt::Debug + Send + Sync {
    /// Which files are shards, by their paths. `None`: those that [`Kind::names`] gives.
    fn layout(&self) -> Result<Option<Layout>, LayoutError>;

    /// What no store of this kind is without, so that an unmounted disk is not taken for one whose
    /// shards are gone.
    fn needed(&self) -> Vec<(&str, FileType)> {
        vec![]
    }

    /// The directory that paths are relative to, from the one that the operator names.
    fn root(&self, dir: OwnedFd) -> Result<OwnedFd, Refusal> {
        Ok(dir)
    }

    /// What the store itself says must be there.
    fn names(&self, _root: BorrowedFd<'_>) -> Result<Names, Refusal> {
        Ok(Names::default())
    }

    /// What a file is that no rule fits.
    fn stranger(&self, _name: &str) -> Stranger {
        Stranger::Extra
    }

    /// Whether all its shards may go at once and no harm is done.
    fn may_empty(&self) -> bool {
        false
    }
}

/// A shard that the store itself names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) expected: Expected,
    /// Where the store says it.
    pub(super) bytes: Option<u64>,
}

/// What a store says of itself, by shown name.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) named: HashMap<String, Named>,
    /// What could not be read of it, or not be followed.
    pub(super) troubles: Vec<Verdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    /// It does not belong there.
    Extra,
    /// It may be a shard; why nothing can be said of it.
    Unverifiable(&'static str),
    /// The store's own, and no shard.
    Ignored,
}

/// The kind of a described store. Touches nothing.
pub(super) fn of(config: &StoreConfig) -> Result<Box<dyn Kind>, LayoutError> {
    let kind = config.kind.as_str();
    if config.layout.is_some() && config.kind != StoreKind::Cas {
        return Err(LayoutError::StrayLayout { kind });
    }
    let lists = [StoreKind::Sha256sums, StoreKind::ShardTable];
    if config.list.is_some() && !lists.contains(&config.kind) {
        return Err(LayoutError::StrayList { kind });
    }
    Ok(match config.kind {
        StoreKind::Restic => Box::new(restic::Restic),
        StoreKind::Borg1 => Box::new(borg1::Borg1),
        StoreKind::Borg2 => Box::new(borg2::Borg2),
        StoreKind::Oci => Box::new(oci::Oci),
        StoreKind::Git => Box::new(git::Git { packs: true }),
        StoreKind::GitLoose => Box::new(git::Git { packs: false }),
        StoreKind::OstreeMeta => Box::new(ostree_meta::OstreeMeta),
        StoreKind::Casync => Box::new(casync::Casync),
        StoreKind::Flatfs => Box::new(flatfs::Flatfs),
        StoreKind::Garage => Box::new(garage::Garage),
        StoreKind::Native => Box::new(native::Native),
        StoreKind::Sha256sums => Box::new(sums::Sums::new(config.list.as_deref())?),
        StoreKind::ShardTable => Box::new(shard_table::ShardTable::new(config.list.as_deref())?),
        StoreKind::Bagit => Box::new(bagit::Bagit),
        StoreKind::Cas => {
            let layout = config.layout.clone().ok_or(LayoutError::NoLayout)?;
            Box::new(cas::Cas(layout))
        }
    })
}

/// Whether a store is described well. Touches nothing.
pub fn check_layout(config: &StoreConfig) -> Result<(), LayoutError> {
    of(config)?.layout().map(|_| ())
}
