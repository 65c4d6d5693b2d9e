//! Readings of the node. What it cannot tell is absent or refused, never zero.

use crate::task::Refusal;
use crate::wit::sys;

pub use crate::wit::keepwell::task::metrics::{
    Contended, Cpu, Memory, Mount, Network, Order, Pressure, Process, Stall,
};

/// How busy the cores are; waits 200 ms once in a run.
pub fn cpu() -> Result<Cpu, Refusal> {
    sys::metrics::get_cpu()
}
pub fn memory() -> Result<Memory, Refusal> {
    sys::metrics::get_memory()
}
/// `None` where the kernel does not say.
pub fn pressure(of: Contended) -> Result<Option<Pressure>, Refusal> {
    sys::metrics::get_pressure(of)
}
pub fn mounts() -> Result<Vec<Mount>, Refusal> {
    sys::metrics::list_mounts()
}
pub fn networks() -> Result<Vec<Network>, Refusal> {
    sys::metrics::list_networks()
}
/// The first `max` processes in that order, at most 1,000.
pub fn processes(order: Order, max: u32) -> Result<Vec<Process>, Refusal> {
    sys::metrics::list_processes(order, max)
}

impl Mount {
    /// Bytes used in whole percent, as `df` prints it: of used and available, rounded up.
    /// `None` when it has no blocks at all.
    pub fn used_percent(&self) -> Option<u32> {
        percent_up(
            self.used_bytes,
            self.used_bytes.saturating_add(self.available_bytes),
        )
    }

    /// Inodes used in whole percent, rounded up. `None` without a fixed number of inodes.
    pub fn inodes_percent(&self) -> Option<u32> {
        let used = self.total_inodes.saturating_sub(self.free_inodes);
        percent_up(used, self.total_inodes)
    }
}

fn percent_up(part: u64, whole: u64) -> Option<u32> {
    if whole == 0 {
        return None;
    }
    let percent = (u128::from(part) * 100).div_ceil(u128::from(whole));
    Some(u32::try_from(percent.min(100)).unwrap_or(100))
}

#[cfg(test)]
mod tests {
    use super::percent_up;

    #[test]
    fn rounds_up_as_df_does() {
        assert_eq!(percent_up(0, 100), Some(0));
        assert_eq!(percent_up(1, 1_000), Some(1));
        assert_eq!(percent_up(850, 1_000), Some(85));
        assert_eq!(percent_up(851, 1_000), Some(86));
        assert_eq!(percent_up(u64::MAX, u64::MAX), Some(100));
        assert_eq!(percent_up(0, 0), None);
    }
}
