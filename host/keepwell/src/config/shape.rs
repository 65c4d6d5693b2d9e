//! The shape of `keepwell.toml` and `tasks/*.toml`.

use keepwell_journal::measurements::Retention as Measured;
use keepwell_model::grant::GrantTable;
use keepwell_model::id::{ParamName, RootName, SourceName, StoreName};
use keepwell_model::limits::LimitsTable;
use keepwell_model::param::ParamTable;
use keepwell_model::policy::Policy;
use keepwell_model::role::{Account, RolesTable};
use keepwell_model::schedule::{PressureTable, ScheduleFile, ScheduleTable};
use keepwell_model::store::StoreConfig;
use keepwell_model::trial::PluginsTable;
use keepwell_model::units::{Bytes, Span};
use keepwell_model::window::WindowTable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `keepwell.toml`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NodeFile {
    pub node: NodeTable,
    /// Directory trees that tasks may be granted, by name.
    pub roots: BTreeMap<RootName, RootTable>,
    /// Shard stores that tasks may be granted, by name.
    pub stores: BTreeMap<StoreName, StoreConfig>,
    /// Values that tasks may be granted to read and to propose changes of, by name.
    pub params: BTreeMap<ParamName, ParamTable>,
    pub quarantine: QuarantineTable,
    pub retention: RetentionTable,
    pub daemon: DaemonTable,
    /// What runs, what waits for approval, what never runs.
    pub policy: Policy,
    /// When a new version of a plugin has proven itself, and when it goes back.
    pub plugins: PluginsTable,
    /// Who may use which verbs, through the daemon's socket.
    pub roles: RolesTable,
    /// Where plugins come from, by name.
    pub sources: BTreeMap<SourceName, SourceTable>,
    pub puller: PullerTable,
    /// Where to look first for what a registry has: `HOST/PATH` and a list of `HOST/PATH` or
    /// `dir:FOLDER`.
    pub mirror: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NodeTable {
    /// How reports and the journal call this node. Default: the name of the directory.
    pub name: Option<String>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RootTable {
    /// Absolute; no part of it may be a link.
    pub path: PathBuf,
    /// Globs of paths that no task may ever change.
    #[serde(default)]
    pub protect: Vec<String>,
}

/// How much history is kept. The newest run of each task, runs that can go on and those whose
/// quarantine is still there always stay.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetentionTable {
    pub runs_per_task: u64,
    /// For how long.
    pub runs: Span,
    /// The records of all runs together.
    pub run_bytes: Bytes,
    pub measurements: Measured,
}

impl Default for RetentionTable {
    fn default() -> Self {
        Self {
            runs_per_task: 10_000,
            runs: Span::secs(400 * 86_400),
            run_bytes: Bytes(4 << 30),
            measurements: Measured::default(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DaemonTable {
    /// How many runs of schedules go on at a time.
    pub runs: u32,
    /// A second socket, for users who cannot reach the node directory. Absolute; read at the
    /// daemon's start. What each of them may ask is decided by `[roles]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Above which the machine is too busy for them to begin.
    pub pressure: PressureTable,
}

impl Default for DaemonTable {
    fn default() -> Self {
        Self {
            runs: 2,
            socket: None,
            pressure: PressureTable::default(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct QuarantineTable {
    /// How long what was moved aside is kept before the host deletes it.
    pub keep: Span,
}

impl Default for QuarantineTable {
    fn default() -> Self {
        Self {
            keep: Span::secs(7 * 86_400),
        }
    }
}

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// A repository after The Update Framework.
    Tuf,
    /// A registry: `NAME:VERSION` below its `url`.
    Oci,
}

/// Where plugins come from. What comes is verified like any file: a source is not trusted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SourceTable {
    pub kind: SourceKind,
    /// Its address: `https://…`, or of a registry `HOST/PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Or its folder, absolute: a medium, for a node without a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The root the repository is trusted from. Absolute; it came another way than the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// Hosts, or HOST:PORT, that may be asked without TLS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_http: Vec<String>,
    /// Names and passwords of registries, as `docker login` writes them. Absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<PathBuf>,
    /// Hosts that may be sent the registry's password for a token, beside the registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth_hosts: Vec<String>,
    /// Certificates (PEM) that count instead of the system's. Absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The environment's proxies are not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// How long one whole answer may take. Default: 10 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
}

/// The process that reaches sources.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PullerTable {
    /// Whom it becomes when root starts it. Default: it stays who it is, without any privilege.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Account>,
    /// Whether it refuses to go on where the kernel has no Landlock.
    pub walls: bool,
}

impl Default for PullerTable {
    fn default() -> Self {
        Self {
            user: None,
            walls: true,
        }
    }
}

/// One file of `tasks/`; its name is the task's.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TaskFile {
    /// `name`, `name@version` or the digest of an installed bundle.
    pub plugin: String,
    /// Which of the plugin's tasks. Default: the file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    #[serde(default)]
    pub settings: BTreeMap<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleTable>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowTable>,
    #[serde(default)]
    pub grant: GrantTable,
    #[serde(default)]
    pub limits: LimitsTable,
}

/// JSON Schema of `keepwell.toml`.
pub fn node_schema() -> serde_json::Value {
    schemars::schema_for!(NodeFile).to_value()
}

/// JSON Schema of a file in `tasks/`.
pub fn task_schema() -> serde_json::Value {
    schemars::schema_for!(TaskFile).to_value()
}

/// JSON Schema of a file in `schedules/`.
pub fn schedule_schema() -> serde_json::Value {
    schemars::schema_for!(ScheduleFile).to_value()
}
