//! Forgetting old runs: their contents go, their hashes stay, and the journal says so itself.

use crate::batch::Batch;
use crate::entry::Entry;
use crate::error::{JournalError, Result};
use crate::journal::Journal;
use crate::queue::{Answer, Write};
use crate::reader::Reader;
use crate::schema::{column, number};
use keepwell_model::event::{Event, Record};
use keepwell_model::id::RunId;
use keepwell_model::state::RunState;
use rusqlite::{Connection, params};
use serde::Serialize;
use std::collections::BTreeSet;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

/// Entries whose contents go in one transaction. Whoever commits meanwhile waits for one such
/// transaction, which must take far less than the 50 ms a start may be held up.
const ENTRIES_AT_ONCE: usize = 64;
/// Longest pause between two such transactions, when the disk is slow.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// Runs that are looked for at a time, and handed to the writer together.
const RUNS_AT_ONCE: u64 = 64;

/// Which runs are kept. What is absent does not restrict. Whatever it says, the newest run of each
/// task stays, and so does one that goes on or can be resumed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// Most runs of each task.
    pub runs_per_task: Option<u64>,
    /// Longest time since a run began, in milliseconds.
    pub age_ms: Option<u64>,
    /// Most bytes of all runs' records together.
    pub bytes: Option<u64>,
    /// Runs that stay for a reason of the caller's: what they moved can still be undone.
    pub spare: BTreeSet<RunId>,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    pub runs: u64,
    pub entries: u64,
    pub bytes: u64,
}

impl AddAssign for Pruned {
    fn add_assign(&mut self, more: Self) {
        self.runs += more.runs;
        self.entries += more.entries;
        self.bytes += more.bytes;
    }
}

/// Runs for the writer to forget.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) runs: Vec<RunId>,
    why: String,
    now_ms: u64,
}

/// What one transaction did of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cutting {
    pruned: Pruned,
    /// Runs from the first on that are done with.
    passed: usize,
}

/// Runs that one rule lets go: those before (and not at) a run, of one task or of all.
struct Outlived {
    why: String,
    task: Option<String>,
    before: RunId,
}

impl Journal {
    /// Forgets the runs that `retention` does not keep, the oldest first, in small transactions
    /// between which others commit. Each journals what it removes. After an error some may be
    /// forgotten, and the next call goes on.
    pub fn prune(&self, retention: &Retention, now_ms: u64) -> Result<Pruned> {
        let reader = self.reader()?;
        let mut pruned = Pruned::default();
        for outlived in rules(&reader, retention, now_ms)? {
            let mut after = None;
            loop {
                let page = reader.outlived(&outlived, after)?;
                let Some(last) = page.last() else { break };
                after = Some(*last);
                let mut runs = vec![];
                for run in page
                    .into_iter()
                    .filter(|run| !retention.spare.contains(run))
                {
                    if reader.may_go(run)? {
                        runs.push(run);
                    }
                }
                pruned += self.cut(runs, &outlived.why, now_ms)?;
            }
        }
        Ok(pruned)
    }

    fn cut(&self, mut runs: Vec<RunId>, why: &str, now_ms: u64) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        while !runs.is_empty() {
            let cut = Cut {
                runs: runs.clone(),
                why: why.to_owned(),
                now_ms,
            };
            let since = Instant::now();
            let Answer::Pruned(cutting) = self.commit_answer(Write::Prune(cut))? else {
                unreachable!("pruning is answered by what was pruned")
            };
            // Half of the time is left to others, who then do not queue behind the next share.
            std::thread::sleep(since.elapsed().min(PAUSE_MAX));
            pruned += cutting.pruned;
            runs.drain(..cutting.passed);
        }
        Ok(pruned)
    }
}

fn rules(reader: &Reader, retention: &Retention, now_ms: u64) -> Result<Vec<Outlived>> {
    let mut rules = vec![];
    if let Some(age) = retention.age_ms {
        rules.push(Outlived {
            why: format!("began more than {} s ago", age / 1_000),
            task: None,
            before: RunId::new(now_ms.saturating_sub(age), [0; 10]),
        });
    }
    if let Some(most) = retention.runs_per_task {
        for (task, before) in reader.beyond_count(most.max(1))? {
            rules.push(Outlived {
                why: format!("the task has more than {most} runs"),
                task: Some(task),
                before,
            });
        }
    }
    if let Some(most) = retention.bytes
        && let Some(before) = reader.beyond_bytes(most)?
    {
        rules.push(Outlived {
            why: format!("the records of all runs are more than {most} bytes"),
            task: None,
            before,
        });
    }
    Ok(rules)
}

