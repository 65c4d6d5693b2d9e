//! A store as a folder: its description, its marker, and what is made when it is created.

use crate::error::{Error, Result};
use crate::scheme::Scheme;
use crate::sum::{Hash, Id};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use keepwell_bundle::PublicKey;
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const NAME: &str = "keepwell-native";
const VERSION: u32 = 1;
const FORMAT: &str = "format.json";
/// Holds the store's id. Where it is absent the disk is not mounted, and nothing is missing.
const MARKER: &str = "marker";
pub(crate) const SHARDS: &str = "shards";
pub(crate) const GROUPS: &str = "groups";
pub(crate) const QUARANTINE: &str = "quarantine";
pub(crate) const TMP: &str = "tmp";
const FORMAT_MAX_BYTES: u64 = 64 << 10;

/// A shard's payload: more makes fewer files, less loses less at once.
pub const SHARD_BYTES: usize = 4 << 20;
pub(crate) const SHARD_MAX_BYTES: usize = 64 << 20;
/// All payloads of a group, which is held in memory while it is made and read.
const GROUP_MAX_BYTES: usize = 1 << 30;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Format {
    format: String,
    version: u32,
    store: Id,
    hash: Hash,
    scheme: Scheme,
    shard_bytes: usize,
    signers: Vec<String>,
}

/// A store that is there.
#[derive(Debug)]
pub struct Store {
    pub(crate) path: PathBuf,
    pub(crate) dir: Dir,
    pub(crate) id: Id,
    pub(crate) hash: Hash,
    pub(crate) scheme: Scheme,
    pub(crate) shard_bytes: usize,
    pub(crate) signers: Vec<PublicKey>,
}

impl Store {
    /// Makes one in an empty folder, or in one that is not there yet.
    pub fn create(
        path: &Path,
        hash: Hash,
        scheme: Scheme,
        shard_bytes: usize,
        signer: &PublicKey,
    ) -> Result<Self> {
        fits(shard_bytes, scheme).map_err(Error::Limit)?;
        std::fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let mut there = std::fs::read_dir(path).map_err(Error::io("read", path))?;
        if there.next().is_some() {
            return Err(Error::NotEmpty {
                path: path.to_owned(),
            });
        }
        let dir = open(path)?;
        for name in [SHARDS, GROUPS, QUARANTINE, TMP] {
            dir.create_dir(name)
                .map_err(Error::io("create", &path.join(name)))?;
        }
        let id = Id::random()?;
        let format = Format {
            format: NAME.to_owned(),
            version: VERSION,
            store: id,
            hash,
            scheme,
            shard_bytes,
            signers: vec![signer.to_string()],
        };
        let mut text = serde_json::to_string_pretty(&format)
            .map_err(|e| Error::damaged(format!("`{FORMAT}`"), &e))?;
        text.push('\n');
        write_new(&dir, path, FORMAT, text.as_bytes(), 0o444)?;
        // Last: a store without it is none.
        write_new(&dir, path, MARKER, format!("{id}\n").as_bytes(), 0o444)?;
        Self::open(path)
    }

    /// Opens one, if the folder is one and says so in both places.
    pub fn open(path: &Path) -> Result<Self> {
        let dir = open(path).map_err(|e| match e {
            Error::Io { source, .. } => Error::NoStore {
                path: path.to_owned(),
                why: source.to_string(),
            },
            other => other,
        })?;
        Self::in_dir(dir, path)
    }

    /// The same of a folder that is open already; messages call it `path`.
    pub fn within(dir: OwnedFd, path: &Path) -> Result<Self> {
        Self::in_dir(Dir::from_std_file(dir.into()), path)
    }

