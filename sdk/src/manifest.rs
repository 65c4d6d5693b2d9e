//! What a plugin says about itself: the table behind [`crate::plugin!`] and its JSON.

use crate::json::{self, quote};
use crate::task::{Failure, Request, Reviewed, Summary, Task};

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

/// The version of `keepwell:task` in `wit/`.
const CONTRACT: &str = "0.1.0";

/// A capability a task asks for, and why.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    capability: &'static str,
    reason: &'static str,
    max_files: Option<u64>,
    max_bytes: Option<&'static str>,
    max_keys: Option<u32>,
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
#[derive(Debug, Clone, Copy, PartialEq)]
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
#[derive(Debug, Clone, Copy)]
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
/// A setting that is a number. Its default has at most twelve decimals.
pub const fn number(name: &'static str, default: f64, help: &'static str) -> SettingHelp {
    assert!(
        json::is_plain(default),
        "a default has at most twelve decimals, and 15 digits in all"
    );
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
#[derive(Debug, Clone, Copy)]
pub struct TaskEntry {
    pub name: &'static str,
    pub about: &'static str,
    pub needs: &'static [Need],
    pub settings: &'static [SettingHelp],
    /// Reads the settings and runs the task.
    pub run: fn(&Request) -> Result<Summary, Failure>,
    /// Reads the settings and reviews what was applied.
    pub review: fn(&Request, Summary, &Reviewed) -> Result<Summary, Failure>,
    /// What the field of a setting reads, as the inside of a JSON Schema.
    pub schema: fn(&str) -> String,
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
        schema: crate::probe::schema::<T>,
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

impl Plugin {
    /// The task of that name.
    pub fn task(&self, name: &str) -> Option<&'static TaskEntry> {
        self.tasks.iter().find(|task| task.name == name)
    }

    /// Its tasks, for a sentence.
    pub fn task_names(&self) -> String {
        let mut names = String::new();
        for (n, task) in self.tasks.iter().enumerate() {
            names.push_str(if n > 0 { ", " } else { "" });
            names.push_str(task.name);
        }
        names
    }

    /// The manifest: JSON of schema 1, as the host reads it.
    pub fn manifest(&self) -> String {
        let mut to = String::from("{\"schema\":1");
        text_field(&mut to, ",\"name\":", self.name);
        text_field(&mut to, ",\"version\":", self.version);
        text_field(&mut to, ",\"description\":", self.about);
        text_field(&mut to, ",\"contract\":", CONTRACT);
        if cfg!(target_os = "wasi") {
            // Its standard library imports what is inert of WASI; the host wants it said.
            to.push_str(",\"wasi\":true");
        }
        to.push_str(",\"tasks\":");
        list_of(&mut to, self.tasks, TaskEntry::write);
        to.push('}');
        to
    }
}

impl TaskEntry {
    fn write(&self, to: &mut String) {
        text_field(to, "{\"name\":", self.name);
        text_field(to, ",\"description\":", self.about);
        to.push_str(",\"needs\":");
        list_of(to, self.needs, Need::write);
        to.push_str(",\"settings\":");
        list_of(to, self.settings, |setting, to| {
            setting.write(&(self.schema)(setting.name), to);
        });
        to.push('}');
    }
}

impl Need {
    fn write(&self, to: &mut String) {
        text_field(to, "{\"capability\":", self.capability);
        text_field(to, ",\"reason\":", self.reason);
        if let Some(files) = self.max_files {
            to.push_str(",\"max-files\":");
            to.push_str(&files.to_string());
        }
        if let Some(bytes) = self.max_bytes {
            text_field(to, ",\"max-bytes\":", bytes);
        }
        if let Some(keys) = self.max_keys {
            to.push_str(",\"max-keys\":");
            to.push_str(&u64::from(keys).to_string());
        }
        if self.optional {
            to.push_str(",\"optional\":true");
        }
        to.push('}');
    }
}

impl SettingHelp {
    fn write(&self, schema: &str, to: &mut String) {
        text_field(to, "{\"name\":", self.name);
        text_field(to, ",\"help\":", self.help);
        to.push_str(",\"default\":");
        match self.default {
            Default::Text(text) => quote(text, to),
            Default::Number(number) => to.push_str(&json::number(number)),
            Default::Flag(true) => to.push_str("true"),
            Default::Flag(false) => to.push_str("false"),
            Default::List(items) => list_of(to, items, |item, to| quote(item, to)),
            Default::Open => to.push_str("null"),
        }
        if !schema.is_empty() {
            to.push_str(",\"schema\":{");
            to.push_str(schema);
            to.push('}');
        }
        to.push('}');
    }
}

fn text_field(to: &mut String, key: &str, text: &str) {
    to.push_str(key);
    quote(text, to);
}

fn list_of<T>(to: &mut String, all: &[T], write: impl Fn(&T, &mut String)) {
    to.push('[');
    for (n, one) in all.iter().enumerate() {
        if n > 0 {
            to.push(',');
        }
        write(one, to);
    }
    to.push(']');
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
