//! Keys as `tough` wants them, from the files that `keepwell bundle keygen` writes.

use crate::error::{Error, Result, chain};
use crate::files;
use keepwell_bundle::{BadKey, PublicKey};
use std::path::{Path, PathBuf};
use tough::async_trait;
use tough::key_source::KeySource;
use tough::schema::key::{EcdsaKey, EcdsaScheme, Ed25519Key, Ed25519Scheme, Key};
use tough::sign::{Sign, parse_keypair};

type Failed = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Bytes of a SubjectPublicKeyInfo before the key itself: of Ed25519 (RFC 8410 section 4), whose
/// key has 32, and of P-256 (RFC 5480 section 2), whose point has 65.
const ED25519_PREFIX_BYTES: usize = 12;
const ED25519_SPKI_BYTES: usize = ED25519_PREFIX_BYTES + 32;
const P256_PREFIX_BYTES: usize = 26;

/// Names the file with the passphrase of encrypted keys, as for `keepwell`.
const PASSPHRASE_FILE: &str = "KEEPWELL_PASSPHRASE_FILE";
/// A passphrase is a line.
const PASSPHRASE_MAX_BYTES: u64 = 4 << 10;

/// A private key, PKCS#8 in DER.
#[derive(Clone)]
pub(crate) struct Signing(Vec<u8>);

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signing(..)")
    }
}

impl Signing {
    fn read(path: &Path) -> Result<Self> {
        let failed = |e: &dyn std::error::Error| {
            Error::config(chain(e)).hint(format!(
                "`keepwell bundle keygen FILE` makes a key; {PASSPHRASE_FILE} names the file with the passphrase of an encrypted one"
            ))
        };
        let key = keepwell_bundle::read_secret(path, &mut passphrase).map_err(|e| failed(&e))?;
        Ok(Self(der(&key.to_pem().map_err(|e| failed(&e))?)?))
    }

    pub(crate) fn public(&self) -> Result<Key> {
        Ok(parse_keypair(&self.0)?.tuf_key())
    }
}

#[async_trait]
impl KeySource for Signing {
    async fn as_sign(&self) -> Result<Box<dyn Sign>, Failed> {
        Ok(Box::new(parse_keypair(&self.0)?))
    }

    async fn write(&self, _: &str, _: &str) -> Result<(), Failed> {
        Err("a key is never written over".into())
    }
}

/// Some keys, of which each role takes those that are its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys(pub(crate) Vec<Signing>);

impl Keys {
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self> {
        Ok(Self(
            paths
                .iter()
                .map(|path| Signing::read(path))
                .collect::<Result<_>>()?,
        ))
    }

    pub(crate) fn public(&self) -> Result<Vec<Key>> {
        self.0.iter().map(Signing::public).collect()
    }

    pub(super) fn sources(&self) -> Vec<Box<dyn KeySource>> {
        let boxed = |key: &Signing| Box::new(key.clone()) as Box<dyn KeySource>;
        self.0.iter().map(boxed).collect()
    }
}

/// The passphrase of an encrypted key, from the file that the environment names.
fn passphrase() -> Result<String, BadKey> {
    let file = std::env::var_os(PASSPHRASE_FILE).ok_or(BadKey::Encrypted)?;
    let bytes = files::read(Path::new(&file), PASSPHRASE_MAX_BYTES);
    let text = String::from_utf8(bytes.map_err(|_| BadKey::Encrypted)?);
    let text = text.map_err(|_| BadKey::Passphrase)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A publisher's public key as delegations hold it.
pub(crate) fn public_key(key: &PublicKey) -> Result<Key> {
    let spki = der(&key.to_pem())?;
    if spki.len() == ED25519_SPKI_BYTES {
        return Ok(Key::Ed25519 {
            keyval: Ed25519Key {
                public: spki[ED25519_PREFIX_BYTES..].to_vec().into(),
                _extra: Default::default(),
            },
            scheme: Ed25519Scheme::Ed25519,
            _extra: Default::default(),
        });
    }
    let point = spki.get(P256_PREFIX_BYTES..);
    let point = point.ok_or_else(|| Error::usage("the key is neither Ed25519 nor P-256"))?;
    Ok(Key::Ecdsa {
        keyval: EcdsaKey {
            public: point.to_vec().into(),
            _extra: Default::default(),
        },
        scheme: EcdsaScheme::EcdsaSha2Nistp256,
        _extra: Default::default(),
    })
}

/// What is between the lines of a PEM block.
fn der(pem: &str) -> Result<Vec<u8>> {
    let text: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    data_encoding::BASE64
        .decode(text.trim().as_bytes())
        .map_err(|e| Error::config(format!("a key has no form in DER: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_bundle::SecretKey;

    #[test]
    fn both_halves_of_a_key_are_read_alike() {
        let secrets = [
            SecretKey::generate([7; 32]),
            SecretKey::generate_p256([7; 32]).unwrap(),
        ];
        for secret in secrets {
            let signing = Signing(der(&secret.to_pem().unwrap()).unwrap());
            let public = public_key(&secret.public()).unwrap();
            assert_eq!(signing.public().unwrap(), public);
        }
    }
}
