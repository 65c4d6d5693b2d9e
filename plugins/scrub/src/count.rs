//! Verdicts: how bad each is, their counts, and findings that never flood.

use keepwell_sdk::prelude::*;
use keepwell_sdk::shards::Verdict;
use std::collections::BTreeMap;

/// Findings told one by one. More than this is one problem with the store, not fifty with
/// shards, and a run may report 1,000 findings in all.
pub(crate) const FINDINGS_MAX: u64 = 50;

/// How bad a state is; `None` for a good one. A state this plugin does not know is a warning:
/// newer hosts may have more, and none of them is silently good.
pub(crate) fn severity(state: &str) -> Option<Severity> {
    match state {
        "ok" => None,
        "corrupt" | "truncated" | "missing" | "misplaced" | "unreadable" => {
            Some(Severity::Critical)
        }
        "unverifiable" => Some(Severity::Info),
        _ => Some(Severity::Warning),
    }
}

/// Counts over all stores of a run.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub(crate) states: BTreeMap<String, u64>,
    pub(crate) critical: u64,
    pub(crate) warning: u64,
    /// Findings not told one by one, by store and state.
    untold: BTreeMap<(String, String), u64>,
    told: u64,
}

impl Count {
    pub(crate) fn see(&mut self, store: &str, verdict: &Verdict) {
        *self.states.entry(verdict.state.clone()).or_insert(0) += 1;
        let Some(severity) = severity(&verdict.state) else {
            return;
        };
        match severity {
            Severity::Critical => self.critical += 1,
            Severity::Warning => self.warning += 1,
            Severity::Info => {}
        }
        if self.told == FINDINGS_MAX {
            let key = (store.to_owned(), verdict.state.clone());
            *self.untold.entry(key).or_insert(0) += 1;
            return;
        }
        self.told += 1;
        let subject = format!("{store}/{}", verdict.shard);
        let title = format!("shard {subject} is {}", verdict.state);
        finding(
            severity,
            &format!("shard-{}", verdict.state),
            &subject,
            title,
        )
        .detail(verdict.detail.clone().unwrap_or_default())
        .fact("store", store)
        .fact("shard", &verdict.shard)
        .fact("bytes", verdict.bytes)
        .report();
    }

    /// The rest, as one finding for each store and state.
    pub(crate) fn tell_rest(&self) {
        for ((store, state), more) in &self.untold {
            let Some(severity) = severity(state) else {
                continue;
            };
            let title = format!("{more} more shards of {store} are {state}");
            finding(severity, &format!("shards-{state}"), store, title)
                .fact("shards", more)
                .report();
        }
    }

    /// `2 corrupt, 1 extra`, without the good ones; empty when all are good.
    pub(crate) fn problems(&self) -> String {
        let parts: Vec<_> = self
            .states
            .iter()
            .filter(|(state, _)| severity(state).is_some())
            .map(|(state, n)| format!("{n} {state}"))
            .collect();
        parts.join(", ")
    }
}
