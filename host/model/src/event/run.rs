//! What the events of a run speak of: its mode, its walls, its calls, what it used and left undone.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Look and propose; nothing is applied.
    Plan,
    Apply,
}

/// Which walls stood around the worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// `enforced (ABI 6)`, `partial (ABI 1)`, `absent`.
    pub landlock: String,
    /// `enforced`, `absent`.
    pub seccomp: String,
    pub no_new_privileges: bool,
    pub rlimits: bool,
    /// Linux capabilities dropped; false where there were none to drop.
    pub privileges_dropped: bool,
}

/// What a run used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub fuel: u64,
    /// Guest code only.
    pub cpu_us: u64,
    pub wall_us: u64,
    /// Peak of all guest memories and tables together.
    pub memory_bytes: u64,
    /// Peak resident memory of the worker process.
    pub worker_bytes: u64,
    pub calls: u64,
    pub refusals: u64,
    pub log_bytes: u64,
}

/// One call of a guest, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// `storage.walk`, `metrics.get-cpu`, …
    pub function: String,
    /// What it was about: a root and path, a store. Never a secret, never file contents.
    pub subject: String,
    /// `ok` or the refusal's code.
    pub result: String,
}

/// An action that was not applied, or not undone, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotDone {
    pub action: u64,
    /// A refusal code: `gone`, `busy`, `denied`, `limit`, `io`.
    pub code: String,
    pub why: String,
}
