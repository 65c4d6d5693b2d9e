//! Looking at granted roots: a walk as an iterator, of batches or of entries.

use crate::task::Refusal;
use crate::wit::sys;
use std::borrow::Cow;

pub use crate::wit::keepwell::task::storage::{
    AgeBy, Entry, Identity, Kind, RootInfo, Selector, Usage,
};

/// The most entries one call gives, from the contract.
pub const BATCH: u32 = 4_096;

/// The roots granted to this task.
pub fn roots() -> Result<Vec<RootInfo>, Refusal> {
    sys::storage::roots()
}
/// One entry.
pub fn stat(root: &str, path: &[u8]) -> Result<Entry, Refusal> {
    sys::storage::stat(root, path)
}
/// Adds up a directory; an empty path means the root.
pub fn usage(root: &str, path: &[u8]) -> Result<Usage, Refusal> {
    sys::storage::get_usage(root, path)
}
/// Everything below the root that the selector lets through.
pub fn walk(root: &str, selector: &Selector) -> Result<Walk, Refusal> {
    let walker = sys::storage::walk(root, selector)?;
    Ok(Walk {
        walker,
        batch: Vec::new().into_iter(),
        ended: false,
    })
}

/// Selects everything. Written out, because a selector is a record of the contract.
pub fn everything() -> Selector {
    Selector {
        globs: Vec::new(),
        except: Vec::new(),
        kinds: Vec::new(),
        min_age_ms: 0,
        age_by: AgeBy::Newest,
        min_size: 0,
        only_empty_directories: false,
    }
}

/// A walk under way. Iterating gives entries; after a refusal it ends.
#[derive(Debug)]
pub struct Walk {
    walker: sys::storage::Walker,
    batch: std::vec::IntoIter<Entry>,
    ended: bool,
}

impl Walk {
    /// The next entries, at most [`BATCH`]; `None` at the end.
    pub fn next_batch(&mut self) -> Option<Result<Vec<Entry>, Refusal>> {
        self.next_at_most(BATCH)
    }

    /// The next entries, at most `max` and never more than [`BATCH`]; `None` at the end.
    pub fn next_at_most(&mut self, max: u32) -> Option<Result<Vec<Entry>, Refusal>> {
        if self.ended {
            return None;
        }
        let answer = self.walker.next(max);
        self.ended = answer.as_ref().map_or(true, Vec::is_empty);
        match answer {
            Ok(entries) if entries.is_empty() => None,
            answer => Some(answer),
        }
    }

    /// Batch by batch.
    pub fn batches(mut self) -> impl Iterator<Item = Result<Vec<Entry>, Refusal>> {
        std::iter::from_fn(move || self.next_batch())
    }

    /// What was seen but not given, by reason. Complete once the walk has ended.
    pub fn skipped(&self) -> Vec<(String, u64)> {
        self.walker.skipped()
    }
}

impl Iterator for Walk {
    type Item = Result<Entry, Refusal>;
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.batch.next() {
            return Some(Ok(entry));
        }
        match self.next_batch()? {
            Ok(entries) => {
                self.batch = entries.into_iter();
                self.batch.next().map(Ok)
            }
            Err(refusal) => Some(Err(refusal)),
        }
    }
}

impl Entry {
    /// Its path as text, for people. Two names that are not text may look the same.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.path)
    }

    /// The first part of its path.
    pub fn top(&self) -> &[u8] {
        let end = self.path.iter().position(|b| *b == b'/');
        &self.path[..end.unwrap_or(self.path.len())]
    }

    /// When it was last touched, by that measure, in milliseconds since the Unix epoch; 0 for
    /// times before it.
    pub fn time(&self, by: AgeBy) -> u64 {
        match by {
            AgeBy::Newest => self.touched,
            AgeBy::Modified => u64::try_from(self.identity.mtime_ns / 1_000_000).unwrap_or(0),
        }
    }
}
