//! What a run proposed and what it left, and proposing in batches until the budget is used up.

use keepwell_sdk::clean::{self, BATCH, Proposal};
use keepwell_sdk::prelude::*;
use keepwell_sdk::storage::{Entry, Kind};
use std::collections::BTreeMap;

/// So many proposals refused one after the other for the budget's sake show that it is used up. A
/// few only show that they were large: what is smaller may still fit, and must not wait for ever
/// behind them.
const REFUSED_IN_A_ROW: u32 = 32;

/// The sums of a root, or of all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// What was left, by reason.
    pub(crate) skipped: BTreeMap<String, u64>,
    /// What the budget did not reach, if anything.
    pub(crate) limit: Option<String>,
    /// Proposals refused by the budget since the last one that was taken.
    refused_in_a_row: u32,
    /// Some root could not be looked at.
    pub(crate) incomplete: bool,
}

impl Tally {
    pub(crate) fn skip(&mut self, reason: &str, count: u64) {
        if count > 0 {
            *self.skipped.entry(reason.to_owned()).or_insert(0) += count;
        }
    }

    pub(crate) fn took(&mut self, files: u64, bytes: u64) {
        self.files += files;
        self.bytes += bytes;
        self.refused_in_a_row = 0;
        progress(self.files, 0, "files", "proposed");
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.incomplete |= other.incomplete;
        for (reason, count) in &other.skipped {
            self.skip(reason, *count);
        }
        if self.limit.is_none() {
            self.limit.clone_from(&other.limit);
        }
        self.refused_in_a_row = other.refused_in_a_row;
    }

    /// A proposal was refused: its entry stays.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.skip(&refusal.code, 1);
        if refusal.is("limit") {
            self.limit = Some(refusal.message.clone());
            self.refused_in_a_row += 1;
        }
    }

    /// Whether to propose more.
    pub(crate) fn used_up(&self) -> bool {
        self.refused_in_a_row >= REFUSED_IN_A_ROW
    }
}

/// Proposals of one root that have not been made yet.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    root: &'a str,
    /// The reason names the rule and not the age, so that the same tree gives the same plan.
    older_than: Span,
    waiting: Vec<Proposal>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(root: &'a str, older_than: Span) -> Self {
        Self {
            root,
            older_than,
            waiting: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, entry: Entry, tally: &mut Tally) -> Result<(), Refusal> {
        let what = if entry.kind == Kind::Directory {
            "empty, untouched"
        } else {
            "untouched"
        };
        self.waiting.push(Proposal::new(
            entry,
            format!("{what} for over {}", self.older_than),
        ));
        if self.waiting.len() == BATCH {
            self.flush(tally)
        } else {
            Ok(())
        }
    }

    pub(crate) fn flush(&mut self, tally: &mut Tally) -> Result<(), Refusal> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() || tally.used_up() {
            return Ok(());
        }
        for (proposal, answer) in waiting.iter().zip(clean::quarantine(self.root, &waiting)?) {
            match answer {
                Ok(_) if proposal.entry.kind == Kind::File => tally.took(1, proposal.entry.size),
                Ok(_) => tally.took(1, 0),
                Err(refusal) => tally.refused(&refusal),
            }
        }
        Ok(())
    }
}
