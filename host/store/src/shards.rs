//! The files of shards: where they lie, how they come there, and whether one is what it was.

use crate::error::{Error, Result};
use crate::format::{SHARD_MAX_BYTES, SHARDS, Store};
use crate::header::{HEADER_BYTES, Header};
use crate::manifest::{Manifest, Member};
use crate::sum::Sum;
use keepwell_model::store::State;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

const FILE_MAX_BYTES: u64 = (SHARD_MAX_BYTES + HEADER_BYTES) as u64;

/// The folder of a shard.
pub(crate) fn folder(digest: &Sum) -> PathBuf {
    let hex = digest.hex();
    Path::new(SHARDS).join(&hex[..2]).join(&hex[2..4])
}

/// Its name there: the digest of the whole file, and which digest that is.
pub(crate) fn name(digest: &Sum) -> String {
    format!("{}.{}", digest.hex(), digest.hash.as_str())
}

pub(crate) fn place(digest: &Sum) -> PathBuf {
    folder(digest).join(name(digest))
}

/// A shard's file, from its payload and where it belongs.
pub(crate) fn file(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend(header.to_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

impl Manifest {
    /// The header of one of its shards.
    pub(crate) fn header(&self, index: u16, payload: &[u8], digest: Sum) -> Header {
        Header {
            index,
            scheme: self.scheme,
            group: self.group,
            object: self.object.id,
            offset: self.offset,
            len: self.len,
            payload_len: payload.len() as u64,
            payload: digest,
        }
    }
}

impl Store {
    /// Whether a shard is what the manifest says, and its payload when it is. What reads wrong is
    /// read once more, past what the kernel remembers, before it is called corrupt.
    pub(crate) fn check(&self, shard: &Member) -> (State, Option<Vec<u8>>) {
        let mut state = State::Corrupt;
        for _ in 0..2 {
            match self.read(&place(&shard.digest)) {
                Ok(bytes) if bytes.len() as u64 == shard.len => {
                    if shard.digest.hash.of(&bytes) == shard.digest {
                        let payload = bytes[HEADER_BYTES.min(bytes.len())..].to_vec();
                        return (State::Ok, Some(payload));
                    }
                    state = State::Corrupt;
                }
                Ok(bytes) if (bytes.len() as u64) < shard.len => state = State::Truncated,
                Ok(_) => state = State::Oversize,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return (State::Missing, None),
                Err(_) => state = State::Unreadable,
            }
            self.forget(&place(&shard.digest));
        }
        (state, None)
    }

    /// The same by length alone: what can be said without reading it.
    pub(crate) fn glance(&self, shard: &Member) -> State {
        match self.dir.symlink_metadata(place(&shard.digest)) {
            Ok(meta) if !meta.is_file() => State::Corrupt,
            Ok(meta) if meta.len() < shard.len => State::Truncated,
            Ok(meta) if meta.len() > shard.len => State::Oversize,
            Ok(_) => State::Unverifiable,
            Err(e) if e.kind() == io::ErrorKind::NotFound => State::Missing,
            Err(_) => State::Unreadable,
        }
    }

    /// A regular file of the store; a link is none.
    fn read(&self, place: &Path) -> io::Result<Vec<u8>> {
        if !self.dir.symlink_metadata(place)?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut bytes = vec![];
        let file = self.dir.open(place)?;
        file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Has the kernel drop what it remembers of a file, where it can.
    fn forget(&self, place: &Path) {
        use rustix::fs::{Advice, fadvise};
        if let Ok(file) = self.dir.open(place) {
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
        }
    }

    /// Removes a shard that no manifest names.
    pub(crate) fn discard(&self, digest: &Sum) -> Result<()> {
        let place = place(digest);
        match self.dir.remove_file(&place) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &self.at(&place))(e))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
