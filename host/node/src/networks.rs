//! Sensor for network interfaces: counters since each came up.

use keepwell_model::words::Refusal;
use serde::{Deserialize, Serialize};

/// Mirrors `metrics.network`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The interface's name.
    pub name: String,
    /// Received since it came up.
    pub rx_bytes: u64,
    /// Sent since it came up.
    pub tx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets that arrived broken.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets received and thrown away.
    pub rx_dropped: u64,
    /// Packets thrown away unsent.
    pub tx_dropped: u64,
}

/// All interfaces by name. From `/proc/net/dev`, as sysinfo has no dropped packets.
pub fn networks() -> Result<Vec<Network>, Refusal> {
    let path = "/proc/net/dev";
    let text = std::fs::read_to_string(path)
        .map_err(|e| Refusal::io(format!("cannot read `{path}`: {e}")))?;
    let mut all: Vec<Network> = text.lines().skip(2).filter_map(network).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// `name: bytes packets errs drop fifo frame compressed multicast | bytes packets errs drop …`
fn network(line: &str) -> Option<Network> {
    let (name, counters) = line.rsplit_once(": ").or_else(|| line.rsplit_once(':'))?;
    let n: Vec<u64> = counters
        .split_whitespace()
        .map(|w| w.parse().ok())
        .collect::<Option<_>>()?;
    let [
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        _,
        _,
        _,
        _,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
        ..,
    ] = n[..]
    else {
        return None;
    };
    Some(Network {
        name: name.trim().to_owned(),
        rx_bytes,
        tx_bytes,
        rx_packets,
        tx_packets,
        rx_errors,
        tx_errors,
        rx_dropped,
        tx_dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel() {
        let n = network("  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").unwrap();
        assert_eq!(n.name, "eth0");
        assert_eq!(
            (n.rx_bytes, n.rx_packets, n.rx_errors, n.rx_dropped),
            (1, 2, 3, 4)
        );
        assert_eq!(
            (n.tx_bytes, n.tx_packets, n.tx_errors, n.tx_dropped),
            (9, 10, 11, 12)
        );
        assert_eq!(network("eth0: 1 2 3"), None);
    }

    #[test]
    fn every_interface_of_the_kernel_is_listed() {
        let names = networks().unwrap();
        for entry in std::fs::read_dir("/sys/class/net").unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if entry.path().join("statistics").exists() {
                assert!(names.iter().any(|n| n.name == name), "{name}");
            }
        }
    }
}
