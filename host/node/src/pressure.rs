//! Sensor for pressure-stall information: how long tasks waited for a resource.

use keepwell_model::words::Refusal;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Mirrors `metrics.contended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Contended {
    /// Processors.
    Cpu,
    /// Memory.
    Memory,
    /// Disks and other block devices.
    Io,
}

/// Mirrors `metrics.stall`: 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// Over the last 10 seconds.
    pub avg_10: f64,
    /// Over the last 60 seconds.
    pub avg_60: f64,
    /// Over the last 300 seconds.
    pub avg_300: f64,
}

/// Mirrors `metrics.pressure`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Stall,
    /// The kernel has no such figure for the cpu of a whole machine, though it prints zeros.
    pub full: Option<Stall>,
}

/// Reads `/proc/pressure`; `None` where the kernel has none or has it switched off.
pub fn pressure(of: Contended) -> Result<Option<Pressure>, Refusal> {
    pressure_in(Path::new("/proc"), of)
}

/// The same where the machine's `proc` is mounted elsewhere.
pub fn pressure_in(proc: &Path, of: Contended) -> Result<Option<Pressure>, Refusal> {
    let name = match of {
        Contended::Cpu => "cpu",
        Contended::Memory => "memory",
        Contended::Io => "io",
    };
    let path = proc.join("pressure").join(name);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        // Compiled in but switched off, opening works and reading says `not supported`.
        Err(e)
            if e.kind() == std::io::ErrorKind::NotFound
                || e.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) =>
        {
            return Ok(None);
        }
        Err(e) => {
            let path = path.display();
            return Err(Refusal::io(format!("cannot read `{path}`: {e}")));
        }
    };
    let some = stall(&text, "some").ok_or_else(|| {
        let path = path.display();
        Refusal::io(format!("`{path}` is not as the kernel documents it"))
    })?;
    let full = stall(&text, "full").filter(|_| of != Contended::Cpu);
    Ok(Some(Pressure { some, full }))
}

fn stall(text: &str, kind: &str) -> Option<Stall> {
    let line = text.lines().find_map(|l| l.strip_prefix(kind))?;
    let share = |key: &str| {
        let word = line.split_whitespace().find_map(|w| w.strip_prefix(key))?;
        let percent: f64 = word.strip_prefix('=')?.parse().ok()?;
        Some(percent / 100.0)
    };
    Some(Stall {
        avg_10: share("avg10")?,
        avg_60: share("avg60")?,
        avg_300: share("avg300")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_become_shares() {
        let text = "some avg10=12.50 avg60=1.00 avg300=0.25 total=9\nfull avg10=100.00 avg60=0.00 avg300=0.00 total=1\n";
        let some = stall(text, "some").unwrap();
        assert_eq!(
            (some.avg_10, some.avg_60, some.avg_300),
            (0.125, 0.01, 0.0025)
        );
        assert_eq!(stall(text, "full").unwrap().avg_10, 1.0);
        assert_eq!(stall("some avg10=x", "some"), None);
    }

    #[test]
    fn this_kernel_answers_or_has_none() {
        for of in [Contended::Cpu, Contended::Memory, Contended::Io] {
            let there = std::fs::read("/proc/pressure/io").is_ok();
            assert_eq!(pressure(of).unwrap().is_some(), there);
        }
    }
}
