//! A site's endorsement of a bundle, kept beside it in the same repository: an artifact of one
//! layer under the tag `sha256-DIGEST.kwe`, where DIGEST is that of the bundle's manifest.

use super::registry::Registry;
use crate::error::{Error, Result};
use keepwell_bundle::parts::{Listed, MANIFEST_TYPE};
use keepwell_bundle::{ENDORSEMENT_MAX_BYTES, ENDORSEMENT_TYPE};
use keepwell_model::id::Digest;
use oci_client::Reference;
use serde::{Deserialize, Serialize};

const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// The config blob of an artifact that has none.
pub(super) const EMPTY: &[u8] = b"{}";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Artifact {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    subject: Descriptor,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: usize,
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

/// Under which tag the endorsement of that bundle is.
pub(super) fn tag(bundle: Digest) -> String {
    format!("sha256-{}.kwe", bundle.hex())
}

/// The manifest of an endorsement of the bundle with that manifest.
pub(super) fn manifest(endorsement: &[u8], bundle: &[u8]) -> Result<Vec<u8>> {
    let artifact = Artifact {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        artifact_type: ENDORSEMENT_TYPE.to_owned(),
        config: Descriptor::of(EMPTY_TYPE, EMPTY),
        layers: vec![Descriptor::of(ENDORSEMENT_TYPE, endorsement)],
        subject: Descriptor::of(MANIFEST_TYPE, bundle),
    };
    serde_json::to_vec(&artifact)
        .map_err(|e| Error::failed(format!("an endorsement has no form in JSON: {e}")))
}

/// Where in a manifest from elsewhere the endorsement of that bundle is.
pub(super) fn listed(manifest: &[u8], bundle: Digest) -> Result<Listed> {
    let refused = |why: &str| Error::denied(format!("the endorsement is refused: {why}"));
    let artifact: Artifact =
        serde_json::from_slice(manifest).map_err(|e| refused(&e.to_string()))?;
    let [layer] = &artifact.layers[..] else {
        return Err(refused("it has not one layer"));
    };
    if artifact.artifact_type != ENDORSEMENT_TYPE || artifact.subject.digest != bundle {
        return Err(refused("it is one of something else"));
    }
    if layer.size > ENDORSEMENT_MAX_BYTES {
        return Err(Error::limited("the endorsement is larger than one may be"));
    }
    Ok(Listed {
        digest: layer.digest,
        bytes: layer.size,
    })
}

/// The endorsement of a bundle in a registry, if there is one.
pub(super) async fn get(
    registry: &Registry,
    at: &Reference,
    bundle: Digest,
) -> Result<Option<Vec<u8>>> {
    let at = Reference::with_tag(
        at.registry().to_owned(),
        at.repository().to_owned(),
        tag(bundle),
    );
    let manifest = match registry.manifest(&at).await {
        Ok((_, manifest)) => manifest,
        Err(e) if e.not_there => return Ok(None),
        Err(e) => return Err(e),
    };
    let bytes = registry.blob(&at, &listed(&manifest, bundle)?).await?;
    Ok(Some(bytes))
}
