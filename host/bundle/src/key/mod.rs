//! Keys of publishers, endorsers and approvers: Ed25519, and ECDSA on P-256 with SHA-256 for what
//! other tools and tokens hold. Made from bytes the caller brings, written as PEM that openssl reads.
//!
//! Formats: PKCS#8 (RFC 5958, encrypted ones by PBES2 of RFC 8018) and SubjectPublicKeyInfo as RFC 8410
//! and RFC 5480 give them; ECDSA signatures as DER (RFC 3279 section 2.2.3).

mod pem;

pub(crate) use pem::PEM_MAX_BYTES;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer as _, Verifier as _};
use keepwell_model::id::Digest;
use p256::pkcs8::{self, DecodePrivateKey as _, EncodePrivateKey as _};
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef};
use std::fmt;
use std::str::FromStr;

/// DER of a PKCS#8 v1 Ed25519 key up to its 32 secret bytes (RFC 8410 section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// DER of an Ed25519 SubjectPublicKeyInfo up to its 32 public bytes (RFC 8410 section 4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// DER of a P-256 SubjectPublicKeyInfo up to its 65 bytes of an uncompressed point (RFC 5480).
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// How public keys are written in trust files.
const ED25519_PREFIX: &str = "ed25519:";
const P256_PREFIX: &str = "p256:";
const SECRET_LABEL: &str = "PRIVATE KEY";
const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";
/// Rounds of PBKDF2 with SHA-256: what OWASP asks for since 2023.
const ROUNDS: u32 = 600_000;
/// The longest signature: 64 bytes of Ed25519, at most 72 of ECDSA as DER.
pub(crate) const SIGNATURE_MAX_BYTES: usize = 72;

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("there is no `-----BEGIN {label}-----` block; expected a PEM file")]
    NoBlock { label: &'static str },
    #[error("the `{label}` block is not base64 with an end line; copy the key file again")]
    Base64 { label: &'static str },
    #[error(
        "the `{label}` block is neither an Ed25519 nor a P-256 key; make one with `keepwell bundle keygen`"
    )]
    OtherKind { label: &'static str },
    #[error("a public key is written `ed25519:` or `p256:` and 44 characters of base64")]
    Text,
    #[error("the public key is not a usable point of its curve; ask its owner for the key again")]
    Weak,
    #[error("the key is encrypted; its passphrase is needed")]
    Encrypted,
    #[error("the key cannot be decrypted: another passphrase, or a cipher this program lacks")]
    Passphrase,
}

/// A secret key. Wiped from memory when dropped; never shown by `Debug`.
#[derive(Clone)]
pub enum SecretKey {
    Ed25519(ed25519_dalek::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

impl SecretKey {
    /// The Ed25519 key of these 32 secret bytes, which the caller takes from the system's randomness.
    pub fn generate(seed: [u8; 32]) -> Self {
        Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The P-256 key of these 32 secret bytes; `None` for the one in 2^32 that is no key.
    pub fn generate_p256(seed: [u8; 32]) -> Option<Self> {
        let key = p256::ecdsa::SigningKey::from_slice(&seed).ok()?;
        Some(Self::P256(key))
    }

    /// PKCS#8 v1 PEM. Keep it in a file only its owner can read.
    pub fn to_pem(&self) -> Result<String, BadKey> {
        Ok(pem::write(SECRET_LABEL, &self.to_der()?))
    }

    /// PKCS#8 PEM, encrypted with AES-256; salt and first block are from the system's randomness.
    pub fn to_encrypted_pem(&self, passphrase: &str, random: [u8; 32]) -> Result<String, BadKey> {
        let failed = |_| BadKey::Passphrase;
        let (salt, iv) = random.split_at(16);
        let iv = iv.try_into().map_err(|_| BadKey::Passphrase)?;
        let how = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, salt, iv);
        let how = how.map_err(failed)?;
        let hidden = how.encrypt(passphrase, &self.to_der()?).map_err(failed)?;
        let hidden = pkcs8::EncryptedPrivateKeyInfo {
            encryption_algorithm: how.into(),
            encrypted_data: pkcs8::der::asn1::OctetString::new(hidden)
                .map_err(|_| BadKey::Passphrase)?,
        };
        let der = pkcs8::SecretDocument::try_from(hidden).map_err(|_| BadKey::Passphrase)?;
        Ok(pem::write(ENCRYPTED_LABEL, der.as_bytes()))
    }

    /// A key that is not encrypted.
    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        Self::from_pem_with(text, &mut || Err(BadKey::Encrypted))
    }

    /// The passphrase is asked for only if the key is encrypted.
    pub fn from_pem_with(
        text: &str,
        passphrase: &mut dyn FnMut() -> Result<String, BadKey>,
    ) -> Result<Self, BadKey> {
        if !text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Self::from_der(&pem::read(SECRET_LABEL, text)?, SECRET_LABEL);
        }
        let der = pem::read(ENCRYPTED_LABEL, text)?;
        let hidden = EncryptedPrivateKeyInfoRef::try_from(der.as_slice());
        let hidden = hidden.map_err(|_| BadKey::OtherKind {
            label: ENCRYPTED_LABEL,
        })?;
        let der = hidden.decrypt(passphrase()?);
        let der = der.map_err(|_| BadKey::Passphrase)?;
        Self::from_der(der.as_bytes(), ENCRYPTED_LABEL)
    }

