//! Retention: by age, by count and by bytes, in batches that let others write in between.

use super::error::{DbError, Result};
use super::trim::{
    buckets, excess, forget_runs, pages, remove_empty, trim_findings, trim_points, trim_rollups,
    used,
};
use super::{Measurements, lock};
use crate::schema::{column, number};
use keepwell_model::id::RunId;
use keepwell_model::measure::{DAY_MS, Tier};
use keepwell_model::units::{Bytes, Span};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// A batch that takes longer is followed by a smaller one. Whoever wants to write waits for one
/// batch at most, and shall not notice it.
const BATCH_SLOW: Duration = Duration::from_millis(8);
const BATCH_FAST: Duration = Duration::from_millis(3);
/// Rows in the first batch: fast on the slowest disk.
const BATCH_FIRST: u64 = 200;
const BATCH_LEAST: u64 = 20;
const BATCH_MOST: u64 = 5_000;
/// Between batches the lock is free for as long as it was held, and at least for this.
const PAUSE: Duration = Duration::from_millis(1);
/// The write-ahead log is folded into the file after so many batches, while nobody waits.
const CHECKPOINT_EVERY: u64 = 32;
/// Free pages the file keeps for what comes next; the others are given back.
const SLACK_PAGES: i64 = 256;
/// Moving a page costs about as much as removing so many rows.
const ROWS_OF_A_PAGE: i64 = 8;
/// Less than this holds no useful history and would be swept without end.
const BYTES_LEAST: Bytes = Bytes(1 << 20);

/// How long what is kept. Spans grow from tier to tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Retention {
    pub points: Span,
    /// Points of one series.
    pub points_max: u64,
    pub five_minutes: Span,
    pub hours: Span,
    pub days: Span,
    /// Findings that are resolved, and which runs were folded.
    pub findings: Span,
    /// Resolved findings, of all tasks together.
    pub findings_max: u64,
    /// What is in use of the file. Beyond it points go first, of the longest series the oldest,
    /// then rollups from fine to coarse.
    pub bytes: Bytes,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: u64 = DAY_MS / 1_000;
        Self {
            points: Span::secs(14 * DAY),
            points_max: 100_000,
            five_minutes: Span::secs(90 * DAY),
            hours: Span::secs(2 * 366 * DAY),
            days: Span::secs(10 * 366 * DAY),
            findings: Span::secs(400 * DAY),
            findings_max: 100_000,
            bytes: Bytes(256 << 20),
        }
    }
}

/// A retention that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRetention {
    #[error("`{finer}` is kept longer than `{coarser}`, which is made for what is older")]
    Order {
        finer: &'static str,
        coarser: &'static str,
    },
    #[error("{given} is too little for measurements: expected at least {BYTES_LEAST}")]
    Bytes { given: Bytes },
}

impl Retention {
    pub fn check(&self) -> Result<(), BadRetention> {
        let tiers = [
            ("points", self.points),
            ("five-minutes", self.five_minutes),
            ("hours", self.hours),
            ("days", self.days),
        ];
        for pair in tiers.windows(2) {
            let [(finer, short), (coarser, long)] = [pair[0], pair[1]];
            if short > long {
                return Err(BadRetention::Order { finer, coarser });
            }
        }
        if self.bytes < BYTES_LEAST {
            return Err(BadRetention::Bytes { given: self.bytes });
        }
        Ok(())
    }

    const fn of(&self, tier: Tier) -> Span {
        match tier {
            Tier::FiveMinutes => self.five_minutes,
            Tier::Hour => self.hours,
            Tier::Day => self.days,
        }
    }
}

/// What a sweep removed, and how long others may have waited for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub points: u64,
    pub rollups: u64,
    pub series: u64,
    pub findings: u64,
    pub batches: u64,
    pub longest_lock: Duration,
    /// In use after it.
    pub bytes: u64,
    /// It was told to stop before its end; the next sweep goes on.
    pub stopped: bool,
}

/// One sweep under way.
struct Sweep<'a> {
    from: &'a Measurements,
    stop: &'a dyn Fn() -> bool,
    rows: u64,
    swept: Swept,
}

