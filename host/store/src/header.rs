//! The first 128 bytes of a shard, by which it says where it belongs when nothing else does.
//!
//! Little-endian: magic `KWSHARD1` (8), index, k, m (u16 each), digest (u8: 0 BLAKE3, 1 SHA-256),
//! zero (u8), payload length (u64), group id (16), object id (16), offset of the group in the
//! object (u64), bytes of the object in the group (u64), digest of the payload (32), zero (12),
//! CRC-32C of all before it (u32).

use crate::scheme::Scheme;
use crate::sum::{Hash, Id, Sum};

pub const HEADER_BYTES: usize = 128;
const MAGIC: &[u8; 8] = b"KWSHARD1";
const CRC_AT: usize = HEADER_BYTES - 4;

/// What a shard says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub index: u16,
    pub scheme: Scheme,
    pub group: Id,
    pub object: Id,
    /// Where in the object the group begins, and how much of it is in the group.
    pub offset: u64,
    pub len: u64,
    pub payload_len: u64,
    pub payload: Sum,
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_le_bytes();
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend(self.index.to_le_bytes());
        bytes.extend(short(self.scheme.k()));
        bytes.extend(short(self.scheme.m()));
        bytes.push(match self.payload.hash {
            Hash::Blake3 => 0,
            Hash::Sha256 => 1,
        });
        bytes.push(0);
        bytes.extend(self.payload_len.to_le_bytes());
        bytes.extend(self.group.0);
        bytes.extend(self.object.0);
        bytes.extend(self.offset.to_le_bytes());
        bytes.extend(self.len.to_le_bytes());
        bytes.extend(self.payload.bytes);
        let mut all = [0; HEADER_BYTES];
        all[..bytes.len()].copy_from_slice(&bytes);
        let crc = crc32c::crc32c(&all[..CRC_AT]);
        all[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        all
    }

    /// Of a shard's file; `None` when that does not begin with a header that is whole.
    pub fn parse(file: &[u8]) -> Option<Self> {
        let all = file.get(..HEADER_BYTES)?;
        let crc = u32::from_le_bytes(all[CRC_AT..].try_into().ok()?);
        if crc != crc32c::crc32c(&all[..CRC_AT]) {
            return None;
        }
        let mut rest = all.strip_prefix(MAGIC)?;
        let mut short = || take(&mut rest).map(u16::from_le_bytes);
        let (index, k, m) = (short()?, short()?, short()?);
        let hash = match take::<2>(&mut rest)? {
            [0, 0] => Hash::Blake3,
            [1, 0] => Hash::Sha256,
            _ => return None,
        };
        let payload_len = u64::from_le_bytes(take(&mut rest)?);
        let (group, object) = (Id(take(&mut rest)?), Id(take(&mut rest)?));
        let (offset, len) = (take(&mut rest)?, take(&mut rest)?);
        let bytes = take(&mut rest)?;
        let scheme = Scheme::new(k.into(), m.into())?;
        (usize::from(index) < scheme.shards()).then_some(Self {
            index,
            scheme,
            group,
            object,
            offset: u64::from_le_bytes(offset),
            len: u64::from_le_bytes(len),
            payload_len,
            payload: Sum { hash, bytes },
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            index: 5,
            scheme: Scheme::default(),
            group: Id([7; 16]),
            object: Id([8; 16]),
            offset: 1 << 40,
            len: 1_000,
            payload_len: 250,
            payload: Hash::Sha256.of(b"payload"),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        assert_eq!(Header::parse(&header().to_bytes()), Some(header()));
    }

    #[test]
    fn no_bit_of_it_may_be_another() {
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = header().to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::parse(&bytes), None, "bit {bit}");
        }
        assert_eq!(Header::parse(&header().to_bytes()[..127]), None);
    }
}