    fn to_der(&self) -> Result<Vec<u8>, BadKey> {
        match self {
            Self::Ed25519(key) => Ok([&PKCS8_PREFIX[..], key.as_bytes()].concat()),
            Self::P256(key) => {
                let der = key.to_pkcs8_der();
                let der = der.map_err(|_| BadKey::OtherKind {
                    label: SECRET_LABEL,
                })?;
                Ok(der.as_bytes().to_vec())
            }
        }
    }

    fn from_der(der: &[u8], label: &'static str) -> Result<Self, BadKey> {
        let other = BadKey::OtherKind { label };
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| other.clone())?;
        if info.algorithm.oid == ED25519 {
            // An OCTET STRING inside of an OCTET STRING.
            let seed = info.private_key.as_bytes().strip_prefix(&[0x04, 0x20]);
            let seed = seed.and_then(|seed| seed.try_into().ok());
            return seed.map(Self::generate).ok_or(other);
        }
        let key = p256::ecdsa::SigningKey::from_pkcs8_der(der);
        key.map(Self::P256).map_err(|_| other)
    }

    pub fn public(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => PublicKey::Ed25519(key.verifying_key()),
            Self::P256(key) => PublicKey::P256(*key.verifying_key()),
        }
    }

    /// Deterministic with both kinds: the same key and message give the same bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.normalize_s().to_der().as_bytes().to_vec()
            }
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// A public key, written `ed25519:` or `p256:` and base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PublicKey {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// SubjectPublicKeyInfo PEM, as `openssl pkey -pubin` reads it.
    pub fn to_pem(&self) -> String {
        pem::write(PUBLIC_LABEL, &self.to_spki())
    }

    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        let der = pem::read(PUBLIC_LABEL, text)?;
        if let Some(point) = der.strip_prefix(&P256_SPKI_PREFIX) {
            return Self::p256(point);
        }
        let point = der.strip_prefix(&SPKI_PREFIX);
        let point = point.and_then(|point| point.try_into().ok());
        Self::from_bytes(&point.ok_or(BadKey::OtherKind {
            label: PUBLIC_LABEL,
        })?)
    }

    /// Hex SHA-256 of the SubjectPublicKeyInfo DER: what signatures and lock files name.
    pub fn key_id(&self) -> String {
        HEXLOWER.encode(Digest::of(&self.to_spki()).as_bytes())
    }

    fn to_spki(self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => [&SPKI_PREFIX[..], key.as_bytes()].concat(),
            Self::P256(key) => {
                [&P256_SPKI_PREFIX[..], &key.to_sec1_point(false).to_bytes()].concat()
            }
        }
    }

    /// Of Ed25519. Refuses points of small order and second spellings of the same point, so that one
    /// key has one id.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BadKey> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| BadKey::Weak)?;
        if key.is_weak() || key.to_edwards().compress().to_bytes() != *bytes {
            return Err(BadKey::Weak);
        }
        Ok(Self::Ed25519(key))
    }

    /// A point as SEC 1 writes it, compressed or not.
    pub fn p256(point: &[u8]) -> Result<Self, BadKey> {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
        key.map(Self::P256).map_err(|_| BadKey::Weak)
    }

    /// Whether these bytes are this key's signature. Of ECDSA only the one of the two that has the
    /// lower half is, so that nobody else can make a second one.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Self::P256(key) => p256::ecdsa::Signature::from_der(signature).is_ok_and(|it| {
                it.normalize_s() == it
                    && it.to_der().as_bytes() == signature
                    && key.verify(message, &it).is_ok()
            }),
        }
    }

    /// A signature that another program made, as this one writes it.
    pub fn normal(&self, signature: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ed25519(_) => Some(signature.to_vec()),
            Self::P256(_) => {
                let it = p256::ecdsa::Signature::from_der(signature).ok()?;
                Some(it.normalize_s().to_der().as_bytes().to_vec())
            }
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519(key) => write!(f, "{ED25519_PREFIX}{}", BASE64.encode(key.as_bytes())),
            Self::P256(key) => {
                let point = key.to_sec1_point(true);
                write!(f, "{P256_PREFIX}{}", BASE64.encode(&point.to_bytes()))
            }
        }
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
        let decode = |base64: &str| BASE64.decode(base64.as_bytes()).map_err(|_| BadKey::Text);
        if let Some(base64) = text.strip_prefix(P256_PREFIX) {
            let key = Self::p256(&decode(base64)?)?;
            // Compressed alone, so that one key has one spelling.
            return (key.to_string() == text).then_some(key).ok_or(BadKey::Text);
        }
        let base64 = text.strip_prefix(ED25519_PREFIX).ok_or(BadKey::Text)?;
        Self::from_bytes(&decode(base64)?.try_into().map_err(|_| BadKey::Text)?)
    }
}

#[cfg(test)]
mod tests;
