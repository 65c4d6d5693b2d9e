//! The OCI image layout inside a bundle: which blobs there are and what each is.
//!
//! Format: OCI image-spec 1.1, image layout, index and manifest.

use crate::component::COMPONENT_MAX_BYTES;
use crate::envelope::ENVELOPE_MAX_BYTES;
use crate::error::BundleError;
use crate::strict;
use crate::tar::{self, Entry};
use keepwell_model::id::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Largest bundle: a component has at most 24 MiB; later layers (documents, bills of materials)
/// may take a third as much again.
pub const BUNDLE_MAX_BYTES: usize = 32 << 20;
/// Index and manifest are a page each.
pub(crate) const INDEX_MAX_BYTES: usize = 64 << 10;

const FOLDERS: [&str; 2] = ["blobs/", "blobs/sha256/"];
const BLOBS: &str = "blobs/sha256/";
const LAYOUT: (&str, &[u8]) = ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
const INDEX: &str = "index.json";
/// The config blob of an artifact that has none.
const EMPTY: &[u8] = b"{}";

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const ARTIFACT_TYPE: &str = "application/vnd.keepwell.bundle.v1";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const ENVELOPE_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
const COMPONENT_TYPE: &str = "application/wasm";
const SBOM_TYPE: &str = "application/vnd.cyclonedx+json";
const PROVENANCE_TYPE: &str = "application/vnd.in-toto+json";
/// Largest bill of materials or provenance: a line or two for each of some thousand packages.
pub const DOCUMENT_MAX_BYTES: usize = 2 << 20;

/// The layers of a bundle, as they lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layers<'a> {
    pub(crate) envelope: &'a [u8],
    pub(crate) component: &'a [u8],
    pub(crate) documents: Documents<'a>,
}

/// What may come with a component, for people and their tools. Signed as the component is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Documents<'a> {
    /// What it was built from: CycloneDX as JSON.
    pub sbom: Option<&'a [u8]>,
    /// How it was built: an in-toto statement with the SLSA provenance predicate.
    pub provenance: Option<&'a [u8]>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: usize,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Index {
    schema_version: u32,
    media_type: String,
    manifests: Vec<Descriptor>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ImageManifest {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl<'a> Layers<'a> {
    /// In the order of the manifest; what is not there is left out.
    fn all(self) -> impl Iterator<Item = (&'static str, &'a [u8])> {
        let all = [
            Some((ENVELOPE_TYPE, self.envelope)),
            Some((COMPONENT_TYPE, self.component)),
            self.documents.sbom.map(|it| (SBOM_TYPE, it)),
            self.documents.provenance.map(|it| (PROVENANCE_TYPE, it)),
        ];
        all.into_iter().flatten()
    }
}

impl Descriptor {
    fn of(media_type: &str, content: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(content),
            size: content.len(),
        }
    }
}

impl Index {
    fn of(manifest: &[u8]) -> Self {
        Self {
            schema_version: 2,
            media_type: INDEX_TYPE.to_owned(),
            manifests: vec![Descriptor::of(MANIFEST_TYPE, manifest)],
        }
    }
}

impl ImageManifest {
    /// Digest and size of each blob that is listed, the config first.
    pub(crate) fn descriptors(&self) -> Vec<(Digest, usize)> {
        let all = std::iter::once(&self.config).chain(&self.layers);
        all.map(|blob| (blob.digest, blob.size)).collect()
    }

    fn of(layers: Layers<'_>) -> Self {
        Self {
            schema_version: 2,
            media_type: MANIFEST_TYPE.to_owned(),
            artifact_type: ARTIFACT_TYPE.to_owned(),
            config: Descriptor::of(EMPTY_TYPE, EMPTY),
            layers: layers
                .all()
                .map(|(media_type, content)| Descriptor::of(media_type, content))
                .collect(),
        }
    }
}

/// The bytes of a `.kwb`.
pub(crate) fn write(layers: Layers<'_>) -> Result<Vec<u8>, BundleError> {
    let manifest = to_json(&ImageManifest::of(layers))?;
    let contents = layers.all().map(|(_, content)| content);
    let blobs: Vec<&[u8]> = std::iter::once(EMPTY).chain(contents).collect();
    assemble(&manifest, &blobs)
}

