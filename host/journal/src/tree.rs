//! The stored tree: hashes of any range of leaves from the few that are kept.

use crate::error::{JournalError, Result};
use crate::merkle::{Frontier, Hash, node_hash, split};
use crate::schema::column;
use rusqlite::Connection;

/// Every this many levels a complete subtree's hash is stored: one row for 256 leaves, and no
/// lookup reads more than 255 hashes for one subtree.
pub(crate) const STORED_EVERY: u32 = 8;

/// The root over the leaves `start..end`, where `start` is a multiple of the largest power of
/// two that the range holds, as it is everywhere in a proof.
pub(crate) fn range_root(db: &Connection, start: u64, end: u64) -> Result<Hash> {
    let count = end - start;
    if count.is_power_of_two() {
        let level = count.trailing_zeros();
        return subtree(db, level, start >> level);
    }
    let middle = start + split(count);
    Ok(node_hash(
        &subtree(
            db,
            split(count).trailing_zeros(),
            start >> split(count).trailing_zeros(),
        )?,
        &range_root(db, middle, end)?,
    ))
}

/// The frontier of the first `size` leaves.
pub(crate) fn frontier(db: &Connection, size: u64) -> Result<Frontier> {
    let mut roots = vec![];
    let mut start = 0;
    for level in (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1) {
        roots.push(subtree(db, level, start >> level)?);
        start += 1 << level;
    }
    Frontier::from_roots(size, roots).ok_or(JournalError::Entry {
        index: size,
        why: "the tree has another size".into(),
    })
}

/// The complete subtree `index` of `2^level` leaves, from the stored level at or below it.
fn subtree(db: &Connection, level: u32, index: u64) -> Result<Hash> {
    let above = level % STORED_EVERY;
    let (stored, first) = (level - above, index << above);
    let sql = if stored == 0 {
        "SELECT leaf FROM entries WHERE idx >= ?1 AND idx < ?2 AND ?3 = 0 ORDER BY idx"
    } else {
        "SELECT hash FROM nodes WHERE idx >= ?1 AND idx < ?2 AND level = ?3 ORDER BY idx"
    };
    let count = 1_u64 << above;
    let hashes = || -> rusqlite::Result<Vec<Hash>> {
        let mut rows = db.prepare(sql)?;
        let range = (column(first), column(first + count), stored);
        rows.query_map(range, |row| row.get(0))?.collect()
    };
    let mut hashes = hashes().map_err(JournalError::sqlite("read hashes"))?;
    if hashes.len() as u64 != count {
        return Err(JournalError::Entry {
            index: first << stored,
            why: "a hash of the tree is missing here".into(),
        });
    }
    while hashes.len() > 1 {
        let pairs = hashes.chunks_exact(2);
        hashes = pairs.map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    Ok(hashes[0])
}
