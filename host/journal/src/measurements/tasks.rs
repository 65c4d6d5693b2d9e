//! What tasks keep for themselves between runs: `tasks.db`.
//!
//! A run reads the whole state of its task once ([`TaskStates::stored`]), works on a view of it
//! (`keepwell_model::own_state::OwnState`), and its pipeline commits what the view changed when
//! the look ended well in apply mode. Nothing is written before, and what is written is one
//! transaction: a plan, a failure, a kill change nothing, and no run is half there.

use super::RunKey;
use super::error::{DbError, Result};
use super::file::{Kind, Written, aside, open_reader, set_aside};
use super::lock;
use super::schema::TASKS;
use crate::schema::{column, number};
use keepwell_model::id::RunId;
use keepwell_model::own_state::{
    Changes, KEYS_CEILING, OwnState, STATE_CEILING, StateGrant, Stored, VALUE_MAX_BYTES, check_key,
    cost,
};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const FILE: Kind = TASKS;

/// The one writer of `tasks.db`. Clones share it.
#[derive(Debug, Clone)]
pub struct TaskStates(Arc<Mutex<Written>>);

/// How much a task keeps, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskUsage {
    pub task: String,
    pub version: u64,
    /// The run that changed it last.
    pub run: Option<RunId>,
    pub keys: u64,
    /// As the quota counts.
    pub bytes: u64,
}

impl TaskStates {
    /// Opens `dir/tasks.db`, or makes it. A broken file is an error and stays where it is: nobody
    /// but its tasks knows what was in it.
    pub fn open(dir: &Path) -> Result<Self> {
        let file = Written::open(dir, FILE)?;
        // Folding the write-ahead log costs a short program two waits for the disk; what is in it
        // is durable as it lies, and it is folded by itself when it has grown.
        file.db
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(file.wrap("leave the log"))?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// Moves a broken file aside, because a person said so; returns where it is now. The next
    /// [`Self::open`] begins with nothing.
    pub fn set_aside(dir: &Path) -> Result<PathBuf> {
        let path = dir.join(FILE.name);
        if !path.is_file() {
            return Err(DbError::NotFound { path });
        }
        let _lock = super::file::Lock::take(&path)?;
        set_aside(&path)?;
        Ok(aside(&path))
    }

    /// All that a task keeps.
    pub fn stored(&self, task: &str) -> Result<Stored> {
        let read = self.with("read a task's state", |db| stored(db, task))?;
        read.ok_or_else(|| too_much(task))
    }

    /// The version of a task's state and the run that committed it, if one did.
    pub fn last(&self, task: &str) -> Result<Option<(u64, RunId)>> {
        let head = self.with("read a task's state", |db| head(db, task))?;
        Ok(head.and_then(|(version, run)| Some((version, committed_by(run)?))))
    }

    /// The view of a run that begins.
    pub fn view(&self, task: &str, grant: StateGrant) -> Result<OwnState> {
        Ok(OwnState::new(self.stored(task)?, grant))
    }

    /// Commits what a run changed, all or nothing, durable when it returns. The state must be as
    /// the run began with it; committing the same run again changes nothing. Keys and values are
    /// checked again here: changes may have come through a file or from a worker.
    pub fn commit(&self, task: &str, run: RunId, changes: &Changes) -> Result<u64> {
        check(task, changes)?;
        let run = run.to_bytes();
        let version = self.with("commit a task's state", |db| {
            let tx = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
            let version = match head(&tx, task)? {
                Some((version, last)) if last == run => return Ok(Committed::At(version)),
                Some((version, _)) => version,
                None => 0,
            };
            if version != changes.version {
                return Ok(Committed::Changed);
            }
            if changes.keys.is_empty() {
                return Ok(Committed::At(version));
            }
            let (bytes, keys) = apply(&tx, task, changes)?;
            if bytes > STATE_CEILING.0 || keys > u64::from(KEYS_CEILING) {
                return Ok(Committed::TooMuch { bytes, keys });
            }
            let sql = "INSERT OR REPLACE INTO tasks VALUES (?1, ?2, ?3)";
            tx.execute(sql, params![task, column(version + 1), run])?;
            tx.commit()?;
            Ok(Committed::At(version + 1))
        })?;
        let task = task.to_owned();
        match version {
            Committed::At(version) => Ok(version),
            Committed::Changed => Err(DbError::Changed { task }),
            Committed::TooMuch { bytes, keys } => Err(DbError::Refused {
                task,
                why: format!("it would have {bytes} bytes in {keys} keys"),
            }),
        }
    }

    /// Removes all that a task keeps, because a person said so; whether there was anything.
    pub fn forget(&self, task: &str) -> Result<bool> {
        self.with("forget a task's state", |db| {
            let tx = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
            let keys = tx.execute("DELETE FROM state WHERE task = ?1", [task])?;
            // The version stays and grows: a run that began before must not commit over this.
            let sql = "UPDATE tasks SET version = version + 1, run = ?2 WHERE task = ?1";
            tx.execute(sql, params![task, NO_RUN])?;
            tx.commit()?;
            Ok(keys > 0)
        })
    }

    /// How much each task keeps.
    pub fn usage(&self) -> Result<Vec<TaskUsage>> {
        self.with("add up the tasks' states", usage)
    }

    fn with<T>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let file = lock(&self.0);
        act(&file.db).map_err(file.wrap(doing))
    }
}