/// The file of a manifest and its blobs. Whether they belong together, [`read`] tells.
pub(crate) fn assemble(manifest: &[u8], blobs: &[&[u8]]) -> Result<Vec<u8>, BundleError> {
    let index = to_json(&Index::of(manifest))?;
    let mut files: BTreeMap<String, &[u8]> = BTreeMap::new();
    for folder in FOLDERS {
        files.insert(folder.to_owned(), b"");
    }
    for blob in std::iter::once(&manifest).chain(blobs) {
        let name = format!("{BLOBS}{}", Digest::of(blob).hex());
        if files.insert(name, blob).is_some() {
            return Err(BundleError::damaged(
                "its layers",
                "two of them are the same",
            ));
        }
    }
    files.insert(INDEX.to_owned(), &index);
    files.insert(LAYOUT.0.to_owned(), LAYOUT.1);
    let entries: Vec<Entry<'_>> = files
        .iter()
        .map(|(name, content)| Entry { name, content })
        .collect();
    let bytes = tar::write(&entries).map_err(|e| BundleError::damaged("its tar", &e))?;
    BundleError::check_size("file", bytes.len(), BUNDLE_MAX_BYTES)?;
    Ok(bytes)
}

/// Finds the layers. Every blob must be listed, every listed blob be there, and each hash to its
/// name; there is one encoding of the same layers and no other is read.
pub(crate) fn read(bytes: &[u8]) -> Result<Layers<'_>, BundleError> {
    BundleError::check_size("file", bytes.len(), BUNDLE_MAX_BYTES)?;
    let entries = tar::read(bytes).map_err(|e| BundleError::damaged("its tar", &e))?;
    let mut files = Files::sort(&entries)?;
    if files.layout != LAYOUT.1 {
        return Err(BundleError::damaged(LAYOUT.0, "it is not layout 1.0.0"));
    }
    let index: Index = from_json(INDEX, files.index)?;
    let [listed] = &index.manifests[..] else {
        return Err(BundleError::damaged(INDEX, "expected exactly one manifest"));
    };
    let manifest_bytes = files.take(listed, INDEX_MAX_BYTES)?;
    let manifest: ImageManifest = from_json("its OCI manifest", manifest_bytes)?;
    files.take(&manifest.config, EMPTY.len())?;
    let [envelope, component, documents @ ..] = &manifest.layers[..] else {
        return Err(BundleError::damaged(
            "its OCI manifest",
            "expected an envelope and a component",
        ));
    };
    let mut layers = Layers {
        envelope: files.take(envelope, ENVELOPE_MAX_BYTES)?,
        component: files.take(component, COMPONENT_MAX_BYTES)?,
        documents: Documents::default(),
    };
    for listed in documents {
        let place = match listed.media_type.as_str() {
            SBOM_TYPE => &mut layers.documents.sbom,
            PROVENANCE_TYPE => &mut layers.documents.provenance,
            _ => {
                return Err(BundleError::damaged(
                    "its OCI manifest",
                    "it lists a layer that does not belong in a bundle",
                ));
            }
        };
        // One of each, which the manifest's one spelling shows.
        *place = Some(files.take(listed, DOCUMENT_MAX_BYTES)?);
    }
    files.nothing_left()?;
    if manifest_bytes != to_json(&ImageManifest::of(layers))? {
        return Err(BundleError::damaged(
            "its OCI manifest",
            "a type is wrong or it is spelled in another way than this tool writes it",
        ));
    }
    if files.index != to_json(&Index::of(manifest_bytes))? {
        return Err(BundleError::damaged(
            INDEX,
            "a type is wrong or it is spelled in another way than this tool writes it",
        ));
    }
    Ok(layers)
}

/// Blobs by digest, as they lie in a file.
pub(crate) type Blobs<'a> = BTreeMap<Digest, &'a [u8]>;

