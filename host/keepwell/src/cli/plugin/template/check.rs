//! What this plugin looks after, in one sentence.

use keepwell_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct LoadCheck {
    most_per_core: f64,
}

impl Task for LoadCheck {
    const NAME: &str = "load-check";
    const ABOUT: &str = "Warns when the load average of five minutes is high for the number of cores";
    const NEEDS: &[Need] = &[need(METRICS, "to read the load averages")];
    const SETTINGS: &[SettingHelp] =
        &[number("most-per-core", 2.0, "Load per core above which to warn")];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let cpu = metrics::cpu()?;
        let load = cpu.load_5 / f64::from(cpu.cores.max(1));
        let line = format!("load per core {load:.2}, at most {}", self.most_per_core);
        Ok(if load > self.most_per_core { Summary::warned(line) } else { Summary::done(line) })
    }
}

keepwell_sdk::plugin!("{name}", "Watches the load", [LoadCheck]);

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_sdk::testing::Node;

    fn cpu(load_5: f64) -> metrics::Cpu {
        metrics::Cpu { cores: 4, busy_ratio: 0.1, per_core: vec![0.1; 4], load_1: load_5, load_5, load_15: load_5 }
    }

    #[test]
    fn a_quiet_node_is_fine() {
        let outcome = Node::new().cpu(cpu(0.5)).run::<LoadCheck>(json!({}));
        assert_eq!(outcome.summary().status, Status::Done);
    }

    #[test]
    fn a_busy_node_warns() {
        let outcome = Node::new().cpu(cpu(9.0)).run::<LoadCheck>(json!({}));
        assert_eq!(outcome.summary().status, Status::Warned);
    }
}
