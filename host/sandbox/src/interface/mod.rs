//! The host side of the contract, one file for each interface.

mod core;
mod metrics;
mod shards;
mod storage;
mod storage_clean;
mod types;

pub(crate) mod bindings {
    //! What `wit/` says, as Rust.
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "plugin",
        imports: { default: trappable },
        with: {
            "keepwell:task/storage.walker": crate::interface::storage::Walker,
            "keepwell:task/shards.lister": crate::interface::shards::Lister,
            "keepwell:task/shards.scrub": crate::interface::shards::Scrubbing,
        },
    });

    pub(crate) use self::exports::keepwell::task::task;
    pub(crate) use self::keepwell::task::{core, metrics, shards, storage, storage_clean, types};
}

use crate::ctx::Ctx;
use crate::protocol::{Assignment, Entry};
use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};

/// Links what was granted and nothing else. For `describe` everything is linked, because every
/// task of the plugin is described at once, and nothing is held: each capability answers `denied`.
pub(crate) fn link(engine: &Engine, assignment: &Assignment) -> wasmtime::Result<Linker<Ctx>> {
    let mut linker = Linker::new(engine);
    let all = matches!(assignment.entry, Entry::Describe);
    fn same(ctx: &mut Ctx) -> &mut Ctx {
        ctx
    }
    bindings::types::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    bindings::core::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    if all || assignment.metrics {
        bindings::metrics::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    }
    if all || !assignment.storage.is_empty() {
        bindings::storage::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    }
    if all || !assignment.cleanable.is_empty() {
        bindings::storage_clean::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    }
    if all || !assignment.stores.is_empty() {
        bindings::shards::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    }
    Ok(linker)
}
