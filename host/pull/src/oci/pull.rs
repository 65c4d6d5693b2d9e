//! Fetching: a tag is resolved once, everything after it goes by digest, from the first place that
//! has it.

use super::endorsement;
use super::folder::Folder;
use super::registry::{Registry, pinned};
use crate::error::{Error, Result, chain};
use crate::show;
use keepwell_bundle::parts;
use keepwell_model::id::Digest;
use oci_client::Reference;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A bundle with the digest of its manifest, which pins it.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) digest: Digest,
    pub(crate) kwb: Vec<u8>,
    /// A site's endorsement, where one lies beside it.
    pub(crate) endorsement: Option<Vec<u8>>,
    /// Where it was had.
    pub(crate) from: String,
}

/// Where else to look: for what begins so, a registry and path, or `dir:` and a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    of: String,
    at: Elsewhere,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Elsewhere {
    Registry(String),
    Folder(PathBuf),
}

impl std::str::FromStr for Mirror {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (of, at) = text
            .split_once('=')
            .ok_or("expected REGISTRY/PATH=REGISTRY/PATH or …=dir:FOLDER")?;
        let plain = |text: &str| super::reference(&format!("{text}/x")).map(|_| text.to_owned());
        Ok(Self {
            of: plain(of)?,
            at: match at.strip_prefix("dir:") {
                Some(folder) if !folder.is_empty() => Elsewhere::Folder(folder.into()),
                Some(_) => return Err("`dir:` needs a folder".into()),
                None => Elsewhere::Registry(plain(at)?),
            },
        })
    }
}

impl Mirror {
    /// The folder that must stay readable for it.
    pub(crate) fn folder(&self) -> Option<&PathBuf> {
        match &self.at {
            Elsewhere::Folder(path) => Some(path),
            Elsewhere::Registry(_) => None,
        }
    }

    /// What a reference is called in the mirror, when it is mirrored there at all.
    fn place(&self, wanted: &Reference) -> Result<Option<Place>> {
        let whole = format!("{}/{}", wanted.registry(), wanted.repository());
        let rest = whole
            .strip_prefix(&self.of)
            .filter(|rest| rest.starts_with('/'));
        let Some(rest) = rest else { return Ok(None) };
        Ok(Some(match &self.at {
            Elsewhere::Folder(path) => Place::Folder(path.clone()),
            Elsewhere::Registry(base) => {
                let tail = match (wanted.digest(), wanted.tag()) {
                    (Some(digest), _) => format!("@{digest}"),
                    (None, Some(tag)) => format!(":{tag}"),
                    (None, None) => String::new(),
                };
                let text = format!("{base}{rest}{tail}");
                Place::Registry(super::reference(&text).map_err(Error::usage)?)
            }
        }))
    }
}

#[derive(Debug)]
enum Place {
    Registry(Reference),
    Folder(PathBuf),
}

/// Brings a bundle from the first place that has it whole: the mirrors in their order, then what
/// they are mirrors of. Where one fails the next is asked, and what it failed for is told: a mirror
/// that lies costs time, nothing more.
pub(crate) async fn fetch(
    registry: &Registry,
    wanted: &Reference,
    mirrors: &[Mirror],
) -> Result<Came> {
    for mirror in mirrors {
        let Some(place) = mirror.place(wanted)? else {
            continue;
        };
        match from(registry, &place, wanted).await {
            Ok(came) => return Ok(came),
            Err(e) => show::say(&format!("a mirror is passed over: {}", e.message)),
        }
    }
    from(registry, &Place::Registry(wanted.clone()), wanted).await
}

/// The same from a folder alone.
pub(crate) fn fetch_from_folder(folder: &Path, wanted: &Reference) -> Result<Came> {
    let place = Folder::new(folder);
    let (digest, kwb) = place.get(wanted)?;
    Ok(Came {
        digest,
        kwb,
        endorsement: place.endorsement(digest)?,
        from: format!("dir:{}", folder.display()),
    })
}

async fn from(registry: &Registry, place: &Place, wanted: &Reference) -> Result<Came> {
    let came = match place {
        Place::Folder(path) => fetch_from_folder(path, wanted)?,
        Place::Registry(at) => {
            let (digest, manifest) = registry.manifest(at).await?;
            Came {
                digest,
                kwb: blobs(registry, at, &manifest).await?,
                endorsement: endorsement::get(registry, at, digest).await?,
                from: at.to_string(),
            }
        }
    };
    match pinned(wanted)?.is_some_and(|pinned| pinned != came.digest) {
        false => Ok(came),
        true => Err(Error::denied(format!(
            "{} gives another bundle than {wanted}",
            came.from
        ))),
    }
}

/// The blobs of a manifest, put together.
async fn blobs(registry: &Registry, at: &Reference, manifest: &[u8]) -> Result<Vec<u8>> {
    let no_bundle = |e| refused(at, &e);
    let mut blobs = BTreeMap::new();
    for blob in parts::listed(manifest).map_err(no_bundle)? {
        blobs.insert(blob.digest, registry.blob(at, &blob).await?);
    }
    parts::join(manifest, &blobs).map_err(no_bundle)
}

pub(super) fn refused(at: &Reference, e: &keepwell_bundle::BundleError) -> Error {
    let message = format!("{at} is no bundle: {}", chain(e));
    match e.code() {
        "too-large" => Error::limited(message),
        _ => Error::denied(message),
    }
}
