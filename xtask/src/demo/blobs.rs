//! A content-addressed store of some hundred blobs: an OCI image layout, with three damages.
//! Format: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>.

use super::damage;
use crate::error::{Error, Result};
use crate::noise::Noise;
use crate::places::{make_dir, write};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// Images in the layout.
const IMAGES: u64 = 10;
/// Layers of each, so that there are 10 × (28 + a configuration + a manifest) = 300 blobs.
const LAYERS: u64 = 28;
/// Layers are between a few bytes and this long.
const LAYER_MAX_BYTES: u64 = 256 << 10;

/// What was made, and which blobs are no longer whole.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
    pub(crate) flipped: String,
    pub(crate) cut: String,
    pub(crate) missing: String,
}

/// Makes the layout whole, then damages three layers of three images.
pub(crate) fn make(dir: &Path) -> Result<Layout> {
    let mut store = Store::new(dir)?;
    let mut noise = Noise::new(2);
    let mut manifests = Vec::new();
    let mut layers = Vec::new();
    for image in 0..IMAGES {
        let mut own = Vec::new();
        for _ in 0..LAYERS {
            // Mostly small, some long: the square of an even spread.
            let spread = noise.below(1 << 16);
            let length = 512 + ((LAYER_MAX_BYTES * spread) >> 16) * spread / (1 << 16);
            let content = noise.bytes(usize::try_from(length).unwrap_or(512));
            own.push(store.put(&content, "application/vnd.oci.image.layer.v1.tar")?);
        }
        manifests.push(store.put_image(image, &own)?);
        layers.extend(own);
    }
    store.finish(dir, &manifests)?;

    let pick = |at: usize| layers.get(at).and_then(hex_of).ok_or_else(too_few);
    let (flipped, cut, missing) = (pick(31)?, pick(117)?, pick(203)?);
    damage::flip_file(&store.path(&flipped))?;
    damage::cut_file(&store.path(&cut))?;
    let gone = store.path(&missing);
    std::fs::remove_file(&gone).map_err(Error::io("remove", &gone))?;
    Ok(Layout {
        blobs: store.blobs,
        bytes: store.bytes,
        flipped,
        cut,
        missing,
    })
}

fn too_few() -> Error {
    Error::Unexpected("the layout has too few layers to damage".into())
}

/// The hex digits of a descriptor's digest.
fn hex_of(descriptor: &Value) -> Option<String> {
    let digest = descriptor.get("digest")?.as_str()?;
    digest.strip_prefix("sha256:").map(ToOwned::to_owned)
}

/// A layout being written.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    blobs: u64,
    bytes: u64,
}

impl Store {
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        let folder = dir.join("blobs").join("sha256");
        make_dir(&folder)?;
        Ok(Self {
            folder,
            blobs: 0,
            bytes: 0,
        })
    }

    /// Of all blobs together.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn path(&self, hex: &str) -> PathBuf {
        self.folder.join(hex)
    }

    /// Writes a blob under its digest and gives its descriptor.
    pub(crate) fn put(&mut self, content: &[u8], media_type: &str) -> Result<Value> {
        let hex = data_encoding::HEXLOWER.encode(&Sha256::digest(content));
        write(&self.path(&hex), content)?;
        self.blobs += 1;
        self.bytes += content.len() as u64;
        Ok(json!({
            "mediaType": media_type,
            "digest": format!("sha256:{hex}"),
            "size": content.len(),
        }))
    }

    /// A configuration and a manifest over these layers.
    pub(crate) fn put_image(&mut self, image: u64, layers: &[Value]) -> Result<Value> {
        let diff_ids: Vec<&Value> = layers.iter().filter_map(|l| l.get("digest")).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"image": image.to_string()}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.put(
            config.to_string().as_bytes(),
            "application/vnd.oci.image.config.v1+json",
        )?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": layers,
        });
        self.put(
            manifest.to_string().as_bytes(),
            "application/vnd.oci.image.manifest.v1+json",
        )
    }

    /// The two files that make the folder an image layout.
    pub(crate) fn finish(&self, dir: &Path, manifests: &[Value]) -> Result<()> {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        write(&dir.join("index.json"), index.to_string())?;
        let version = json!({"imageLayoutVersion": "1.0.0"});
        write(&dir.join("oci-layout"), version.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_blobs_are_damaged_and_all_others_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let made = make(dir.path()).unwrap();
        assert_eq!(made.blobs, IMAGES * (LAYERS + 2));
        let folder = dir.path().join("blobs/sha256");
        let mut wrong = Vec::new();
        let mut seen = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let hex =
                data_encoding::HEXLOWER.encode(&Sha256::digest(std::fs::read(&path).unwrap()));
            seen += 1;
            if hex != name {
                wrong.push(name);
            }
        }
        wrong.sort();
        let mut expected = vec![made.flipped.clone(), made.cut.clone()];
        expected.sort();
        assert_eq!(wrong, expected);
        assert_eq!(seen, made.blobs - 1);
        assert!(!folder.join(&made.missing).exists());
    }
}
