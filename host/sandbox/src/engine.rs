//! One configuration of Wasmtime for the compiler and the worker, and the name of its code.

use crate::bounds::STACK_BYTES;
use keepwell_model::id::Digest;
use sha2::{Digest as _, Sha256};
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;
use wasmtime::{Config, Engine, ModuleVersionStrategy, WasmBacktraceDetails};

/// The Wasmtime this was built against. Wasmtime itself only compares its major version, so code
/// from before a fixed miscompile would still load; `Cargo.lock` is read by a test to keep this.
pub(crate) const WASMTIME_VERSION: &str = "48.0.8";

/// With a compiler (in the compiling process) or without one (in the worker).
pub(crate) fn engine(compiles: bool) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.module_version(ModuleVersionStrategy::Custom(format!(
        "{WASMTIME_VERSION}+keepwell-1"
    )))?;
    config.enable_compiler(compiles);
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES);
    // Details would mean parsing debug information of a hostile component.
    config
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(None);
    if compiles {
        // The same inputs give the same plan. A setting of the compiler, which is not there in
        // the worker.
        config.cranelift_nan_canonicalization(true);
    }
    config.wasm_relaxed_simd(false);
    // What the SDK does not need is not offered: each is more of Wasmtime to trust.
    config
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(false);
    config.wasm_simd(true);
    // Copy-on-write images need memfd_create, which the worker's wall forbids; one instance that
    // runs once has nothing to gain from them.
    config.memory_init_cow(false);
    Engine::new(&config)
}

/// Name of a component's compiled code: changes with the component, the full version of Wasmtime,
/// its settings and the machine's processor features.
pub fn cache_key(component: Digest) -> String {
    static ENVIRONMENT: OnceLock<String> = OnceLock::new();
    let environment = ENVIRONMENT.get_or_init(|| match engine(true) {
        Ok(engine) => {
            let mut hasher = IntoSha256(Sha256::new());
            WASMTIME_VERSION.hash(&mut hasher);
            engine.precompile_compatibility_hash().hash(&mut hasher);
            Digest::from_bytes(hasher.0.finalize().into()).short()
        }
        // Without an engine nothing can be compiled either; the error is told there.
        Err(_) => "unavailable".to_owned(),
    });
    format!("{}-{environment}", component.hex())
}

/// Wasmtime gives its environment as something to hash; `DefaultHasher` may differ between
/// compilers and has only 64 bits.
struct IntoSha256(Sha256);

impl Hasher for IntoSha256 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_le_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_in_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let line = format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"");
        assert!(
            lock.contains(&line),
            "set WASMTIME_VERSION to what Cargo.lock has"
        );
    }

    #[test]
    fn keys_differ_by_component_and_stay_the_same() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(cache_key(a), cache_key(a));
        assert_ne!(cache_key(a), cache_key(b));
        assert!(cache_key(a).starts_with(&a.hex()));
    }

    #[test]
    fn the_worker_s_engine_accepts_what_the_compiler_s_made() {
        assert!(engine(false).is_ok());
    }
}
