//! Digests as the store writes them, and the random ids of its groups and objects.

use crate::error::{Error, Result};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;
use std::fmt;
use std::str::FromStr;

/// Which digest a store uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hash {
    #[default]
    Blake3,
    Sha256,
}

impl Hash {
    /// Also how the files of shards end.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Sha256 => "sha256",
        }
    }

    pub fn of(self, bytes: &[u8]) -> Sum {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.end()
    }

    pub(crate) fn hasher(self) -> Hasher {
        match self {
            Self::Blake3 => Hasher::Blake3(Box::default()),
            Self::Sha256 => Hasher::Sha256(Box::default()),
        }
    }
}

impl FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        [Self::Blake3, Self::Sha256]
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no digest of a store; `blake3` and `sha256` are"))
    }
}

/// A digest that is being made.
#[derive(Debug, Clone)]
pub(crate) enum Hasher {
    Blake3(Box<blake3::Hasher>),
    Sha256(Box<sha2::Sha256>),
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(it) => {
                it.update(bytes);
            }
            Self::Sha256(it) => it.update(bytes),
        }
    }

    pub(crate) fn end(self) -> Sum {
        match self {
            Self::Blake3(it) => Sum {
                hash: Hash::Blake3,
                bytes: *it.finalize().as_bytes(),
            },
            Self::Sha256(it) => Sum {
                hash: Hash::Sha256,
                bytes: it.finalize().into(),
            },
        }
    }
}

/// A digest, written `blake3:HEX` or `sha256:HEX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sum {
    pub hash: Hash,
    pub bytes: [u8; 32],
}

impl Sum {
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.bytes)
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.hash.as_str(), self.hex())
    }
}

impl FromStr for Sum {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (hash, hex) = text
            .split_once(':')
            .ok_or("a digest is written blake3:HEX or sha256:HEX")?;
        Ok(Self {
            hash: hash.parse()?,
            bytes: from_hex(hex)?,
        })
    }
}

/// The name of a group or an object: 16 random bytes, written in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 16]);

impl Id {
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| Error::Random)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        from_hex(text).map(Self)
    }
}

fn from_hex<const N: usize>(text: &str) -> std::result::Result<[u8; N], String> {
    let bytes = HEXLOWER.decode(text.as_bytes());
    let bytes = bytes.map_err(|_| format!("`{text}` is no lower-case hex"))?;
    bytes
        .try_into()
        .map_err(|_| format!("`{text}` has not {N} bytes"))
}

macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(Sum, Id);
