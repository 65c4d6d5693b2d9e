//! The lock file: which plugins are installed, exactly, and which of their versions is used.

mod entry;

pub use entry::{Accepted, LockEntry, RolledBack, Standing, Trial};

use keepwell_model::id::{Digest, PluginName, TaskName};
use keepwell_model::manifest::parse_version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The form this host writes. The one before had no number: each plugin's highest version was used.
const FORM: u32 = 2;
/// Versions of one plugin side by side: the active one, the one before, pins, and some that wait.
pub const VERSIONS_MAX: usize = 16;
/// Releases of one plugin that may be gone back to. Older ones are forgotten.
const ACCEPTED_MAX: usize = 32;

/// The installed plugins, sorted by name, then version. The default has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    entries: Vec<LockEntry>,
    accepted: Vec<Accepted>,
    /// What each task was last granted: the digest of its grant.
    pub grants: BTreeMap<TaskName, Digest>,
}

/// Why a lock file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    #[error("it is not a lock file: {0}; restore it, or install the plugins again")]
    Toml(String),
    #[error("it has the form {0}; this host reads forms up to {FORM}")]
    Form(u32),
    #[error("it has no form in TOML: {0}")]
    Unwritable(String),
    #[error("version `{version}` of plugin `{name}` is not MAJOR.MINOR.PATCH; install it again")]
    Version { name: PluginName, version: String },
    #[error("plugin `{name}` {version} stands twice; remove one of the two")]
    Twice { name: PluginName, version: String },
    #[error("plugin `{name}` has two active versions; restore the file")]
    TwoActive { name: PluginName },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Made and checked by whoever holds the node's key; see [`split`].
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "known here so that a sealed file is read")]
    seal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    form: Option<u32>,
    #[serde(default)]
    plugin: Vec<LockEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    accepted: Vec<Accepted>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    grants: BTreeMap<TaskName, Digest>,
}

/// A file's seal and what it is over; the older form has none.
pub fn split(text: &str) -> (Option<&str>, &str) {
    let sealed = text.strip_prefix("seal = \"").and_then(|rest| {
        let (line, body) = rest.split_once('\n')?;
        Some((line.strip_suffix('"')?, body))
    });
    match sealed {
        Some((seal, body)) => (Some(seal), body),
        None => (None, text),
    }
}

/// The file of a body and its seal.
pub fn joined(seal: &str, body: &str) -> String {
    format!("seal = \"{seal}\"\n{body}")
}

/// Whether a file has the form that is sealed by who writes it.
pub fn needs_seal(text: &str) -> Result<bool, LockError> {
    Ok(File::parse(text)?.form.is_some())
}

impl File {
    fn parse(text: &str) -> Result<Self, LockError> {
        toml::from_str(text).map_err(|e| LockError::Toml(e.message().to_owned()))
    }
}