impl Measurements {
    /// Removes what is older, more or larger than is kept. `stop` is asked between batches.
    /// Running it again, also after a crash, goes on where it was.
    pub fn sweep(
        &self,
        retention: &Retention,
        now_ms: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<Swept> {
        let mut sweep = Sweep {
            from: self,
            stop,
            rows: BATCH_FIRST,
            swept: Swept::default(),
        };
        sweep.series(retention, now_ms)?;
        sweep.findings(retention, now_ms)?;
        sweep.bytes(retention.bytes)?;
        sweep.give_back()?;
        sweep.swept.bytes = self.direct("measure the file", used)?;
        self.checkpoint()?;
        Ok(sweep.swept)
    }

    /// A transaction, and how long it kept others from writing.
    fn timed<T>(
        &self,
        doing: &'static str,
        mut act: impl FnMut(&Connection) -> rusqlite::Result<T>,
    ) -> Result<(T, Duration)> {
        self.direct(doing, |db| {
            let since = Instant::now();
            let tx = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
            let made = act(&tx)?;
            tx.commit()?;
            Ok((made, since.elapsed()))
        })
    }

    /// Folds the write-ahead log into the file on a connection of its own, so that nobody who
    /// writes waits for the disk.
    fn checkpoint(&self) -> Result<()> {
        let path = lock(&self.0.file).path.clone();
        let fold = || {
            let db = Connection::open(&path)?;
            db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        };
        fold().map_err(DbError::sqlite("fold the write-ahead log", &path))
    }
}

impl Sweep<'_> {
    /// Batches of one kind until one finds nothing; how much they removed.
    fn until_done(
        &mut self,
        doing: &'static str,
        mut batch: impl FnMut(&Connection, i64) -> rusqlite::Result<i64>,
    ) -> Result<u64> {
        let mut all = 0;
        loop {
            self.swept.stopped |= (self.stop)();
            if self.swept.stopped {
                return Ok(all);
            }
            let rows = column(self.rows);
            let (removed, held) = self.from.timed(doing, |db| batch(db, rows))?;
            if removed == 0 {
                return Ok(all);
            }
            all += number(removed);
            self.swept.batches += 1;
            self.swept.longest_lock = self.swept.longest_lock.max(held);
            if held > BATCH_SLOW {
                self.rows = (self.rows / 2).max(BATCH_LEAST);
            } else if held < BATCH_FAST {
                self.rows = (self.rows * 3 / 2).min(BATCH_MOST);
            }
            std::thread::sleep(held.max(PAUSE));
            if self.swept.batches.is_multiple_of(CHECKPOINT_EVERY) {
                self.from.checkpoint()?;
            }
        }
    }

    fn series(&mut self, keep: &Retention, now_ms: u64) -> Result<()> {
        let mut after = i64::MIN;
        while let Some(id) = self.next(after)? {
            after = id;
            let before = column(now_ms.saturating_sub(keep.points.as_millis()));
            let most = column(keep.points_max);
            self.swept.points += self.until_done("remove points", |db, rows| {
                let old = trim_points(db, id, before, rows)?;
                let more = excess(db, id, most)?.min(rows - old);
                Ok(old + trim_points(db, id, i64::MAX, more)?)
            })?;
            for tier in Tier::ALL {
                // Only buckets that ended: the one this time lies in still has newer points.
                let before = now_ms.saturating_sub(keep.of(tier).as_millis());
                let before = column(tier.bucket_ms(before));
                self.swept.rollups += self.until_done("remove rollups", |db, rows| {
                    trim_rollups(db, id, tier, before, rows)
                })?;
            }
            self.swept.series +=
                self.until_done("remove a series", |db, _| remove_empty(db, id))?;
        }
        Ok(())
    }

    fn findings(&mut self, keep: &Retention, now_ms: u64) -> Result<()> {
        let oldest_ms = now_ms.saturating_sub(keep.findings.as_millis());
        let (before, most) = (column(oldest_ms), column(keep.findings_max));
        self.swept.findings += self.until_done("remove findings", |db, rows| {
            trim_findings(db, before, most, rows)
        })?;
        // Runs sort by the time they began, so one id stands for all before it.
        let oldest = RunId::new(oldest_ms, [0; 10]).to_bytes();
        self.until_done("forget folded runs", |db, rows| {
            forget_runs(db, &oldest, rows)
        })?;
        Ok(())
    }

    /// Removes the oldest points of the longest series, then of each series the older half of its
    /// rollups, from fine to coarse, until what is in use fits.
    fn bytes(&mut self, most: Bytes) -> Result<()> {
        self.swept.points += self.until_done("make room", |db, rows| {
            if used(db)? <= most.0 {
                return Ok(0);
            }
            let sql = "SELECT id FROM series WHERE points > 0 ORDER BY points DESC LIMIT 1";
            let longest: Option<i64> = db.query_row(sql, [], |row| row.get(0)).optional()?;
            longest.map_or(Ok(0), |id| trim_points(db, id, i64::MAX, rows))
        })?;
        for tier in Tier::ALL {
            let mut removed = true;
            while std::mem::take(&mut removed) {
                let mut after = i64::MIN;
                while let Some(id) = self.next(after)? {
                    after = id;
                    let mut left: Option<i64> = None;
                    let gone = self.until_done("make room", |db, rows| {
                        if used(db)? <= most.0 {
                            return Ok(0);
                        }
                        let half = match left {
                            Some(left) => left,
                            None => (buckets(db, id, tier)? + 1) / 2,
                        };
                        let gone = trim_rollups(db, id, tier, i64::MAX, rows.min(half))?;
                        left = Some(half - gone);
                        Ok(gone)
                    })?;
                    self.swept.rollups += gone;
                    removed |= gone > 0;
                }
            }
        }
        Ok(())
    }

    /// Gives free pages back to the file system.
    fn give_back(&mut self) -> Result<()> {
        self.until_done("give back space", |db, rows| {
            let free = pages(db, "freelist_count")?;
            if free <= SLACK_PAGES {
                return Ok(0);
            }
            let some = (free - SLACK_PAGES).min((rows / ROWS_OF_A_PAGE).max(1));
            let mut step = db.prepare(&format!("PRAGMA incremental_vacuum({some})"))?;
            let mut step = step.query([])?;
            while step.next()?.is_some() {}
            Ok(free - pages(db, "freelist_count")?)
        })?;
        Ok(())
    }

    fn next(&self, after: i64) -> Result<Option<i64>> {
        if self.swept.stopped {
            return Ok(None);
        }
        self.from.direct("find the next series", |db| {
            db.prepare_cached("SELECT min(id) FROM series WHERE id > ?1")?
                .query_row([after], |row| row.get(0))
        })
    }
}
