//! A bundle as a registry holds it: an OCI manifest and the blobs it lists. The same bytes in
//! another container, taken apart and put together again.

use crate::error::BundleError;
use crate::layout::{self, BUNDLE_MAX_BYTES, ImageManifest};
use crate::strict;
use keepwell_model::id::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// Largest manifest: a page.
pub const MANIFEST_MAX_BYTES: usize = layout::INDEX_MAX_BYTES;
/// Most blobs of a bundle: the envelope, the component, and documents beside them.
pub const BLOBS_MAX: usize = 16;

/// The media type of a bundle's manifest.
pub const MANIFEST_TYPE: &str = layout::MANIFEST_TYPE;

/// One blob as a manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub digest: Digest,
    pub bytes: usize,
}

/// The manifest of a bundle and its blobs, as they lie in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    pub manifest: &'a [u8],
    pub blobs: Vec<(Digest, &'a [u8])>,
}

/// Takes a sound bundle apart.
pub fn parts(kwb: &[u8]) -> Result<Parts<'_>, BundleError> {
    layout::read(kwb)?;
    let (manifest, mut files) = layout::manifest_and_blobs(kwb)?;
    let blobs = listed(manifest)?.into_iter().filter_map(|blob| {
        let content = files.remove(&blob.digest)?;
        Some((blob.digest, content))
    });
    Ok(Parts {
        manifest,
        blobs: blobs.collect(),
    })
}

/// What a manifest from elsewhere lists, bounded before anything of it is asked for: no blob
/// twice, none too many, and together no more than a bundle may have.
pub fn listed(manifest: &[u8]) -> Result<Vec<Listed>, BundleError> {
    BundleError::check_size("manifest", manifest.len(), MANIFEST_MAX_BYTES)?;
    let read: ImageManifest =
        strict::parse(manifest).map_err(|e| BundleError::damaged("its OCI manifest", &e))?;
    let all = read.descriptors();
    BundleError::check_count("blobs", all.len(), BLOBS_MAX)?;
    let (mut seen, mut total) = (BTreeSet::new(), 0_usize);
    let mut listed = vec![];
    for (digest, bytes) in all {
        if !seen.insert(digest) {
            return Err(BundleError::damaged(
                "its OCI manifest",
                "it lists a blob twice",
            ));
        }
        total = total.saturating_add(bytes);
        listed.push(Listed { digest, bytes });
    }
    BundleError::check_size("blobs", total, BUNDLE_MAX_BYTES)?;
    Ok(listed)
}

/// Puts a bundle together, and reads it as any other: the result is sound or there is none.
pub fn join(manifest: &[u8], blobs: &BTreeMap<Digest, Vec<u8>>) -> Result<Vec<u8>, BundleError> {
    BundleError::check_size("manifest", manifest.len(), MANIFEST_MAX_BYTES)?;
    let contents: Vec<&[u8]> = blobs.values().map(Vec::as_slice).collect();
    let kwb = layout::assemble(manifest, &contents)?;
    layout::read(&kwb)?;
    Ok(kwb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Documents, Layers};

    fn bundle() -> Vec<u8> {
        layout::write(Layers {
            envelope: b"envelope",
            component: b"component",
            documents: Documents {
                sbom: Some(b"bill of materials"),
                provenance: None,
            },
        })
        .unwrap()
    }

    #[test]
    fn taken_apart_and_put_together_it_is_the_same() {
        let kwb = bundle();
        let parts = parts(&kwb).unwrap();
        assert_eq!(parts.blobs.len(), 4, "the empty config counts");
        let blobs = parts.blobs.iter().map(|(d, c)| (*d, c.to_vec())).collect();
        assert_eq!(join(parts.manifest, &blobs).unwrap(), kwb);
    }

    #[test]
    fn a_manifest_is_bounded_before_its_blobs_are_asked_for() {
        let kwb = bundle();
        let manifest = String::from_utf8(parts(&kwb).unwrap().manifest.to_vec()).unwrap();
        let why = |text: &str| listed(text.as_bytes()).unwrap_err().to_string();
        let (one, two) = (Digest::of(b"envelope"), Digest::of(b"component"));
        let doubled = manifest.replace(&one.to_string(), &two.to_string());
        assert!(why(&doubled).contains("twice"));
        let huge = manifest.replace("\"size\":9", "\"size\":99999999");
        assert!(why(&huge).contains("blobs"), "{}", why(&huge));
        assert!(why("{}").contains("manifest"));
        assert!(why(&" ".repeat(MANIFEST_MAX_BYTES + 1)).contains("manifest"));
        let layer = |n: u8| {
            let digest = Digest::of(&[n]);
            format!(",{{\"mediaType\":\"x\",\"digest\":\"{digest}\",\"size\":1}}")
        };
        let more: String = (0..BLOBS_MAX as u8).map(layer).collect();
        let many = manifest.replace("}]", &format!("}}{more}]"));
        assert!(why(&many).contains("blobs"), "{}", why(&many));
    }

    #[test]
    fn what_is_missing_or_more_does_not_go_together() {
        let kwb = bundle();
        let parts = parts(&kwb).unwrap();
        let mut blobs: BTreeMap<Digest, Vec<u8>> =
            parts.blobs.iter().map(|(d, c)| (*d, c.to_vec())).collect();
        blobs.insert(Digest::of(b"more"), b"more".to_vec());
        assert!(join(parts.manifest, &blobs).is_err());
        blobs.remove(&Digest::of(b"more"));
        blobs.remove(&Digest::of(b"component"));
        assert!(join(parts.manifest, &blobs).is_err());
    }
}
