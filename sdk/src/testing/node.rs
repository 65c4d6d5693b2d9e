//! Building the simulated node.

use super::files::{File, Tree};
use super::outcome::Outcome;
use super::shards::SimStore;
use super::{Run, with};
use crate::Span;
use crate::config::Param;
use crate::metrics::{Contended, Cpu, Memory, Mount, Network, Pressure, Process};
use crate::task::{self, Request, Reviewed, Summary, Task};
use std::collections::BTreeMap;

/// What storage-clean may propose in one run, as a grant says it.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    pub files: u64,
    pub bytes: u64,
    pub min_age: Span,
}

/// A node that is not there. Nothing on it changes by running a task.
#[derive(Debug, Clone)]
pub struct Node {
    pub(super) now: u64,
    pub(super) trees: BTreeMap<String, Tree>,
    pub(super) stores: Vec<SimStore>,
    pub(super) budget: Budget,
    pub(super) cpu: Option<Cpu>,
    pub(super) memory: Option<Memory>,
    pub(super) pressure: Vec<(Contended, Pressure)>,
    pub(super) mounts: Vec<Mount>,
    pub(super) networks: Vec<Network>,
    pub(super) processes: Vec<Process>,
    pub(super) params: BTreeMap<String, Param>,
    pub(super) denied: Vec<String>,
    pub(super) faults: Vec<(usize, String)>,
    pub(super) checkpoint: Option<Vec<u8>>,
    pub(super) state: BTreeMap<String, Vec<u8>>,
    /// Most bytes and keys.
    pub(super) state_quota: (u64, u64),
}

impl Default for Node {
    fn default() -> Self {
        Self {
            now: instant("2026-01-01T00:00:00Z"),
            trees: BTreeMap::new(),
            stores: Vec::new(),
            budget: Budget {
                files: 100_000,
                bytes: 1 << 40,
                min_age: Span(0),
            },
            cpu: None,
            memory: None,
            pressure: Vec::new(),
            mounts: Vec::new(),
            networks: Vec::new(),
            processes: Vec::new(),
            params: BTreeMap::new(),
            denied: Vec::new(),
            faults: Vec::new(),
            checkpoint: None,
            state: BTreeMap::new(),
            // As a grant that says nothing.
            state_quota: (1 << 20, 1_000),
        }
    }
}

/// `2026-01-01T00:00:00Z` in milliseconds since the Unix epoch.
///
/// # Panics
/// When the text is no such instant: a test that misspells its time should not go on.
fn instant(text: &str) -> u64 {
    let parts: Vec<u64> = text
        .trim_end_matches('Z')
        .split(['-', 'T', ':'])
        .map(|part| part.parse().expect("an instant like 2026-01-01T00:00:00Z"))
        .collect();
    let [year, month, day, hour, minute, second] = parts[..] else {
        panic!("`{text}` is not an instant like 2026-01-01T00:00:00Z");
    };
    // Days since the epoch, by Howard Hinnant's days_from_civil, for years after 1970.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000
}