/// Reads `tasks.db` beside whoever writes it.
#[derive(Debug)]
pub struct TaskStateReader {
    db: Connection,
    path: PathBuf,
}

impl TaskStateReader {
    /// `None` when no task has kept anything yet.
    pub fn open(dir: &Path) -> Result<Option<Self>> {
        match open_reader(dir, FILE) {
            Ok(db) => {
                let path = dir.join(FILE.name);
                Ok(Some(Self { db, path }))
            }
            Err(DbError::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// All that a task keeps.
    pub fn stored(&self, task: &str) -> Result<Stored> {
        let read = stored(&self.db, task).map_err(self.wrap("read a task's state"))?;
        read.ok_or_else(|| too_much(task))
    }

    /// How much each task keeps.
    pub fn usage(&self) -> Result<Vec<TaskUsage>> {
        usage(&self.db).map_err(self.wrap("add up the tasks' states"))
    }

    fn wrap(&self, doing: &'static str) -> impl FnOnce(rusqlite::Error) -> DbError + use<> {
        DbError::sqlite(doing, &self.path)
    }
}

/// `None` when there is more than any quota allows: no run of ours wrote that, and reading it
/// would cost whatever there is of it.
fn stored(db: &Connection, task: &str) -> rusqlite::Result<Option<Stored>> {
    // One view for the version, the size and the keys.
    let tx = db.unchecked_transaction()?;
    let version = head(&tx, task)?.map_or(0, |(version, _)| version);
    let (bytes, keys) = size(&tx, task)?;
    if bytes > STATE_CEILING.0 || keys > u64::from(KEYS_CEILING) {
        return Ok(None);
    }
    let mut rows = tx.prepare_cached("SELECT key, value FROM state WHERE task = ?1")?;
    let rows = rows.query_map([task], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let keys = rows.collect::<rusqlite::Result<_>>()?;
    Ok(Some(Stored { version, keys }))
}

fn too_much(task: &str) -> DbError {
    DbError::Refused {
        task: task.to_owned(),
        why: "more is stored than any quota allows".to_owned(),
    }
}

fn usage(db: &Connection) -> rusqlite::Result<Vec<TaskUsage>> {
    let tx = db.unchecked_transaction()?;
    let mut rows = tx.prepare_cached("SELECT task, version, run FROM tasks ORDER BY task")?;
    let rows = rows.query_map([], |row| {
        let task: String = row.get(0)?;
        let (bytes, keys) = size(&tx, &task)?;
        Ok(TaskUsage {
            task,
            version: number(row.get(1)?),
            run: committed_by(row.get(2)?),
            keys,
            bytes,
        })
    })?;
    rows.collect()
}

fn committed_by(run: RunKey) -> Option<RunId> {
    (run != NO_RUN).then(|| RunId::from_bytes(run))
}

/// Stands where no run committed.
const NO_RUN: RunKey = [0; 16];

enum Committed {
    At(u64),
    Changed,
    TooMuch { bytes: u64, keys: u64 },
}

/// Version, and the run that committed it.
fn head(db: &Connection, task: &str) -> rusqlite::Result<Option<(u64, RunKey)>> {
    db.prepare_cached("SELECT version, run FROM tasks WHERE task = ?1")?
        .query_row([task], |row| Ok((number(row.get(0)?), row.get(1)?)))
        .optional()
}

fn check(task: &str, changes: &Changes) -> Result<()> {
    let refused = |why: String| {
        let task = task.to_owned();
        Err(DbError::Refused { task, why })
    };
    for (key, value) in &changes.keys {
        if let Err(refusal) = check_key(key) {
            return refused(refusal.message);
        }
        let bytes = value.as_ref().map_or(0, Vec::len);
        if bytes > VALUE_MAX_BYTES {
            return refused(format!("the value of `{key}` has {bytes} bytes"));
        }
    }
    Ok(())
}

/// Writes the changes; bytes and keys of the task after them.
fn apply(tx: &Connection, task: &str, changes: &Changes) -> rusqlite::Result<(u64, u64)> {
    let mut put = tx.prepare_cached("INSERT OR REPLACE INTO state VALUES (?1, ?2, ?3)")?;
    let mut remove = tx.prepare_cached("DELETE FROM state WHERE task = ?1 AND key = ?2")?;
    for (key, value) in &changes.keys {
        match value {
            Some(value) => put.execute(params![task, key, value])?,
            None => remove.execute([task, key])?,
        };
    }
    size(tx, task)
}

/// Bytes as the quota counts them, and keys.
fn size(db: &Connection, task: &str) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT coalesce(sum(length(key) + length(value)), 0), count(*) \
               FROM state WHERE task = ?1";
    db.prepare_cached(sql)?.query_row([task], |row| {
        let (bytes, keys) = (number(row.get(0)?), number(row.get(1)?));
        Ok((bytes + keys * cost("", 0), keys))
    })
}
