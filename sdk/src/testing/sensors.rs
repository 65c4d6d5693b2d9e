//! The simulated `metrics`: what the test put there, or a refusal; never zero.

use super::{call, refusal};
use crate::metrics::{Contended, Cpu, Memory, Mount, Network, Order, Pressure, Process};
use crate::task::Refusal;
use std::cmp::Reverse;

/// The most processes in one answer, from the contract.
const PROCESSES_MAX: usize = 1_000;

pub(crate) fn get_cpu() -> Result<Cpu, Refusal> {
    call("metrics", |run| {
        run.node
            .cpu
            .clone()
            .ok_or_else(|| refusal("io", "no cpu reading"))
    })
}
pub(crate) fn get_memory() -> Result<Memory, Refusal> {
    call("metrics", |run| {
        run.node
            .memory
            .ok_or_else(|| refusal("io", "no memory reading"))
    })
}
pub(crate) fn get_pressure(of: Contended) -> Result<Option<Pressure>, Refusal> {
    call("metrics", |run| {
        Ok(run
            .node
            .pressure
            .iter()
            .find(|(what, _)| *what == of)
            .map(|(_, pressure)| *pressure))
    })
}
pub(crate) fn list_mounts() -> Result<Vec<Mount>, Refusal> {
    call("metrics", |run| Ok(run.node.mounts.clone()))
}
pub(crate) fn list_networks() -> Result<Vec<Network>, Refusal> {
    call("metrics", |run| Ok(run.node.networks.clone()))
}
pub(crate) fn list_processes(order: Order, max: u32) -> Result<Vec<Process>, Refusal> {
    call("metrics", |run| {
        let mut all = run.node.processes.clone();
        all.sort_by_key(|p| {
            Reverse(match order {
                Order::ByMemory => p.resident_bytes,
                Order::ByCpu => p.cpu_ms,
            })
        });
        all.truncate(PROCESSES_MAX.min(max as usize));
        Ok(all)
    })
}
