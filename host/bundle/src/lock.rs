//! The lock file: which plugins are installed, exactly.

use crate::bundle::Bundle;
use crate::component::Import;
use keepwell_model::id::{Digest, PluginName};
use keepwell_model::manifest::parse_version;
use serde::{Deserialize, Serialize};

/// The installed plugins, sorted by name, then version. The default has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock(Vec<LockEntry>);

/// One installed plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockEntry {
    pub name: PluginName,
    pub version: String,
    pub release: u64,
    pub bundle: Digest,
    pub component: Digest,
    /// Key id of who signed it, as it was when installed.
    pub signer: String,
    pub signer_name: String,
    /// Milliseconds since the Unix epoch.
    pub installed_ms: u64,
    /// Why it runs no more, once what vouched for it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
    /// Each imported function, for example `keepwell:task/storage@0.1.0#walk`.
    pub imports: Vec<String>,
}

/// Why a lock file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    #[error("it is not a lock file: {0}; restore it, or install the plugins again")]
    Toml(String),
    #[error("it has no form in TOML: {0}")]
    Unwritable(String),
    #[error("version `{version}` of plugin `{name}` is not MAJOR.MINOR.PATCH; install it again")]
    Version { name: PluginName, version: String },
    #[error("plugin `{name}` {version} stands twice; remove one of the two")]
    Twice { name: PluginName, version: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    plugin: Vec<LockEntry>,
}

impl LockEntry {
    pub fn of(bundle: &Bundle, installed_ms: u64) -> Self {
        Self {
            name: bundle.manifest.name.clone(),
            version: bundle.manifest.version.clone(),
            release: bundle.statement.predicate.release,
            bundle: bundle.id,
            component: bundle.component_digest,
            signer: bundle.signer.key_id.clone(),
            signer_name: bundle.signer.name.clone(),
            installed_ms,
            quarantined: None,
            imports: bundle.scan.imports.iter().flat_map(Import::lines).collect(),
        }
    }

    fn order(&self) -> (&PluginName, Option<(u64, u64, u64)>, &str) {
        (&self.name, parse_version(&self.version), &self.version)
    }
}

impl Lock {
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let file: File =
            toml::from_str(text).map_err(|e| LockError::Toml(e.message().to_owned()))?;
        let mut it = Self::default();
        for entry in file.plugin {
            let (name, version) = (entry.name.clone(), entry.version.clone());
            if parse_version(&version).is_none() {
                return Err(LockError::Version { name, version });
            }
            if it.insert(entry).is_some() {
                return Err(LockError::Twice { name, version });
            }
        }
        Ok(it)
    }

    /// Sorted, so that two nodes with the same plugins differ in times alone.
    pub fn to_toml(&self) -> Result<String, LockError> {
        // Some writers of TOML refuse larger numbers, some readers do.
        let most = i64::MAX.unsigned_abs();
        if let Some(entry) = self.0.iter().find(|entry| entry.installed_ms > most) {
            let why = format!("{} is no time for {}", entry.installed_ms, entry.name);
            return Err(LockError::Unwritable(why));
        }
        let file = File {
            plugin: self.0.clone(),
        };
        // An empty text would be a good lock file of a node without plugins.
        toml::to_string(&file).map_err(|e| LockError::Unwritable(e.to_string()))
    }

    /// Adds an entry; gives back the one of the same name and version it replaced.
    pub fn insert(&mut self, entry: LockEntry) -> Option<LockEntry> {
        let old = self.remove(&entry.name, &entry.version);
        let at = self.0.partition_point(|e| e.order() < entry.order());
        self.0.insert(at, entry);
        old
    }

    pub fn remove(&mut self, name: &PluginName, version: &str) -> Option<LockEntry> {
        let at = self
            .0
            .iter()
            .position(|e| e.name == *name && e.version == version)?;
        Some(self.0.remove(at))
    }

    /// By `name` (its highest version), `name@version`, or the digest of bundle or component.
    pub fn find(&self, wanted: &str) -> Option<&LockEntry> {
        if let Ok(digest) = wanted.parse::<Digest>() {
            return self
                .0
                .iter()
                .find(|e| e.bundle == digest || e.component == digest);
        }
        let (name, version) = match wanted.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (wanted, None),
        };
        let fits = |e: &&LockEntry| {
            e.name.as_str() == name && version.is_none_or(|version| e.version == version)
        };
        self.0.iter().rfind(fits)
    }

    pub fn entries(&self) -> &[LockEntry] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, version: &str) -> LockEntry {
        LockEntry {
            name: PluginName::new(name).unwrap(),
            version: version.into(),
            release: 1,
            bundle: Digest::of(format!("{name}{version}").as_bytes()),
            component: Digest::of(name.as_bytes()),
            signer: "k".into(),
            signer_name: "own".into(),
            installed_ms: 5,
            quarantined: None,
            imports: vec!["keepwell:task/core@0.1.0#log".into()],
        }
    }

    #[test]
    fn sorted_by_number_and_found() {
        let mut lock = Lock::default();
        for version in ["0.10.0", "0.9.0", "0.2.0"] {
            assert_eq!(lock.insert(entry("clean", version)), None);
        }
        lock.insert(entry("audit", "1.0.0"));
        assert_eq!(lock.find("clean").unwrap().version, "0.10.0");
        assert_eq!(lock.find("clean@0.9.0").unwrap().version, "0.9.0");
        let digest = entry("clean", "0.2.0").bundle.to_string();
        assert_eq!(lock.find(&digest).unwrap().version, "0.2.0");
        for absent in ["", "clea", "clean@", "clean@1.0.0", "sha256:00"] {
            assert_eq!(lock.find(absent), None, "{absent}");
        }
        let text = lock.to_toml().unwrap();
        assert_eq!(Lock::parse(&text).unwrap(), lock);
        assert!(
            text.find("audit") < text.find("0.2.0") && text.find("0.9.0") < text.find("0.10.0")
        );
        assert!(lock.insert(entry("clean", "0.9.0")).is_some());
        assert_eq!(lock.entries().len(), 4);
        let name = PluginName::new("clean").unwrap();
        assert!(lock.remove(&name, "0.9.0").is_some());
        assert!(lock.remove(&name, "0.9.0").is_none());
    }

    /// TOML's numbers end at 2^63; the answer to a larger one is not an empty file.
    #[test]
    fn what_cannot_be_written_is_an_error() {
        let mut lock = Lock::default();
        lock.insert(LockEntry {
            installed_ms: u64::MAX,
            ..entry("clean", "0.1.0")
        });
        assert!(matches!(lock.to_toml(), Err(LockError::Unwritable(_))));
    }

    #[test]
    fn odd_files_are_refused() {
        let mut lock = Lock::default();
        lock.insert(entry("clean", "0.1.0"));
        let text = lock.to_toml().unwrap();
        assert!(matches!(
            Lock::parse(&text.repeat(2)),
            Err(LockError::Twice { .. })
        ));
        let other = text.replace("0.1.0\"\nrelease", "../x\"\nrelease");
        assert!(matches!(
            Lock::parse(&other),
            Err(LockError::Version { .. })
        ));
        assert!(matches!(
            Lock::parse(&text.replace("signer-name", "by")),
            Err(LockError::Toml(_))
        ));
        assert_eq!(Lock::parse("").unwrap(), Lock::default());
    }
}
