//! A site's endorsement, which travels beside its bundle. Whose it is, the node judges; that it is
//! one, and of that bundle, is seen here.

use crate::error::{Error, Result, chain};
use crate::files;
use keepwell_bundle::ENDORSEMENT_MAX_BYTES;
use keepwell_model::id::Digest;
use std::path::{Path, PathBuf};

/// How its file's name ends, where that of the bundle ends in `kwb`.
pub(crate) const ENDING: &str = "kwe";

/// The id of the bundle that is endorsed.
pub(crate) fn bundle_of(endorsement: &[u8]) -> Result<Digest> {
    keepwell_bundle::endorsed(endorsement)
        .map_err(|e| Error::denied(format!("the endorsement is refused: {}", chain(&e))))
}

/// Refuses one of another bundle.
pub(crate) fn check(endorsement: &[u8], bundle: Digest) -> Result<()> {
    let of = bundle_of(endorsement)?;
    match of == bundle {
        true => Ok(()),
        false => Err(Error::denied(format!(
            "the endorsement is one of bundle {}, not of {}",
            of.short(),
            bundle.short()
        ))),
    }
}

/// The one beside a bundle's file, if there is one.
pub(crate) fn beside(file: &Path, bundle: Digest) -> Result<Option<Vec<u8>>> {
    let path = at(file);
    match files::read(&path, ENDORSEMENT_MAX_BYTES as u64) {
        Ok(bytes) => check(&bytes, bundle)
            .map(|()| Some(bytes))
            .map_err(|e| Error {
                message: format!("{}: {}", path.display(), e.message),
                ..e
            }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", &path, &e)),
    }
}

/// Writes a bundle and what endorses it. The bundle comes last: who sees it sees both.
pub(crate) fn write(file: &Path, kwb: &[u8], endorsement: Option<&[u8]>) -> Result<()> {
    match endorsement {
        Some(bytes) => files::write(&at(file), bytes)?,
        // One of another bundle would have this one refused.
        None => files::remove(&at(file))?,
    }
    files::write(file, kwb)
}

fn at(bundle: &Path) -> PathBuf {
    bundle.with_extension(ENDING)
}
