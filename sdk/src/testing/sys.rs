//! The same names as the bindings have, answered by the simulated node.

pub(crate) mod config_read {
    pub(crate) use super::super::config::{get_param, list_params};
}
pub(crate) mod config_write {
    pub(crate) use super::super::config::propose;
}
pub(crate) mod metrics {
    pub(crate) use super::super::sensors::{
        get_cpu, get_memory, get_pressure, list_mounts, list_networks, list_processes,
    };
}
pub(crate) mod shards {
    pub(crate) use super::super::shards::{Scrub, list_shards, stores, verify};
}

pub(crate) mod state {
    pub(crate) use super::super::state::{delete, get, get_usage, list_keys, set};
}
pub(crate) mod storage {
    pub(crate) use super::super::storage::{Walker, get_usage, roots, stat, walk};
}
pub(crate) mod storage_clean {
    pub(crate) use super::super::clean::{quarantine, quarantine_tree};
}

pub(crate) mod core {
    use super::super::outcome::{Line, Sample};
    use super::super::with;
    use crate::Finding;
    use crate::log::Level;
    use crate::wit::keepwell::task::core::Progress;

    pub(crate) fn log(level: Level, text: &str) {
        let line = Line {
            level,
            text: text.into(),
        };
        with(|run| run.outcome.log.push(line));
    }
    pub(crate) fn now() -> u64 {
        with(|run| run.node.now)
    }
    pub(crate) fn settings() -> String {
        with(|run| run.settings.clone())
    }
    pub(crate) fn report_progress(progress: &Progress) {
        with(|run| run.outcome.progress.push(progress.clone()));
    }
    pub(crate) fn report_finding(finding: &Finding) {
        with(|run| run.outcome.findings.push(finding.clone()));
    }
    pub(crate) fn report_metric(name: &str, unit: &str, value: f64, labels: &[(String, String)]) {
        let sample = Sample {
            name: name.into(),
            unit: unit.into(),
            value,
            labels: labels.into(),
        };
        with(|run| run.outcome.metrics.push(sample));
    }
    pub(crate) fn last_checkpoint() -> Option<Vec<u8>> {
        with(|run| run.node.checkpoint.clone())
    }
    pub(crate) fn checkpoint(state: &[u8]) {
        with(|run| run.outcome.checkpoint = Some(state.into()));
    }
}