impl Lock {
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let file = File::parse(text)?;
        if let Some(form) = file.form.filter(|form| *form != FORM) {
            return Err(LockError::Form(form));
        }
        let mut it = Self {
            accepted: file.accepted,
            grants: file.grants,
            ..Self::default()
        };
        for entry in file.plugin {
            let (name, version) = (entry.name.clone(), entry.version.clone());
            if parse_version(&version).is_none() {
                return Err(LockError::Version { name, version });
            }
            let two = entry.standing == Standing::Active && it.active(name.as_str()).is_some();
            if it.insert(entry).is_some() {
                return Err(LockError::Twice { name, version });
            }
            if two {
                return Err(LockError::TwoActive { name });
            }
        }
        if file.form.is_none() {
            it.renew();
        }
        Ok(it)
    }

    /// From the form before: the highest version of each plugin was used, and so was accepted.
    fn renew(&mut self) {
        for at in 0..self.entries.len() {
            let last = self.entries.get(at + 1);
            let highest = last.is_none_or(|next| next.name != self.entries[at].name);
            let entry = &mut self.entries[at];
            if highest {
                entry.standing = Standing::Active;
            }
            if entry.signers.is_empty() {
                entry.signers = vec![entry.signer.clone()];
            }
            let accepted = Accepted::of(entry);
            self.accept(accepted);
        }
    }

    /// Sorted, so that two nodes with the same plugins differ in times alone.
    pub fn to_toml(&self) -> Result<String, LockError> {
        // Some writers of TOML refuse larger numbers, some readers do.
        let most = i64::MAX.unsigned_abs();
        if let Some(entry) = self.entries.iter().find(|e| e.installed_ms > most) {
            let why = format!("{} is no time for {}", entry.installed_ms, entry.name);
            return Err(LockError::Unwritable(why));
        }
        let file = File {
            seal: None,
            form: Some(FORM),
            plugin: self.entries.clone(),
            accepted: self.accepted.clone(),
            grants: self.grants.clone(),
        };
        // An empty text would be a good lock file of a node without plugins.
        toml::to_string(&file).map_err(|e| LockError::Unwritable(e.to_string()))
    }

    /// Adds an entry; gives back the one of the same name and version it replaced.
    pub fn insert(&mut self, entry: LockEntry) -> Option<LockEntry> {
        let old = self.remove(&entry.name, &entry.version);
        let at = self.entries.partition_point(|e| e.order() < entry.order());
        self.entries.insert(at, entry);
        old
    }

    pub fn remove(&mut self, name: &PluginName, version: &str) -> Option<LockEntry> {
        let at = self
            .entries
            .iter()
            .position(|e| e.name == *name && e.version == version)?;
        Some(self.entries.remove(at))
    }

    /// What `name` alone means.
    pub fn active(&self, name: &str) -> Option<&LockEntry> {
        let mut all = self.entries.iter();
        all.find(|e| e.name.as_str() == name && e.standing == Standing::Active)
    }

    /// By `name` (its active version), `name@version`, or the digest of bundle or component,
    /// whatever its standing.
    pub fn find(&self, wanted: &str) -> Option<&LockEntry> {
        if let Ok(digest) = wanted.parse::<Digest>() {
            let mut all = self.entries.iter();
            return all.find(|e| e.bundle == digest || e.component == digest);
        }
        match wanted.split_once('@') {
            Some((name, version)) => {
                let mut all = self.entries.iter();
                all.find(|e| e.name.as_str() == name && e.version == version)
            }
            None => self.active(wanted),
        }
    }

    /// Makes one version the active one, which accepts it; the one before stands beside it. Gives the
    /// one before.
    pub fn activate(&mut self, name: &PluginName, version: &str) -> Option<String> {
        let before = self.active(name.as_str()).map(|e| e.version.clone());
        for entry in self.entries.iter_mut().filter(|e| e.name == *name) {
            if entry.version == version {
                entry.standing = Standing::Active;
                entry.wider.clear();
                entry.rolled_back = None;
            } else if entry.standing == Standing::Active {
                entry.standing = Standing::Beside;
                entry.trial = None;
            }
        }
        let accepted = self.active(name.as_str()).map(Accepted::of);
        accepted.into_iter().for_each(|it| self.accept(it));
        before.filter(|before| before != version)
    }

    pub fn entry_mut(&mut self, name: &PluginName, version: &str) -> Option<&mut LockEntry> {
        let mut all = self.entries.iter_mut();
        all.find(|e| e.name == *name && e.version == version)
    }

    /// Every version of a plugin, the lowest first.
    pub fn versions<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a LockEntry> {
        self.entries.iter().filter(move |e| e.name.as_str() == name)
    }

    pub fn entries(&self) -> &[LockEntry] {
        &self.entries
    }

    /// Remembers that a release was let run; it stays so when its bundle is removed.
    pub fn accept(&mut self, mut accepted: Accepted) {
        let mut known = self.accepted.iter();
        accepted.activated |= known.any(|a| a.bundle == accepted.bundle && a.activated);
        self.accepted.retain(|a| a.bundle != accepted.bundle);
        self.accepted.push(accepted);
        let name = self.accepted.last().map(|a| a.name.clone());
        let of = |a: &&Accepted| Some(&a.name) == name.as_ref();
        while self.accepted.iter().filter(of).count() > ACCEPTED_MAX {
            let lowest = self.accepted.iter().enumerate().filter(|(_, a)| of(a));
            let Some((at, _)) = lowest.min_by_key(|(_, a)| a.release) else {
                return;
            };
            self.accepted.remove(at);
        }
        self.accepted
            .sort_by(|a, b| (&a.name, a.release, a.bundle).cmp(&(&b.name, b.release, b.bundle)));
    }

    /// Whether exactly this bundle was let run before.
    pub fn was_accepted(&self, bundle: Digest) -> bool {
        self.accepted.iter().any(|a| a.bundle == bundle)
    }

    /// The highest release of a plugin that was the active one, removed or not.
    pub fn highest(&self, name: &str) -> Option<&Accepted> {
        let active = |a: &&Accepted| a.activated && a.name.as_str() == name;
        let all = self.accepted.iter().filter(active);
        all.max_by_key(|a| (a.release, parse_version(&a.version)))
    }

    pub fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }
}

#[cfg(test)]
mod tests;
