//! The native store: objects cut into groups of k data and m parity shards, each shard a file that
//! is named by its digest and says of itself where it belongs, each group with a signed manifest.
//! `docs/NATIVE-STORE.md` is the format.
//!
//! A [`Store`] is a folder that carries its marker. [`Importer`] cuts what is written into it;
//! [`Store::export`] gives an object back, from whatever k shards of each group are good;
//! [`Store::survey`] says how many more each group can lose; [`Store::repair`] makes lost ones anew.

mod codec;
mod error;
mod export;
mod format;
mod header;
mod import;
mod manifest;
mod repair;
mod scheme;
mod shards;
mod sum;
mod survey;
mod tree;

pub use error::{Error, Result};
pub use export::{Exported, Listed};
pub use format::{SHARD_BYTES, Store};
pub use header::{HEADER_BYTES, Header};
pub use import::{Imported, Importer};
pub use manifest::{Manifest, Manifests, Member, Object, ObjectKind, Signer};
pub use repair::{Loss, Repaired};
pub use scheme::{SHARDS_MAX, Scheme};
pub use sum::{Hash, Id, Sum};
pub use survey::{Group, Survey};
pub use tree::{Left, write_file, write_tree};
