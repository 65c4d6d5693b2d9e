//! What can be asked for, and what comes back.

use crate::pipeline::Forgotten;
use keepwell_model::approval;
use keepwell_model::baseline::Worse;
use keepwell_model::event::Mode;
use keepwell_model::grant::Tier;
use keepwell_model::measure::SeriesKey;
use keepwell_model::report::Report;
use keepwell_model::role::look;
use keepwell_model::schedule::Criticality;
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
    /// What the run changed stays.
    Confirm {
        run: String,
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
    /// A person did what a slot of the task was for.
    Done {
        task: String,
        /// Milliseconds since the Unix epoch; the newest due one when absent.
        slot: Option<u64>,
        reason: String,
    },
    /// Run the slots of the task in `from..=to` that nothing was started for.
    Backfill {
        task: String,
        /// Which of its schedules, when it has several.
        schedule: Option<String>,
        /// Milliseconds since the Unix epoch.
        from: u64,
        to: u64,
        reason: String,
    },
    /// Have the daemon start the task as soon as it may.
    RunNow {
        task: String,
        set: Vec<(String, serde_json::Value)>,
        reason: String,
    },
    /// Leave the window that is open now open for longer.
    Extend {
        /// A schedule, or a run that one started.
        what: String,
        by_ms: u64,
        reason: String,
    },
    /// Have the slot of a schedule that waits, or its next one, go sooner or later.
    Prioritize {
        schedule: String,
        criticality: Criticality,
        reason: String,
    },
    /// Have a run that is under way do less.
    Adjust {
        run: String,
        less: Less,
        reason: String,
    },
    /// Delete what lies in quarantine; `all` also what has not expired.
    Expire {
        all: bool,
    },
    /// Remove all that a task keeps for itself.
    ClearState {
        task: String,
        reason: String,
    },
    Install {
        /// Where the bundle came from, for messages.
        source: String,
        /// The bundle, base64.
        bundle: String,
        /// The site's endorsement of it, base64.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endorsement: Option<String>,
        upgrade: bool,
    },
    Remove {
        plugin: String,
    },
    /// Let a version of a plugin run that waits, as the active one.
    Accept {
        plugin: String,
        /// How its bundle's id begins.
        digits: String,
    },
    /// Turn it away.
    Reject {
        plugin: String,
    },
    Trust {
        name: String,
        change: Target,
    },
    Checkpoint,
    /// Forget what `[retention]` does not keep.
    Sweep,
    /// Make a baseline of a series, or forget one.
    Baseline {
        name: String,
        /// `None`: forget it.
        make: Option<MakeBaseline>,
    },
    /// Answer a request for approval as who asks this, by the socket's credentials.
    Answer {
        run: String,
        answer: approval::Answer,
        reason: String,
    },
    /// Apply the plan of a run without the approvals it lacks, on the word of who asks this.
    BreakGlass {
        run: String,
        /// How the plan's digest begins.
        digest: String,
        reason: String,
    },
    /// Say that one has looked at what was done so.
    Acknowledge {
        run: String,
        reason: String,
    },
    /// Take in an answer that was signed somewhere.
    Import {
        /// Base64.
        answer: String,
    },
    /// Read the configuration again, as SIGHUP does.
    Reload,
    /// Look for somebody who cannot read the node directory: a verb of `LOOKS` and its options.
    Look {
        words: Vec<String>,
    },
}

impl Request {
    /// The verb it stands for, as the table of roles spells it.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Run { trigger, .. } if trigger == "check" => "task check",
            Self::Run {
                mode: Mode::Plan, ..
            } => "plan",
            Self::Run {
                mode: Mode::Apply, ..
            } => "run",
            Self::Resume { .. } => "runs resume",
            Self::Undo { .. } => "undo",
            Self::Confirm { .. } => "runs confirm",
            Self::Cancel { .. } => "runs cancel",
            Self::Control { control, .. } => match control {
                Control::Pause => "task pause",
                Control::Resume => "task resume",
                Control::SkipNext => "task skip",
            },
            Self::Done { .. } => "task done",
            Self::Backfill { .. } => "task backfill",
            Self::RunNow { .. } => "task run-now",
            Self::Extend { .. } => "runs extend",
            Self::Prioritize { .. } => "runs prioritize",
            Self::Adjust { .. } => "runs adjust",
            Self::Expire { .. } => "quarantine expire",
            Self::ClearState { .. } => "task state clear",
            Self::Install { upgrade: false, .. } => "plugin install",
            Self::Install { upgrade: true, .. } => "plugin upgrade",
            Self::Remove { .. } => "plugin remove",
            Self::Accept { .. } => "plugin accept",
            Self::Reject { .. } => "plugin reject",
            Self::Trust { change, .. } => match change {
                Target::Add { .. } => "trust add",
                Target::Remove => "trust remove",
                Target::Revoke { .. }
                | Target::RevokeKeyId { .. }
                | Target::RevokeBundle { .. }
                | Target::RevokeComponent { .. } => "trust revoke",
                Target::Rotate { .. } => "trust rotate",
            },
            Self::Checkpoint => "audit checkpoint",
            Self::Sweep => "runs prune",
            Self::Baseline { make: Some(_), .. } => "baseline make",
            Self::Baseline { make: None, .. } => "baseline forget",
            Self::Answer { answer, .. } => match answer {
                approval::Answer::Grant => "approvals grant",
                approval::Answer::Deny => "approvals deny",
            },
            // What is no look has no role, and nobody may ask for it.
            Self::Look { words } => look(words).unwrap_or("look"),
            Self::BreakGlass { .. } => "break-glass apply",
            Self::Acknowledge { .. } => "break-glass ack",
            Self::Import { .. } => "approvals import",
            Self::Reload => "daemon reload",
        }
    }
}

/// How much less a run is to do, counted from now. At least one is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Less {
    pub max_actions: Option<u64>,
    pub max_seconds: Option<u64>,
    /// Actions a second.
    pub max_rate: Option<u32>,
}

/// A baseline to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MakeBaseline {
    pub series: SeriesKey,
    pub from_ms: u64,
    pub to_ms: u64,
    pub worse: Worse,
    pub noise_floor: f64,
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
    /// Trust this key no longer; it may be added again.
    Remove,
    /// Of the key of that name; whoever adds it again is refused.
    Revoke {
        reason: String,
    },
    /// The name is a key id.
    RevokeKeyId {
        reason: String,
    },
    /// The name is a bundle's id.
    RevokeBundle {
        reason: String,
    },
    /// The name is a component's digest.
    RevokeComponent {
        reason: String,
    },
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
        /// It is what the plugin's name alone means.
        active: bool,
    },
    /// It waits until somebody accepts it.
    Held {
        name: String,
        version: String,
        bundle: String,
        signer: String,
        /// What it asks for beyond the active version.
        wider: Vec<String>,
    },
    Forgotten(Forgotten),
    /// A signed checkpoint.
    Note(String),
    /// What a verb that looks printed, and its exit code.
    Looked {
        out: String,
        err: String,
        exit: u8,
    },
}
