//! Files as metadata tells of them: names, digests, lengths.

use super::TARGETS;
use crate::error::{Error, Result};
use crate::files;
use crate::offer::{CUSTOM, Offer};
use keepwell_bundle::BUNDLE_MAX_BYTES;
use keepwell_model::id::Digest;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::Path;
use tough::TargetName;
use tough::schema::{Hashes, Metafile, Target};

/// What a new version of a delegated role is called.
pub(super) fn role_file(version: NonZeroU64, role: &str) -> String {
    format!("{version}.{role}.json")
}

/// What a bundle is as a target.
pub(super) fn target_of(path: &Path, kwb: &[u8]) -> Result<(Offer, TargetName, Target)> {
    let offer = Offer::of(kwb).map_err(|e| Error {
        message: format!("{} is refused: {}", path.display(), e.message),
        ..e
    })?;
    let custom = serde_json::to_value(&offer)
        .map_err(|e| Error::failed(format!("an offer has no form in JSON: {e}")))?;
    let target = Target {
        custom: HashMap::from([(CUSTOM.to_owned(), custom)]),
        ..target(kwb)
    };
    let name = TargetName::new(offer.target())?;
    Ok((offer, name, target))
}

/// What a file is as a target.
pub(super) fn target(bytes: &[u8]) -> Target {
    Target {
        length: bytes.len() as u64,
        hashes: hashes(bytes),
        custom: HashMap::new(),
        _extra: HashMap::new(),
    }
}

/// Writes the file of a target, unless it is there.
pub(super) fn put_file(dir: &Path, name: &TargetName, target: &Target, bytes: &[u8]) -> Result<()> {
    let path = dir.join(TARGETS).join(target_file(name, target));
    match files::read(&path, BUNDLE_MAX_BYTES as u64) {
        Ok(there) if there == bytes => Ok(()),
        Ok(_) | Err(_) => files::write(&path, bytes),
    }
}

/// Consistent snapshots: a file is named by its digest too, so that it never changes.
pub(super) fn target_file(name: &TargetName, target: &Target) -> String {
    let digest = data_encoding::HEXLOWER.encode(&target.hashes.sha256);
    format!("{digest}.{}", name.resolved())
}

fn hashes(bytes: &[u8]) -> Hashes {
    Hashes {
        sha256: Digest::of(bytes).as_bytes().to_vec().into(),
        _extra: HashMap::new(),
    }
}

pub(super) fn metafile(bytes: &[u8], version: NonZeroU64) -> Metafile {
    Metafile {
        length: Some(bytes.len() as u64),
        hashes: Some(hashes(bytes)),
        version,
        _extra: HashMap::new(),
    }
}

pub(super) fn one_more(version: u64) -> Result<NonZeroU64> {
    let next = version.checked_add(1).and_then(NonZeroU64::new);
    next.ok_or_else(|| Error::failed("there is no version after the last one"))
}
