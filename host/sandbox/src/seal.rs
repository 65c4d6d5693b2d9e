//! Sealing compiled code: whoever can write machine code into the cache could run anything in the
//! worker, so it loads only what this node's key sealed for this very component.
//!
//! A sealed file is the code, then 8 bytes of [`MAGIC`], then HMAC-SHA256 over the magic, the
//! component's digest and the code.

use hmac::{Hmac, KeyInit, Mac};
use keepwell_model::id::Digest;
use sha2::Sha256;
use std::fs::File;
use std::os::unix::fs::FileExt;

const MAGIC: &[u8; 8] = b"KWCODE01";
const MAC_BYTES: usize = 32;
const TRAILER_BYTES: usize = MAGIC.len() + MAC_BYTES;
/// Compiled code is about six times its component; more than this is not something we made.
pub(crate) const CODE_MAX_BYTES: usize = 256 << 20;

/// Why a file is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("cannot read the compiled code")]
    Read(#[source] std::io::Error),
    #[error("the compiled code has {0} bytes, more than {CODE_MAX_BYTES}")]
    TooLong(u64),
    #[error("the compiled code carries no seal")]
    Unsealed,
    #[error("the seal of the compiled code is not this node's, or the code was changed")]
    Broken,
}

fn mac(key: &[u8; 32], component: Digest, code: &[u8]) -> Hmac<Sha256> {
    // HMAC fills keys up with zeros to the digest's block; done here, the type cannot fail.
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    mac.update(MAGIC);
    mac.update(component.as_bytes());
    mac.update(code);
    mac
}

/// The code with its seal, as it is stored.
pub fn seal(code: &[u8], mac_key: &[u8; 32], component: Digest) -> Vec<u8> {
    let mut sealed = code.to_vec();
    sealed.extend_from_slice(MAGIC);
    sealed.extend_from_slice(&mac(mac_key, component, code).finalize().into_bytes());
    sealed
}

/// Whether the whole file was sealed with this key for this component. Does not move the file's
/// position; the same open file is then given to the worker.
pub fn unseal(file: &File, mac_key: &[u8; 32], component: Digest) -> Result<(), SealError> {
    let (code, seal) = read_sealed(file)?;
    mac(mac_key, component, &code)
        .verify_slice(&seal)
        .map_err(|_| SealError::Broken)
}

/// The code of a sealed file and its seal, unchecked: the host has checked, the worker has no key.
pub(crate) fn read_sealed(file: &File) -> Result<(Vec<u8>, Vec<u8>), SealError> {
    let length = file.metadata().map_err(SealError::Read)?.len();
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    if size > CODE_MAX_BYTES {
        return Err(SealError::TooLong(length));
    }
    if size < TRAILER_BYTES {
        return Err(SealError::Unsealed);
    }
    let mut code = vec![0; size];
    file.read_exact_at(&mut code, 0).map_err(SealError::Read)?;
    let trailer = code.split_off(size - TRAILER_BYTES);
    match trailer.strip_prefix(MAGIC) {
        Some(seal) => Ok((code, seal.to_vec())),
        None => Err(SealError::Unsealed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const KEY: [u8; 32] = [7; 32];

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn what_was_sealed_opens_and_gives_the_code_back() {
        let component = Digest::of(b"component");
        let sealed = file(&seal(b"machine code", &KEY, component));
        unseal(&sealed, &KEY, component).unwrap();
        assert_eq!(read_sealed(&sealed).unwrap().0, b"machine code");
    }

    #[test]
    fn another_key_component_or_any_flipped_bit_does_not() {
        let component = Digest::of(b"component");
        let sealed = seal(b"machine code", &KEY, component);
        let refused = |bytes: &[u8], key, component| {
            unseal(&file(bytes), key, component).expect_err("must not open")
        };
        assert!(matches!(
            refused(&sealed, &[8; 32], component),
            SealError::Broken
        ));
        assert!(matches!(
            refused(&sealed, &KEY, Digest::of(b"x")),
            SealError::Broken
        ));
        for byte in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[byte] ^= 1;
            refused(&flipped, &KEY, component);
        }
        for cut in 0..sealed.len() {
            refused(&sealed[..cut], &KEY, component);
        }
    }
}
