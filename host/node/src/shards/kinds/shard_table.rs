//! A table of shards beside them, as databases of older backup systems are exported: CSV with a header, or a
//! JSON array of objects. A row has a path, a SHA-256 and, where it is known, a size.

use super::super::digest;
use super::super::layout::{Expected, Layout, LayoutError};
use super::super::name;
use super::super::small::{self, SmallError};
use super::list::{self, relative};
use super::{Kind, Named, Names, Stranger};
use keepwell_model::store::{DigestKind, Encoding};
use keepwell_model::words::Refusal;
use rustix::fd::BorrowedFd;
use rustix::fs::FileType;
use serde::Deserialize;
use std::collections::HashMap;

/// The table when none is named.
const DEFAULT: &str = "shards.csv";
/// Of some 200,000 rows; it is read as a whole.
const TABLE_MAX_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct ShardTable {
    table: String,
}

impl ShardTable {
    pub(super) fn new(table: Option<&str>) -> Result<Self, LayoutError> {
        list::path(table.unwrap_or(DEFAULT)).map(|table| Self { table })
    }
}

/// Other columns are passed over.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(alias = "path")]
    storage_path: String,
    #[serde(alias = "sha256")]
    checksum: String,
    #[serde(alias = "size", alias = "bytes")]
    size_bytes: Option<u64>,
}

impl Kind for ShardTable {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        Ok(None)
    }

    fn needed(&self) -> Vec<(&str, FileType)> {
        vec![(&self.table, FileType::RegularFile)]
    }

    fn names(&self, root: BorrowedFd<'_>) -> Result<Names, Refusal> {
        let table = &self.table;
        let text =
            small::read(root, table.as_bytes(), TABLE_MAX_BYTES).map_err(|why| match why {
                SmallError::Gone => {
                    Refusal::gone(format!("the table `{table}` is not in the store"))
                }
                SmallError::TooLarge { bytes } => Refusal::limit(format!(
                    "the table `{table}` has {bytes} bytes, and {TABLE_MAX_BYTES} is the most"
                ))
                .hint("split the store into several `[stores]`, each with a table of its own"),
                SmallError::Unreadable(why) => {
                    Refusal::io(format!("cannot read the table `{table}`: {why}"))
                }
            })?;
        let bad = |where_: String, why: &str| {
            Refusal::invalid(format!("{where_} of `{table}` {why}")).hint(
                "a row has `storage_path` (relative to the store), `checksum` (a SHA-256 in hexadecimal) and, \
                 if it is known, `size_bytes`",
            )
        };
        let mut named = HashMap::new();
        for (number, row) in (1..).zip(rows(table, &text)) {
            let row = row.map_err(|why| bad(format!("row {number}"), &why))?;
            let (shown, it) = row
                .named()
                .map_err(|why| bad(format!("row {number}"), why))?;
            if named.insert(shown, it).is_some_and(|earlier| earlier != it) {
                return Err(bad(
                    format!("row {number}"),
                    "has a path that another row has",
                ));
            }
        }
        Ok(Names {
            named,
            troubles: vec![],
        })
    }

    fn stranger(&self, name: &str) -> Stranger {
        match name == self.table {
            true => Stranger::Ignored,
            false => Stranger::Extra,
        }
    }
}

type Rows<'a> = Box<dyn Iterator<Item = Result<Row, String>> + 'a>;

fn rows<'a>(table: &str, text: &'a [u8]) -> Rows<'a> {
    if table.ends_with(".json") {
        return match serde_json::from_slice::<Vec<Row>>(text) {
            Ok(rows) => Box::new(rows.into_iter().map(Ok)),
            Err(e) => Box::new(std::iter::once(Err(format!("and on is not a table: {e}")))),
        };
    }
    let reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text);
    let rows = reader.into_deserialize::<Row>();
    Box::new(rows.map(|row| row.map_err(|e| format!("cannot be read: {e}"))))
}

impl Row {
    fn named(&self) -> Result<(String, Named), &'static str> {
        let hex = self.checksum.to_ascii_lowercase();
        let sum = digest::parse(hex.as_bytes(), DigestKind::Sha256, Encoding::Hex);
        let sum = sum.ok_or("has a `checksum` that is no SHA-256")?;
        let raw = relative(self.storage_path.as_bytes())?;
        let named = Named {
            expected: Expected::plain(sum, DigestKind::Sha256),
            bytes: self.size_bytes,
        };
        Ok((name::escape(&raw), named))
    }
}
