//! SSH signatures and public keys, so that approvers can sign with the key they have:
//! `ssh-keygen -Y sign -n keepwell-approval -f KEY FILE`.
//!
//! Formats: PROTOCOL.sshsig of OpenSSH, and RFC 8709 for keys and signatures of Ed25519. Written
//! here because what is needed of them is some length-prefixed strings; a crate for all of SSH
//! would bring ciphers, and certificates that must then be refused one by one.

use crate::key::PublicKey;
use data_encoding::BASE64;
use keepwell_model::id::Digest;
use keepwell_model::words::printable;
use sha2::{Digest as _, Sha512};

/// What the signature is for, as `ssh-keygen -n` takes it: one made for a file or a login is none
/// of an approval.
pub const SSH_NAMESPACE: &str = "keepwell-approval";
const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
const ED25519: &str = "ssh-ed25519";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "-----END SSH SIGNATURE-----";
/// Longest armored signature worth reading: one of Ed25519 has 300 bytes, of RSA about 2,000.
pub const ARMOR_MAX_BYTES: usize = 8 << 10;
/// Longest line of base64: the format says 76, `ssh-keygen` writes 70.
const LINE_MAX_BYTES: usize = 76;
/// Longest public key with its comment: one of RSA has 800 bytes.
const KEY_LINE_MAX_BYTES: usize = 8 << 10;

/// Why a text is no SSH signature or key that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSsh {
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    #[error("it is not `{BEGIN_SHOWN}`, lines of base64 and an end line")]
    Armor,
    #[error("{0}")]
    Damaged(&'static str),
    #[error("it was made for `{found}`, not for `{SSH_NAMESPACE}`; sign with `-n {SSH_NAMESPACE}`")]
    Namespace { found: String },
    #[error("its digest is `{found}`; expected sha256 or sha512")]
    Hash { found: String },
    #[error(
        "keys of security tokens (`{found}`) cannot be used: such a signature covers a counter \
         and a flag of the token that this host has no policy for"
    )]
    Token { found: String },
    #[error("keys of kind `{found}` cannot be used, only `ssh-ed25519`")]
    Kind { found: String },
    #[error("a public key is written `ssh-ed25519`, base64 and an optional comment, on one line")]
    KeyLine,
}

const BEGIN_SHOWN: &str = "-----BEGIN SSH SIGNATURE-----";

impl BadSsh {
    /// Whether another key is needed, not another file.
    pub const fn is_about_the_key(&self) -> bool {
        match self {
            Self::Token { .. } | Self::Kind { .. } => true,
            Self::TooLong(_)
            | Self::Armor
            | Self::Damaged(_)
            | Self::Namespace { .. }
            | Self::Hash { .. }
            | Self::KeyLine => false,
        }
    }
}

/// What was read, and not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSignature {
    /// Whose signature it claims to be.
    pub key: PublicKey,
    hash: Hash,
    signature: [u8; 64],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl SshSignature {
    /// Reads an armored signature that was made for [`SSH_NAMESPACE`] with an Ed25519 key.
    pub fn parse(armored: &str) -> Result<Self, BadSsh> {
        let blob = unarmored(armored)?;
        let mut rest = Reader(&blob);
        if rest.take(MAGIC.len())? != MAGIC || rest.u32()? != VERSION {
            return Err(BadSsh::Damaged("it is not version 1 of an SSH signature"));
        }
        let key = rest.string()?;
        let namespace = rest.string()?;
        let reserved = rest.string()?;
        let hash = rest.string()?;
        let signature = rest.string()?;
        rest.end()?;
        let key = public_key(key)?;
        if namespace != SSH_NAMESPACE.as_bytes() {
            let found = shown(namespace);
            return Err(BadSsh::Namespace { found });
        }
        if !reserved.is_empty() {
            return Err(BadSsh::Damaged("its reserved part is not empty"));
        }
        let hash = match hash {
            b"sha256" => Hash::Sha256,
            b"sha512" => Hash::Sha512,
            other => {
                let found = shown(other);
                return Err(BadSsh::Hash { found });
            }
        };
        let mut rest = Reader(signature);
        check_kind(rest.string()?)?;
        let signature = rest.string()?.try_into();
        let signature = signature.map_err(|_| BadSsh::Damaged("the signature is not 64 bytes"))?;
        rest.end()?;
        Ok(Self {
            key,
            hash,
            signature,
        })
    }

    /// Whether exactly these bytes were signed.
    pub fn verifies(&self, message: &[u8]) -> bool {
        let (name, digest) = match self.hash {
            Hash::Sha256 => ("sha256", Digest::of(message).as_bytes().to_vec()),
            Hash::Sha512 => ("sha512", Sha512::digest(message).to_vec()),
        };
        let mut signed = MAGIC.to_vec();
        for part in [SSH_NAMESPACE.as_bytes(), b"", name.as_bytes(), &digest] {
            put(&mut signed, part);
        }
        self.key.verifies(&signed, &self.signature)
    }
}