    fn in_dir(dir: Dir, path: &Path) -> Result<Self> {
        let none = |why: String| Error::NoStore {
            path: path.to_owned(),
            why,
        };
        let text = |name: &str| read(&dir, name).map_err(|e| none(format!("its `{name}`: {e}")));
        let format: Format = serde_json::from_str(&text(FORMAT)?)
            .map_err(|e| none(format!("its `{FORMAT}`: {e}")))?;
        if format.format != NAME || format.version != VERSION {
            return Err(none(format!(
                "its `{FORMAT}` is of {} {}, and this is {NAME} {VERSION}",
                format.format, format.version
            )));
        }
        let marker = text(MARKER)?;
        if marker.trim() != format.store.to_string() {
            return Err(none("its marker is that of another store".to_owned()));
        }
        fits(format.shard_bytes, format.scheme).map_err(none)?;
        let signers = format.signers.iter().map(|key| key.parse());
        let signers: std::result::Result<Vec<PublicKey>, _> = signers.collect();
        let signers = signers.map_err(|e| none(format!("a signer of its `{FORMAT}`: {e}")))?;
        Ok(Self {
            path: path.to_owned(),
            dir,
            id: format.store,
            hash: format.hash,
            scheme: format.scheme,
            shard_bytes: format.shard_bytes,
            signers,
        })
    }

    pub fn id(&self) -> Id {
        self.id
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Whether manifests signed by this key count here.
    pub fn is_signer(&self, key: &PublicKey) -> bool {
        self.signers.contains(key)
    }

    /// Makes a file durable under its name, whole or not at all.
    pub(crate) fn put(&self, folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
        self.put_after(folder, name, bytes, || Ok(()))
    }

    /// The same, and does something else between its being there and its having its name.
    pub(crate) fn put_after(
        &self,
        folder: &Path,
        name: &str,
        bytes: &[u8],
        first: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let temporary = Path::new(TMP).join(Id::random()?.to_string());
        let temporary = temporary.to_string_lossy();
        let place = folder.join(name);
        let put = || {
            write_new(&self.dir, &self.path, &temporary, bytes, 0o444)?;
            self.dir
                .create_dir_all(folder)
                .map_err(Error::io("create", &self.path.join(folder)))?;
            first()?;
            self.dir
                .rename(&*temporary, &self.dir, &place)
                .map_err(Error::io("name", &self.path.join(&place)))
        };
        put().inspect_err(|_| {
            // Half of it would only take what room is left.
            let _ = self.dir.remove_file(&*temporary);
        })
    }

    /// Makes the names in a folder durable.
    pub(crate) fn sync(&self, folder: &Path) -> Result<()> {
        let sync = || self.dir.open(folder)?.sync_all();
        sync().map_err(Error::io("sync", &self.path.join(folder)))
    }

    pub(crate) fn at(&self, place: &Path) -> PathBuf {
        self.path.join(place)
    }
}

fn open(path: &Path) -> Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority()).map_err(Error::io("open", path))
}

fn write_new(dir: &Dir, path: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let write = || {
        let mut file = dir.open_with(name, &options)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(Error::io("write", &path.join(name)))
}

fn read(dir: &Dir, name: &str) -> std::io::Result<String> {
    let mut text = String::new();
    let file = dir.open(name)?;
    file.take(FORMAT_MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FORMAT_MAX_BYTES {
        return Err(std::io::Error::other("it is too long"));
    }
    Ok(text)
}

/// Whether shards may have so many bytes, and as many of them as the scheme says.
fn fits(shard_bytes: usize, scheme: Scheme) -> std::result::Result<(), String> {
    if !(2..=SHARD_MAX_BYTES).contains(&shard_bytes) || !shard_bytes.is_multiple_of(2) {
        return Err(format!(
            "a shard has an even number of bytes, 2 to {SHARD_MAX_BYTES}, not {shard_bytes}"
        ));
    }
    let group = shard_bytes * scheme.shards();
    if group > GROUP_MAX_BYTES {
        return Err(format!(
            "a group of {scheme} has {group} bytes then, and {GROUP_MAX_BYTES} is the most that is held in \
             memory"
        ));
    }
    Ok(())
}