impl Reader {
    /// The next runs that a rule lets go, the oldest first.
    fn outlived(&self, rule: &Outlived, after: Option<RunId>) -> Result<Vec<RunId>> {
        let after = after.map_or(vec![], |run| run.to_bytes().to_vec());
        let before = rule.before.to_bytes();
        let run = |row: &rusqlite::Row<'_>| row.get(0).map(RunId::from_bytes);
        let most = column(RUNS_AT_ONCE);
        match &rule.task {
            Some(task) => self.all(
                "SELECT run FROM runs WHERE task = ?1 AND run > ?2 AND run < ?3 ORDER BY run LIMIT ?4",
                params![task, after, before, most],
                run,
            ),
            None => self.all(
                "SELECT run FROM runs WHERE run > ?1 AND run < ?2 ORDER BY run LIMIT ?3",
                params![after, before, most],
                run,
            ),
        }
    }

    /// It has ended for good, and is not the newest of its task.
    fn may_go(&self, run: RunId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM runs AS newer WHERE newer.task = runs.task AND newer.run > runs.run)
             FROM runs WHERE run = ?1 AND state NOT IN ('running', 'waiting', 'interrupted')";
        Ok(self.first(sql, [run.to_bytes()])?.unwrap_or(false))
    }

    /// For each task with more runs than `most`: the oldest that stays.
    fn beyond_count(&self, most: u64) -> Result<Vec<(String, RunId)>> {
        let mut found = vec![];
        let mut task: Option<String> = self.first("SELECT min(task) FROM runs", [])?.flatten();
        while let Some(name) = task {
            let sql = "SELECT run FROM runs WHERE task = ?1 ORDER BY run DESC LIMIT 1 OFFSET ?2";
            let oldest = self.first(sql, params![name, column(most - 1)])?;
            // From task to task by the index, not through all runs.
            task = self
                .first("SELECT min(task) FROM runs WHERE task > ?1", [&name])?
                .flatten();
            found.extend(oldest.map(|run| (name, RunId::from_bytes(run))));
        }
        Ok(found)
    }

    /// The oldest run with which the records of it and all newer ones are not yet too many bytes.
    fn beyond_bytes(&self, most: u64) -> Result<Option<RunId>> {
        let wrap = || JournalError::sqlite("add up the runs");
        let mut rows = self
            .db
            .prepare("SELECT run, stored FROM runs ORDER BY run DESC")
            .map_err(wrap())?;
        let mut rows = rows.query([]).map_err(wrap())?;
        let (mut sum, mut oldest) = (0_u64, RunId::from_bytes([0xff; 16]));
        while let Some(row) = rows.next().map_err(wrap())? {
            sum = sum.saturating_add(number(row.get(1).map_err(wrap())?));
            if sum > most {
                return Ok(Some(oldest));
            }
            oldest = RunId::from_bytes(row.get(0).map_err(wrap())?);
        }
        Ok(None)
    }
}

/// One transaction's share: the event first, then the contents it names.
pub(crate) fn cut(batch: &mut Batch<'_>, cut: &Cut) -> Result<Cutting> {
    let wrap = || JournalError::sqlite("forget a run");
    let mut gone: Vec<(u64, u64)> = vec![];
    let (mut finished, mut passed) = (vec![], 0);
    for run in &cut.runs {
        let left = ENTRIES_AT_ONCE - gone.len();
        if left == 0 {
            break;
        }
        let state = batch.projection.state(batch.tx, *run).map_err(wrap())?;
        let resumable = [RunState::Running, RunState::Waiting, RunState::Interrupted];
        if state.is_some_and(|state| !resumable.contains(&state)) {
            // One more than may go now shows whether that is all of the run.
            let found = contents(batch.tx, *run, left + 1).map_err(wrap())?;
            let whole = found.len() <= left;
            gone.extend(found.into_iter().take(left));
            if !whole {
                break;
            }
            finished.push(*run);
        }
        passed += 1;
    }
    gone.sort_unstable();
    let pruned = Pruned {
        runs: finished.len() as u64,
        entries: gone.len() as u64,
        bytes: gone.iter().map(|(_, bytes)| bytes).sum(),
    };
    if pruned != Pruned::default() {
        let ranges = ranges(gone.iter().map(|(index, _)| *index));
        let event = Event::Pruned {
            why: cut.why.clone(),
            runs: pruned.runs,
            entries: pruned.entries,
            bytes: pruned.bytes,
            ranges: ranges.clone(),
        };
        batch.enter(&Entry::new(Record {
            at: cut.now_ms,
            run: None,
            task: None,
            actor: "host".into(),
            event,
        })?)?;
        remove(batch.tx, &ranges, &finished).map_err(wrap())?;
        finished
            .iter()
            .for_each(|run| batch.projection.let_go(*run));
    }
    Ok(Cutting { pruned, passed })
}

