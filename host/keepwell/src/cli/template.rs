//! What `init` writes into `tasks/` and what `plugin new` writes into a new plugin.

/// A task file for a bundled plugin. `{roots}` and `{stores}` become lists of names.
pub(super) struct TaskTemplate {
    pub name: &'static str,
    pub plugin: &'static str,
    pub text: &'static str,
}

pub(super) const TASKS: &[TaskTemplate] = &[
    TaskTemplate {
        name: "resource-check",
        plugin: "health",
        text: "# CPU, memory, swap, disks and pressure against thresholds.\nplugin = \"health\"\n\n[grant]\nmetrics = {}\nstate = {}\n",
    },
    TaskTemplate {
        name: "health-score",
        plugin: "health",
        text: "# One number from 0 to 1; what cannot be measured is unknown, never healthy.\nplugin = \"health\"\n\n[grant]\nmetrics = {}\nstate = {}\n",
    },
    TaskTemplate {
        name: "quick-check",
        plugin: "health",
        text: "# Prints one word: healthy, degraded, critical or unknown.\nplugin = \"health\"\n\n[grant]\nmetrics = {}\nstate = {}\n",
    },
    TaskTemplate {
        name: "disk-check",
        plugin: "disk",
        text: "# Bytes, inodes and read-only state of each mount.\nplugin = \"disk\"\n\n[settings]\nthreshold = 85\n\n[grant]\nmetrics = {}\n",
    },
    TaskTemplate {
        name: "disk-usage",
        plugin: "disk",
        text: "# Prints the used percent of the fullest mount, a bare integer.\nplugin = \"disk\"\n\n[grant]\nmetrics = {}\n",
    },
    TaskTemplate {
        name: "temp-clean",
        plugin: "clean",
        text: "# Moves what nobody touched for a day into quarantine. `keepwell undo` puts it back.\nplugin = \"clean\"\n\n[settings]\nolder-than = \"24h\"\n\n[grant]\nstorage = { roots = {roots} }\nstorage-clean = { roots = {roots}, max-files = 10000, max-bytes = \"10GiB\", max-share = \"20%\", min-age = \"1h\" }\n",
    },
    TaskTemplate {
        name: "shard-verify",
        plugin: "scrub",
        text: "# Reads shards, least recently verified first, and compares them with their names.\nplugin = \"scrub\"\n\n[grant]\nshards = { stores = {stores} }\n",
    },
];

/// `Cargo.toml` of a new plugin; `{name}` and `{sdk}` are filled in.
pub(super) const PLUGIN_CARGO: &str = r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib", "rlib"]

[dependencies]
keepwell-sdk = {sdk}
serde = { version = "1", features = ["derive"] }

[dev-dependencies]
serde_json = "1"

[profile.release]
opt-level = "s"
lto = true
codegen-units = 1
panic = "abort"
strip = true

[workspace]
"#;

/// `src/lib.rs` of a new plugin: one task that reads one number, with its test.
pub(super) const PLUGIN_LIB: &str = r#"//! What this plugin looks after, in one sentence.

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
"#;
