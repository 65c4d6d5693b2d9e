//! Ed25519 keys: made from a seed the caller brings, written as PEM that openssl reads.
//!
//! Formats: PKCS#8 version 1 and SubjectPublicKeyInfo as RFC 8410 gives them for Ed25519.

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use keepwell_model::id::Digest;
use std::fmt;
use std::str::FromStr;

/// DER of a PKCS#8 v1 Ed25519 key up to its 32 secret bytes (RFC 8410 section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// DER of an Ed25519 SubjectPublicKeyInfo up to its 32 public bytes (RFC 8410 section 4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// How a public key is written in trust files.
const PUBLIC_PREFIX: &str = "ed25519:";
const SECRET_LABEL: &str = "PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";
/// Longest PEM worth reading: ours has 120 bytes, openssl may put text before it.
pub(crate) const PEM_MAX_BYTES: usize = 16 << 10;

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("there is no `-----BEGIN {label}-----` block; expected an unencrypted PEM file")]
    NoBlock { label: &'static str },
    #[error("the `{label}` block is not base64 with an end line; copy the key file again")]
    Base64 { label: &'static str },
    #[error(
        "the `{label}` block is not an Ed25519 key; make one with `openssl genpkey -algorithm ed25519`"
    )]
    NotEd25519 { label: &'static str },
    #[error("a public key is written `ed25519:` and 44 characters of base64")]
    Text,
    #[error("the public key is not a usable Ed25519 point; ask its owner for the key again")]
    Weak,
}

/// A publisher's secret key. Wiped from memory when dropped; never shown by `Debug`.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of these 32 secret bytes, which the caller takes from the system's randomness.
    pub fn generate(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// PKCS#8 v1 PEM. Keep it in a file only its owner can read.
    pub fn to_pem(&self) -> String {
        pem(SECRET_LABEL, &PKCS8_PREFIX, self.0.as_bytes())
    }

    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        let bytes = block(SECRET_LABEL, text, &PKCS8_PREFIX)?;
        Ok(Self::generate(bytes))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// A publisher's public key, written `ed25519:` and base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// SubjectPublicKeyInfo PEM, as `openssl pkey -pubin` reads it.
    pub fn to_pem(&self) -> String {
        pem(PUBLIC_LABEL, &SPKI_PREFIX, self.0.as_bytes())
    }

    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        Self::from_bytes(&block(PUBLIC_LABEL, text, &SPKI_PREFIX)?)
    }

    /// Hex SHA-256 of the SubjectPublicKeyInfo DER: what signatures and lock files name.
    pub fn key_id(&self) -> String {
        let der = [&SPKI_PREFIX[..], self.0.as_bytes()].concat();
        HEXLOWER.encode(Digest::of(&der).as_bytes())
    }

    /// Refuses points of small order and second spellings of the same point, so that one key has
    /// one id.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BadKey> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| BadKey::Weak)?;
        if key.is_weak() || key.to_edwards().compress().to_bytes() != *bytes {
            return Err(BadKey::Weak);
        }
        Ok(Self(key))
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_PREFIX}{}", BASE64.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<Self, BadKey> {
        let base64 = text.strip_prefix(PUBLIC_PREFIX).ok_or(BadKey::Text)?;
        let bytes = BASE64.decode(base64.as_bytes()).map_err(|_| BadKey::Text)?;
        Self::from_bytes(&bytes.try_into().map_err(|_| BadKey::Text)?)
    }
}

/// Both of our blocks fit on one line of 64 characters.
fn pem(label: &str, prefix: &[u8], key: &[u8; 32]) -> String {
    let base64 = BASE64.encode(&[prefix, key].concat());
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}

fn block(label: &'static str, text: &str, prefix: &[u8]) -> Result<[u8; 32], BadKey> {
    let text = text.get(..PEM_MAX_BYTES).unwrap_or(text);
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let (_, rest) = text.split_once(&begin).ok_or(BadKey::NoBlock { label })?;
    let (body, _) = rest.split_once(&end).ok_or(BadKey::Base64 { label })?;
    let base64: String = body.split_ascii_whitespace().collect();
    let der = BASE64
        .decode(base64.as_bytes())
        .map_err(|_| BadKey::Base64 { label })?;
    der.strip_prefix(prefix)
        .and_then(|key| key.try_into().ok())
        .ok_or(BadKey::NotEd25519 { label })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410 section 10.3 gives this key, its public half and their encodings.
    #[test]
    fn the_key_of_the_standard() {
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
        let key = SecretKey::from_pem(pem).unwrap();
        assert_eq!(key.to_pem(), pem);
        assert_eq!(
            key.public().to_pem(),
            "-----BEGIN PUBLIC KEY-----\n\
             MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
             -----END PUBLIC KEY-----\n"
        );
    }

    #[test]
    fn public_keys_are_read_as_written_and_nothing_else_is() {
        let key = SecretKey::generate([7; 32]).public();
        assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
        assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap(), key);
        let text = key.to_string();
        for bad in [
            "",
            "ed25519:",
            &text[8..],
            &text[..text.len() - 1],
            &format!("{text}="),
            &format!("{text}\n"),
            &text.replace("ed25519", "rsa"),
        ] {
            assert_eq!(bad.parse::<PublicKey>(), Err(BadKey::Text), "{bad}");
        }
    }

    #[test]
    fn weak_points_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        // The identity again, spelled as y = p + 1.
        let mut spelled = [0xff; 32];
        spelled[0] = 0xee;
        spelled[31] = 0x7f;
        for point in [[0; 32], identity, spelled] {
            let text = format!("ed25519:{}", BASE64.encode(&point));
            assert_eq!(text.parse::<PublicKey>(), Err(BadKey::Weak), "{text}");
        }
    }

    #[test]
    fn other_pem_is_refused() {
        let key = SecretKey::generate([7; 32]);
        let pem = key.to_pem();
        for bad in [
            "",
            &key.public().to_pem(),
            &pem.replace("PRIVATE", "EC PRIVATE"),
        ] {
            let error = SecretKey::from_pem(bad).unwrap_err();
            assert!(matches!(error, BadKey::NoBlock { .. }), "{bad}");
        }
        let error = SecretKey::from_pem(&pem.replace("MC4C", "MC4D")).unwrap_err();
        assert!(matches!(error, BadKey::NotEd25519 { .. }));
        assert!(!format!("{key:?}").contains(&pem[50..80]));
    }
}
