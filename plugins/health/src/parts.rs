//! Reading a node's resources. What cannot be read is a part without a value, never one less.
//!
//! Where the kernel itself remembers (load over 15 minutes, pressure over 5) its averages are the
//! memory: a level rises only when two of them agree, and falls only when one has come back by the
//! setting `clear`. For the other readings the task remembers, where it may: see `memory`.

use crate::judge::Part;
use crate::memory;
use crate::thresholds::Thresholds;
use keepwell_sdk::levels::Averages;
use keepwell_sdk::metrics::{Contended, Order};
use keepwell_sdk::prelude::*;

/// A busy moment of 200 ms is no busy machine: the processor only counts as busy when about this
/// much work per core has been waiting or running for a minute.
const LOAD_OF_BUSY: f64 = 0.7;
/// Processes looked at for open files, the largest first.
const PROCESSES: u32 = 200;
/// Parts kept of all mounts together, the worst of them: each is a metric and may be a finding, and
/// a run reports 1,000 of either. Machines full of containers have more mounts.
const MOUNT_PARTS_MAX: usize = 800;

pub(crate) fn read(t: &Thresholds) -> Vec<Part> {
    let mut parts = Vec::new();
    processor(t, &mut parts);
    main_memory(t, &mut parts);
    mounts(t, &mut parts);
    pressure(t, &mut parts);
    open_files(t, &mut parts);
    memory::steady(&mut parts, t.fire_after, t.clear_after);
    parts
}

fn processor(t: &Thresholds, parts: &mut Vec<Part>) {
    let busy = Part::new("cpu", "percent", 2.0).essential();
    let load = Part::new("load", "per core", 1.0);
    match metrics::cpu() {
        Ok(cpu) if cpu.cores > 0 => {
            let cores = f64::from(cpu.cores);
            let percent = cpu.busy_ratio * 100.0;
            let sustained = cpu.load_1 / cores >= LOAD_OF_BUSY;
            // Not sustained, the minute's load is the better figure of the two.
            let minute = if sustained {
                percent
            } else {
                percent.min(cpu.load_1 / cores * 100.0)
            };
            let busy_for = Averages {
                short: percent,
                middle: minute,
                long: minute,
            };
            parts.push(busy.over(busy_for, 0.0, &t.cpu_warn, &t.cpu_crit));
            let [short, middle, long] =
                [cpu.load_1, cpu.load_5, cpu.load_15].map(|load| load / cores);
            let loads = Averages {
                short,
                middle,
                long,
            };
            parts.push(load.over(loads, t.clear, &t.load_warn, &t.load_crit));
        }
        Ok(_) => parts.extend([busy.unknown("no cores"), load.unknown("no cores")]),
        Err(no) => parts.extend([busy.unknown(&no.message), load.unknown(&no.message)]),
    }
}

fn main_memory(t: &Thresholds, parts: &mut Vec<Part>) {
    let available = Part::new("memory", "percent available", 2.0).essential();
    let memory = match metrics::memory() {
        Ok(memory) if memory.total_bytes > 0 => memory,
        Ok(_) => return parts.push(available.unknown("no size")),
        Err(no) => return parts.push(available.unknown(&no.message)),
    };
    let percent = memory.available_bytes as f64 / memory.total_bytes as f64 * 100.0;
    parts.push(available.now(percent, &t.memory_warn, &t.memory_crit));
    // A node without swap has nothing to judge, and that is known.
    if memory.swap_total_bytes > 0 {
        let percent = memory.swap_used_bytes as f64 / memory.swap_total_bytes as f64 * 100.0;
        parts.push(Part::new("swap", "percent", 0.5).now(percent, &t.swap_warn, &t.swap_crit));
    }
}

fn mounts(t: &Thresholds, parts: &mut Vec<Part>) {
    let none = || Part::new("disk", "percent", 2.0).essential();
    let mounts = match metrics::mounts() {
        Ok(mounts) => mounts,
        Err(no) => return parts.push(none().unknown(&no.message)),
    };
    let mut judged = Vec::new();
    for mount in mounts.iter().filter(|mount| !mount.read_only) {
        if let Some(percent) = mount.used_percent() {
            let part = none().of(&mount.path);
            judged.push(part.now(f64::from(percent), &t.disk_warn, &t.disk_crit));
        }
        if let Some(percent) = mount.inodes_percent() {
            let part = Part::new("inodes", "percent", 1.0).of(&mount.path);
            judged.push(part.now(f64::from(percent), &t.inodes_warn, &t.inodes_crit));
        }
    }
    if !judged.iter().any(|part| part.id == "disk") {
        judged.push(none().unknown("no mount says how full it is"));
    }
    if judged.len() > MOUNT_PARTS_MAX {
        let _others = judged
            .select_nth_unstable_by_key(MOUNT_PARTS_MAX, |part| std::cmp::Reverse(part.level));
        judged.truncate(MOUNT_PARTS_MAX);
    }
    parts.append(&mut judged);
}

fn pressure(t: &Thresholds, parts: &mut Vec<Part>) {
    let kinds = [
        (Contended::Cpu, "cpu"),
        (Contended::Memory, "memory"),
        (Contended::Io, "io"),
    ];
    for (of, name) in kinds {
        let part = Part::new("pressure", "percent", 0.5).of(name);
        parts.push(match metrics::pressure(of) {
            Ok(Some(pressure)) => {
                let some = pressure.some;
                let waited = Averages {
                    short: some.avg_10 * 100.0,
                    middle: some.avg_60 * 100.0,
                    long: some.avg_300 * 100.0,
                };
                part.over(waited, t.clear, &t.pressure_warn, &t.pressure_crit)
            }
            Ok(None) => part.unknown("the kernel does not say"),
            Err(no) => part.unknown(&no.message),
        });
    }
}

fn open_files(t: &Thresholds, parts: &mut Vec<Part>) {
    let part = Part::new("open-files", "files", 0.5);
    let processes = match metrics::processes(Order::ByMemory, PROCESSES) {
        Ok(processes) => processes,
        Err(no) => return parts.push(part.unknown(&no.message)),
    };
    let most = processes
        .iter()
        .filter_map(|p| Some((p.open_files?, p)))
        .max_by_key(|(n, _)| *n);
    parts.push(match most {
        Some((files, process)) => {
            // Not the process id: the same finding tomorrow is the same finding.
            let part = part.of(&process.name);
            part.now(f64::from(files), &t.open_files_warn, &t.open_files_crit)
        }
        None => part.unknown("the host may not see the open files of any process"),
    });
}
