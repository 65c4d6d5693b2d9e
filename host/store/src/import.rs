//! An object on its way into the store: what is written is cut into groups as it comes.

use crate::codec;
use crate::error::{Error, Result};
use crate::format::Store;
use crate::manifest::{Manifest, Member, NAME_MAX_BYTES, Object, ObjectKind, Signer};
use crate::shards;
use crate::sum::{Hasher, Id, Sum};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    pub object: Object,
    pub groups: usize,
    pub shards: usize,
    /// In the files of its shards.
    pub stored_bytes: u64,
}

/// A group whose shards are written and whose manifest is not: the object's digest comes last.
#[derive(Debug)]
struct Pending {
    group: Id,
    offset: u64,
    len: u64,
    shards: Vec<Member>,
}

/// Takes an object as it is written. One that is dropped before [`Importer::finish`] leaves nothing.
#[derive(Debug)]
pub struct Importer<'a> {
    store: &'a Store,
    object: Object,
    hasher: Option<Hasher>,
    buffer: Vec<u8>,
    groups: Vec<Pending>,
    folders: BTreeSet<PathBuf>,
    finished: bool,
}

impl<'a> Importer<'a> {
    pub fn new(store: &'a Store, name: &str, kind: ObjectKind) -> Result<Self> {
        if name.is_empty() || name.len() > NAME_MAX_BYTES || name.chars().any(char::is_control) {
            return Err(Error::Limit(format!(
                "an object's name has 1 to {NAME_MAX_BYTES} bytes and no control characters"
            )));
        }
        let (objects, _) = store.objects()?;
        if objects.iter().any(|it| it.object.name == name) {
            return Err(Error::Taken(name.to_owned()));
        }
        Ok(Self {
            store,
            object: Object {
                digest: store.hash.of(&[]),
                id: Id::random()?,
                kind,
                name: name.to_owned(),
                size: 0,
            },
            hasher: Some(store.hash.hasher()),
            buffer: vec![],
            groups: vec![],
            folders: BTreeSet::new(),
            finished: false,
        })
    }

    fn group_bytes(&self) -> usize {
        self.store.scheme.k() * self.store.shard_bytes
    }

    fn flush_group(&mut self) -> Result<()> {
        let data = std::mem::take(&mut self.buffer);
        let len = data.len() as u64;
        let manifest = Manifest {
            codec: self.store.scheme.codec().to_owned(),
            created_ms: 0,
            group: Id::random()?,
            len,
            object: self.object.clone(),
            offset: self.object.size,
            scheme: self.store.scheme,
            shards: vec![],
            store: self.store.id,
            version: Manifest::VERSION,
        };
        let payloads = codec::encode(&data, manifest.scheme)?;
        self.groups.push(Pending {
            group: manifest.group,
            offset: manifest.offset,
            len,
            shards: vec![],
        });
        for (payload, index) in payloads.iter().zip(0u16..) {
            let digest = self.store.hash.of(payload);
            let file = shards::file(manifest.header(index, payload, digest), payload);
            let digest = self.store.hash.of(&file);
            let folder = shards::folder(&digest);
            self.store.put(&folder, &shards::name(&digest), &file)?;
            self.folders.insert(folder);
            // At once: what is written is forgotten again if the next one is not.
            if let Some(pending) = self.groups.last_mut() {
                pending.shards.push(Member {
                    digest,
                    index,
                    len: file.len() as u64,
                });
            }
        }
        self.object.size += len;
        Ok(())
    }

    /// Writes the manifests. Before them the object is not there; with the last it is complete.
    pub fn finish(mut self, by: &dyn Signer, now_ms: u64) -> Result<Imported> {
        if !self.store.is_signer(&by.public()) {
            return Err(Error::Unsigned {
                what: "what this key would sign".to_owned(),
            });
        }
        if !self.buffer.is_empty() || self.groups.is_empty() {
            self.flush_group()?;
        }
        if let Some(hasher) = self.hasher.take() {
            self.object.digest = hasher.end();
        }
        for folder in &self.folders {
            self.store.sync(folder)?;
        }
        let mut imported = Imported {
            object: self.object.clone(),
            groups: self.groups.len(),
            shards: 0,
            stored_bytes: 0,
        };
        self.finished = true;
        for pending in std::mem::take(&mut self.groups) {
            imported.shards += pending.shards.len();
            imported.stored_bytes += pending.shards.iter().map(|s| s.len).sum::<u64>();
            let manifest = Manifest {
                codec: self.store.scheme.codec().to_owned(),
                created_ms: now_ms,
                group: pending.group,
                len: pending.len,
                object: self.object.clone(),
                offset: pending.offset,
                scheme: self.store.scheme,
                shards: pending.shards,
                store: self.store.id,
                version: Manifest::VERSION,
            };
            self.store.put_manifest(&manifest, by)?;
        }
        Ok(imported)
    }
}

impl io::Write for Importer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.group_bytes() - self.buffer.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.buffer.extend_from_slice(taken);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(taken);
        }
        if self.buffer.len() == self.group_bytes() {
            self.flush_group().map_err(io::Error::other)?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Importer<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let all = self.groups.iter().flat_map(|g| &g.shards);
        for digest in all.map(|s| s.digest).collect::<Vec<Sum>>() {
            // What stays is named by no manifest, and told as such.
            let _ = self.store.discard(&digest);
        }
    }
}
