//! The tables that are made from the records, held against the records.

use super::{Result, VerifyError};
use crate::control::{self, Controls};
use crate::error::JournalError;
use crate::schema::{column, number};
use crate::slots::{self, SlotRow, slot_row};
use keepwell_model::event::{Event, Record};
use rusqlite::{Connection, OptionalExtension as _, Statement, params};

/// Whether entries of this kind make rows of the tables compared here.
pub(super) fn is_made_from(kind: &str) -> bool {
    slots::KINDS.contains(&kind) || control::KINDS.contains(&kind)
}

/// The comparison, going along with the entries. Slots are looked up one by one, as there may be
/// as many as runs; controls are few and folded anew.
pub(super) struct Made<'a> {
    db: &'a Connection,
    slot: Statement<'a>,
    slots: u64,
    controls: Controls,
}

impl<'a> Made<'a> {
    pub(super) fn new(db: &'a Connection) -> Result<Self> {
        let columns = slots::COLUMNS;
        let sql = format!(
            "SELECT {columns} FROM slots WHERE task = ?1 AND due = ?2 AND attempt = ?3 AND how = ?4"
        );
        Ok(Self {
            db,
            slot: db
                .prepare(&sql)
                .map_err(JournalError::sqlite("read the slots"))?,
            slots: 0,
            controls: Controls::default(),
        })
    }

    /// An entry of a kind that [`is_made_from`] names.
    pub(super) fn compare(&mut self, index: u64, bytes: &[u8]) -> Result<()> {
        let bad = |e: serde_json::Error| VerifyError::Entry {
            index,
            why: format!("it is not a record: {e}"),
        };
        let record: Record = serde_json::from_slice(bytes).map_err(bad)?;
        self.controls.add(&record, index);
        let Some(should) = slots::made_by(&record, index) else {
            return Ok(());
        };
        self.slots += 1;
        let key = params![
            should.task,
            column(should.due),
            should.attempt,
            should.how.as_str()
        ];
        let is: Option<SlotRow> = self
            .slot
            .query_row(key, slot_row)
            .optional()
            .map_err(JournalError::sqlite("read a slot"))?;
        if is.as_ref() == Some(&should) {
            return Ok(());
        }
        let why = format!("the row of entry {index} is missing or another");
        Err(VerifyError::State {
            table: "slots",
            why,
        })
    }

    /// After the last entry: the tables hold nothing else.
    pub(super) fn finish(self) -> Result<()> {
        let stored: u64 = self
            .db
            .query_row("SELECT count(*) FROM slots", [], |row| {
                row.get(0).map(number)
            })
            .map_err(JournalError::sqlite("count the slots"))?;
        if stored != self.slots {
            let why = format!("it has {stored} rows, the records make {}", self.slots);
            return Err(VerifyError::State {
                table: "slots",
                why,
            });
        }
        let stored =
            Controls::stored(self.db).map_err(JournalError::sqlite("read the controls"))?;
        if stored.set != self.controls.set {
            let first = first_difference(&stored.set, &self.controls.set);
            let why = first.map_or_else(String::new, |(task, control)| {
                format!("`{control}` of task `{task}`")
            });
            return Err(VerifyError::State {
                table: "controls",
                why,
            });
        }
        if stored.asked != self.controls.asked {
            let first = first_difference(&stored.asked, &self.controls.asked);
            let why = first.map_or_else(String::new, |entry| format!("what entry {entry} asks"));
            return Err(VerifyError::State {
                table: "asked",
                why,
            });
        }
        Ok(())
    }
}

type Map<K, V> = std::collections::BTreeMap<K, V>;

fn first_difference<'a, K: Ord, V: PartialEq>(a: &'a Map<K, V>, b: &'a Map<K, V>) -> Option<&'a K> {
    let differs = |key: &&'a K| a.get(*key) != b.get(*key);
    a.keys().chain(b.keys()).filter(differs).min()
}

/// Which entries records say were pruned. Read ahead of the entries, and trusted only because each
/// of these records is then verified as an entry itself.
pub(super) struct Covered(Vec<(u64, u64)>);

impl Covered {
    pub(super) fn new(db: &Connection) -> Result<Self> {
        let wrap = || JournalError::sqlite("read what was pruned");
        let mut rows = db
            .prepare("SELECT idx, bytes FROM entries WHERE kind = 'pruned' ORDER BY idx")
            .map_err(wrap())?;
        let mut rows = rows.query([]).map_err(wrap())?;
        let mut all = vec![];
        while let Some(row) = rows.next().map_err(wrap())? {
            // One that cannot be read is found as an entry.
            let Ok((index, record)) = crate::entry::read(row) else {
                continue;
            };
            if let Event::Pruned { ranges, .. } = record.event {
                // Nothing is pruned before it was there.
                all.extend(ranges.into_iter().filter(|(_, last)| *last < index));
            }
        }
        all.sort_unstable();
        Ok(Self(merged(all)))
    }

    /// Whether some entry between the two, or one of them, was.
    pub(super) fn any(&self, first: u64, last: u64) -> bool {
        let before = self.0.partition_point(|(_, end)| *end < first);
        self.0.get(before).is_some_and(|(start, _)| *start <= last)
    }

    pub(super) fn has(&self, index: u64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= index);
        after.checked_sub(1).is_some_and(|at| self.0[at].1 >= index)
    }
}

/// Sorted spans without overlap.
fn merged(sorted: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut spans: Vec<(u64, u64)> = vec![];
    for (first, last) in sorted {
        match spans.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            Some(_) | None => spans.push((first, last)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn covered_is_what_some_span_holds(spans in proptest::collection::vec((0_u64..60, 0_u64..8), 0..20)) {
            let mut spans: Vec<(u64, u64)> = spans.into_iter().map(|(at, more)| (at, at + more)).collect();
            let held = |index| spans.iter().any(|(first, last)| (*first..=*last).contains(&index));
            let expected: Vec<bool> = (0..80).map(held).collect();
            spans.sort_unstable();
            let covered = Covered(merged(spans));
            prop_assert_eq!((0..80).map(|index| covered.has(index)).collect::<Vec<_>>(), expected.clone());
            for first in 0..80 {
                for last in first..80 {
                    let any = expected[first..=last].contains(&true);
                    prop_assert_eq!(covered.any(first as u64, last as u64), any);
                }
            }
        }
    }
}
