//! What a simulated run gave.

use crate::Finding;
use crate::log::Level;
use crate::task::{Failure, Refusal, Summary};
use crate::wit::keepwell::task::core::Progress;
use std::collections::BTreeMap;
use std::ops::Deref;

/// One line of the log.
#[derive(Debug, Clone)]
pub struct Line {
    pub level: Level,
    pub text: String,
}

/// One metric.
#[derive(Debug, Clone)]
pub struct Sample {
    pub name: String,
    pub unit: String,
    pub value: f64,
    pub labels: Vec<(String, String)>,
}

/// One action of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    pub root: String,
    pub path: String,
    pub reason: String,
    /// A directory with all below it.
    pub tree: bool,
    pub files: u64,
    pub bytes: u64,
}

/// One proposed change of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub param: String,
    pub value: String,
    pub reason: String,
}

/// Everything a run said on its way.
#[derive(Debug, Clone, Default)]
pub struct Said {
    pub findings: Vec<Finding>,
    pub metrics: Vec<Sample>,
    pub log: Vec<Line>,
    pub proposals: Vec<Proposed>,
    pub changes: Vec<Change>,
    pub progress: Vec<Progress>,
    pub checkpoint: Option<Vec<u8>>,
    /// The task's own state as the run left it.
    pub state: BTreeMap<String, Vec<u8>>,
}

/// How a run ended and what it said.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub result: Result<Summary, Failure>,
    /// Calls that could have been refused: each is a place to put a fault.
    pub calls: usize,
    said: Said,
}

impl Outcome {
    pub(super) fn new(result: Result<Summary, Failure>, calls: usize, said: Said) -> Self {
        Self {
            result,
            calls,
            said,
        }
    }

    /// The summary.
    ///
    /// # Panics
    /// When the run failed.
    pub fn summary(&self) -> &Summary {
        match &self.result {
            Ok(summary) => summary,
            Err(failure) => panic!("the run failed: {failure:?}"),
        }
    }

    /// The summary's data.
    ///
    /// # Panics
    /// When the run failed or the data is no JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.summary().data).expect("the summary's data is JSON")
    }

    /// The refusal or message it failed with.
    ///
    /// # Panics
    /// When it did not fail.
    pub fn failure(&self) -> &Failure {
        self.result.as_ref().expect_err("the run did not fail")
    }

    /// The refusal it failed with, if it was one.
    pub fn refused(&self) -> Option<&Refusal> {
        match &self.result {
            Err(Failure::Refused(refusal)) => Some(refusal),
            Ok(_) | Err(Failure::Transient(_) | Failure::Permanent(_)) => None,
        }
    }

    /// Finding ids and subjects, in the order reported.
    pub fn found(&self) -> Vec<(&str, &str)> {
        self.findings
            .iter()
            .map(|f| (f.id.as_str(), f.subject.as_str()))
            .collect()
    }
}

impl Deref for Outcome {
    type Target = Said;
    fn deref(&self) -> &Said {
        &self.said
    }
}
