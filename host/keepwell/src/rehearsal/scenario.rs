//! The author's scenario: what there is on the node that the plugin is rehearsed on. What it leaves out
//! is as without it.

use super::readings::MetricsTable;
use crate::clock;
use crate::error::{Error, Result};
use crate::pipeline::Readings;
use keepwell_model::action::RelPath;
use keepwell_model::capability::Capability;
use keepwell_model::id::{ParamName, RootName, StoreName};
use keepwell_model::manifest::{Manifest, TaskInfo};
use keepwell_model::state::RunState;
use keepwell_model::units::{Bytes, Span};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where it lies in a plugin's folder.
const PLACE: &str = "tests/node.toml";
/// Longest that a task may take there, where the scenario does not say.
const LIMITS: &str = "wall = \"1m\"\ncpu = \"30s\"\n";
/// The node's clock runs ahead of this machine's by the age of the oldest file and so much, because a
/// file cannot be made to have been changed in the past: only the clock can be later.
const AHEAD_MS: u64 = 60_000;
/// Of a file: a hundred years. The node's clock is as much ahead, and must remain one.
const AGE_MAX_MS: u64 = 100 * 365 * 24 * 3_600_000;
/// What there is without a scenario.
const DEFAULT: &str = include_str!("default.toml");

/// `tests/node.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(super) roots: Option<BTreeMap<RootName, BTreeMap<String, FileTable>>>,
    pub(super) stores: Option<BTreeMap<StoreName, BTreeMap<String, Shard>>>,
    /// As in `keepwell.toml`, with a `value` in place of where it is kept.
    pub(super) params: Option<BTreeMap<ParamName, toml::Table>>,
    #[serde(default)]
    metrics: MetricsTable,
    #[serde(default)]
    tasks: BTreeMap<String, TaskTable>,
}

/// A file of a root.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct FileTable {
    pub(super) age: Option<Span>,
    pub(super) size: Option<Bytes>,
}

/// A shard of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shard {
    Whole,
    Corrupt,
    Missing,
}

/// As in a task's file, and how it ends.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct TaskTable {
    settings: toml::Table,
    /// In place of everything that it asks for.
    grant: Option<toml::Table>,
    limits: Option<toml::Table>,
    ends: Option<Ends>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Ends {
    Done,
    Warned,
    Failed,
}

impl Scenario {
    /// The one that is named, or that lies in the plugin's folder, or the one that everybody has.
    pub(crate) fn find(named: Option<&Path>, plugin: &Path) -> Result<Self> {
        let beside = plugin.join(PLACE);
        let path: PathBuf = match named {
            Some(named) => named.to_owned(),
            None if beside.is_file() => beside,
            None => return Self::default().whole(),
        };
        let text = crate::config::read_text(&path)?;
        let read: Self = toml::from_str(&text)
            .map_err(|e| crate::config::bad_file(&path, &text, e.message(), e.span()))?;
        read.whole()
    }

    /// What it leaves out is taken from the default.
    fn whole(self) -> Result<Self> {
        let default: Self = toml::from_str(DEFAULT)
            .map_err(|e| Error::failed(format!("the default scenario: {e}")))?;
        Ok(Self {
            roots: self.roots.or(default.roots),
            stores: self.stores.or(default.stores),
            params: self.params.or(default.params),
            ..self
        })
    }

    /// Whether it speaks of tasks that there are, and of files below their roots.
    pub(super) fn check(&self, manifest: &Manifest) -> Result<()> {
        if let Some(odd) = self.tasks.keys().find(|name| manifest.task(name).is_none()) {
            let all: Vec<&str> = manifest.tasks.iter().map(|t| t.name.as_str()).collect();
            return Err(Error::config(format!(
                "the scenario names task `{odd}`, which is not there"
            ))
            .hint(format!("the plugin has: {}", all.join(", "))));
        }
        let files = self
            .roots
            .iter()
            .flatten()
            .flat_map(|(_, files)| files.keys());
        let shards = self
            .stores
            .iter()
            .flatten()
            .flat_map(|(_, shards)| shards.keys());
        for path in files.chain(shards) {
            RelPath::new(path.as_str())
                .map_err(|e| Error::config(format!("the scenario's file `{path}`: {e}")))?;
        }
        for (path, file) in self.roots.iter().flatten().flat_map(|(_, files)| files) {
            if file.age.is_some_and(|age| age.as_millis() > AGE_MAX_MS) {
                return Err(Error::config(format!(
                    "the scenario's file `{path}` is older than a hundred years"
                )));
            }
        }
        for (name, table) in self.params.iter().flatten() {
            if !table.contains_key("value") || table.contains_key("file") {
                return Err(Error::config(format!(
                    "the scenario's parameter `{name}` needs a `value`, and no `file`"
                ))
                .hint("the file that holds it is made for each run"));
            }
        }
        Ok(())
    }

    /// The time on that node.
    pub(super) fn now_ms(&self) -> u64 {
        let files = self
            .roots
            .iter()
            .flatten()
            .flat_map(|(_, files)| files.values());
        let oldest = files.filter_map(|file| file.age).max();
        clock::now_ms() + oldest.map_or(0, Span::as_millis) + AHEAD_MS
    }

