//! The documents that come with a component: that they are what their names say.
//!
//! Formats: CycloneDX 1.5 as JSON; in-toto Statement v1 with the predicate of SLSA provenance v1.

use crate::error::BundleError;
use crate::layout::{DOCUMENT_MAX_BYTES, Documents};
use serde::Deserialize;

const PROVENANCE_TYPE: &str = "https://slsa.dev/provenance/v1";

/// What is looked at; the rest is for whoever reads it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sbom {
    bom_format: String,
    components: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Provenance {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
}

/// Before they are signed: a file given by mistake is no bill of materials.
pub(crate) fn check(documents: Documents<'_>) -> Result<(), BundleError> {
    if let Some(bytes) = documents.sbom {
        components(bytes)?;
    }
    if let Some(bytes) = documents.provenance {
        size("provenance", bytes)?;
        let it: Option<Provenance> = serde_json::from_slice(bytes).ok();
        let fits = |it: Provenance| {
            it.kind == crate::STATEMENT_TYPE && it.predicate_type == PROVENANCE_TYPE
        };
        if !it.is_some_and(fits) {
            let why = "expected an in-toto statement of SLSA provenance v1 as JSON";
            return draft("provenance", why);
        }
    }
    Ok(())
}

/// How many components a bill of materials lists.
pub fn components(sbom: &[u8]) -> Result<usize, BundleError> {
    size("sbom", sbom)?;
    let it: Option<Sbom> = serde_json::from_slice(sbom).ok();
    match it.filter(|it| it.bom_format == "CycloneDX") {
        Some(it) => Ok(it.components.len()),
        None => draft("sbom", "expected CycloneDX as JSON, with `components`"),
    }
}

fn size(what: &'static str, bytes: &[u8]) -> Result<(), BundleError> {
    BundleError::check_size(what, bytes.len(), DOCUMENT_MAX_BYTES)
}

fn draft<T>(what: &'static str, why: &str) -> Result<T, BundleError> {
    let why = why.to_owned();
    Err(BundleError::Draft { what, why })
}
