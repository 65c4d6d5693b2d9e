//! The digests shard names are made of, and how they are written in a name.

use blake2::{Blake2b256, Blake2b512};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use keepwell_model::store::{DigestKind, Encoding};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512, Sha512_256};

/// A digest of at most 32 bytes; shorter ones (SHA-1) are followed by zeros, so that digests
/// compare and sort as plain bytes.
pub(super) type Sum = [u8; 32];

/// Bytes of a digest of this kind.
pub(super) const fn width(kind: DigestKind) -> usize {
    match kind {
        DigestKind::Sha1 => 20,
        DigestKind::Sha256
        | DigestKind::Sha512_256
        | DigestKind::Sha512Truncated
        | DigestKind::Blake2b256
        | DigestKind::Blake2b512Truncated
        | DigestKind::Blake3 => 32,
    }
}

/// The multihash prefix (code and length) of a digest, where the multicodec table has one.
/// IPFS stores name their blocks by multihash rather than by the bare digest.
const fn multihash_prefix(kind: DigestKind) -> Option<&'static [u8]> {
    match kind {
        DigestKind::Sha256 => Some(&[0x12, 32]),
        DigestKind::Sha1 => Some(&[0x11, 20]),
        DigestKind::Blake3 => Some(&[0x1e, 32]),
        DigestKind::Blake2b256 => Some(&[0xa0, 0xe4, 0x02, 32]),
        DigestKind::Sha512_256 | DigestKind::Sha512Truncated | DigestKind::Blake2b512Truncated => {
            None
        }
    }
}

const fn text_width(encoding: Encoding, bytes: usize) -> usize {
    match encoding {
        Encoding::Hex => bytes * 2,
        Encoding::Base32Upper | Encoding::Base32Lower => (bytes * 8).div_ceil(5),
        Encoding::Base64url => (bytes * 8).div_ceil(6),
    }
}

/// How many characters a written digest has: bare, and as multihash.
pub(super) fn text_widths(kind: DigestKind, encoding: Encoding) -> (usize, Option<usize>) {
    let bytes = width(kind);
    let multihash = multihash_prefix(kind).map(|p| text_width(encoding, p.len() + bytes));
    (text_width(encoding, bytes), multihash)
}

/// The digest a name's characters spell; `None` when they spell none of this kind.
pub(super) fn parse(text: &[u8], kind: DigestKind, encoding: Encoding) -> Option<Sum> {
    let bytes = match encoding {
        Encoding::Hex => HEXLOWER.decode(text).ok()?,
        Encoding::Base32Upper => BASE32_NOPAD.decode(text).ok()?,
        Encoding::Base32Lower => {
            if text.iter().any(u8::is_ascii_uppercase) {
                return None;
            }
            BASE32_NOPAD.decode(&text.to_ascii_uppercase()).ok()?
        }
        Encoding::Base64url => BASE64URL_NOPAD.decode(text).ok()?,
    };
    let bare = if bytes.len() == width(kind) {
        &bytes[..]
    } else {
        bytes.strip_prefix(multihash_prefix(kind)?)?
    };
    (bare.len() == width(kind)).then(|| padded(bare))
}

/// A digest as its kind of store would write it, bare.
pub(super) fn text(sum: &Sum, kind: DigestKind, encoding: Encoding) -> String {
    let bytes = &sum[..width(kind)];
    match encoding {
        Encoding::Hex => HEXLOWER.encode(bytes),
        Encoding::Base32Upper => BASE32_NOPAD.encode(bytes),
        Encoding::Base32Lower => BASE32_NOPAD.encode(bytes).to_ascii_lowercase(),
        Encoding::Base64url => BASE64URL_NOPAD.encode(bytes),
    }
}

fn padded(bytes: &[u8]) -> Sum {
    let mut sum = [0; 32];
    let len = bytes.len().min(sum.len());
    sum[..len].copy_from_slice(&bytes[..len]);
    sum
}

