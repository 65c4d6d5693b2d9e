//! The limits inside the worker: memory, CPU time of the guest, wall time, and what is counted.

use keepwell_model::limits::{LimitName, Limits};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};
use wasmtime::ResourceLimiter;

/// Guest stack. The SDK asks for no more, and a worker thread has 2 MiB for guest and host code.
pub(crate) const STACK_BYTES: usize = 512 << 10;
/// Bytes one call may move between guest and host: 4,096 entries with long paths fit.
pub(crate) const CALL_BYTES: usize = 8 << 20;
/// Core instances in one component: wit-component makes fewer than ten; what links libraries when
/// it starts, as Python's does, has one for each of them and of their tables of symbols.
const INSTANCES_MAX: usize = 256;
/// Memories in one component: the guest's, and some of adapters.
const MEMORIES_MAX: usize = 4;
const TABLES_MAX: usize = 16;
/// What an element of a table occupies, rounded up.
const TABLE_ELEMENT_BYTES: usize = 16;
/// How often the guest is looked at. Limits of time are exact to about this.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// A limit was crossed; the run ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limit `{}`: {detail}", limit.as_str())]
pub(crate) struct Crossed {
    pub(crate) limit: LimitName,
    pub(crate) detail: String,
}

impl Crossed {
    pub(crate) fn new(limit: LimitName, detail: impl Into<String>) -> Self {
        Self {
            limit,
            detail: detail.into(),
        }
    }
}

/// Counts memory, guest CPU time and wall time against the limits.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_max: usize,
    memory: usize,
    memory_peak: usize,
    cpu_max: Duration,
    wall_max: Duration,
    began: Instant,
    cpu_at_begin: Duration,
    /// CPU time of this thread spent in the host's own work.
    cpu_of_host: Duration,
}

impl Meter {
    /// Starts the clocks.
    pub(crate) fn start(limits: &Limits) -> Self {
        Self {
            memory_max: usize::try_from(limits.memory.0).unwrap_or(usize::MAX),
            memory: 0,
            memory_peak: 0,
            cpu_max: limits.cpu.0,
            wall_max: limits.wall.0,
            began: Instant::now(),
            cpu_at_begin: thread_cpu(),
            cpu_of_host: Duration::ZERO,
        }
    }

    /// CPU time the guest itself has used.
    pub(crate) fn guest_cpu(&self) -> Duration {
        thread_cpu()
            .saturating_sub(self.cpu_at_begin)
            .saturating_sub(self.cpu_of_host)
    }

    pub(crate) fn wall(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) const fn memory_peak(&self) -> usize {
        self.memory_peak
    }

    /// Charges what this thread used since `since` to the host.
    pub(crate) fn host_worked_since(&mut self, since: Duration) {
        self.cpu_of_host += thread_cpu().saturating_sub(since);
    }

    /// Called at every tick while guest code runs, and after long calls.
    pub(crate) fn check(&self) -> Result<(), Crossed> {
        let wall = self.wall();
        if wall > self.wall_max {
            return Err(Crossed::new(
                LimitName::Wall,
                format!("it ran longer than {:?}", self.wall_max),
            ));
        }
        // Wall time bounds CPU time, so the system call is only needed when there was enough.
        if wall > self.cpu_max && self.guest_cpu() > self.cpu_max {
            return Err(Crossed::new(
                LimitName::Cpu,
                format!("its code used more than {:?} of CPU time", self.cpu_max),
            ));
        }
        Ok(())
    }

    fn grow(&mut self, current: usize, desired: usize) -> Result<(), Crossed> {
        let total = self.memory.saturating_sub(current).saturating_add(desired);
        if total > self.memory_max {
            return Err(Crossed::new(
                LimitName::Memory,
                format!("it asked for {total} bytes in all, of {}", self.memory_max),
            ));
        }
        self.memory = total;
        self.memory_peak = self.memory_peak.max(total);
        Ok(())
    }
}

/// Sums all memories and tables; Wasmtime's own limiter looks at each alone.
impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.grow(current, desired).map_err(wasmtime::Error::new)?;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.grow(
            current.saturating_mul(TABLE_ELEMENT_BYTES),
            desired.saturating_mul(TABLE_ELEMENT_BYTES),
        )
        .map_err(wasmtime::Error::new)?;
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

/// CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let secs = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(secs, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_model::units::Bytes;

    #[test]
    fn memories_and_tables_are_summed() {
        let limits = Limits {
            memory: Bytes(1 << 20),
            ..Limits::default()
        };
        let mut meter = Meter::start(&limits);
        assert!(meter.memory_growing(0, 600 << 10, None).unwrap());
        let crossed = meter.memory_growing(0, 600 << 10, None).unwrap_err();
        assert_eq!(
            crossed.downcast_ref::<Crossed>().unwrap().limit,
            LimitName::Memory
        );
        assert!(
            meter
                .table_growing(0, (424 << 10) / TABLE_ELEMENT_BYTES, None)
                .unwrap()
        );
        assert!(meter.table_growing(0, 1, None).is_err());
        assert_eq!(meter.memory_peak(), 1 << 20);
    }

    #[test]
    fn growth_beyond_its_own_maximum_fails_without_ending_the_run() {
        let mut meter = Meter::start(&Limits::default());
        assert!(!meter.memory_growing(0, 200, Some(100)).unwrap());
    }

    #[test]
    fn host_work_is_not_charged_to_the_guest() {
        let mut meter = Meter::start(&Limits::default());
        let since = thread_cpu();
        while thread_cpu() - since < Duration::from_millis(20) {}
        meter.host_worked_since(since);
        assert!(meter.guest_cpu() < Duration::from_millis(10));
    }
}
