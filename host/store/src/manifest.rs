//! What a group is: of which object it is a part, its scheme, its shards. Signed, and readable.

use crate::error::{Error, Result};
use crate::format::{GROUPS, Store};
use crate::scheme::Scheme;
use crate::shards;
use crate::sum::{Id, Sum};
use data_encoding::BASE64;
use keepwell_bundle::{PublicKey, SecretKey};
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;
/// What a signature is over besides the manifest, so that it is none over anything else.
const TYPE: &str = "application/vnd.keepwell.group.v1+json";
/// Of 128 shards some 20 KiB.
const MANIFEST_MAX_BYTES: u64 = 256 << 10;
pub(crate) const NAME_MAX_BYTES: usize = 255;

/// Whoever signs manifests: a key in a file, or one that is elsewhere.
pub trait Signer {
    fn public(&self) -> PublicKey;
    /// Of these bytes, or why there is none.
    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, String>;
}

impl Signer for SecretKey {
    fn public(&self) -> PublicKey {
        Self::public(self)
    }

    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, String> {
        Ok(Self::sign(self, message))
    }
}

/// A file, or a folder with all below it as a tar stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    File,
    Tree,
}

/// What was imported as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    // The fields of all of these are in the order of their names, which is what is signed.
    pub digest: Sum,
    pub id: Id,
    pub kind: ObjectKind,
    pub name: String,
    pub size: u64,
}

/// One shard of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Of the whole file, header included; also its name.
    pub digest: Sum,
    pub index: u16,
    /// Bytes of the file.
    pub len: u64,
}

/// A group, as its manifest has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    pub codec: String,
    pub created_ms: u64,
    pub group: Id,
    /// How much of the object is in the group, from which offset.
    pub len: u64,
    pub object: Object,
    pub offset: u64,
    pub scheme: Scheme,
    pub shards: Vec<Member>,
    pub store: Id,
    pub version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    manifest: Manifest,
    key: String,
    signature: String,
}

/// What a store's manifests say.
#[derive(Debug)]
pub struct Manifests {
    pub all: Vec<Manifest>,
    /// Files in a manifest's place that are none, and why.
    pub wrong: Vec<(PathBuf, Error)>,
}

impl Member {
    /// Where its file lies in the store.
    pub fn place(&self) -> PathBuf {
        shards::place(&self.digest)
    }
}

impl Manifest {
    pub(crate) const VERSION: u32 = VERSION;

    /// DSSE's pre-authentication encoding of the manifest as compact JSON, keys in order.
    fn signed_bytes(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(|e| Error::damaged(self.what(), &e))?;
        let mut bytes = format!("DSSEv1 {} {TYPE} {} ", TYPE.len(), json.len()).into_bytes();
        bytes.extend(json);
        Ok(bytes)
    }

    fn what(&self) -> String {
        format!("the manifest of group {}", self.group)
    }

    fn to_file(&self, by: &dyn Signer) -> Result<Vec<u8>> {
        let signature = by.sign(&self.signed_bytes()?).map_err(Error::Signer)?;
        let signed = Signed {
            manifest: self.clone(),
            key: by.public().to_string(),
            signature: BASE64.encode(&signature),
        };
        let mut bytes =
            serde_json::to_vec_pretty(&signed).map_err(|e| Error::damaged(self.what(), &e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// What a file says, if one of the signers signed it and it makes sense.
    fn parse(file: &[u8], store: &Store, what: &str) -> Result<Self> {
        let damaged = |why: &str| Error::damaged(what, why);
        let it: Signed = serde_json::from_slice(file).map_err(|e| damaged(&e.to_string()))?;
        let key: PublicKey = it.key.parse().map_err(|_| damaged("its key is none"))?;
        let signature = BASE64.decode(it.signature.as_bytes());
        let signature = signature.map_err(|_| damaged("its signature is no base64"))?;
        let manifest = it.manifest;
        if !store.is_signer(&key) || !key.verifies(&manifest.signed_bytes()?, &signature) {
            return Err(Error::Unsigned {
                what: what.to_owned(),
            });
        }
        manifest.check(store).map_err(|why| damaged(&why))?;
        Ok(manifest)
    }

    /// What a signature says nothing about: that the parts fit each other, and this store.
    fn check(&self, store: &Store) -> std::result::Result<(), String> {
        if self.version != VERSION {
            return Err(format!("version {} is not {VERSION}", self.version));
        }
        if self.store != store.id {
            return Err(format!("it is of store {}", self.store));
        }
        if self.codec != self.scheme.codec() {
            return Err(format!("codec `{}` is not known", self.codec));
        }
        let numbered = self.shards.iter().zip(0u16..).all(|(s, at)| s.index == at);
        if self.shards.len() != self.scheme.shards() || !numbered {
            return Err("its shards are not those of its scheme".to_owned());
        }
        let end = self.offset.checked_add(self.len);
        if end.is_none_or(|end| end > self.object.size) {
            return Err("it reaches past the end of its object".to_owned());
        }
        Ok(())
    }
}

/// Where the manifest of a group lies.
pub(crate) fn folder(group: Id) -> PathBuf {
    Path::new(GROUPS).join(&group.to_string()[..2])
}

impl Store {
    pub(crate) fn put_manifest(&self, manifest: &Manifest, by: &dyn Signer) -> Result<()> {
        let folder = folder(manifest.group);
        let name = format!("{}.json", manifest.group);
        self.put(&folder, &name, &manifest.to_file(by)?)?;
        self.sync(&folder)
    }

    /// All groups, in the order of objects and offsets.
    pub fn manifests(&self) -> Result<Manifests> {
        let (mut all, mut wrong) = (vec![], vec![]);
        for folder in self.names(Path::new(GROUPS))? {
            for name in self.names(&folder)? {
                let file = name.file_name().unwrap_or_default().to_string_lossy();
                let what = format!("the manifest `{}`", name.display());
                match self.manifest(&name, &what) {
                    Ok(manifest) if *file == *format!("{}.json", manifest.group) => {
                        all.push(manifest);
                    }
                    Ok(_) => {
                        let why = "it is of another group";
                        wrong.push((name, Error::damaged(what, why)));
                    }
                    Err(e) => wrong.push((name, e)),
                }
            }
        }
        all.sort_by_key(|m| (m.object.id, m.offset, m.group));
        Ok(Manifests { all, wrong })
    }

    fn manifest(&self, place: &Path, what: &str) -> Result<Manifest> {
        let mut bytes = vec![];
        let read = || -> std::io::Result<()> {
            let file = self.dir.open(place)?;
            file.take(MANIFEST_MAX_BYTES + 1).read_to_end(&mut bytes)?;
            Ok(())
        };
        let mut read = read;
        read().map_err(Error::io("read", &self.at(place)))?;
        if bytes.len() as u64 > MANIFEST_MAX_BYTES {
            return Err(Error::damaged(what, "it is too long"));
        }
        Manifest::parse(&bytes, self, what)
    }

    /// The entries of a folder of the store, in order.
    pub(crate) fn names(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let list = || -> std::io::Result<Vec<PathBuf>> {
            let mut all = vec![];
            for entry in self.dir.read_dir(folder)? {
                all.push(folder.join(entry?.file_name()));
            }
            all.sort();
            Ok(all)
        };
        list().map_err(Error::io("list", &self.at(folder)))
    }
}