    pub(super) fn readings(&self, now_ms: u64) -> Readings {
        self.metrics.readings(now_ms)
    }

    /// Whether a run of this task that no fault was injected in may end so.
    pub(super) fn expects(&self, task: &str, state: RunState) -> bool {
        match self.tasks.get(task).and_then(|task| task.ends) {
            None => matches!(state, RunState::Done | RunState::Warned),
            Some(Ends::Done) => state == RunState::Done,
            Some(Ends::Warned) => state == RunState::Warned,
            Some(Ends::Failed) => state == RunState::Failed,
        }
    }

    /// The task's file there.
    pub(super) fn task_file(&self, manifest: &Manifest, info: &TaskInfo) -> String {
        let none = TaskTable::default();
        let said = self.tasks.get(&info.name).unwrap_or(&none);
        let mut file = toml::Table::new();
        file.insert("plugin".into(), manifest.name.to_string().into());
        file.insert("task".into(), info.name.clone().into());
        file.insert("settings".into(), said.settings.clone().into());
        // What is parsed here is this file's own.
        let own = |text: &str| -> toml::Table { text.parse().unwrap_or_default() };
        let limits = said.limits.clone().unwrap_or_else(|| own(LIMITS));
        let asked = || own(&self.everything(info));
        let grant = said.grant.clone().unwrap_or_else(asked);
        file.insert("limits".into(), limits.into());
        file.insert("grant".into(), grant.into());
        file.to_string()
    }

    /// A grant of everything that the task asks for, on all there is, and no more of it.
    fn everything(&self, info: &TaskInfo) -> String {
        fn all<'a, T: ToString + 'a>(names: impl Iterator<Item = &'a T>) -> String {
            let quoted: Vec<String> = names
                .map(|name| format!("\"{}\"", name.to_string()))
                .collect();
            format!("[{}]", quoted.join(", "))
        }
        let roots = all(self.roots.iter().flat_map(BTreeMap::keys));
        let stores = all(self.stores.iter().flat_map(BTreeMap::keys));
        let params = all(self.params.iter().flat_map(BTreeMap::keys));
        let mut text = String::new();
        for need in &info.needs {
            let mut most = vec![];
            most.extend(need.max_files.map(|files| format!("max-files = {files}")));
            most.extend(need.max_bytes.map(|b| format!("max-bytes = \"{}B\"", b.0)));
            most.extend(need.max_keys.map(|keys| format!("max-keys = {keys}")));
            let rule = match need.capability {
                Capability::Metrics => "{}".to_owned(),
                Capability::State => format!("{{ {} }}", most.join(", ")),
                Capability::Storage => format!("{{ roots = {roots} }}"),
                Capability::StorageClean => {
                    most.push(format!(
                        "roots = {roots}, max-share = \"100%\", min-age = \"1m\""
                    ));
                    format!("{{ {} }}", most.join(", "))
                }
                Capability::Shards => format!("{{ stores = {stores} }}"),
                Capability::ConfigRead | Capability::ConfigWrite => {
                    format!("{{ params = {params} }}")
                }
            };
            let _ = writeln!(text, "{} = {rule}", need.capability);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::NAME;
    use super::*;

    fn read(text: &str) -> Scenario {
        let read: Scenario = toml::from_str(text).unwrap();
        read.whole().unwrap()
    }

    #[test]
    fn what_a_scenario_leaves_out_is_as_without_it() {
        let some = read("[roots.mine]\n\"a/b.part\" = { age = \"8d\", size = \"4KiB\" }\n");
        let roots = some.roots.as_ref().unwrap();
        assert_eq!(roots.len(), 1);
        assert_eq!(
            roots.values().next().unwrap()["a/b.part"].size,
            Some(Bytes(4_096))
        );
        assert!(
            some.stores
                .unwrap()
                .keys()
                .any(|name| name.as_str() == NAME)
        );
        let none = read("[roots]\n");
        assert!(none.roots.unwrap().is_empty());
    }

    #[test]
    fn a_task_ends_well_unless_the_scenario_says_otherwise() {
        let some = read("[tasks.a]\nends = \"warned\"\n[tasks.b]\nends = \"failed\"\n");
        use RunState::{Done, Failed, Limited, Warned};
        for (task, good, bad) in [
            ("a", &[Warned][..], &[Done, Failed][..]),
            ("b", &[Failed], &[Done, Warned, Limited]),
            ("c", &[Done, Warned], &[Failed, Limited]),
        ] {
            assert!(
                good.iter().all(|state| some.expects(task, *state)),
                "{task}"
            );
            assert!(
                !bad.iter().any(|state| some.expects(task, *state)),
                "{task}"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for bad in [
            "[rots.a]\n",
            "[roots.a]\nf = { old = \"1d\" }\n",
            "[stores.a]\nf = \"odd\"\n",
            "[metrics.cpu]\nkernels = 2\n",
            "[tasks.a]\nends = \"well\"\n",
        ] {
            assert!(toml::from_str::<Scenario>(bad).is_err(), "{bad}");
        }
    }
}
