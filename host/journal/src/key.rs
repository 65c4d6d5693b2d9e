//! The node's key: signs checkpoints, and gives a secret for MACs that is of no use for signing.

use crate::error::{JournalError, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Ed25519 in signed notes.
const ALGORITHM: u8 = 0x01;
/// Separates the MAC secret from every other use of the seed.
const MAC_DOMAIN: &[u8] = b"keepwell node key: secret for MACs, version 1";
/// Longest origin: it stands in every checkpoint and proof.
const ORIGIN_MAX_BYTES: usize = 255;

/// The node's signing key. Its bytes are wiped from memory when it is dropped.
#[derive(Clone)]
pub struct NodeKey(SigningKey);

impl NodeKey {
    /// A key from 32 bytes of the system's randomness.
    pub fn generate(random: [u8; 32]) -> Self {
        Self::from_bytes(random)
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&bytes))
    }

    /// The secret, for the file only the host may read.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// A secret for MACs of local files: HMAC-SHA256 of a fixed text under the seed.
    pub fn mac_key(&self) -> [u8; 32] {
        let seed = self.0.to_bytes();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&seed) else {
            unreachable!("HMAC takes keys of every length")
        };
        mac.update(MAC_DOMAIN);
        mac.finalize().into_bytes().into()
    }

    /// A MAC in hex over a text of the node's own. `what` keeps one file from passing for another.
    pub fn seal(&self, what: &str, text: &str) -> String {
        let mac = self.mac_of(what, text).finalize();
        data_encoding::HEXLOWER.encode(&mac.into_bytes())
    }

    /// Whether this node sealed exactly this text as `what`.
    pub fn has_sealed(&self, what: &str, text: &str, seal: &str) -> bool {
        let seal = data_encoding::HEXLOWER.decode(seal.as_bytes());
        seal.is_ok_and(|seal| self.mac_of(what, text).verify_slice(&seal).is_ok())
    }

    fn mac_of(&self, what: &str, text: &str) -> Hmac<Sha256> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.mac_key()) else {
            unreachable!("HMAC takes keys of every length")
        };
        // By its length first, so that no part of `what` can pass for one of the text.
        mac.update(&(what.len() as u64).to_le_bytes());
        mac.update(what.as_bytes());
        mac.update(text.as_bytes());
        mac
    }

    /// What checks this key's signatures, under the name `origin`.
    pub fn verifier(&self, origin: &str) -> Result<VerifierKey> {
        check_origin(origin)?;
        Ok(VerifierKey {
            name: origin.to_owned(),
            key: self.0.verifying_key(),
        })
    }

    pub(crate) fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.0.sign(text).to_bytes()
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeKey").finish_non_exhaustive()
    }
}

/// A public key with its name, written as signed notes have it: `name+hash+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: VerifyingKey,
}

/// Why a text is not a verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a verifier key (`name+hash+base64`): {0}")]
pub struct BadVerifierKey(&'static str);

impl VerifierKey {
    /// The name, which is the journal's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn public(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// First four bytes of `SHA-256(name || "\n" || 0x01 || key)`.
    pub fn key_hash(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', ALGORITHM]);
        hasher.update(self.key.as_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    pub(crate) fn holds(&self, text: &[u8], signature: &[u8; 64]) -> bool {
        self.key
            .verify_strict(text, &Signature::from_bytes(signature))
            .is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ALGORITHM];
        key.extend_from_slice(self.key.as_bytes());
        let hash = data_encoding::HEXLOWER.encode(&self.key_hash());
        write!(f, "{}+{hash}+{}", self.name, STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = BadVerifierKey;
    fn from_str(text: &str) -> Result<Self, BadVerifierKey> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadVerifierKey("expected three parts with `+` between"));
        };
        check_origin(name).map_err(|_| BadVerifierKey("the name is empty or has a space in it"))?;
        let key = STANDARD
            .decode(key)
            .map_err(|_| BadVerifierKey("the key is not base64"))?;
        let Some((&ALGORITHM, key)) = key.split_first() else {
            return Err(BadVerifierKey("the key is not an Ed25519 key"));
        };
        let key = <[u8; 32]>::try_from(key)
            .ok()
            .and_then(|key| VerifyingKey::from_bytes(&key).ok())
            .ok_or(BadVerifierKey("the key is not an Ed25519 key"))?;
        let name = name.to_owned();
        let this = Self { name, key };
        if data_encoding::HEXLOWER.encode(&this.key_hash()) != hash {
            return Err(BadVerifierKey("the hash is not that of the name and key"));
        }
        Ok(this)
    }
}

/// An origin is the name of the key, too, so it may hold neither white space nor `+`.
pub(crate) fn check_origin(origin: &str) -> Result<()> {
    let why = if origin.is_empty() {
        "it is empty"
    } else if origin.len() > ORIGIN_MAX_BYTES {
        "it is longer than 255 bytes"
    } else if origin.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+') {
        "it contains white space, a control character or `+`"
    } else {
        return Ok(());
    };
    Err(JournalError::Origin {
        origin: origin.chars().take(80).collect(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifier_keys_round_trip_and_bind_name_and_key() {
        let key = NodeKey::from_bytes([7; 32]);
        let text = key.verifier("keepwell.local/a").unwrap().to_string();
        let read: VerifierKey = text.parse().unwrap();
        assert_eq!(read.public(), key.public());
        assert!(text.replace("/a+", "/b+").parse::<VerifierKey>().is_err());
        assert!("x".parse::<VerifierKey>().is_err());
        for bad in ["", "a b", "a+b", "a\nb"] {
            assert!(key.verifier(bad).is_err(), "{bad:?}");
        }
    }

    /// The example key of the Go package `golang.org/x/mod/sumdb/note`.
    #[test]
    fn a_key_made_by_go_is_read() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifierKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
    }

    #[test]
    fn the_secret_for_macs_is_neither_seed_nor_public_key() {
        let key = NodeKey::from_bytes([7; 32]);
        assert_ne!(key.mac_key(), key.to_bytes());
        assert_ne!(key.mac_key(), key.public());
        assert_eq!(format!("{key:?}"), "NodeKey { .. }");
    }

    #[test]
    fn a_seal_is_of_one_key_text_and_kind() {
        let key = NodeKey::from_bytes([7; 32]);
        let seal = key.seal("plugins.lock", "form = 2");
        assert!(key.has_sealed("plugins.lock", "form = 2", &seal));
        assert!(!key.has_sealed("plugins.lockf", "orm = 2", &seal));
        assert!(!key.has_sealed("plugins.lock", "form = 3", &seal));
        assert!(!NodeKey::from_bytes([8; 32]).has_sealed("plugins.lock", "form = 2", &seal));
        for odd in ["", "00", "zz", &seal.to_uppercase(), &seal[2..]] {
            assert!(!key.has_sealed("plugins.lock", "form = 2", odd), "{odd}");
        }
    }
}
