//! `[metrics]` of a scenario: what the sensors say, the same in every run. A node that has nothing to do
//! where the author says nothing.

use crate::pipeline::Readings;
use keepwell_model::units::{Bytes, Span};
use keepwell_node::metrics::{Cpu, Memory};
use keepwell_node::mounts::Mount;
use keepwell_node::networks::Network;
use keepwell_node::pressure::{Pressure, Stall};
use keepwell_node::processes::Process;
use serde::Deserialize;

/// When the processes there began: so long before now.
const RUNNING_MS: u64 = 3_600_000;
/// More cores than any machine has, each with a number of its own in the answer.
const CORES_MAX: usize = 4_096;
/// Process 1 is the first.
const FIRST_PID: u32 = 1;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct MetricsTable {
    cpu: CpuTable,
    memory: MemoryTable,
    /// Percent of the time that something waited, of each; `absent`: the kernel does not say.
    pressure: PressureTable,
    mounts: Vec<MountTable>,
    networks: Vec<NetworkTable>,
    processes: Vec<ProcessTable>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct CpuTable {
    cores: u32,
    busy_ratio: f64,
    load_1: f64,
    load_5: f64,
    load_15: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct MemoryTable {
    total: Bytes,
    available: Bytes,
    swap_total: Bytes,
    swap_used: Bytes,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct PressureTable {
    absent: bool,
    cpu: f64,
    memory: f64,
    io: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct MountTable {
    path: String,
    device: String,
    file_system: String,
    read_only: bool,
    total: Bytes,
    used: Bytes,
    total_inodes: u64,
    free_inodes: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct NetworkTable {
    name: String,
    rx_bytes: u64,
    tx_bytes: u64,
    errors: u64,
    dropped: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct ProcessTable {
    name: String,
    cpu: Span,
    resident: Bytes,
    open_files: Option<u32>,
}

impl Default for MetricsTable {
    fn default() -> Self {
        Self {
            cpu: CpuTable::default(),
            memory: MemoryTable::default(),
            pressure: PressureTable::default(),
            mounts: vec![MountTable::default()],
            networks: vec![NetworkTable::default()],
            processes: vec![ProcessTable::default()],
        }
    }
}

impl Default for CpuTable {
    fn default() -> Self {
        Self {
            cores: 4,
            busy_ratio: 0.1,
            load_1: 0.4,
            load_5: 0.4,
            load_15: 0.4,
        }
    }
}

impl Default for MemoryTable {
    fn default() -> Self {
        Self {
            total: Bytes(8 << 30),
            available: Bytes(6 << 30),
            swap_total: Bytes(2 << 30),
            swap_used: Bytes(0),
        }
    }
}

impl Default for MountTable {
    fn default() -> Self {
        Self {
            path: "/".into(),
            device: "/dev/vda1".into(),
            file_system: "ext4".into(),
            read_only: false,
            total: Bytes(100 << 30),
            used: Bytes(40 << 30),
            total_inodes: 6_000_000,
            free_inodes: 5_000_000,
        }
    }
}

impl Default for NetworkTable {
    fn default() -> Self {
        Self {
            name: "eth0".into(),
            rx_bytes: 1 << 30,
            tx_bytes: 1 << 30,
            errors: 0,
            dropped: 0,
        }
    }
}

impl Default for ProcessTable {
    fn default() -> Self {
        Self {
            name: "init".into(),
            cpu: Span::secs(60),
            resident: Bytes(12 << 20),
            open_files: Some(64),
        }
    }
}

/// The readings without a scenario.
#[cfg(test)]
pub(crate) fn quiet() -> Readings {
    MetricsTable::default().readings(RUNNING_MS)
}

impl MetricsTable {
    pub(super) fn readings(&self, now_ms: u64) -> Readings {
        let cores = usize::try_from(self.cpu.cores).unwrap_or(1);
        Readings {
            cpu: Cpu {
                cores: self.cpu.cores,
                busy_ratio: self.cpu.busy_ratio,
                per_core: vec![self.cpu.busy_ratio; cores.min(CORES_MAX)],
                load_1: self.cpu.load_1,
                load_5: self.cpu.load_5,
                load_15: self.cpu.load_15,
            },
            memory: Memory {
                total_bytes: self.memory.total.0,
                available_bytes: self.memory.available.0,
                swap_total_bytes: self.memory.swap_total.0,
                swap_used_bytes: self.memory.swap_used.0,
            },
            pressure: (!self.pressure.absent).then(|| {
                let waits = [self.pressure.cpu, self.pressure.memory, self.pressure.io];
                let [cpu, memory, io] = waits.map(pressure);
                [Pressure { full: None, ..cpu }, memory, io]
            }),
            mounts: self.mounts.iter().map(mount).collect(),
            networks: self.networks.iter().map(network).collect(),
            processes: (FIRST_PID..)
                .zip(&self.processes)
                .map(|(pid, process)| Process {
                    pid,
                    name: process.name.clone(),
                    cpu_ms: process.cpu.as_millis(),
                    resident_bytes: process.resident.0,
                    started: now_ms.saturating_sub(RUNNING_MS),
                    open_files: process.open_files,
                })
                .collect(),
        }
    }
}

/// The same over all three spans.
fn pressure(percent: f64) -> Pressure {
    let stall = |percent| Stall {
        avg_10: percent,
        avg_60: percent,
        avg_300: percent,
    };
    Pressure {
        some: stall(percent),
        full: Some(stall(percent / 2.0)),
    }
}

fn mount(table: &MountTable) -> Mount {
    Mount {
        path: table.path.clone(),
        device: table.device.clone(),
        file_system: table.file_system.clone(),
        read_only: table.read_only,
        total_bytes: table.total.0,
        used_bytes: table.used.0,
        available_bytes: table.total.0.saturating_sub(table.used.0),
        total_inodes: table.total_inodes,
        free_inodes: table.free_inodes,
    }
}

fn network(table: &NetworkTable) -> Network {
    Network {
        name: table.name.clone(),
        rx_bytes: table.rx_bytes,
        tx_bytes: table.tx_bytes,
        rx_errors: table.errors,
        rx_dropped: table.dropped,
        ..Network::default()
    }
}
