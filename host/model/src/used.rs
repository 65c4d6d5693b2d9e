//! What a task used of what it is granted, from the records of its runs, and the smallest grant that
//! would have been enough.

mod expiry;
mod tighten;

pub use expiry::{UNUSED_LEAST, Unused, unused};
pub use tighten::{Proposal, RUNS_LEAST, Value, tighten};

use crate::capability::Capability;
use crate::event::{Event, Record};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Runs of a task that are read, the newest: some weeks of a nightly one.
pub const RUNS_READ: u64 = 200;
/// Roots, stores or parameters told apart of one capability; a grant names fewer.
const SUBJECTS_MAX: usize = 256;

/// What runs of one task used, together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Used {
    pub runs: u64,
    /// Milliseconds since the Unix epoch: the oldest of them.
    pub since: Option<u64>,
    /// Runs that made more calls than are kept one by one: what they used is not known in full.
    pub incomplete: u64,
    pub of: BTreeMap<Capability, Use>,
}

/// What was used of one capability.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Use {
    /// Runs that called it.
    pub runs: u64,
    pub calls: u64,
    /// Milliseconds since the Unix epoch: the newest call.
    pub last: Option<u64>,
    /// Roots, stores or parameters that calls were about and were answered.
    pub subjects: BTreeSet<String>,
    /// Changed in all, and by the largest plan.
    pub files: u64,
    pub bytes: u64,
    pub files_most: u64,
    pub bytes_most: u64,
}

/// The capability a call belongs to: `storage.walker.next` to `storage`.
pub fn capability_of(function: &str) -> Option<Capability> {
    Capability::from_name(function.split('.').next()?)
}

impl Used {
    /// Adds one run by its records.
    pub fn add<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) {
        let mut called = BTreeSet::new();
        let mut more = false;
        for record in records {
            if self.since.is_none_or(|since| record.at < since) {
                self.since = Some(record.at);
            }
            match &record.event {
                Event::Called {
                    calls,
                    more: beyond,
                } => {
                    more |= *beyond > 0;
                    for call in calls {
                        let Some(capability) = capability_of(&call.function) else {
                            continue;
                        };
                        called.insert(capability);
                        let used = self.of.entry(capability).or_default();
                        used.calls += 1;
                        used.last = used.last.max(Some(record.at));
                        if call.result == "ok" {
                            used.about(&call.subject);
                        }
                    }
                }
                // Budgets are charged when a plan is made, whatever becomes of it.
                Event::PlanSealed { files, bytes, .. } if *files > 0 => {
                    let used = self.of.entry(Capability::StorageClean).or_default();
                    used.files_most = used.files_most.max(*files);
                    used.bytes_most = used.bytes_most.max(*bytes);
                }
                Event::Outcome { files, bytes, .. } if *files > 0 => {
                    let used = self.of.entry(Capability::StorageClean).or_default();
                    used.files += files;
                    used.bytes += bytes;
                }
                _ => {}
            }
        }
        for capability in called {
            self.of.entry(capability).or_default().runs += 1;
        }
        self.runs += 1;
        self.incomplete += u64::from(more);
    }

    pub fn of(&self, capability: Capability) -> Use {
        self.of.get(&capability).cloned().unwrap_or_default()
    }
}

impl Use {
    /// `tmp:a/b` is about the root `tmp`.
    fn about(&mut self, subject: &str) {
        let name = subject.split(':').next().unwrap_or_default();
        if !name.is_empty() && self.subjects.len() < SUBJECTS_MAX {
            self.subjects.insert(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
