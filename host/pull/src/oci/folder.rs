//! A mirror in a folder: an OCI image layout of any number of bundles, for media and for nodes
//! without a network.

use super::endorsement;
use super::pull::refused;
use super::registry::pinned;
use crate::error::{Error, Result};
use crate::files;
use keepwell_bundle::parts::{self, MANIFEST_MAX_BYTES, MANIFEST_TYPE};
use keepwell_model::id::Digest;
use oci_client::Reference;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An index of some thousand bundles.
const INDEX_MAX_BYTES: u64 = 4 << 20;
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Under which a layout keeps what a manifest is called.
const NAME: &str = "org.opencontainers.image.ref.name";

#[derive(Debug)]
pub(crate) struct Folder<'a>(&'a Path);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: String,
    manifests: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    size: usize,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl<'a> Folder<'a> {
    pub(crate) fn new(dir: &'a Path) -> Self {
        Self(dir)
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.0.join("blobs").join("sha256").join(digest.hex())
    }

    fn index(&self) -> Result<Index> {
        let path = self.0.join("index.json");
        let bytes = files::read_told(&path, INDEX_MAX_BYTES)?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::denied(format!("{} is no index of bundles: {e}", path.display())))
    }

    /// What was put there under that reference, or has that digest.
    pub(crate) fn get(&self, wanted: &Reference) -> Result<(Digest, Vec<u8>)> {
        let digest = match pinned(wanted)? {
            Some(digest) => digest,
            None => self.named(wanted)?,
        };
        let manifest = self.read(digest, MANIFEST_MAX_BYTES)?;
        let mut blobs = BTreeMap::new();
        let listed = parts::listed(&manifest).map_err(|e| refused(wanted, &e))?;
        for blob in listed {
            blobs.insert(blob.digest, self.read(blob.digest, blob.bytes)?);
        }
        let kwb = parts::join(&manifest, &blobs).map_err(|e| refused(wanted, &e))?;
        Ok((digest, kwb))
    }

    fn named(&self, wanted: &Reference) -> Result<Digest> {
        let name = wanted.to_string();
        let index = self.index()?;
        let mut fits = index
            .manifests
            .iter()
            .filter(|entry| entry.annotations.get(NAME) == Some(&name));
        let one = fits
            .next()
            .ok_or_else(|| Error::failed(format!("{} does not hold {name}", self.0.display())))?;
        Ok(one.digest)
    }

    fn read(&self, digest: Digest, most: usize) -> Result<Vec<u8>> {
        let path = self.blob(digest);
        let bytes = files::read_told(&path, most as u64)?;
        match Digest::of(&bytes) == digest {
            true => Ok(bytes),
            false => Err(Error::denied(format!(
                "{} does not hash to its name",
                path.display()
            ))),
        }
    }

    /// The endorsement of a bundle, if one was put there.
    pub(super) fn endorsement(&self, bundle: Digest) -> Result<Option<Vec<u8>>> {
        let name = endorsement::tag(bundle);
        let index = self.index()?;
        let mut fits = index
            .manifests
            .iter()
            .filter(|e| e.annotations.get(NAME) == Some(&name));
        let Some(entry) = fits.next() else {
            return Ok(None);
        };
        let manifest = self.read(entry.digest, MANIFEST_MAX_BYTES)?;
        let listed = endorsement::listed(&manifest, bundle)?;
        let bytes = self.read(listed.digest, listed.bytes)?;
        Ok(Some(bytes))
    }

    /// Adds a bundle under that reference, and its endorsement. The index is replaced last.
    pub(crate) fn put(&self, at: &Reference, kwb: &[u8], endorsement: Option<&[u8]>) -> Result<()> {
        let parts = parts::parts(kwb).map_err(|e| refused(at, &e))?;
        files::make_dir(&self.0.join("blobs").join("sha256"))?;
        for (digest, content) in &parts.blobs {
            files::write(&self.blob(*digest), content)?;
        }
        let mut index = match self.0.join("index.json").exists() {
            true => self.index()?,
            false => Index {
                schema_version: 2,
                media_type: INDEX_TYPE.to_owned(),
                manifests: vec![],
            },
        };
        self.list(&mut index, at.to_string(), parts.manifest)?;
        if let Some(endorsement) = endorsement {
            files::write(&self.blob(Digest::of(endorsement)), endorsement)?;
            let manifest = endorsement::manifest(endorsement, parts.manifest)?;
            let name = endorsement::tag(Digest::of(parts.manifest));
            self.list(&mut index, name, &manifest)?;
        }
        files::write(&self.0.join("oci-layout"), LAYOUT)?;
        let bytes = serde_json::to_vec(&index)
            .map_err(|e| Error::failed(format!("an index has no form in JSON: {e}")))?;
        files::write(&self.0.join("index.json"), &bytes)
    }

    /// Writes a manifest and lists it under a name, in place of what had it before.
    fn list(&self, index: &mut Index, name: String, manifest: &[u8]) -> Result<()> {
        let digest = Digest::of(manifest);
        files::write(&self.blob(digest), manifest)?;
        index
            .manifests
            .retain(|entry| entry.annotations.get(NAME) != Some(&name));
        index.manifests.push(Entry {
            media_type: MANIFEST_TYPE.to_owned(),
            digest,
            size: manifest.len(),
            annotations: BTreeMap::from([(NAME.to_owned(), name)]),
        });
        Ok(())
    }
}
