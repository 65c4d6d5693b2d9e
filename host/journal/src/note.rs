//! Checkpoints as C2SP signed notes: tlog-checkpoint in signed-note, both at version 1.

use crate::key::{NodeKey, VerifierKey};
use crate::merkle::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest note that is read: three lines and a few cosignatures of witnesses.
pub(crate) const NOTE_MAX_BYTES: usize = 64 << 10;
/// Most signature lines that are looked at.
const SIGNATURES_MAX: usize = 100;

/// The head of the tree at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// Why a text is not a checkpoint signed by the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    #[error("it is not a signed checkpoint: {0}")]
    Form(&'static str),
    #[error("its origin is `{found}`, not `{expected}`")]
    Origin { found: String, expected: String },
    #[error("it is not signed by the key of `{0}`")]
    Unsigned(String),
    #[error("its signature by `{0}` does not hold")]
    Signature(String),
}

impl Checkpoint {
    fn text(&self) -> String {
        let root = STANDARD.encode(self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// The signed note. Ed25519 is deterministic: the same head gives the same note.
    pub fn sign(&self, key: &NodeKey, verifier: &VerifierKey) -> String {
        let text = self.text();
        let mut signature = verifier.key_hash().to_vec();
        signature.extend_from_slice(&key.sign(text.as_bytes()));
        let signature = STANDARD.encode(signature);
        format!("{text}\n\u{2014} {} {signature}\n", verifier.name())
    }

    /// The head in a note whose signature by `verifier` holds. Further signatures (of witnesses)
    /// are allowed and not judged.
    pub fn open(note: &str, verifier: &VerifierKey) -> Result<Self, BadNote> {
        if note.len() > NOTE_MAX_BYTES {
            return Err(BadNote::Form("it is longer than 64 KiB"));
        }
        let blank = note
            .rfind("\n\n")
            .ok_or(BadNote::Form("no blank line before the signatures"))?;
        let (text, signatures) = (&note[..=blank], &note[blank + 2..]);
        if !signatures.ends_with('\n') {
            return Err(BadNote::Form("the last line has no end"));
        }
        let this = Self::parse(text)?;
        if this.origin != verifier.name() {
            return Err(BadNote::Origin {
                found: this.origin,
                expected: verifier.name().to_owned(),
            });
        }
        let mut signed = false;
        for (number, line) in signatures.lines().enumerate() {
            if number == SIGNATURES_MAX {
                return Err(BadNote::Form("more than 100 signatures"));
            }
            let (name, signature) = line
                .strip_prefix("\u{2014} ")
                .and_then(|rest| rest.split_once(' '))
                .ok_or(BadNote::Form("a signature line is malformed"))?;
            let bytes = STANDARD
                .decode(signature)
                .map_err(|_| BadNote::Form("a signature is not base64"))?;
            if name != verifier.name() || !bytes.starts_with(&verifier.key_hash()) {
                continue;
            }
            let holds = <&[u8; 64]>::try_from(&bytes[4..])
                .is_ok_and(|signature| verifier.holds(text.as_bytes(), signature));
            if !holds {
                return Err(BadNote::Signature(name.to_owned()));
            }
            signed = true;
        }
        if signed {
            Ok(this)
        } else {
            Err(BadNote::Unsigned(verifier.name().to_owned()))
        }
    }

    /// The head in a note, its signature not looked at: for a note whose holder checks it.
    pub(crate) fn read(note: &str) -> Result<Self, BadNote> {
        let blank = note
            .rfind("\n\n")
            .ok_or(BadNote::Form("no blank line before the signatures"))?;
        Self::parse(&note[..=blank])
    }

    /// The three lines, and no extension lines: none are made here, and what they would mean is
    /// not known.
    fn parse(text: &str) -> Result<Self, BadNote> {
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) = (
            lines.next(),
            lines.next(),
            lines.next(),
            lines.next(),
            lines.next(),
        ) else {
            return Err(BadNote::Form("expected origin, size and root"));
        };
        let size_of = |text: &str| text.parse::<u64>().ok().filter(|n| n.to_string() == text);
        let size = size_of(size).ok_or(BadNote::Form("the size is not a number"))?;
        let root = STANDARD
            .decode(root)
            .ok()
            .and_then(|bytes| Hash::try_from(bytes).ok())
            .ok_or(BadNote::Form("the root is not 32 bytes in base64"))?;
        if origin.is_empty() {
            return Err(BadNote::Form("the origin is empty"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (String, VerifierKey) {
        let key = NodeKey::from_bytes([1; 32]);
        let verifier = key.verifier("keepwell.local/n").unwrap();
        let head = Checkpoint {
            origin: "keepwell.local/n".into(),
            size: 12,
            root: [9; 32],
        };
        let note = head.sign(&key, &verifier);
        assert_eq!(Checkpoint::open(&note, &verifier).unwrap(), head);
        (note, verifier)
    }

    #[test]
    fn the_form_is_that_of_the_specification() {
        let (note, _) = signed();
        let lines: Vec<&str> = note.split('\n').collect();
        assert_eq!(lines[0], "keepwell.local/n");
        assert_eq!(lines[1], "12");
        assert_eq!(lines[2], "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=");
        assert_eq!(lines[3], "");
        assert!(lines[4].starts_with("\u{2014} keepwell.local/n "));
        assert_eq!(lines[5..], [""]);
    }

    #[test]
    fn no_byte_of_a_note_can_be_changed() {
        let (note, verifier) = signed();
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut bytes = note.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                if let Ok(text) = String::from_utf8(bytes) {
                    assert!(Checkpoint::open(&text, &verifier).is_err(), "{at}.{bit}");
                }
            }
            assert!(
                note.get(..at)
                    .is_none_or(|cut| Checkpoint::open(cut, &verifier).is_err())
            );
        }
    }

    #[test]
    fn cosignatures_are_allowed_and_foreign_keys_are_not() {
        let (note, verifier) = signed();
        let witnessed = format!("{note}\u{2014} witness.example AAAAAAAA\n");
        assert!(Checkpoint::open(&witnessed, &verifier).is_ok());
        let other = NodeKey::from_bytes([2; 32])
            .verifier("keepwell.local/n")
            .unwrap();
        let unsigned = Checkpoint::open(&note, &other).unwrap_err();
        assert_eq!(unsigned, BadNote::Unsigned("keepwell.local/n".into()));
    }
}
