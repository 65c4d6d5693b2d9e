//! Finding a run by what a person types.

use crate::error::Result;
use crate::query::RunQuery;
use crate::reader::Reader;
use crate::schema::column;
use keepwell_model::id::RunId;
use rusqlite::{Row, params};

/// Most runs an ambiguous short id is answered with.
const MATCHES_MAX: u64 = 32;
/// A run's id in hex digits.
const RUN_DIGITS: usize = 32;
/// Digits of [`RunId::short`], which an index finds.
const SHORT_DIGITS: usize = 8;

impl Reader {
    /// The runs a person may mean, newest first: a whole id, its beginning or its end (the eight
    /// digits of [`RunId::short`]), or `last`. More than one means the text is ambiguous.
    pub fn find_runs(&self, text: &str) -> Result<Vec<RunId>> {
        if text == "last" {
            let query = RunQuery {
                limit: Some(1),
                ..RunQuery::default()
            };
            return Ok(self.runs(&query)?.into_iter().map(|row| row.run).collect());
        }
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        if digits.is_empty() || digits.len() > RUN_DIGITS || !hex {
            return Ok(vec![]);
        }
        let mut found = self.beginning(&digits)?;
        found.extend(self.ending(&digits)?);
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found.truncate(usize::try_from(MATCHES_MAX).unwrap_or(usize::MAX));
        Ok(found)
    }

    fn beginning(&self, digits: &str) -> Result<Vec<RunId>> {
        let fill = |with: &str| {
            let whole = format!("{digits}{}", with.repeat(RUN_DIGITS - digits.len()));
            data_encoding::HEXLOWER_PERMISSIVE.decode(whole.as_bytes())
        };
        let (Ok(first), Ok(last)) = (fill("0"), fill("f")) else {
            return Ok(vec![]);
        };
        self.all(
            "SELECT run FROM runs WHERE run BETWEEN ?1 AND ?2 ORDER BY run DESC LIMIT ?3",
            params![first, last, column(MATCHES_MAX)],
            run,
        )
    }

    /// Hex digits hold none of the wildcards of `LIKE`, which ignores case. Without the last four
    /// bytes to look for, all runs are gone through.
    fn ending(&self, digits: &str) -> Result<Vec<RunId>> {
        let short = digits
            .len()
            .checked_sub(SHORT_DIGITS)
            .map(|at| &digits[at..]);
        let short = short.map(|short| data_encoding::HEXLOWER_PERMISSIVE.decode(short.as_bytes()));
        match short {
            Some(Ok(short)) => self.all(
                "SELECT run FROM runs WHERE substr(run, -4) = ?1 AND hex(run) LIKE '%' || ?2 ORDER BY run DESC LIMIT ?3",
                params![short, digits, column(MATCHES_MAX)],
                run,
            ),
            Some(Err(_)) | None => self.all(
                "SELECT run FROM runs WHERE hex(run) LIKE '%' || ?1 ORDER BY run DESC LIMIT ?2",
                params![digits, column(MATCHES_MAX)],
                run,
            ),
        }
    }
}

fn run(row: &Row<'_>) -> rusqlite::Result<RunId> {
    row.get(0).map(RunId::from_bytes)
}
