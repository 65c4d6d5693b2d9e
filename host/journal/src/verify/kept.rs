//! The signed heads that are kept, read along with the entries they cover.

use super::{Result, VerifyError};
use crate::error::JournalError;
use crate::key::VerifierKey;
use crate::merkle::Hash;
use crate::note::{BadNote, Checkpoint};
use crate::schema::number;
use rusqlite::Statement;

/// The kept checkpoints, read along with the entries.
pub(super) struct Kept<'a> {
    rows: rusqlite::Rows<'a>,
    verifier: &'a VerifierKey,
    next: Option<Checkpoint>,
    pub(super) passed: u64,
}

impl<'a> Kept<'a> {
    pub(super) fn new(statement: &'a mut Statement<'_>, verifier: &'a VerifierKey) -> Result<Self> {
        let rows = statement
            .query([])
            .map_err(JournalError::sqlite("read the checkpoints"))?;
        let mut this = Self {
            rows,
            verifier,
            next: None,
            passed: 0,
        };
        this.advance()?;
        Ok(this)
    }

    fn advance(&mut self) -> Result<()> {
        let wrap = || JournalError::sqlite("read the checkpoints");
        self.next = None;
        if let Some(row) = self.rows.next().map_err(wrap())? {
            let size = number(row.get(0).map_err(wrap())?);
            let note: String = row.get(1).map_err(wrap())?;
            let bad = |why| VerifyError::Checkpoint { size, why };
            let head = Checkpoint::open(&note, self.verifier).map_err(bad)?;
            if head.size != size {
                return Err(bad(BadNote::Form("it stands at another size")));
            }
            self.next = Some(head);
        }
        Ok(())
    }

    /// The root signed at this size, if one was.
    pub(super) fn at(&mut self, size: u64) -> Result<Option<Hash>> {
        let Some(head) = self.next.take_if(|head| head.size == size) else {
            return Ok(None);
        };
        self.passed += 1;
        self.advance()?;
        Ok(Some(head.root))
    }

    /// The largest size beyond the entries.
    pub(super) fn rest(&mut self) -> Result<Option<u64>> {
        let mut most = None;
        while let Some(head) = self.next.take() {
            most = Some(head.size);
            self.advance()?;
        }
        Ok(most)
    }
}
