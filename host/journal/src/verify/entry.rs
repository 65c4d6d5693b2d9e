//! One entry: its leaf recomputed, and the columns it is found by held against its bytes.

use super::{Result, VerifyError};
use crate::merkle::{Hash, leaf_hash};
use crate::schema::number;
use keepwell_model::id::RunId;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::Deserialize;
use std::borrow::Cow;

/// Columns of the statement whose rows [`entry`] reads.
pub(super) const COLUMNS: &str = "idx, bytes, leaf, at, kind, run, task";

/// As much of a record as the columns repeat. Nothing of it is copied that needs no unescaping.
#[derive(Deserialize)]
struct Found<'a> {
    at: u64,
    #[serde(default)]
    run: Option<RunId>,
    #[serde(default, borrow)]
    task: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Kind<'a>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

/// An entry that holds.
pub(super) struct Good<'a> {
    pub(super) leaf: Hash,
    pub(super) kind: &'a str,
    pub(super) run: Option<RunId>,
    /// `None` when its contents are gone and only the hash is left.
    pub(super) bytes: Option<&'a [u8]>,
}

/// The entry that should be number `expected`, its leaf recomputed.
pub(super) fn entry<'a>(row: &'a Row<'_>, expected: u64) -> Result<Good<'a>> {
    let bad = |why: String| VerifyError::Entry {
        index: expected,
        why,
    };
    let read = |e: rusqlite::Error| bad(format!("its row cannot be read: {e}"));
    let index = row.get::<_, i64>(0).map_err(read)?;
    if index < 0 || number(index) != expected {
        return Err(bad(format!("it is missing, the next is {index}")));
    }
    let columns = |is: [ValueRef<'_>; 4]| {
        for (column, is) in (3..).zip(is) {
            if row.get_ref(column).map_err(read)? != is {
                return Err(bad("the columns it is found by are not its own".into()));
            }
        }
        Ok(())
    };
    let bytes = row.get_ref(1).map_err(read)?;
    let bytes = bytes
        .as_blob()
        .map_err(|_| bad("its bytes are missing".into()))?;
    if bytes.is_empty() {
        let nothing = ValueRef::Text(b"");
        columns([
            ValueRef::Integer(0),
            nothing,
            ValueRef::Null,
            ValueRef::Null,
        ])?;
        return Ok(Good {
            leaf: row.get(2).map_err(read)?,
            kind: "",
            run: None,
            bytes: None,
        });
    }
    let leaf = leaf_hash(bytes);
    if row.get_ref(2).map_err(read)? != ValueRef::Blob(&leaf) {
        return Err(bad("its bytes are not those its hash was made from".into()));
    }
    let record: Found<'_> =
        serde_json::from_slice(bytes).map_err(|e| bad(format!("it is not a record: {e}")))?;
    let run = record.run.map(RunId::to_bytes);
    columns([
        i64::try_from(record.at).map_or(ValueRef::Null, ValueRef::Integer),
        ValueRef::Text(record.event.kind.as_bytes()),
        run.as_ref()
            .map_or(ValueRef::Null, |run| ValueRef::Blob(run)),
        match &record.task {
            Some(task) => ValueRef::Text(task.as_bytes()),
            None => ValueRef::Null,
        },
    ])?;
    let kind = row.get_ref(4).map_err(read)?.as_str();
    Ok(Good {
        leaf,
        kind: kind.map_err(|_| bad("its kind is not text".into()))?,
        run: record.run,
        bytes: Some(bytes),
    })
}