/// A digest being taken.
#[derive(Debug)]
pub(super) enum Hasher {
    Sha256(Sha256),
    Sha1(Sha1),
    Sha512_256(Sha512_256),
    Sha512Truncated(Sha512),
    Blake2b256(Blake2b256),
    Blake2b512Truncated(Blake2b512),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    pub(super) fn new(kind: DigestKind) -> Self {
        match kind {
            DigestKind::Sha256 => Self::Sha256(Sha256::new()),
            DigestKind::Sha1 => Self::Sha1(Sha1::new()),
            DigestKind::Sha512_256 => Self::Sha512_256(Sha512_256::new()),
            DigestKind::Sha512Truncated => Self::Sha512Truncated(Sha512::new()),
            DigestKind::Blake2b256 => Self::Blake2b256(Blake2b256::new()),
            DigestKind::Blake2b512Truncated => Self::Blake2b512Truncated(Blake2b512::new()),
            DigestKind::Blake3 => Self::Blake3(Box::new(blake3::Hasher::new())),
        }
    }

    pub(super) const fn kind(&self) -> DigestKind {
        match self {
            Self::Sha256(_) => DigestKind::Sha256,
            Self::Sha1(_) => DigestKind::Sha1,
            Self::Sha512_256(_) => DigestKind::Sha512_256,
            Self::Sha512Truncated(_) => DigestKind::Sha512Truncated,
            Self::Blake2b256(_) => DigestKind::Blake2b256,
            Self::Blake2b512Truncated(_) => DigestKind::Blake2b512Truncated,
            Self::Blake3(_) => DigestKind::Blake3,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(h) => h.update(bytes),
            Self::Sha1(h) => h.update(bytes),
            Self::Sha512_256(h) => h.update(bytes),
            Self::Sha512Truncated(h) => h.update(bytes),
            Self::Blake2b256(h) => h.update(bytes),
            Self::Blake2b512Truncated(h) => h.update(bytes),
            Self::Blake3(h) => {
                h.update(bytes);
            }
        }
    }

    pub(super) fn finish(self) -> Sum {
        match self {
            Self::Sha256(h) => h.finalize().into(),
            Self::Sha1(h) => padded(&h.finalize()),
            Self::Sha512_256(h) => h.finalize().into(),
            Self::Sha512Truncated(h) => padded(&h.finalize()),
            Self::Blake2b256(h) => h.finalize().into(),
            Self::Blake2b512Truncated(h) => padded(&h.finalize()),
            Self::Blake3(h) => *h.finalize().as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [DigestKind; 7] = [
        DigestKind::Sha256,
        DigestKind::Sha1,
        DigestKind::Sha512_256,
        DigestKind::Sha512Truncated,
        DigestKind::Blake2b256,
        DigestKind::Blake2b512Truncated,
        DigestKind::Blake3,
    ];

    fn of(kind: DigestKind, bytes: &[u8]) -> Sum {
        let mut hasher = Hasher::new(kind);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn known_answers_for_abc() {
        let want = [
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "a9993e364706816aba3e25717850c26c9cd0d89d",
            "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a",
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319",
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1",
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        ];
        for (kind, want) in KINDS.into_iter().zip(want) {
            assert_eq!(text(&of(kind, b"abc"), kind, Encoding::Hex), want);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for kind in KINDS {
            for encoding in [
                Encoding::Hex,
                Encoding::Base32Upper,
                Encoding::Base32Lower,
                Encoding::Base64url,
            ] {
                let sum = of(kind, b"x");
                let written = text(&sum, kind, encoding);
                assert_eq!(written.len(), text_widths(kind, encoding).0);
                assert_eq!(parse(written.as_bytes(), kind, encoding), Some(sum));
                assert_eq!(parse(&written.as_bytes()[1..], kind, encoding), None);
            }
        }
    }

    #[test]
    fn a_multihash_is_read_and_a_foreign_one_is_not() {
        let sum = of(DigestKind::Sha256, b"block");
        let mut multihash = vec![0x12, 32];
        multihash.extend_from_slice(&sum);
        let read = |m: &[u8]| {
            let text = BASE32_NOPAD.encode(m);
            parse(text.as_bytes(), DigestKind::Sha256, Encoding::Base32Upper)
        };
        assert_eq!(read(&multihash), Some(sum));
        multihash[0] = 0x1e;
        assert_eq!(read(&multihash), None);
    }

    #[test]
    fn upper_case_hex_is_another_name() {
        let upper = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
        assert_eq!(
            parse(upper.as_bytes(), DigestKind::Sha256, Encoding::Hex),
            None
        );
    }
}
