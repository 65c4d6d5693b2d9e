//! Shard stores: what lies in them, and whether its bytes are what their names say.
//!
//! Verification needs no key: a shard's name, or a list in the store, says what its bytes must
//! hash to. Nothing is ever written. All of it runs inside the worker's walls, where the store can
//! be read and nothing else: the directory is opened before, and every path is resolved below that
//! handle (`openat2`). A [`Store`] is listed into a [`Listing`], which a [`Scrub`] consumes.

mod anomaly;
mod digest;
mod examine;
mod expand;
mod files;
mod frame;
mod kinds;
mod layout;
mod listing;
mod name;
mod plan;
mod reader;
mod scrub;
mod small;
mod store;
mod template;
#[cfg(test)]
mod tests;
mod walk;

pub use kinds::check_layout;
pub use layout::LayoutError;
pub use listing::{ListSelector, Listed, Listing};
pub use scrub::{Budget, Scrub, Scrubbed};
pub use store::Store;
pub use template::TemplateError;

/// Shards one listing holds. Each takes about 250 bytes of the worker's memory; a store with more
/// is better described as several.
pub const SHARDS_MAX: usize = 1_000_000;
