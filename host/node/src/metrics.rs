//! Sensors for processors and memory.

use keepwell_model::words::Refusal;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

pub use crate::mounts::{Mount, mounts};
pub use crate::networks::{Network, networks};
pub use crate::pressure::{Contended, Pressure, Stall, pressure};
pub use crate::processes::{MAX_PROCESSES, Order, Process, processes};

/// Between the two samples that a ratio needs; the contract says so.
const SAMPLE: Duration = Duration::from_millis(200);

/// Mirrors `metrics.cpu`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// Logical cores online.
    pub cores: u32,
    /// 0 to 1, over 200 ms.
    pub busy_ratio: f64,
    /// The same for each core, in the system's order.
    pub per_core: Vec<f64>,
    /// Load averages over 1, 5 and 15 minutes, not divided by cores.
    pub load_1: f64,
    /// Over 5 minutes.
    pub load_5: f64,
    /// Over 15 minutes.
    pub load_15: f64,
}

/// Mirrors `metrics.memory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Memory the kernel has to give.
    pub total_bytes: u64,
    /// What a new program could get without swapping.
    pub available_bytes: u64,
    /// All swap areas together.
    pub swap_total_bytes: u64,
    /// Of them, in use.
    pub swap_used_bytes: u64,
}

fn ratio(percent: f32) -> f64 {
    (f64::from(percent) / 100.0).clamp(0.0, 1.0)
}

/// Measures the processors. Waits 200 ms; callers keep the answer for the run.
pub fn cpu() -> Result<Cpu, Refusal> {
    let failed = |e| Refusal::io(format!("cannot read the processors' times: {e:?}"));
    let wanted = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_usage());
    let mut system = System::new_with_specifics(wanted).map_err(failed)?;
    std::thread::sleep(SAMPLE);
    system.refresh_cpu_usage();
    let load = System::load_average().map_err(failed)?;
    let per_core: Vec<f64> = system.cpus().iter().map(|c| ratio(c.usage())).collect();
    if per_core.is_empty() {
        return Err(
            Refusal::io("the system shows no processor").hint("`/proc/stat` must be readable")
        );
    }
    Ok(Cpu {
        cores: u32::try_from(per_core.len()).unwrap_or(u32::MAX),
        busy_ratio: ratio(system.global_cpu_usage()),
        per_core,
        load_1: load.one,
        load_5: load.five,
        load_15: load.fifteen,
    })
}

/// Memory and swap as the kernel counts them now.
pub fn memory() -> Result<Memory, Refusal> {
    let wanted = RefreshKind::nothing().with_memory(MemoryRefreshKind::everything());
    let system = System::new_with_specifics(wanted)
        .map_err(|e| Refusal::io(format!("cannot read the memory's figures: {e:?}")))?;
    if system.total_memory() == 0 {
        return Err(
            Refusal::io("the system shows no memory").hint("`/proc/meminfo` must be readable")
        );
    }
    Ok(Memory {
        total_bytes: system.total_memory(),
        available_bytes: system.available_memory(),
        swap_total_bytes: system.total_swap(),
        swap_used_bytes: system.used_swap(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_agree_with_the_kernel() {
        let cpu = cpu().unwrap();
        let online = std::thread::available_parallelism().unwrap().get();
        assert!(cpu.per_core.len() >= online);
        assert!(cpu.per_core.iter().all(|r| (0.0..=1.0).contains(r)));
    }

    #[test]
    fn memory_agrees_with_meminfo() {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total = text.lines().find(|l| l.starts_with("MemTotal:")).unwrap();
        let kib: u64 = total.split_whitespace().nth(1).unwrap().parse().unwrap();
        let memory = memory().unwrap();
        assert_eq!(memory.total_bytes, kib * 1024);
        assert!(memory.available_bytes <= memory.total_bytes);
    }
}
