//! Loading machine code. The one place that trusts bytes: see the comment at the spot.

use crate::seal::{SealError, read_sealed};
use std::fs::File;
use wasmtime::Engine;
use wasmtime::component::Component;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CodeError {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the compiled code does not load: {0:#}")]
    Load(wasmtime::Error),
}

/// Loads a sealed file that the host has already checked.
pub(crate) fn load(engine: &Engine, sealed: &File) -> Result<Component, CodeError> {
    let (code, _) = read_sealed(sealed)?;
    deserialize(engine, &code).map_err(CodeError::Load)
}

#[expect(
    unsafe_code,
    reason = "these bytes are native code; the host verified their seal on this open file before \
              it started the worker, and only the compiling process makes what is sealed"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` was made by `Engine::precompile_component` of this Wasmtime and not changed
    // since: the host checked the HMAC over all of it, on the file this process has as stdin.
    unsafe { Component::deserialize(engine, code) }
}
