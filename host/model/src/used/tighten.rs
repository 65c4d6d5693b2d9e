//! The smallest grant that would have been enough for what was used.

use super::{Use, Used};
use crate::budget::CleanBudget;
use crate::capability::Capability;
use crate::grant::GrantTable;
use crate::manifest::TaskInfo;
use crate::units::Bytes;

/// Fewer runs say too little of what a task needs.
pub const RUNS_LEAST: u64 = 5;
/// A day may be twice as busy as the busiest that was seen.
const HEADROOM: u64 = 2;
/// Less is no budget but a trap: the first larger day would hit it.
const FILES_LEAST: u64 = 10;
/// The least budget of bytes, and the steps it is proposed in.
const MIB: u64 = 1 << 20;

/// One line of a task's file that could be narrower.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Proposal {
    /// Keys from the file's root.
    pub place: Vec<String>,
    pub now: String,
    /// What it would be.
    pub then: Value,
    /// With the numbers it rests on.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// The whole capability is taken away.
    Nothing,
    /// These words are taken out of a list.
    Without(Vec<String>),
    Number(u64),
    Bytes(Bytes),
}

/// What of the rule was not used. `info` says what the plugin cannot do without; it is left, since
/// without it the task would not run at all.
pub fn tighten(rule: &GrantTable, info: &TaskInfo, used: &Used) -> Vec<Proposal> {
    let mut all = vec![];
    if used.incomplete > 0 {
        // What a run did beyond the calls that are kept may be anything: only budgets are known.
        budgets(rule, used, &mut all);
        return all;
    }
    for capability in Capability::ALL.into_iter().filter(|c| rule.holds(*c)) {
        let it = used.of(capability);
        if it.runs > 0 {
            names(rule, capability, &it, used, &mut all);
        } else if info.asks(capability).is_none_or(|need| need.optional) {
            all.push(Proposal {
                place: vec!["grant".into(), capability.name().into()],
                now: "granted".into(),
                then: Value::Nothing,
                reason: format!("none of {} runs called it", used.runs),
            });
        }
    }
    budgets(rule, used, &mut all);
    all
}

/// Roots, stores and parameters that no call was about.
fn names(
    rule: &GrantTable,
    capability: Capability,
    it: &Use,
    used: &Used,
    all: &mut Vec<Proposal>,
) {
    let (key, granted) = granted(rule, capability);
    let unused: Vec<String> = granted
        .iter()
        .filter(|name| !it.subjects.contains(*name))
        .cloned()
        .collect();
    // A list that names nothing is no grant; that it is called at all may be about all of them.
    if unused.is_empty() || unused.len() == granted.len() {
        return;
    }
    let calls = format!("none of {} calls in {} runs", it.calls, used.runs);
    all.push(Proposal {
        place: ["grant", capability.name(), key].map(Into::into).into(),
        now: granted.join(", "),
        reason: format!("{calls} was about {}", unused.join(", ")),
        then: Value::Without(unused),
    });
}

/// The list that says where a capability applies.
fn granted(rule: &GrantTable, capability: Capability) -> (&'static str, Vec<String>) {
    fn names<T: Clone + Into<String>>(list: Option<&Vec<T>>) -> Vec<String> {
        list.into_iter()
            .flatten()
            .cloned()
            .map(Into::into)
            .collect()
    }
    match capability {
        Capability::Metrics | Capability::State => ("", vec![]),
        Capability::Storage => ("roots", names(rule.storage.as_ref().map(|r| &r.roots))),
        Capability::StorageClean => (
            "roots",
            names(rule.storage_clean.as_ref().map(|r| &r.roots)),
        ),
        Capability::Shards => ("stores", names(rule.shards.as_ref().map(|r| &r.stores))),
        Capability::ConfigRead => (
            "params",
            names(rule.config_read.as_ref().map(|r| &r.params)),
        ),
        Capability::ConfigWrite => (
            "params",
            names(rule.config_write.as_ref().map(|r| &r.params)),
        ),
    }
}

fn budgets(rule: &GrantTable, used: &Used, all: &mut Vec<Proposal>) {
    let Some(clean) = &rule.storage_clean else {
        return;
    };
    let it = used.of(Capability::StorageClean);
    let usual = CleanBudget::default();
    let files = clean.max_files.unwrap_or(usual.max_files);
    let bytes = clean.max_bytes.unwrap_or(usual.max_bytes);
    let of = |most: &dyn std::fmt::Display| {
        format!("the largest of {} plans took {most}; twice that", used.runs)
    };
    let place = |key: &str| vec!["grant".into(), "storage-clean".into(), key.to_owned()];
    let enough = it.files_most.saturating_mul(HEADROOM).max(FILES_LEAST);
    if enough < files {
        all.push(Proposal {
            place: place("max-files"),
            now: files.to_string(),
            then: Value::Number(enough),
            reason: of(&it.files_most),
        });
    }
    // In whole MiB, as a person would write it.
    let enough = it.bytes_most.saturating_mul(HEADROOM);
    let enough = enough.div_ceil(MIB).max(1).saturating_mul(MIB);
    if enough < bytes.0 {
        all.push(Proposal {
            place: place("max-bytes"),
            now: bytes.to_string(),
            then: Value::Bytes(Bytes(enough)),
            reason: of(&Bytes(it.bytes_most)),
        });
    }
}