/// The manifest of a bundle that was read, and all its other blobs.
pub(crate) fn manifest_and_blobs(bytes: &[u8]) -> Result<(&[u8], Blobs<'_>), BundleError> {
    let entries = tar::read(bytes).map_err(|e| BundleError::damaged("its tar", &e))?;
    let mut files = Files::sort(&entries)?;
    let index: Index = from_json(INDEX, files.index)?;
    let [listed] = &index.manifests[..] else {
        return Err(BundleError::damaged(INDEX, "expected exactly one manifest"));
    };
    let manifest = files.take(listed, INDEX_MAX_BYTES)?;
    let blobs = files.blobs.values().map(|blob| (Digest::of(blob), *blob));
    Ok((manifest, blobs.collect()))
}

struct Files<'a> {
    layout: &'a [u8],
    index: &'a [u8],
    /// By hex digest, as their names have it.
    blobs: BTreeMap<&'a str, &'a [u8]>,
}

impl<'a> Files<'a> {
    fn sort(entries: &[Entry<'a>]) -> Result<Self, BundleError> {
        let missing = |name| BundleError::damaged(name, "it is missing");
        let (mut layout, mut index, mut blobs) = (None, None, BTreeMap::new());
        let mut folders = BTreeSet::from(FOLDERS);
        for entry in entries {
            if entry.name == LAYOUT.0 {
                layout = Some(entry.content);
            } else if entry.name == INDEX {
                index = Some(entry.content);
            } else if folders.remove(entry.name) {
                // Expected, and empty as every folder.
            } else if let Some(hex) = blob_name(entry.name) {
                blobs.insert(hex, entry.content);
            } else {
                return Err(BundleError::damaged(
                    entry.name,
                    "it does not belong in a bundle",
                ));
            }
        }
        if let Some(folder) = folders.first() {
            return Err(missing(folder));
        }
        let layout = layout.ok_or_else(|| missing(LAYOUT.0))?;
        let index = index.ok_or_else(|| missing(INDEX))?;
        BundleError::check_size("index", index.len(), INDEX_MAX_BYTES)?;
        Ok(Self {
            layout,
            index,
            blobs,
        })
    }

    /// Takes a listed blob out, so that it cannot be listed twice.
    fn take(&mut self, listed: &Descriptor, most: usize) -> Result<&'a [u8], BundleError> {
        let place = format!("blob {}", listed.digest.short());
        let content = self
            .blobs
            .remove(listed.digest.hex().as_str())
            .ok_or_else(|| BundleError::damaged(&place, "it is missing or listed twice"))?;
        BundleError::check_size("blob", content.len(), most)?;
        if content.len() != listed.size {
            return Err(BundleError::damaged(
                &place,
                "it has another size than listed",
            ));
        }
        if Digest::of(content) != listed.digest {
            return Err(BundleError::damaged(&place, "it does not hash to its name"));
        }
        Ok(content)
    }

    fn nothing_left(&self) -> Result<(), BundleError> {
        match self.blobs.keys().next() {
            Some(hex) => Err(BundleError::damaged(
                &format!("blob {hex:.12}"),
                "no manifest lists it",
            )),
            None => Ok(()),
        }
    }
}

