//! What is remembered over time beside the journal: measurements, baselines, findings, and what
//! tasks keep for themselves.
//!
//! Two files, because losing them costs differently. `measurements.db` is derived or auxiliary:
//! findings fold again from the journal, a lost hour of points is a gap in a chart. So its commits
//! do not wait for the disk (WAL with `synchronous=NORMAL`: a power cut may lose the newest
//! transactions, never the file's consistency), and a broken file is set aside, reported and begun
//! anew. `tasks.db` holds what no journal can give back: a cursor that is lost makes a task start
//! over, or act twice. Its commits are durable (`synchronous=FULL`), and a broken file is an error
//! a person decides about.

mod baselines;
mod error;
mod file;
mod findings;
mod points;
mod query;
mod retention;
mod schema;
mod tasks;
mod trim;

pub use baselines::{Baseline, BaselineRequest, Proposed};
pub use error::DbError;
pub use findings::{FindingQuery, FindingRow, Folded};
pub use points::{Added, Sample};
pub use query::{MeasurementReader, SeriesRow};
pub use retention::{BadRetention, Retention, Swept};
pub use tasks::{TaskStateReader, TaskStates, TaskUsage};

use error::Result;
use file::{Written, aside, beyond_use};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use schema::MEASUREMENTS;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A run as a column holds it: the 16 bytes of its id, which sort by when it began.
type RunKey = [u8; 16];

/// The one writer of `measurements.db`. Clones share it.
#[derive(Debug, Clone)]
pub struct Measurements(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    file: Mutex<Written>,
    replaced: Mutex<Option<Replaced>>,
}

/// A file that could not be read was set aside, and a fresh one made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    pub aside: PathBuf,
    pub why: String,
}

impl std::fmt::Display for Replaced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (aside, why) = (self.aside.display(), &self.why);
        write!(
            f,
            "the measurements could not be read ({why}); they were set aside as `{aside}` and \
             begun anew: findings return from the journal, points and baselines do not"
        )
    }
}

impl Measurements {
    /// Opens `dir/measurements.db` for writing, or makes it. A broken file is set aside; ask
    /// [`Self::take_replaced`].
    pub fn open(dir: &Path) -> Result<Self> {
        let (file, why) = Written::open_or_replace(dir, MEASUREMENTS)?;
        let aside = aside(&file.path);
        let replaced = why.map(|why| Replaced { aside, why });
        Ok(Self(Arc::new(Inner {
            dir: dir.to_owned(),
            file: Mutex::new(file),
            replaced: Mutex::new(replaced),
        })))
    }

    /// Leaves the write-ahead log to whoever opens the file next: folding it costs a short program
    /// two waits for the disk, and it is folded by itself when it has grown.
    pub fn leave_log(&self) -> Result<()> {
        self.direct("leave the log", |db| {
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
                .map(drop)
        })
    }

    /// That the file was replaced since somebody asked last; to be shown, and findings to be
    /// folded again.
    pub fn take_replaced(&self) -> Option<Replaced> {
        lock(&self.0.replaced).take()
    }

    /// A connection of its own for reading.
    pub fn reader(&self) -> Result<MeasurementReader> {
        MeasurementReader::open(&self.0.dir)
    }

    /// Looks at every page, on a connection of its own, so that nobody who writes waits (about a
    /// second for 256 MiB); a file that is broken is replaced.
    pub fn check(&self) -> Result<()> {
        let said = self.reader().and_then(|reader| reader.check());
        let why = match said {
            Ok(None) => return Ok(()),
            Ok(Some(why)) => why,
            Err(e) => beyond_use(&e).ok_or(e)?,
        };
        self.replace(&mut lock(&self.0.file), why)
    }

    /// One transaction. When the file turns out to be broken it is replaced, and the transaction
    /// done once more in the fresh one.
    fn write<T>(
        &self,
        doing: &'static str,
        mut act: impl FnMut(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.direct(doing, |db| {
            let tx = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
            let made = act(&tx)?;
            tx.commit()?;
            Ok(made)
        })
    }

    /// As [`Self::write`], without a transaction around it.
    fn direct<T>(
        &self,
        doing: &'static str,
        mut act: impl FnMut(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let mut file = lock(&self.0.file);
        file.ready()?;
        let error = match act(&file.db) {
            Ok(made) => return Ok(made),
            Err(e) => file.wrap(doing)(e),
        };
        let Some(why) = beyond_use(&error) else {
            return Err(error);
        };
        self.replace(&mut file, why)?;
        act(&file.db).map_err(file.wrap(doing))
    }

    fn replace(&self, file: &mut Written, why: String) -> Result<()> {
        let aside = aside(&file.path);
        file.replace()?;
        *lock(&self.0.replaced) = Some(Replaced { aside, why });
        Ok(())
    }
}

/// Whoever panicked while holding the lock rolled its transaction back, so what it guards is
/// whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
