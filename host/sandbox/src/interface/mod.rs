//! The host side of the contract, one file for each interface.

mod config;
mod core;
mod metrics;
mod shards;
mod state;
mod storage;
mod storage_clean;
mod types;
pub(crate) mod wasi;

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
    pub(crate) use self::keepwell::task::{
        config_read, config_write, core, metrics, shards, state, storage, storage_clean, types,
    };
}

pub(crate) use self::config::granted as param_granted;
use crate::ctx::Ctx;
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

/// Links the whole contract. A plugin holds several tasks, and its component imports what any of
/// them may be granted; which of it this run holds is asked at each call, and the answer to the
/// rest is the refusal `denied`, which never traps. WASI is linked only to who asks for it.
pub(crate) fn link(engine: &Engine, component: &Component) -> wasmtime::Result<Linker<Ctx>> {
    let mut linker = Linker::new(engine);
    fn same(ctx: &mut Ctx) -> &mut Ctx {
        ctx
    }
    bindings::types::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    bindings::core::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    bindings::metrics::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    bindings::storage::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    bindings::storage_clean::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    bindings::shards::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    bindings::config_read::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    bindings::config_write::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    bindings::state::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, same)?;
    wasi::link(engine, component, &mut linker)?;
    Ok(linker)
}