/// Reads a line as it stands in `id_ed25519.pub`: the key, and the comment after it.
pub fn parse_ssh_key(line: &str) -> Result<(PublicKey, &str), BadSsh> {
    if line.len() > KEY_LINE_MAX_BYTES {
        return Err(BadSsh::TooLong(KEY_LINE_MAX_BYTES));
    }
    let line = line.strip_suffix('\n').unwrap_or(line);
    if line.contains(char::is_control) {
        return Err(BadSsh::KeyLine);
    }
    let (kind, rest) = line.split_once(' ').ok_or(BadSsh::KeyLine)?;
    check_kind(kind.as_bytes())?;
    let (base64, comment) = rest.split_once(' ').unwrap_or((rest, ""));
    let blob = BASE64.decode(base64.as_bytes());
    let key = public_key(&blob.map_err(|_| BadSsh::KeyLine)?)?;
    Ok((key, comment))
}

fn unarmored(text: &str) -> Result<Vec<u8>, BadSsh> {
    if text.len() > ARMOR_MAX_BYTES {
        return Err(BadSsh::TooLong(ARMOR_MAX_BYTES));
    }
    let text = text.strip_suffix('\n').unwrap_or(text);
    let body = text.strip_prefix(BEGIN).and_then(|t| t.strip_suffix(END));
    let body = body
        .and_then(|b| b.strip_suffix('\n'))
        .ok_or(BadSsh::Armor)?;
    let mut base64 = String::with_capacity(body.len());
    for line in body.split('\n') {
        if line.is_empty() || line.len() > LINE_MAX_BYTES {
            return Err(BadSsh::Armor);
        }
        base64.push_str(line);
    }
    BASE64.decode(base64.as_bytes()).map_err(|_| BadSsh::Armor)
}

fn public_key(blob: &[u8]) -> Result<PublicKey, BadSsh> {
    let mut rest = Reader(blob);
    check_kind(rest.string()?)?;
    let point = rest.string()?.try_into();
    let point = point.map_err(|_| BadSsh::Damaged("the public key is not 32 bytes"))?;
    rest.end()?;
    PublicKey::from_bytes(point)
        .map_err(|_| BadSsh::Damaged("the public key is not a usable Ed25519 point"))
}

fn check_kind(kind: &[u8]) -> Result<(), BadSsh> {
    if kind == ED25519.as_bytes() {
        return Ok(());
    }
    let found = shown(kind);
    if kind.starts_with(b"sk-") {
        return Err(BadSsh::Token { found });
    }
    Err(BadSsh::Kind { found })
}

fn shown(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(bytes), 64)
}

/// Strings as SSH writes them (RFC 4251 section 5): four bytes of length, then the bytes.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], BadSsh> {
        let cut = self.0.split_at_checked(len);
        let (part, rest) = cut.ok_or(BadSsh::Damaged("it ends too early"))?;
        self.0 = rest;
        Ok(part)
    }

    fn u32(&mut self) -> Result<u32, BadSsh> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(u32::from_be_bytes(bytes))
    }

    pub(crate) fn string(&mut self) -> Result<&'a [u8], BadSsh> {
        let len = self.u32()?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    pub(crate) fn end(&self) -> Result<(), BadSsh> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(BadSsh::Damaged("something follows its end"))
    }
}

pub(crate) fn put(out: &mut Vec<u8>, part: &[u8]) {
    // Nothing that is written here comes near four gigabytes.
    out.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(part);
}

#[cfg(test)]
pub(crate) mod tests;
