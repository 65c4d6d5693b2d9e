//! What a listing notices without reading a shard.

use keepwell_model::store::{Remembered, State, Verdict};

/// One by one up to here; beyond, one line says how many more. A foreign directory configured as a
/// store would otherwise fill the memory with strangers.
const ANOMALIES_MAX: usize = 100_000;

#[derive(Debug)]
pub(super) struct Anomaly {
    pub(super) verdict: Verdict,
    /// What the host shall know of it afterwards.
    pub(super) after: After,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    /// It is no shard.
    Nothing,
    Remember(Remembered),
    Forget,
}

#[derive(Debug, Default)]
pub(super) struct Anomalies {
    list: Vec<Anomaly>,
    more: u64,
}

impl Anomalies {
    pub(super) fn add(
        &mut self,
        shard: &str,
        state: State,
        bytes: u64,
        detail: &str,
        after: After,
    ) {
        if self.list.len() >= ANOMALIES_MAX {
            self.more += 1;
            return;
        }
        self.list.push(Anomaly {
            verdict: Verdict {
                shard: shard.to_owned(),
                state,
                bytes,
                detail: (!detail.is_empty()).then(|| detail.to_owned()),
            },
            after,
        });
    }

    /// In order of name, with the closing line if there were too many.
    pub(super) fn finish(mut self) -> Vec<Anomaly> {
        self.list
            .sort_by(|a, b| a.verdict.shard.cmp(&b.verdict.shard));
        if self.more > 0 {
            self.list.push(Anomaly {
                verdict: Verdict {
                    shard: String::new(),
                    state: State::Extra,
                    bytes: 0,
                    detail: Some(format!("{} more irregularities are not listed", self.more)),
                },
                after: After::Nothing,
            });
        }
        self.list
    }
}

/// A remembered shard in a new state: when it was last good stays known.
pub(super) fn remember(name: &str, before: Option<&Remembered>, state: State) -> After {
    After::Remember(Remembered {
        shard: name.to_owned(),
        bytes: before.map_or(0, |r| r.bytes),
        verified_ms: before.and_then(|r| r.verified_ms),
        state,
    })
}
