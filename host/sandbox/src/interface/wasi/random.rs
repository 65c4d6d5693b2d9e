//! `wasi:random`: the kernel's randomness, and a stream that is the same for the same run.

use super::bindings::wasi::random::{insecure, insecure_seed, random};
use crate::bounds::Crossed;
use crate::ctx::Ctx;
use keepwell_model::limits::LimitName;

/// Most random bytes of one call: a key takes 32.
const RANDOM_MAX_BYTES: u64 = 64 << 10;

fn length(len: u64) -> wasmtime::Result<usize> {
    match usize::try_from(len) {
        Ok(length) if len <= RANDOM_MAX_BYTES => Ok(length),
        _ => Err(wasmtime::Error::new(Crossed::new(
            LimitName::Call,
            format!("{len} random bytes in one call, of at most {RANDOM_MAX_BYTES}"),
        ))),
    }
}

impl random::Host for Ctx {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let mut bytes = vec![0; length(len)?];
        getrandom::fill(&mut bytes).map_err(wasmtime::Error::new)?;
        Ok(bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        getrandom::u64().map_err(wasmtime::Error::new)
    }
}

/// What a guest takes for the order of its tables. It follows from the run's own time, so that
/// the same inputs give the same plan; who needs what nobody can foresee asks `random`.
impl insecure::Host for Ctx {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let mut bytes = vec![0; length(len)?];
        for chunk in bytes.chunks_mut(8) {
            let next = self.next_insecure().to_le_bytes();
            chunk.copy_from_slice(&next[..chunk.len()]);
        }
        Ok(bytes)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.next_insecure())
    }
}

impl insecure_seed::Host for Ctx {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.next_insecure(), self.next_insecure()))
    }
}

impl Ctx {
    /// SplitMix64, counted on from the run's own time.
    fn next_insecure(&mut self) -> u64 {
        self.insecure_drawn += 1;
        let step = self.insecure_drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut z = self.assignment.now_ms.wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
