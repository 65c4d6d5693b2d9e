//! The inert part of WASI, for components of other languages. It is written here because
//! `wasmtime-wasi` brings an asynchronous runtime and sockets into the worker, and opens a
//! descriptor for each poll, which the walls forbid; what is inert of it needs neither.
//!
//! No files, no network, no environment, no arguments; what is written to stdout and stderr are
//! lines of the run's log; clocks count from the run's begin.

mod cli;
mod clocks;
mod filesystem;
mod io;
mod random;

mod bindings {
    //! What `wit/` of this crate says, as Rust.
    wasmtime::component::bindgen!({
        path: "wit",
        world: "inert",
        imports: { default: trappable },
        with: {
            "wasi:io/error.error": crate::interface::wasi::Never,
            "wasi:io/poll.pollable": crate::interface::wasi::io::Pollable,
            "wasi:io/streams.input-stream": crate::interface::wasi::io::Empty,
            "wasi:io/streams.output-stream": crate::interface::wasi::cli::Output,
            "wasi:cli/terminal-input.terminal-input": crate::interface::wasi::Never,
            "wasi:cli/terminal-output.terminal-output": crate::interface::wasi::Never,
            "wasi:filesystem/types.descriptor": crate::interface::wasi::Never,
            "wasi:filesystem/types.directory-entry-stream": crate::interface::wasi::Never,
        },
    });
}

pub(crate) use cli::Lines;

use crate::ctx::Ctx;
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

/// A resource of which there is none: no file was handed over, no terminal is there, no stream
/// fails with an error of its own. The functions on it exist because components name them, and
/// the compiler sees that none can come to do anything.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub enum Never {}

/// Links it where the component asks for any of it.
pub(super) fn link(
    engine: &Engine,
    component: &Component,
    linker: &mut Linker<Ctx>,
) -> wasmtime::Result<()> {
    let ty = component.component_type();
    let mut imports = ty.imports(engine);
    if imports.any(|(name, _)| keepwell_model::wasi::is_wasi(name)) {
        bindings::Inert::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use wit_parser::Resolve;

    /// What a bundle's scan lets through is what is linked, no function more or less.
    #[test]
    fn what_is_linked_is_what_the_scan_accepts() {
        let mut resolve = Resolve::default();
        let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/wit");
        resolve.push_path(wit).unwrap();
        let mut linked = BTreeMap::new();
        for (_, interface) in &resolve.interfaces {
            let package = &resolve.packages[interface.package.unwrap()].name;
            let name = format!("{}/{}", package.name, interface.name.as_ref().unwrap());
            let mut names: Vec<String> = interface.functions.keys().cloned().collect();
            names.sort();
            linked.insert(name, names);
        }
        let accepted: BTreeMap<String, Vec<String>> = keepwell_model::wasi::FUNCTIONS
            .iter()
            .map(|(name, functions)| {
                let mut names: Vec<String> = functions.iter().map(|f| (*f).to_owned()).collect();
                names.sort();
                ((*name).to_owned(), names)
            })
            .collect();
        assert_eq!(linked, accepted);
    }
}
