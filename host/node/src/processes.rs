//! Sensor for processes: who uses memory and processors. Never arguments or environment.

use keepwell_model::words::Refusal;
use serde::{Deserialize, Serialize};

/// What one answer holds at most; the contract says so.
pub const MAX_PROCESSES: usize = 1_000;

/// Mirrors `metrics.order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Most resident memory first.
    ByMemory,
    /// Most processor time first.
    ByCpu,
}

/// Mirrors `metrics.process`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The short name the kernel keeps.
    pub name: String,
    /// Processor time used since it started.
    pub cpu_ms: u64,
    /// Memory it holds in RAM.
    pub resident_bytes: u64,
    /// Milliseconds since the Unix epoch.
    pub started: u64,
    /// `None` where the host may not see them.
    pub open_files: Option<u32>,
}

/// The first `max` processes in that order. One that ends meanwhile is left out.
pub fn processes(order: Order, max: usize) -> Result<Vec<Process>, Refusal> {
    let failed = |e| Refusal::io(format!("cannot list processes: {e}"));
    let boot_ms = procfs::boot_time_secs()
        .map_err(failed)?
        .saturating_mul(1_000);
    let ticks = procfs::ticks_per_second().max(1);
    let to_ms = |t: u64| t.saturating_mul(1_000) / ticks;
    let page = procfs::page_size();
    let mut found: Vec<Process> = procfs::process::all_processes()
        .map_err(failed)?
        .filter_map(|p| p.ok()?.stat().ok())
        .filter_map(|s| {
            Some(Process {
                pid: u32::try_from(s.pid).ok()?,
                cpu_ms: to_ms(s.utime.saturating_add(s.stime)),
                resident_bytes: s.rss.saturating_mul(page),
                started: boot_ms.saturating_add(to_ms(s.starttime)),
                open_files: None,
                name: s.comm,
            })
        })
        .collect();
    let key = |p: &Process| match order {
        Order::ByMemory => p.resident_bytes,
        Order::ByCpu => p.cpu_ms,
    };
    found.sort_by(|a, b| key(b).cmp(&key(a)).then(a.pid.cmp(&b.pid)));
    found.truncate(max.min(MAX_PROCESSES));
    for process in &mut found {
        // Counted only for those shown: it is the costly part.
        process.open_files = std::fs::read_dir(format!("/proc/{}/fd", process.pid))
            .ok()
            .and_then(|fds| u32::try_from(fds.count()).ok());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_among_them_and_the_order_holds() {
        let all = processes(Order::ByMemory, MAX_PROCESSES).unwrap();
        assert!(
            all.windows(2)
                .all(|w| w[0].resident_bytes >= w[1].resident_bytes)
        );
        if all.len() < MAX_PROCESSES {
            let me = all.iter().find(|p| p.pid == std::process::id()).unwrap();
            assert!(me.resident_bytes > 0 && me.open_files.unwrap() > 0);
        }
        assert_eq!(processes(Order::ByCpu, 1).unwrap().len(), 1);
    }
}
