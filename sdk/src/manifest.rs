//! What a plugin says about itself: the table behind [`crate::plugin!`] and its JSON.

use crate::task::{Failure, Request, Reviewed, Summary, Task};
use serde::Serialize;

/// Typed readings of the node.
pub const METRICS: &str = "metrics";
/// Looking at granted roots.
pub const STORAGE: &str = "storage";
/// Proposing entries for quarantine.
pub const CLEAN: &str = "storage-clean";
/// Listing and verifying granted stores.
pub const SHARDS: &str = "shards";

/// Looking at granted parameters.
pub const CONFIG_READ: &str = "config-read";
/// Proposing other values for them.
pub const CONFIG_WRITE: &str = "config-write";

/// Keeping something for the task itself between its runs.
pub const STATE: &str = "state";

/// The manifest schema this SDK writes.
const SCHEMA: u32 = 1;
/// The version of `keepwell:task` in `wit/`.
const CONTRACT: &str = "0.1.0";

/// A capability a task asks for, and why.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Need {
    capability: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_keys: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
}

/// Asks for `capability`; `reason` is read by the operator who grants it.
pub const fn need(capability: &'static str, reason: &'static str) -> Need {
    Need {
        capability,
        reason,
        max_files: None,
        max_bytes: None,
        max_keys: None,
        optional: false,
    }
}

impl Need {
    /// The most files a run will ever change.
    pub const fn max_files(mut self, files: u64) -> Self {
        self.max_files = Some(files);
        self
    }
    /// The most bytes a run will ever change, for example `10GiB`; of [`STATE`], the most that
    /// the task will ever keep.
    pub const fn max_bytes(mut self, bytes: &'static str) -> Self {
        self.max_bytes = Some(bytes);
        self
    }
    /// Of [`STATE`]: the most keys the task will ever keep.
    pub const fn max_keys(mut self, keys: u32) -> Self {
        self.max_keys = Some(keys);
        self
    }
    /// The task does without it: where it is not granted, its calls are `denied`.
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// What a setting is when the operator does not set it. Its kind is also how `--set key=text`
/// is read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Default {
    Text(&'static str),
    Number(f64),
    Flag(bool),
    List(&'static [&'static str]),
    /// The task decides; JSON `null`.
    Open,
}

/// One setting: its name, its default and one line of help. The only place a default stands:
/// the SDK fills it in before the settings become the task's fields.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SettingHelp {
    pub name: &'static str,
    pub help: &'static str,
    pub default: Default,
}

const fn setting(name: &'static str, default: Default, help: &'static str) -> SettingHelp {
    SettingHelp {
        name,
        help,
        default,
    }
}
/// A setting that is text: a name, a [`crate::Span`], a [`crate::Size`].
pub const fn text(name: &'static str, default: &'static str, help: &'static str) -> SettingHelp {
    setting(name, Default::Text(default), help)
}
/// A setting that is a number.
pub const fn number(name: &'static str, default: f64, help: &'static str) -> SettingHelp {
    setting(name, Default::Number(default), help)
}
/// A setting that is true or false.
pub const fn flag(name: &'static str, default: bool, help: &'static str) -> SettingHelp {
    setting(name, Default::Flag(default), help)
}
/// A setting that is a list of texts.
pub const fn list(
    name: &'static str,
    default: &'static [&'static str],
    help: &'static str,
) -> SettingHelp {
    setting(name, Default::List(default), help)
}
/// A setting without a default; its field is an `Option`.
pub const fn open(name: &'static str, help: &'static str) -> SettingHelp {
    setting(name, Default::Open, help)
}

/// One task in a plugin's table.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TaskEntry {
    pub name: &'static str,
    #[serde(rename = "description")]
    pub about: &'static str,
    pub needs: &'static [Need],
    pub settings: &'static [SettingHelp],
    /// Reads the settings and runs the task.
    #[serde(skip)]
    pub run: fn(&Request) -> Result<Summary, Failure>,
    /// Reads the settings and reviews what was applied.
    #[serde(skip)]
    pub review: fn(&Request, Summary, &Reviewed) -> Result<Summary, Failure>,
}

/// The table's line for `T`; [`crate::plugin!`] calls it.
pub const fn entry<T: Task>() -> TaskEntry {
    TaskEntry {
        name: T::NAME,
        about: T::ABOUT,
        needs: T::NEEDS,
        settings: T::SETTINGS,
        run: crate::task::run::<T>,
        review: crate::task::review::<T>,
    }
}

/// A plugin: a name and its tasks.
#[derive(Debug, Clone, Copy)]
pub struct Plugin {
    pub name: &'static str,
    /// `MAJOR.MINOR.PATCH`.
    pub version: &'static str,
    pub about: &'static str,
    pub tasks: &'static [TaskEntry],
}

#[derive(Serialize)]
struct Manifest {
    schema: u32,
    name: &'static str,
    version: &'static str,
    description: &'static str,
    contract: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    wasi: bool,
    tasks: &'static [TaskEntry],
}

impl Plugin {
    /// The task of that name.
    pub fn task(&self, name: &str) -> Option<&'static TaskEntry> {
        self.tasks.iter().find(|task| task.name == name)
    }

    /// Its tasks, for a sentence.
    pub fn task_names(&self) -> String {
        let names: Vec<_> = self.tasks.iter().map(|task| task.name).collect();
        names.join(", ")
    }

    /// The manifest: JSON of schema 1, as the host reads it.
    pub fn manifest(&self) -> String {
        let manifest = Manifest {
            schema: SCHEMA,
            name: self.name,
            version: self.version,
            description: self.about,
            contract: CONTRACT,
            // Its standard library imports what is inert of WASI; the host wants it said.
            wasi: cfg!(target_os = "wasi"),
            tasks: self.tasks,
        };
        // A table of strings and numbers has no way to fail; a description without a schema
        // would be refused by the host all the same.
        serde_json::to_string(&manifest)
            .unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }
}

/// Makes a crate a plugin: its name, what it is for, its tasks. Once per crate.
#[macro_export]
macro_rules! plugin {
    ($name:literal, $about:literal, [$($task:ty),+ $(,)?]) => {
        /// The plugin's name and tasks, from which its manifest is made.
        pub static PLUGIN: $crate::Plugin = $crate::Plugin {
            name: $name,
            version: env!("CARGO_PKG_VERSION"),
            about: $about,
            tasks: &[$($crate::entry::<$task>()),+],
        };
        // Only in Wasm, so that several plugins can be linked into one native test.
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[unsafe(no_mangle)]
            extern "Rust" fn keepwell_plugin_0_1() -> &'static $crate::Plugin {
                &PLUGIN
            }
        };
    };
}
