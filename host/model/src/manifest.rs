//! A plugin's manifest: what it holds and what it asks for. The SDK writes it, the bundle's
//! signature covers it, and nothing outside it can be granted.

use crate::capability::Capability;
use crate::id::PluginName;
use crate::setting::{self, Setting};
use crate::units::Bytes;
use serde::{Deserialize, Serialize};

/// The only manifest schema this host reads.
pub const MANIFEST_SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_SCHEMA`].
    pub schema: u32,
    pub name: PluginName,
    /// `MAJOR.MINOR.PATCH`, digits only.
    pub version: String,
    pub description: String,
    /// Version of `keepwell:task` the SDK was built with.
    pub contract: String,
    /// Its component imports the inert part of WASI ([`crate::wasi`]), as its language's tools make
    /// it do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wasi: bool,
    pub tasks: Vec<TaskInfo>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TaskInfo {
    pub name: String,
    pub description: String,
    pub needs: Vec<Request>,
    /// The names of the settings it understands, each with a default and one line of help.
    pub settings: Vec<Setting>,
}

/// A capability a task asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Request {
    pub capability: Capability,
    /// Why, for the operator who grants it.
    pub reason: String,
    /// Most files a run will ever change; a grant cannot exceed it. `None`: as many as granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Bytes>,
    /// Of `state`: most keys a task will ever keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_keys: Option<u32>,
    /// The task does without it where it is not granted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    #[error("it is not the JSON of a manifest: {0}")]
    Json(String),
    #[error("its schema is {0}; this host reads schema 1")]
    Schema(u32),
    #[error("its version `{0}` is not MAJOR.MINOR.PATCH")]
    Version(String),
    #[error("it names {0} tasks; expected 1 to 64")]
    Tasks(usize),
    #[error("task name `{0}` is empty, odd or used twice")]
    TaskName(String),
    #[error("task `{task}` asks for `{capability}` twice")]
    Twice {
        task: String,
        capability: Capability,
    },
    #[error("task `{task}`: {why}")]
    Settings { task: String, why: String },
}

/// A manifest is a page, not a book.
pub const MANIFEST_MAX_BYTES: usize = 256 << 10;

impl Manifest {
    /// Strict: unknown or doubled keys are refused.
    pub fn parse(json: &str) -> Result<Self, BadManifest> {
        if json.len() > MANIFEST_MAX_BYTES {
            return Err(BadManifest::Json(format!(
                "it is longer than {MANIFEST_MAX_BYTES} bytes"
            )));
        }
        let it: Self = serde_json::from_str(json).map_err(|e| BadManifest::Json(e.to_string()))?;
        it.check()?;
        Ok(it)
    }

    pub fn check(&self) -> Result<(), BadManifest> {
        if self.schema != MANIFEST_SCHEMA {
            return Err(BadManifest::Schema(self.schema));
        }
        parse_version(&self.version).ok_or_else(|| BadManifest::Version(self.version.clone()))?;
        if self.tasks.is_empty() || self.tasks.len() > 64 {
            return Err(BadManifest::Tasks(self.tasks.len()));
        }
        for (i, task) in self.tasks.iter().enumerate() {
            let again = self.tasks[..i].iter().any(|t| t.name == task.name);
            if again || crate::id::TaskName::new(task.name.as_str()).is_err() {
                return Err(BadManifest::TaskName(task.name.clone()));
            }
            for (j, request) in task.needs.iter().enumerate() {
                if task.needs[..j]
                    .iter()
                    .any(|r| r.capability == request.capability)
                {
                    return Err(BadManifest::Twice {
                        task: task.name.clone(),
                        capability: request.capability,
                    });
                }
            }
            setting::check(&task.settings).map_err(|why| BadManifest::Settings {
                task: task.name.clone(),
                why,
            })?;
        }
        Ok(())
    }

    pub fn task(&self, name: &str) -> Option<&TaskInfo> {
        self.tasks.iter().find(|t| t.name == name)
    }

    /// Every capability some task of the plugin asks for: what its component may import.
    pub fn capabilities(&self) -> Vec<Capability> {
        Capability::ALL
            .into_iter()
            .filter(|c| self.tasks.iter().any(|t| t.asks(*c).is_some()))
            .collect()
    }
}

impl TaskInfo {
    pub fn asks(&self, capability: Capability) -> Option<&Request> {
        self.needs.iter().find(|r| r.capability == capability)
    }
}

/// `1.2.3` as numbers, so that versions can be ordered.
pub fn parse_version(text: &str) -> Option<(u64, u64, u64)> {
    let mut parts = text.split('.').map(|p| {
        let plain = !p.is_empty()
            && p.bytes().all(|b| b.is_ascii_digit())
            && (p == "0" || !p.starts_with('0'));
        if plain { p.parse().ok() } else { None }
    });
    let version = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> serde_json::Value {
        serde_json::json!({
            "schema": 1, "name": "clean", "version": "0.1.0", "description": "d", "contract": "0.1.0",
            "tasks": [{ "name": "temp-clean", "description": "d", "settings": [],
                        "needs": [{ "capability": "storage", "reason": "to look" }] }]
        })
    }

    #[test]
    fn reads_what_the_sdk_writes_and_refuses_the_rest() {
        assert!(Manifest::parse(&sample().to_string()).is_ok());
        let mut more = sample();
        more["extra"] = 1.into();
        assert!(matches!(
            Manifest::parse(&more.to_string()),
            Err(BadManifest::Json(_))
        ));
        let mut later = sample();
        later["schema"] = 2.into();
        assert_eq!(
            Manifest::parse(&later.to_string()),
            Err(BadManifest::Schema(2))
        );
        let mut twice = sample();
        let task = twice["tasks"][0].clone();
        twice["tasks"].as_array_mut().unwrap().push(task);
        assert!(matches!(
            Manifest::parse(&twice.to_string()),
            Err(BadManifest::TaskName(_))
        ));
        let doubled = sample().to_string().replacen("{", r#"{"schema":1,"#, 1);
        assert!(matches!(
            Manifest::parse(&doubled),
            Err(BadManifest::Json(_))
        ));
    }

    #[test]
    fn settings_that_do_not_fit_themselves_are_refused_by_task() {
        let mut odd = sample();
        odd["tasks"][0]["settings"] = serde_json::json!([
            { "name": "n", "help": "h", "default": "x", "schema": { "type": "integer" } }
        ]);
        let no = Manifest::parse(&odd.to_string()).unwrap_err().to_string();
        assert_eq!(
            no,
            "task `temp-clean`: setting `n`: its default is not a whole number"
        );
    }

    proptest::proptest! {
        /// Whatever a file holds there is an answer, and what is read is written as it was meant.
        #[test]
        fn a_damaged_manifest_is_answered(
            changes in proptest::collection::vec((0usize..400, "\\PC{0,3}|[{}\\[\\]:,\"0-9]{0,3}"), 0..5),
        ) {
            let mut text: Vec<char> = sample().to_string().chars().collect();
            for (at, new) in changes {
                let at = at.min(text.len());
                text.splice(at..(at + 1).min(text.len()), new.chars());
            }
            let text: String = text.into_iter().collect();
            if let Ok(manifest) = Manifest::parse(&text) {
                let again = serde_json::to_string(&manifest).unwrap();
                proptest::prop_assert_eq!(Manifest::parse(&again).unwrap(), manifest);
            }
        }
    }

    #[test]
    fn a_manifest_is_a_page() {
        let mut long = sample();
        long["description"] = "d".repeat(MANIFEST_MAX_BYTES).into();
        let no = Manifest::parse(&long.to_string()).unwrap_err();
        assert!(no.to_string().contains("longer than"), "{no}");
        let deep = "[".repeat(100_000);
        assert!(Manifest::parse(&deep).is_err());
    }

    #[test]
    fn versions() {
        assert!(parse_version("1.10.0") > parse_version("1.9.9"));
        for bad in ["1.0", "1.0.0.0", "01.0.0", "1.0.x", "", "1.0.0-rc1"] {
            assert_eq!(parse_version(bad), None, "{bad}");
        }
    }
}