fn blob_name(name: &str) -> Option<&str> {
    let hex = name.strip_prefix(BLOBS)?;
    format!("sha256:{hex}")
        .parse::<Digest>()
        .is_ok()
        .then_some(hex)
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, BundleError> {
    serde_json::to_vec(value).map_err(|e| BundleError::damaged("its index", &e))
}

fn from_json<T: serde::de::DeserializeOwned>(place: &str, bytes: &[u8]) -> Result<T, BundleError> {
    strict::parse(bytes).map_err(|e| BundleError::damaged(place, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: Layers<'static> = Layers {
        envelope: b"envelope",
        component: b"component",
        documents: Documents {
            sbom: None,
            provenance: None,
        },
    };

    type Files = BTreeMap<String, Vec<u8>>;

    /// A sound layout as files, changed, and written again.
    fn changed(change: impl FnOnce(&mut Files)) -> Vec<u8> {
        let sound = write(LAYERS).unwrap();
        let entries = tar::read(&sound).unwrap();
        let own = |e: Entry<'_>| (e.name.to_owned(), e.content.to_vec());
        let mut files: Files = entries.into_iter().map(own).collect();
        change(&mut files);
        let entries: Vec<Entry<'_>> = files
            .iter()
            .map(|(name, content)| Entry { name, content })
            .collect();
        tar::write(&entries).unwrap()
    }

    fn why(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    /// Replaces a text in the manifest and makes the digests above it right again.
    fn with_manifest(from: &str, to: &str) -> Vec<u8> {
        changed(|files| {
            let old = to_json(&ImageManifest::of(LAYERS)).unwrap();
            let text = String::from_utf8(old.clone()).unwrap();
            assert!(text.contains(from));
            let new = text.replacen(from, to, 1).into_bytes();
            files.remove(&format!("{BLOBS}{}", Digest::of(&old).hex()));
            files.insert(INDEX.into(), to_json(&Index::of(&new)).unwrap());
            files.insert(format!("{BLOBS}{}", Digest::of(&new).hex()), new);
        })
    }

    #[test]
    fn written_and_read() {
        let bytes = write(LAYERS).unwrap();
        assert_eq!(read(&bytes).unwrap(), LAYERS);
        assert_eq!(changed(|_| {}), bytes);
    }

    #[test]
    fn documents_are_layers_of_their_own_and_no_others_are() {
        let with = |sbom, provenance| Layers {
            documents: Documents { sbom, provenance },
            ..LAYERS
        };
        for layers in [
            with(Some(b"sbom"), None),
            with(None, Some(b"provenance")),
            with(Some(b"sbom"), Some(b"provenance")),
        ] {
            assert_eq!(read(&write(layers).unwrap()).unwrap(), layers);
        }
        let same = with(Some(b"component"), None);
        assert_eq!(write(same).unwrap_err().code(), "damaged");
        let large = vec![b' '; DOCUMENT_MAX_BYTES + 1];
        let large = write(with(Some(&large), None)).unwrap();
        assert_eq!(read(&large).unwrap_err().code(), "too-large");
    }

    #[test]
    fn every_blob_is_listed_there_and_hashes_to_its_name() {
        let blob = format!("{BLOBS}{}", Digest::of(LAYERS.component).hex());
        let extra = format!("{BLOBS}{}", Digest::of(b"x").hex());
        assert!(
            why(&changed(|f| drop(f.insert(extra, b"x".to_vec()))))
                .contains("no manifest lists it")
        );
        assert!(why(&changed(|f| drop(f.remove(&blob)))).contains("missing"));
        let same_size = changed(|f| drop(f.insert(blob.clone(), b"Component".to_vec())));
        assert!(why(&same_size).contains("does not hash"));
        let shorter = changed(|f| drop(f.insert(blob.clone(), b"comp".to_vec())));
        assert!(why(&shorter).contains("another size"));
        let envelope = Digest::of(LAYERS.envelope).to_string();
        let doubled = with_manifest(&Digest::of(LAYERS.component).to_string(), &envelope);
        assert!(why(&doubled).contains("listed twice"));
    }

    #[test]
    fn other_files_types_and_spellings_are_refused() {
        for name in ["README", "blobs/x", "blobs/sha256/xyz", "etc/", "zz/"] {
            let more = changed(|f| drop(f.insert(name.into(), vec![])));
            assert!(why(&more).contains("does not belong"), "{name}");
        }
        for name in ["blobs/", "blobs/sha256/", INDEX, LAYOUT.0] {
            assert!(
                why(&changed(|f| drop(f.remove(name)))).contains("missing"),
                "{name}"
            );
        }
        for (from, to) in [
            (ARTIFACT_TYPE, "application/x"),
            (COMPONENT_TYPE, "application/x"),
            (EMPTY_TYPE, "application/x"),
            (r#""layers""#, r#""subject":1,"layers""#),
            (
                r#""schemaVersion":2"#,
                r#""schemaVersion":2,"schemaVersion":2"#,
            ),
            (r#""schemaVersion":2"#, r#""schemaVersion":3"#),
            (r#""layers":["#, r#""layers": ["#),
        ] {
            let error = read(&with_manifest(from, to)).unwrap_err();
            assert_eq!(error.code(), "damaged", "{to}");
        }
        let spaced = changed(|f| f.entry(INDEX.into()).or_default().push(b' '));
        assert_eq!(read(&spaced).unwrap_err().code(), "damaged");
        let layout = changed(|f| drop(f.insert(LAYOUT.0.into(), b"{}".to_vec())));
        assert!(why(&layout).contains("layout 1.0.0"));
    }
}
