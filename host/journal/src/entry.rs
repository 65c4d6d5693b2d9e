//! A record as the journal stores it: its bytes, its leaf hash, and the columns it is found by.

use crate::error::{JournalError, Result};
use crate::merkle::{Hash, leaf_hash};
use crate::schema::RECORD_MAX_BYTES;
use keepwell_model::event::{Event, Record};
use rusqlite::Row;

/// What the tree and the indexes are made from.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) bytes: Vec<u8>,
    pub(crate) leaf: Hash,
    pub(crate) record: Record,
}

impl Entry {
    /// Encodes a record, or says why it must not enter the journal: what cannot be read back
    /// would break it for good.
    pub(crate) fn new(record: Record) -> Result<Self> {
        let refused = |why: String| Err(JournalError::Record { why });
        if let Event::Measured { metric } = &record.event
            && !metric.value.is_finite()
        {
            return refused(format!("metric `{}` is {}", metric.name, metric.value));
        }
        if i64::try_from(record.at).is_err() {
            return refused(format!("its time {} lies beyond all times", record.at));
        }
        if let Some(why) = crate::slots::senseless(&record) {
            return refused(why.into());
        }
        let bytes = match serde_json::to_vec(&record) {
            Ok(bytes) => bytes,
            Err(e) => return refused(e.to_string()),
        };
        if bytes.len() > RECORD_MAX_BYTES {
            return refused(format!(
                "it has {} bytes, the most are {RECORD_MAX_BYTES}",
                bytes.len()
            ));
        }
        let leaf = leaf_hash(&bytes);
        Ok(Self {
            bytes,
            leaf,
            record,
        })
    }
}

/// Reads a record from a row whose first two columns are `idx` and `bytes`.
pub(crate) fn read(row: &Row<'_>) -> Result<(u64, Record)> {
    let wrap = JournalError::sqlite("read an entry");
    let (index, bytes) = (|| Ok((row.get::<_, i64>(0)?, row.get_ref(1)?)))().map_err(wrap)?;
    let index = crate::schema::number(index);
    let bad = |why: String| JournalError::Entry { index, why };
    let bytes = bytes.as_blob().map_err(|e| bad(e.to_string()))?;
    let record = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
    Ok((index, record))
}