impl Node {
    /// At midnight of 2026-01-01, empty, everything granted.
    pub fn new() -> Self {
        Self::default()
    }
    /// The run's time: `2026-01-01T00:00:00Z`.
    #[must_use]
    pub fn now(mut self, instant_text: &str) -> Self {
        self.now = instant(instant_text);
        self
    }
    /// An empty root.
    #[must_use]
    pub fn root(mut self, root: &str) -> Self {
        self.trees.entry(root.into()).or_default();
        self
    }
    /// A file below a root; its directories are made as old as the youngest thing in them.
    #[must_use]
    pub fn file(mut self, root: &str, path: &str, with: impl FnOnce(File) -> File) -> Self {
        let tree = self.trees.entry(root.into()).or_default();
        tree.add(path.as_bytes(), with(File::regular()));
        self
    }
    /// A directory with times of its own.
    #[must_use]
    pub fn directory(mut self, root: &str, path: &str, with: impl FnOnce(File) -> File) -> Self {
        let tree = self.trees.entry(root.into()).or_default();
        tree.add(path.as_bytes(), with(File::directory()));
        self
    }
    /// A symbolic link. Where it points does not matter: nobody follows it.
    #[must_use]
    pub fn symlink(mut self, root: &str, path: &str, with: impl FnOnce(File) -> File) -> Self {
        let tree = self.trees.entry(root.into()).or_default();
        tree.add(path.as_bytes(), with(File::symlink()));
        self
    }
    /// A socket, fifo or device.
    #[must_use]
    pub fn special(mut self, root: &str, path: &str, with: impl FnOnce(File) -> File) -> Self {
        let tree = self.trees.entry(root.into()).or_default();
        tree.add(path.as_bytes(), with(File::special()));
        self
    }
    #[must_use]
    pub fn store(mut self, store: SimStore) -> Self {
        self.stores.push(store);
        self
    }
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }
    #[must_use]
    pub fn cpu(mut self, cpu: Cpu) -> Self {
        self.cpu = Some(cpu);
        self
    }
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = Some(memory);
        self
    }
    #[must_use]
    pub fn pressure(mut self, of: Contended, pressure: Pressure) -> Self {
        self.pressure.push((of, pressure));
        self
    }
    #[must_use]
    pub fn mount(mut self, mount: Mount) -> Self {
        self.mounts.push(mount);
        self
    }
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.networks.push(network);
        self
    }
    #[must_use]
    pub fn process(mut self, process: Process) -> Self {
        self.processes.push(process);
        self
    }
    /// A parameter, granted for reading and writing; one change of it in a run.
    #[must_use]
    pub fn param(mut self, name: &str, param: Param) -> Self {
        self.params.insert(name.into(), param);
        self
    }
    /// Takes a capability away: every call of it is `denied`.
    #[must_use]
    pub fn deny(mut self, capability: &str) -> Self {
        self.denied.push(capability.into());
        self
    }
    /// The `nth` call that may be refused, counted from 1, is refused with this code.
    #[must_use]
    pub fn fail_call(mut self, nth: usize, code: &str) -> Self {
        self.faults.push((nth, code.into()));
        self
    }
    /// What an interrupted run left.
    #[must_use]
    pub fn checkpoint(mut self, state: &[u8]) -> Self {
        self.checkpoint = Some(state.into());
        self
    }

    /// What earlier runs of the task kept.
    #[must_use]
    pub fn state(mut self, key: &str, value: &[u8]) -> Self {
        self.state.insert(key.into(), value.into());
        self
    }
    /// How much the task may keep: bytes, and keys.
    #[must_use]
    pub fn state_quota(mut self, max_bytes: u64, max_keys: u64) -> Self {
        self.state_quota = (max_bytes, max_keys);
        self
    }
    /// After a run that ended well: what it kept is there for the next.
    #[must_use]
    pub fn keeping(mut self, of: &Outcome) -> Self {
        self.state.clone_from(&of.state);
        self
    }

    /// Runs a task with these settings.
    pub fn run<T: Task>(&self, settings: impl Into<serde_json::Value>) -> Outcome {
        self.act(&settings.into(), task::run::<T>, T::NAME)
    }

    /// Reviews what became of a run's proposals.
    pub fn review<T: Task>(
        &self,
        settings: impl Into<serde_json::Value>,
        before: Summary,
        applied: &Reviewed,
    ) -> Outcome {
        let review = |request: &Request| task::review::<T>(request, before, applied);
        self.act(&settings.into(), review, T::NAME)
    }

    fn act(
        &self,
        settings: &serde_json::Value,
        act: impl FnOnce(&Request) -> Result<Summary, task::Failure>,
        name: &str,
    ) -> Outcome {
        self.begin(settings);
        let result = act(&Request {
            task: name.into(),
            trigger: "manual".into(),
        });
        with(|run| Outcome::new(result, run.calls, std::mem::take(&mut run.outcome)))
    }

    fn begin(&self, settings: &serde_json::Value) {
        with(|run| {
            *run = Run {
                node: self.clone(),
                settings: settings.to_string(),
                ..Run::default()
            };
            run.outcome.state.clone_from(&self.state);
        });
    }

    /// Makes calls as a task would, without one.
    #[cfg(test)]
    pub(super) fn within<T>(&self, act: impl FnOnce() -> T) -> T {
        self.begin(&serde_json::json!({}));
        act()
    }
}

#[cfg(test)]
mod tests {
    use super::instant;

    #[test]
    fn instants() {
        assert_eq!(instant("1970-01-01T00:00:00Z"), 0);
        assert_eq!(instant("2026-01-01T00:00:00Z"), 1_767_225_600_000);
        assert_eq!(instant("2024-02-29T12:30:15Z"), 1_709_209_815_000);
    }
}