/// Kinds whose contents stay: slots and controls are made from them, and they are few.
pub(crate) const STAYS: [&str; 11] = [
    "run-due",
    "slot-missed",
    "slot-skipped",
    "slot-done-by-hand",
    "task-paused",
    "task-resumed",
    "task-skip",
    "task-skip-used",
    "run-asked",
    "backfill-asked",
    "ask-settled",
];

/// Entries about a run, with the length of their contents, that do not stay.
fn contents(tx: &Connection, run: RunId, most: usize) -> rusqlite::Result<Vec<(u64, u64)>> {
    let stays = STAYS.join("', '");
    let mut rows = tx.prepare_cached(&format!(
        "SELECT idx, length(bytes) FROM entries WHERE run = ?1 AND kind NOT IN ('{stays}')
         ORDER BY idx LIMIT ?2"
    ))?;
    let most = column(most as u64);
    let rows = rows.query_map(params![run.to_bytes(), most], |row| {
        Ok((number(row.get(0)?), number(row.get(1)?)))
    })?;
    rows.collect()
}

/// An entry without contents is known by its hash alone, and found by nothing. Checkpoints that
/// were kept at the end of such a run go, too: later ones cover the same entries.
fn remove(tx: &Connection, ranges: &[(u64, u64)], runs: &[RunId]) -> rusqlite::Result<()> {
    let mut blank = tx.prepare_cached(
        "UPDATE entries SET at = 0, kind = '', run = NULL, task = NULL, bytes = x''
         WHERE idx BETWEEN ?1 AND ?2",
    )?;
    let mut signed =
        tx.prepare_cached("DELETE FROM checkpoints WHERE size BETWEEN ?1 + 1 AND ?2 + 1")?;
    for (first, last) in ranges {
        blank.execute([column(*first), column(*last)])?;
        signed.execute([column(*first), column(*last)])?;
    }
    let mut row = tx.prepare_cached("DELETE FROM runs WHERE run = ?1")?;
    for run in runs {
        row.execute([run.to_bytes()])?;
    }
    Ok(())
}

/// Ascending indexes as spans from the first to the last.
fn ranges(indexes: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = vec![];
    for index in indexes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            Some(_) | None => ranges.push((index, index)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spans_hold_exactly_the_indexes(set in proptest::collection::btree_set(0_u64..200, 0..120)) {
            let spans = ranges(set.iter().copied());
            let back: Vec<u64> = spans.iter().flat_map(|(first, last)| *first..=*last).collect();
            prop_assert_eq!(back, set.into_iter().collect::<Vec<_>>());
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }

    #[test]
    fn what_slots_and_controls_are_made_from_stays() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(crate::schema::TABLES).unwrap();
        let run = RunId::new(1, [1; 10]);
        let kinds = crate::control::KINDS.iter().chain(&crate::slots::KINDS);
        for (index, kind) in (0_u64..).zip(kinds.chain(&["logged"])) {
            let index = column(index);
            let row = params![index, [0_u8; 32], kind, run.to_bytes(), "t", [1_u8]];
            db.execute(
                "INSERT INTO entries VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6)",
                row,
            )
            .unwrap();
        }
        let all: u64 = db
            .query_row("SELECT count(*) FROM entries", [], |row| {
                row.get(0).map(number)
            })
            .unwrap();
        let found = contents(&db, run, 100).unwrap();
        assert_eq!(found, [(all - 1, 1)]);
    }
}
