//! The DSSE envelope: a payload, its type and the signatures over both.
//!
//! Protocol and encoding: Dead Simple Signing Envelope 1.0 (secure-systems-lab/dsse).

use crate::error::BundleError;
use crate::key::{PublicKey, SIGNATURE_MAX_BYTES, SecretKey};
use crate::strict;
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};

/// The payload type of bundles: an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Most signatures in one envelope: publisher, endorsers, keys in rotation.
pub const SIGNATURES_MAX: usize = 16;
/// Largest payload: a manifest has at most 256 KiB, imports and the rest a few more.
pub const PAYLOAD_MAX_BYTES: usize = 1 << 20;
/// A payload as base64, and the signatures.
pub(crate) const ENVELOPE_MAX_BYTES: usize = 2 << 20;

/// What was read, and not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The payload's type. Signatures cover it, so that one made for a bundle fits nothing else.
    kind: &'static str,
    pub(crate) payload: Vec<u8>,
    pub(crate) signatures: Vec<Signed>,
}

/// One signature. Its key id is a hint from outside: only verifying shows whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) key_id: String,
    pub(crate) signature: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Json {
    payload: String,
    payload_type: String,
    signatures: Vec<JsonSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonSignature {
    keyid: String,
    sig: String,
}

impl Envelope {
    pub(crate) const fn new(kind: &'static str, payload: Vec<u8>) -> Self {
        Self {
            kind,
            payload,
            signatures: vec![],
        }
    }

    pub(crate) fn parse(kind: &'static str, bytes: &[u8]) -> Result<Self, BundleError> {
        let damaged = |why: &str| BundleError::damaged("its envelope", why);
        BundleError::check_size("envelope", bytes.len(), ENVELOPE_MAX_BYTES)?;
        let json: Json = strict::parse(bytes).map_err(|why| damaged(&why))?;
        if json.payload_type != kind {
            return Err(BundleError::payload_type(&json.payload_type));
        }
        BundleError::check_count("signatures", json.signatures.len(), SIGNATURES_MAX)?;
        let payload = BASE64
            .decode(json.payload.as_bytes())
            .map_err(|_| damaged("the payload is not base64"))?;
        BundleError::check_size("payload", payload.len(), PAYLOAD_MAX_BYTES)?;
        let mut signatures = Vec::with_capacity(json.signatures.len());
        for one in json.signatures {
            let decoded = BASE64.decode(one.sig.as_bytes()).ok();
            signatures.push(Signed {
                signature: decoded
                    .filter(|sig| sig.len() <= SIGNATURE_MAX_BYTES)
                    .ok_or_else(|| damaged("a signature is not up to 72 bytes as base64"))?,
                key_id: checked_id(one.keyid)
                    .ok_or_else(|| damaged("a key id is not 64 lower-case hex digits"))?,
            });
        }
        let it = Self {
            kind,
            payload,
            signatures,
        };
        // One spelling only, so that no byte of a bundle is free to vary.
        if it.to_bytes()? != bytes {
            return Err(damaged(
                "it is spelled in another way than this tool writes it",
            ));
        }
        Ok(it)
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        let json = Json {
            payload: BASE64.encode(&self.payload),
            payload_type: self.kind.to_owned(),
            signatures: self
                .signatures
                .iter()
                .map(|one| JsonSignature {
                    keyid: one.key_id.clone(),
                    sig: BASE64.encode(&one.signature),
                })
                .collect(),
        };
        serde_json::to_vec(&json).map_err(|e| BundleError::damaged("its envelope", &e))
    }

    /// Adds this key's signature, or puts it in the place of an earlier one by the same key. The
    /// order is by key id, so that the order of signing does not show.
    pub(crate) fn sign(&mut self, key: &SecretKey) -> Result<(), BundleError> {
        self.attach(&key.public(), &key.sign(&self.pae()))
    }

    /// As [`Self::sign`], by a key that is elsewhere: an agent, a token, another program. What does
    /// not verify is not attached.
    pub(crate) fn attach(
        &mut self,
        public: &PublicKey,
        signature: &[u8],
    ) -> Result<(), BundleError> {
        let key_id = public.key_id();
        let one = Signed {
            signature: public.normal(signature).unwrap_or_default(),
            key_id: key_id.clone(),
        };
        if !one.verifies(public, &self.pae()) {
            return Err(BundleError::BadSignature {
                signer: public.to_string(),
                key_id,
            });
        }
        self.signatures.retain(|one| one.key_id != key_id);
        self.signatures.push(one);
        self.signatures.sort_by(|a, b| a.key_id.cmp(&b.key_id));
        BundleError::check_count("signatures", self.signatures.len(), SIGNATURES_MAX)
    }

    /// The exact bytes each signature covers (DSSE: pre-authentication encoding).
    pub(crate) fn pae(&self) -> Vec<u8> {
        let (kind, body) = (self.kind, &self.payload);
        let head = format!("DSSEv1 {} {kind} {} ", kind.len(), body.len());
        [head.as_bytes(), body].concat()
    }
}

impl Signed {
    pub(crate) fn verifies(&self, key: &PublicKey, pae: &[u8]) -> bool {
        self.key_id == key.key_id() && key.verifies(pae, &self.signature)
    }
}

fn checked_id(text: String) -> Option<String> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
    (bytes.len() == 32).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope::new(PAYLOAD_TYPE, b"hello world".to_vec())
    }

    #[test]
    fn pae_as_the_protocol_spells_it() {
        let expected = b"DSSEv1 28 application/vnd.in-toto+json 11 hello world";
        assert_eq!(envelope().pae(), expected);
    }

    #[test]
    fn one_signature_for_each_key_whatever_the_order() {
        let keys = [1, 2].map(|n| SecretKey::generate([n; 32]));
        let (mut a, mut b) = (envelope(), envelope());
        for key in [&keys[0], &keys[1], &keys[0]] {
            a.sign(key).unwrap();
        }
        for key in [&keys[1], &keys[0]] {
            b.sign(key).unwrap();
        }
        assert_eq!(a, b);
        assert_eq!(a.signatures.len(), 2);
        assert_eq!(
            Envelope::parse(PAYLOAD_TYPE, &a.to_bytes().unwrap()).unwrap(),
            a
        );
    }

    #[test]
    fn another_type_another_spelling_and_too_many_are_refused() {
        let mut it = envelope();
        it.sign(&SecretKey::generate([1; 32])).unwrap();
        let text = String::from_utf8(it.to_bytes().unwrap()).unwrap();
        let code = |text: &str| {
            Envelope::parse(PAYLOAD_TYPE, text.as_bytes())
                .unwrap_err()
                .code()
        };
        assert_eq!(
            code(&text.replace("in-toto+json", "in-toto")),
            "payload-type"
        );
        assert_eq!(code(&text.replace(':', ": ")), "damaged");
        assert_eq!(code(&text.replace("keyid", "kid")), "damaged");
        assert_eq!(code(&text.replacen('{', r#"{"payload":"","#, 1)), "damaged");
        assert_eq!(code(&format!("{text}\n")), "damaged");
        it.signatures = vec![it.signatures[0].clone(); SIGNATURES_MAX + 1];
        let text = String::from_utf8(it.to_bytes().unwrap()).unwrap();
        assert_eq!(code(&text), "too-large");
    }
}
