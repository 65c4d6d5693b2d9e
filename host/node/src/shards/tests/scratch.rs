//! Stores to break: made in a temporary directory, listed and verified as the worker does it.

use super::super::digest::{self, Hasher};
use super::super::{Budget, ListSelector, Listing, Scrub, Store};
use keepwell_model::store::{
    CasLayout, DigestKind, Encoding, Remembered, State, StoreConfig, StoreKind, Transform, Verdict,
};
use keepwell_model::words::Refusal;
use rustix::fs::{Mode, OFlags, open};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The clock of these tests, in milliseconds since the Unix epoch.
pub(super) const NOW_MS: u64 = 1_800_000_000_000;

pub(super) struct Scratch {
    _dir: tempfile::TempDir,
    pub(super) root: PathBuf,
    pub(super) config: StoreConfig,
    pub(super) remembered: Vec<Remembered>,
}

pub(super) fn config(kind: StoreKind, path: &Path) -> StoreConfig {
    StoreConfig {
        kind,
        path: path.to_owned(),
        layout: None,
        list: None,
    }
}

pub(super) fn layout(template: &str) -> CasLayout {
    CasLayout {
        templates: vec![template.to_owned()],
        ignore: vec!["format.json".to_owned()],
        temporary: vec!["tmp/**".to_owned()],
        encoding: Encoding::Hex,
        digest: DigestKind::Sha256,
        transform: Transform::None,
    }
}

/// The written SHA-256 of `bytes`.
pub(super) fn sha256(bytes: &[u8]) -> String {
    written(bytes, DigestKind::Sha256, Encoding::Hex)
}

pub(super) fn written(bytes: &[u8], kind: DigestKind, encoding: Encoding) -> String {
    let mut hasher = Hasher::new(kind);
    hasher.update(bytes);
    digest::text(&hasher.finish(), kind, encoding)
}

/// Bytes that are the same in every run and differ by seed.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 24) as u8
    })
    .take(len)
    .collect()
}

/// The verdicts of one scrub.
pub(super) struct Told {
    pub(super) verdicts: Vec<Verdict>,
    pub(super) memory: Vec<Remembered>,
    pub(super) gone: Vec<String>,
}

impl Told {
    pub(super) fn state(&self, name: &str) -> Option<State> {
        let mut of = self.verdicts.iter().filter(|v| v.shard == name);
        let state = of.next().map(|v| v.state);
        assert!(of.next().is_none(), "two verdicts on {name}");
        state
    }

    pub(super) fn detail(&self, name: &str) -> &str {
        let verdict = self.verdicts.iter().find(|v| v.shard == name).unwrap();
        verdict.detail.as_deref().unwrap_or_default()
    }

    /// All that are not `ok`.
    pub(super) fn bad(&self) -> BTreeMap<String, State> {
        let bad = self.verdicts.iter().filter(|v| v.state != State::Ok);
        bad.map(|v| (v.shard.clone(), v.state)).collect()
    }

    pub(super) fn count(&self, state: State) -> usize {
        self.verdicts.iter().filter(|v| v.state == state).count()
    }
}

impl Scratch {
    pub(super) fn new(kind: StoreKind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        fs::create_dir(&root).unwrap();
        Self {
            config: config(kind, &root),
            root,
            _dir: dir,
            remembered: vec![],
        }
    }

    /// A cas store `{h:2}/{h}` of `count` shards of some kilobytes; their names.
    pub(super) fn cas(count: u64) -> (Self, Vec<String>) {
        let mut scratch = Self::new(StoreKind::Cas);
        scratch.config.layout = Some(layout("{h:2}/{h}"));
        let names = (0..count)
            .map(|seed| scratch.add(&noise(seed, 3_000 + usize::try_from(seed).unwrap())))
            .collect();
        (scratch, names)
    }

    /// Adds a shard to a `{h:2}/{h}` store.
    pub(super) fn add(&self, bytes: &[u8]) -> String {
        let hex = sha256(bytes);
        let name = format!("{}/{hex}", &hex[..2]);
        self.put(&name, bytes);
        name
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Rewrites a file's bytes in place.
    pub(super) fn alter(&self, name: &str, alter: impl FnOnce(&mut Vec<u8>)) {
        alter_file(&self.path(name), alter);
    }

    pub(super) fn open(&self) -> Result<Arc<Store>, Refusal> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = open(&self.config.path, flags, Mode::empty()).unwrap();
        Store::open(&self.config, dir).map(Arc::new)
    }

    pub(super) fn list(&self, globs: &[&str], since_ms: u64) -> Result<Listing, Refusal> {
        let selector = ListSelector {
            globs: globs.iter().map(|g| (*g).to_owned()).collect(),
            not_verified_since_ms: since_ms,
        };
        self.open()?.list(&self.remembered, &selector)
    }

    pub(super) fn scrub(&self, budget: &Budget) -> Result<Scrub, Refusal> {
        Scrub::start(self.open()?, self.list(&[], 0)?, budget)
    }

    /// Verifies all, and remembers what the host would.
    pub(super) fn verify(&mut self) -> Told {
        let told = finish(self.scrub(&Budget::default()).unwrap());
        let fresh: Vec<_> = told.memory.iter().map(|r| r.shard.as_str()).collect();
        self.remembered
            .retain(|r| !fresh.contains(&r.shard.as_str()) && !told.gone.contains(&r.shard));
        self.remembered.extend(told.memory.iter().cloned());
        told
    }
}

/// All verdicts of a scrub.
pub(super) fn finish(mut scrub: Scrub) -> Told {
    let mut verdicts = vec![];
    loop {
        let more = scrub.next(7, Duration::from_millis(20)).unwrap();
        if more.is_empty() {
            break;
        }
        assert!(more.len() <= 7);
        verdicts.extend(more);
    }
    let (memory, gone) = scrub.take_memory(NOW_MS);
    Told {
        verdicts,
        memory,
        gone,
    }
}

/// Rewrites a file, whatever its mode, and leaves the mode as it was.
pub(super) fn alter_file(path: &Path, alter: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    alter(&mut bytes);
    let mode = fs::metadata(path).unwrap().permissions();
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, mode).unwrap();
}
