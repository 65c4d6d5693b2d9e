//! The database's tables, and the ways a connection to it is opened.

use crate::error::{JournalError, Result};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// File names in the journal's directory.
pub(crate) const DATABASE: &str = "journal.db";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const LOCK: &str = "journal.lock";

/// Version of the tables below, kept as `user_version`. A change of a table raises it.
pub(crate) const VERSION: i64 = 2;

/// Largest record. A report of a million actions is made of small records; one this large is a
/// mistake, and one entry must never endanger the memory of whoever reads it.
pub const RECORD_MAX_BYTES: usize = 1 << 20;
/// No value SQLite returns may be longer: bounds the memory a hostile file can make us use.
const VALUE_MAX_BYTES: i32 = 8 << 20;
/// The write-ahead log is folded into the database after this many pages (4 MiB): few syncs under
/// load, none that holds up a commit for long, and little to replay after a crash.
const WAL_PAGES: i64 = 1_024;
/// A writer that ends leaves a write-ahead log up to this size: folding it costs two syncs, which a
/// short run would pay for nothing, and whoever opens next reads it in half a millisecond.
const LOG_LEFT_BYTES: u64 = 1 << 20;
/// A reader waits this long for the short moments in which SQLite excludes readers.
const BUSY_MS: u64 = 5_000;

