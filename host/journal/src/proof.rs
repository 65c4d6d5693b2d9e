//! Proofs that one entry is in the journal, as C2SP tlog-proof, version 1.

use crate::key::VerifierKey;
use crate::merkle::{Hash, leaf_hash, root_of_path};
use crate::note::{BadNote, Checkpoint, NOTE_MAX_BYTES};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::fmt;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// A path is as long as the tree is high, and a tree of 2^64 leaves is 64 high.
const PATH_MAX: usize = 64;

/// An inclusion proof. Its `Display` is the text of a `.tlog-proof` file; as JSON it has the keys
/// `index`, `path` (base64, the leaf's sibling first) and `checkpoint` (the signed note).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    pub index: u64,
    #[serde(serialize_with = "as_base64")]
    pub path: Vec<Hash>,
    pub checkpoint: String,
}

fn as_base64<S: serde::Serializer>(path: &[Hash], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(path.iter().map(|hash| STANDARD.encode(hash)))
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}\nindex {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", STANDARD.encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why a proof does not prove it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    #[error("it is not a proof: {0}")]
    Form(&'static str),
    #[error("its checkpoint does not hold")]
    Checkpoint(#[source] BadNote),
    #[error("it does not lead from this entry to the root of its checkpoint")]
    Root,
}

/// Checks that `entry` (its bytes) is in the journal whose key is `verifier`; returns the
/// checkpoint that says so. Needs nothing but its arguments.
pub fn verify_proof(
    text: &str,
    entry: &[u8],
    verifier: &VerifierKey,
) -> Result<Checkpoint, BadProof> {
    let proof = parse(text)?;
    let head = Checkpoint::open(&proof.checkpoint, verifier).map_err(BadProof::Checkpoint)?;
    let root = root_of_path(leaf_hash(entry), proof.index, head.size, &proof.path);
    if root == Some(head.root) {
        Ok(head)
    } else {
        Err(BadProof::Root)
    }
}

fn parse(text: &str) -> Result<Proof, BadProof> {
    if text.len() > 2 * NOTE_MAX_BYTES {
        return Err(BadProof::Form("it is longer than 128 KiB"));
    }
    let (proof, checkpoint) = text
        .split_once("\n\n")
        .ok_or(BadProof::Form("no blank line before the checkpoint"))?;
    let mut lines = proof.split('\n').peekable();
    if lines.next() != Some(FIRST_LINE) {
        return Err(BadProof::Form(
            "the first line is not `c2sp.org/tlog-proof@v1`",
        ));
    }
    // Extra bytes are allowed and not authenticated, so they are not looked at.
    lines.next_if(|line| line.starts_with("extra "));
    let index = lines
        .next()
        .and_then(|line| line.strip_prefix("index "))
        .and_then(|n| n.parse::<u64>().ok().filter(|index| index.to_string() == n))
        .ok_or(BadProof::Form("the index is not a number"))?;
    let mut path = vec![];
    for line in lines {
        if path.len() == PATH_MAX {
            return Err(BadProof::Form("the path is longer than any tree is high"));
        }
        let hash = STANDARD.decode(line).ok();
        let hash = hash.and_then(|bytes| Hash::try_from(bytes).ok());
        path.push(hash.ok_or(BadProof::Form("a line is not a hash in base64"))?);
    }
    Ok(Proof {
        index,
        path,
        checkpoint: checkpoint.to_owned(),
    })
}
