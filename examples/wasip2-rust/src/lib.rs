//! Warns when little memory is left; what it prints goes to the run's log.

use keepwell_sdk::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MemoryCheck {
    least_available: f64,
}

impl Task for MemoryCheck {
    const NAME: &str = "memory-check";
    const ABOUT: &str = "Warns when less than a share of the memory is available";
    const NEEDS: &[Need] = &[need(METRICS, "to read how much memory is available")];
    const SETTINGS: &[SettingHelp] = &[number(
        "least-available",
        0.1,
        "Share of the memory below which to warn",
    )];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let memory = metrics::memory()?;
        let share = share(memory.available_bytes, memory.total_bytes);
        println!("{share:.2} of the memory is available");
        let enough = share >= self.least_available;
        if !enough {
            let title = format!("only {share:.2} of the memory is available");
            finding(Severity::Warning, "memory-low", "memory", title).report();
        }
        Ok(Summary::judged(enough, format!("{share:.2} available")))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share of memory needs no more than three digits"
)]
fn share(of: u64, all: u64) -> f64 {
    of as f64 / all.max(1) as f64
}

keepwell_sdk::plugin!("memory-rust", "Watches the memory", [MemoryCheck]);

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_sdk::metrics::Memory;
    use keepwell_sdk::testing::Node;

    #[test]
    fn warns_below_the_share_and_not_above() {
        for (available_bytes, findings) in [(5, 1), (50, 0)] {
            let memory = Memory {
                total_bytes: 100,
                available_bytes,
                swap_total_bytes: 0,
                swap_used_bytes: 0,
            };
            let outcome = Node::new().memory(memory).run::<MemoryCheck>(json!({}));
            assert_eq!(outcome.findings.len(), findings);
        }
    }
}