/// One statement a line, each exactly as SQLite will keep it.
///
/// `entries` is the journal. `nodes` holds the complete subtrees of 256, 65,536, … leaves, so that
/// opening and proving read few hashes. `head` is the signed head over all entries, replaced with
/// each batch; `checkpoints` are those that are kept. `runs`, `slots`, `controls` and `asked` are
/// made from the records; `stores` and `shards` are remembered beside them. The contents of an
/// entry that was pruned are empty, and nothing finds it but its number.
pub(crate) const TABLES: &str = "
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE entries(idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, run BLOB, task TEXT, bytes BLOB NOT NULL) STRICT;
CREATE INDEX entries_run ON entries(run) WHERE run IS NOT NULL;
CREATE INDEX entries_task ON entries(task) WHERE task IS NOT NULL;
CREATE INDEX entries_at ON entries(at);
CREATE INDEX entries_kind ON entries(kind);
CREATE TABLE nodes(level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY(level, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints(size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
CREATE TABLE head(id INTEGER PRIMARY KEY CHECK(id = 0), note TEXT NOT NULL) STRICT;
CREATE TABLE runs(run BLOB PRIMARY KEY, task TEXT NOT NULL, state TEXT NOT NULL, trigger TEXT NOT NULL, mode TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER, line TEXT, reason TEXT, actions_done INTEGER NOT NULL, bytes INTEGER NOT NULL, checkpoint TEXT, stored INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE INDEX runs_task ON runs(task, run);
CREATE INDEX runs_state ON runs(state, run);
CREATE INDEX runs_task_state ON runs(task, state, run);
CREATE INDEX runs_short ON runs(substr(run, -4));
CREATE TABLE stores(store TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE shards(store TEXT NOT NULL, shard TEXT NOT NULL, bytes INTEGER NOT NULL, verified_ms INTEGER, state TEXT NOT NULL, PRIMARY KEY(store, shard)) STRICT, WITHOUT ROWID;
CREATE TABLE slots(task TEXT NOT NULL, due INTEGER NOT NULL, attempt INTEGER NOT NULL, how TEXT NOT NULL, schedule TEXT NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, run BLOB, entry INTEGER NOT NULL, PRIMARY KEY(task, due, attempt, how)) STRICT, WITHOUT ROWID;
CREATE INDEX slots_schedule ON slots(task, schedule, due);
CREATE INDEX slots_missed ON slots(task, schedule, due) WHERE how = 'missed';
CREATE TABLE controls(task TEXT NOT NULL, control TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL, at INTEGER NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY(task, control)) STRICT, WITHOUT ROWID;
CREATE TABLE asked(entry INTEGER PRIMARY KEY, task TEXT NOT NULL, actor TEXT NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL, settings TEXT, schedule TEXT, since INTEGER, upto INTEGER) STRICT;
";

/// Makes the tables in an empty database that is already in WAL mode.
pub(crate) fn create(db: &Connection, origin: &str) -> rusqlite::Result<()> {
    let made = db.unchecked_transaction()?;
    made.execute_batch(TABLES)?;
    made.execute("INSERT INTO meta VALUES ('origin', ?1)", [origin])?;
    made.pragma_update(None, "user_version", VERSION)?;
    made.commit()
}

/// The one writing connection.
pub(crate) fn open_writer(dir: &Path, create: bool) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let db = Connection::open_with_flags(dir.join(DATABASE), flags)
        .map_err(JournalError::sqlite("open the file"))?;
    let prepare = || {
        guard(&db)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", "full")?;
        db.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)
    };
    prepare().map_err(JournalError::sqlite("prepare writing"))?;
    Ok(db)
}

/// Folds the write-ahead log into the database, so that the one file is everything; a small log
/// only when `all` is asked for. Readers are not waited for, and what stays in the log is as
/// durable there.
pub(crate) fn fold_log(db: &Connection, dir: &Path, all: bool) -> rusqlite::Result<()> {
    let log = std::fs::metadata(dir.join(format!("{DATABASE}-wal")));
    let bytes = log.map_or(0, |log| log.len());
    if bytes == 0 || (bytes <= LOG_LEFT_BYTES && !all) {
        return Ok(());
    }
    db.busy_timeout(std::time::Duration::ZERO)?;
    db.query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(()))
}

/// A connection that cannot write. Works beside a living writer, and on a copy in a directory
/// that cannot be written.
pub(crate) fn open_reader(dir: &Path) -> Result<Connection> {
    let path = dir.join(DATABASE);
    if !path.is_file() {
        return Err(JournalError::NotFound {
            dir: dir.to_owned(),
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let attempt = |suffix: &str| {
        let db = Connection::open_with_flags(uri(&path, suffix), flags)?;
        guard(&db)?;
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(db)
    };
    let log = dir.join(format!("{DATABASE}-wal"));
    let folded = std::fs::metadata(log).map_or(true, |m| m.len() == 0);
    attempt("")
        .or_else(|e: rusqlite::Error| match e.sqlite_error_code() {
            // SQLite wants to make its shared-memory file even for reading. Where it cannot and
            // there is no write-ahead log, nobody writes and the file alone is everything.
            Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly) if folded => {
                attempt("?immutable=1")
            }
            Some(_) | None => Err(e),
        })
        .map_err(JournalError::sqlite("open the file for reading"))
}

/// What holds on every connection: a file is not trusted to run functions from its schema, nor
/// to return values without bound.
fn guard(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES)?;
    Ok(())
}

/// A file name as SQLite's URI has it: everything but plain letters is escaped.
fn uri(path: &Path, suffix: &str) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = String::from("file:");
    for b in path.as_os_str().as_bytes() {
        if b.is_ascii_alphanumeric() || b"/-_.".contains(b) {
            uri.push(char::from(*b));
        } else {
            let _ = write!(uri, "%{b:02X}");
        }
    }
    uri.push_str(suffix);
    uri
}

/// The version is ours and the tables are exactly those we make: no view stands in for a table,
/// no trigger changes what is written.
pub(crate) fn check(db: &Connection, dir: &Path) -> Result<()> {
    match version(db, dir)? {
        Version::Current => Ok(()),
        Version::Old => Err(JournalError::Old {
            dir: dir.to_owned(),
        }),
    }
}

/// Which tables a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Current,
    /// Those of the version before, which opening for writing renews.
    Old,
}

/// The version of the tables, which are exactly those that version makes.
pub(crate) fn version(db: &Connection, dir: &Path) -> Result<Version> {
    let read = || JournalError::sqlite("read the schema");
    let found: i64 = db
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(read())?;
    let (version, tables) = match found {
        VERSION => (Version::Current, TABLES),
        crate::migrate::FROM => (Version::Old, crate::migrate::TABLES),
        _ => {
            return Err(JournalError::Version {
                dir: dir.to_owned(),
                found,
                known: VERSION,
            });
        }
    };
    if !is_made_by(db, tables).map_err(read())? {
        return Err(JournalError::broken(
            dir,
            "its tables are not those its version makes",
        ));
    }
    Ok(version)
}

/// Whether the database holds what `statements`, one a line, make, and nothing else. SQLite keeps
/// the text of each as it was given, so no second database is needed to compare with.
fn is_made_by(db: &Connection, statements: &str) -> rusqlite::Result<bool> {
    let lines = statements.lines().filter_map(|line| line.strip_suffix(';'));
    let mut should: Vec<&str> = lines.collect();
    should.sort_unstable();
    let mut is = db.prepare("SELECT sql, lower(type), name FROM sqlite_schema ORDER BY sql")?;
    let mut is = is.query([])?;
    for sql in should {
        let mut words = sql.split([' ', '(']).skip(1);
        let kind = words.next().map(str::to_ascii_lowercase);
        let made = [Some(sql), kind.as_deref(), words.next()];
        let Some(row) = is.next()? else {
            return Ok(false);
        };
        for (column, made) in made.into_iter().enumerate() {
            if row.get_ref(column)?.as_str_or_null()? != made {
                return Ok(false);
            }
        }
    }
    Ok(is.next()?.is_none())
}

/// The origin this journal was made with.
pub(crate) fn origin(db: &Connection) -> Result<String> {
    db.query_row("SELECT value FROM meta WHERE name = 'origin'", [], |row| {
        row.get(0)
    })
    .map_err(JournalError::sqlite("read the origin"))
}

/// A number as a column holds it. Above 2^63 - 1 (no real time, count or size) it saturates.
pub(crate) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The inverse of [`column`]. Nothing negative is ever written.
pub(crate) fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_compared_as_sqlite_keeps_them() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(TABLES).unwrap();
        assert!(is_made_by(&db, TABLES).unwrap());
        for change in [
            "CREATE TABLE more(x)",
            "DROP TABLE more; DROP INDEX entries_at",
            "CREATE INDEX entries_at ON entries(kind)",
        ] {
            db.execute_batch(change).unwrap();
            assert!(!is_made_by(&db, TABLES).unwrap(), "{change}");
        }
    }
}
