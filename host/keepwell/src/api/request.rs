//! What can be asked for, and what comes back.

use keepwell_model::event::Mode;
use keepwell_model::grant::Tier;
use keepwell_model::report::Report;
use serde::{Deserialize, Serialize};

/// One verb with everything it needs. Runs are named as people name them: a full id, its last 8
/// digits, or `last`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verb", deny_unknown_fields)]
pub enum Request {
    Run {
        task: String,
        set: Vec<(String, serde_json::Value)>,
        mode: Mode,
        trigger: String,
        /// A person at a terminal said `--yes`.
        yes: bool,
    },
    Resume {
        run: String,
    },
    Undo {
        run: String,
        only: Vec<u64>,
    },
    /// Stop a run at its next safe point.
    Cancel {
        run: String,
    },
    /// Pause, resume or skip a task.
    Control {
        task: String,
        control: Control,
        reason: String,
    },
    /// Delete what lies in quarantine; `all` also what has not expired.
    Expire {
        all: bool,
    },
    Install {
        /// Where the bundle came from, for messages.
        source: String,
        /// The bundle, base64.
        bundle: String,
        upgrade: bool,
    },
    Remove {
        plugin: String,
    },
    Trust {
        name: String,
        change: Target,
    },
    Checkpoint,
    /// Read the configuration again, as SIGHUP does.
    Reload,
}

impl Request {
    /// The task whose run this is, when it is one that is known beforehand.
    pub fn task(&self) -> Option<&str> {
        match self {
            Self::Run { task, .. } => Some(task),
            Self::Resume { .. }
            | Self::Undo { .. }
            | Self::Cancel { .. }
            | Self::Control { .. }
            | Self::Expire { .. }
            | Self::Install { .. }
            | Self::Remove { .. }
            | Self::Trust { .. }
            | Self::Checkpoint
            | Self::Reload => None,
        }
    }
}

/// What becomes of a trusted key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change", deny_unknown_fields)]
pub enum Target {
    Add {
        public: String,
        tier: Tier,
        names: Vec<String>,
        capabilities: Vec<keepwell_model::capability::Capability>,
    },
    Revoke,
    Rotate {
        public: String,
    },
}

/// How a person steers a task's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    Pause,
    Resume,
    SkipNext,
}

/// What a request gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Report(Box<Report>),
    Said(String),
    Expired {
        entries: u64,
        bytes: u64,
    },
    Installed {
        name: String,
        version: String,
        bundle: String,
        signer: String,
    },
    /// A signed checkpoint.
    Note(String),
}
