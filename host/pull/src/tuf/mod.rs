//! Repositories of bundles after The Update Framework, by the `tough` crate. A repository is a
//! folder: `metadata/` holds the signed roles, `targets/` the bundles by digest.

mod desk;
mod endorsed;
mod keys;
mod known;
mod offering;
mod reach;
mod reader;
mod refused;
mod roles;
mod target;

pub(crate) use desk::Desk;
pub(crate) use keys::{Keys, public_key};
pub(crate) use known::Known;
pub(crate) use offering::offer;
pub(crate) use reach::Place;
pub(crate) use reader::{Reader, fetch, search};
pub(crate) use roles::{Lifetimes, Roles};

/// A publisher's role, and a name of a file: like a plugin's.
pub(crate) type Publisher = keepwell_model::id::PluginName;

pub(crate) const METADATA: &str = "metadata";
pub(crate) const TARGETS: &str = "targets";

/// A root holds some keys.
pub(crate) const ROOT_MAX_BYTES: u64 = 64 << 10;
/// A timestamp names one file.
pub(crate) const TIMESTAMP_MAX_BYTES: u64 = 16 << 10;
/// A snapshot names each role, at some 150 bytes.
pub(crate) const SNAPSHOT_MAX_BYTES: u64 = 256 << 10;
/// A role lists its bundles, at some 400 bytes: ten thousand of them.
pub(crate) const ROLE_MAX_BYTES: u64 = 4 << 20;
/// Roots that are gone through from the pinned one; a change of keys every week for years.
pub(crate) const ROOTS_MAX: u64 = 256;
/// Files asked for in one look: every root, and a role of each of some hundred publishers.
pub(crate) const REQUESTS_MAX: usize = 512;
/// All metadata of one look together, whatever its files say of their lengths.
pub(crate) const METADATA_MAX_BYTES: u64 = 32 << 20;
/// Publishers a repository delegates to.
pub(crate) const PUBLISHERS_MAX: usize = 128;
