//! A site's endorsement of one bundle: a file of its own beside the bundle, so that the bundle and its
//! id stay as the publisher made them.
//!
//! Format: a DSSE envelope whose payload names the bundle's id and nothing else.

use crate::envelope::{ENVELOPE_MAX_BYTES, Envelope};
use crate::error::BundleError;
use crate::key::PublicKey;
use crate::strict;
use keepwell_model::id::Digest;
use serde::{Deserialize, Serialize};

/// The payload type: a signature made for a bundle is none here, and the other way round.
pub const ENDORSEMENT_TYPE: &str = "application/vnd.keepwell.endorsement.v1+json";
/// Largest endorsement file.
pub const ENDORSEMENT_MAX_BYTES: usize = ENVELOPE_MAX_BYTES;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    bundle: Digest,
}

/// What endorsers sign for this bundle, with no signature yet.
pub fn endorsement(bundle: Digest) -> Result<Vec<u8>, BundleError> {
    let payload = serde_json::to_vec(&Payload { bundle })
        .map_err(|e| BundleError::damaged("the endorsement", &e))?;
    Envelope::new(ENDORSEMENT_TYPE, payload).to_bytes()
}

/// The exact bytes that each endorser signs.
pub fn endorsement_pae(file: &[u8]) -> Result<Vec<u8>, BundleError> {
    Ok(Envelope::parse(ENDORSEMENT_TYPE, file)?.pae())
}

/// With one more signature over [`endorsement_pae`], which must verify.
pub fn endorse(file: &[u8], public: &PublicKey, signature: &[u8]) -> Result<Vec<u8>, BundleError> {
    let mut envelope = Envelope::parse(ENDORSEMENT_TYPE, file)?;
    envelope.attach(public, signature)?;
    envelope.to_bytes()
}

/// Which bundle is endorsed. Its signatures are not looked at.
pub fn endorsed(file: &[u8]) -> Result<Digest, BundleError> {
    Ok(parse(file)?.1)
}

/// The envelope, if it endorses this bundle. Its signatures are still to be verified.
pub(crate) fn of(file: &[u8], bundle: Digest) -> Result<Envelope, BundleError> {
    let (envelope, found) = parse(file)?;
    if found != bundle {
        return Err(BundleError::OtherEndorsed { found });
    }
    Ok(envelope)
}

fn parse(file: &[u8]) -> Result<(Envelope, Digest), BundleError> {
    let envelope = Envelope::parse(ENDORSEMENT_TYPE, file)?;
    let payload: Payload = strict::parse(&envelope.payload)
        .map_err(|e| BundleError::damaged("the endorsement", &e))?;
    Ok((envelope, payload.bundle))
}
