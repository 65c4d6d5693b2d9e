//! One SQLite file beside the journal: how it is made, opened, checked, and set aside when broken.

use super::error::{DbError, Result, broken};
use crate::files::lock_soon;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Only the host's own user reads these files: subjects of findings are paths of the node.
const FILE_MODE: u32 = 0o600;
/// No value SQLite returns may be longer: bounds the memory a hostile file can make us use.
const VALUE_MAX_BYTES: i32 = 8 << 20;
/// The write-ahead log is folded into the file after this many pages (16 MiB).
const WAL_PAGES: i64 = 4_096;
/// Readers wait this long for the short moments in which SQLite excludes them.
const BUSY: Duration = Duration::from_secs(5);
/// How every database of SQLite begins (sqlite.org/fileformat2.html, 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: u64 = 100;
/// `SQLITE_ERROR`: no better code fits.
const GENERIC_ERROR: i32 = 1;
/// SQLite's side files of a database in WAL mode, and of one that was being converted to it.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// What kind of file it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) tables: &'static str,
    /// Kept as `user_version`. A change of a table raises it.
    pub(super) version: i64,
    /// Of `PRAGMA synchronous`: whether a commit waits for the disk.
    pub(super) synchronous: &'static str,
}

/// The one writing connection of a file. Fields are dropped in this order: the database is closed
/// before the lock is let go.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) db: Connection,
    pub(super) path: PathBuf,
    kind: Kind,
    /// The file is broken and could not be replaced yet: `db` is nothing.
    lost: bool,
    _lock: Lock,
}

/// Held by the one process that writes. It lies on a file of its own: closing any descriptor of
/// the database itself would drop SQLite's locks on it.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(path: &Path) -> Result<Self> {
        let lock = path.with_extension("lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = options.mode(FILE_MODE).open(&lock);
        let file = file.map_err(|e| DbError::io("open", &lock, e))?;
        match lock_soon(&file) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let path = path.to_owned();
                Err(DbError::Busy { path })
            }
            Err(e) => Err(DbError::io("lock", &lock, e.into())),
        }
    }
}

impl Written {
    /// Opens the file in `dir`, or makes it. Whoever finds it broken decides what becomes of it.
    pub(super) fn open(dir: &Path, kind: Kind) -> Result<Self> {
        let path = dir.join(kind.name);
        let lock = Lock::take(&path)?;
        let db = connect(&path, kind)?;
        Ok(Self {
            db,
            path,
            kind,
            lost: false,
            _lock: lock,
        })
    }

    /// As [`Self::open`], but a broken file is moved to `NAME.broken` (an older one there is
    /// replaced, so that a bad disk does not fill up) and a fresh one is made. Tells why.
    pub(super) fn open_or_replace(dir: &Path, kind: Kind) -> Result<(Self, Option<String>)> {
        let path = dir.join(kind.name);
        let lock = Lock::take(&path)?;
        let (db, why) = match connect(&path, kind) {
            Ok(db) => (db, None),
            Err(e) => {
                let why = beyond_use(&e).ok_or(e)?;
                set_aside(&path)?;
                (connect(&path, kind)?, Some(why))
            }
        };
        let file = Self {
            db,
            path,
            kind,
            lost: false,
            _lock: lock,
        };
        Ok((file, why))
    }

    /// Closes the file, moves it aside and goes on with a fresh one.
    pub(super) fn replace(&mut self) -> Result<()> {
        self.db = Connection::open_in_memory().map_err(self.wrap("close the file"))?;
        self.lost = true;
        set_aside(&self.path)?;
        self.ready()
    }

    /// Makes the fresh file that could not be made when the broken one was set aside.
    pub(super) fn ready(&mut self) -> Result<()> {
        if self.lost {
            self.db = connect(&self.path, self.kind)?;
            self.lost = false;
        }
        Ok(())
    }

    pub(super) fn wrap(
        &self,
        doing: &'static str,
    ) -> impl FnOnce(rusqlite::Error) -> DbError + use<> {
        DbError::sqlite(doing, &self.path)
    }
}

/// Why a file that gave this error is of no use; `None` when it may be fine, or is newer than us.
pub(super) fn beyond_use(error: &DbError) -> Option<String> {
    match error {
        DbError::Broken { why, .. } => Some(why.clone()),
        DbError::Sqlite { source, .. } if broken(source) => Some(source.to_string()),
        DbError::Sqlite { .. }
        | DbError::Io { .. }
        | DbError::Busy { .. }
        | DbError::Version { .. }
        | DbError::NotFound { .. }
        | DbError::Measurement(_)
        | DbError::TooMany { .. }
        | DbError::Changed { .. }
        | DbError::Refused { .. } => None,
    }
}

/// The name a broken file gets.
pub(super) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".broken");
    name.into()
}

/// Renames the file with its side files. The side files go first: a fresh database must never
/// meet the write-ahead log of another one, wherever we are stopped.
pub(super) fn set_aside(path: &Path) -> Result<()> {
    let with = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let to = aside(path);
    for suffix in SUFFIXES.iter().rev() {
        let (from, to) = (with(path, suffix), with(&to, suffix));
        let moved = match std::fs::rename(&from, &to) {
            // An older one must not stand beside a file it does not belong to.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => match std::fs::remove_file(&to) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
                Ok(()) | Err(_) => Ok(()),
            },
            moved => moved,
        };
        moved.map_err(|e| DbError::io("set aside", &from, e))?;
    }
    Ok(())
}

/// The writing connection, to a file that is checked or was just made.
fn connect(path: &Path, kind: Kind) -> Result<Connection> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let made = options.mode(FILE_MODE).open(path);
    made.map_err(|e| DbError::io("make", path, e))?;
    check_header(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)
        .map_err(DbError::sqlite("open the database", path))?;
    let prepare = || {
        guard(&db)?;
        // Before the first table, or it has no effect: space is given back in small steps.
        db.pragma_update(None, "auto_vacuum", "incremental")?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let empty: bool = db.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
            row.get(0)
        })?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", kind.synchronous)?;
        db.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
        if version == 0 && empty {
            let made = db.unchecked_transaction()?;
            made.execute_batch(kind.tables)?;
            made.pragma_update(None, "user_version", kind.version)?;
            made.commit()?;
        }
        Ok(())
    };
    prepare().map_err(|e: rusqlite::Error| match e.sqlite_error() {
        // What is asked here is always the same, so the file gives the answer: its schema is of a
        // format SQLite does not know, or does not parse.
        Some(code) if code.extended_code == GENERIC_ERROR => {
            let path = path.to_owned();
            let why = e.to_string();
            DbError::Broken { path, why }
        }
        Some(_) | None => DbError::sqlite("prepare writing", path)(e),
    })?;
    check(&db, path, kind)?;
    Ok(db)
}

/// A file of SQLite that can be written, or an empty one. SQLite itself tells of a header that
/// asks for a later format as if the file were only not writable now.
fn check_header(path: &Path) -> Result<()> {
    use std::io::Read as _;
    let mut header = vec![];
    let read = File::open(path).and_then(|f| f.take(HEADER_BYTES).read_to_end(&mut header));
    read.map_err(|e| DbError::io("read", path, e))?;
    // Bytes 18 and 19 are the versions needed to write and to read: 1, or 2 with a log.
    let ours = header.starts_with(MAGIC)
        && header.len() as u64 == HEADER_BYTES
        && header[18..20]
            .iter()
            .all(|version| [1, 2].contains(version));
    if header.is_empty() || ours {
        return Ok(());
    }
    Err(DbError::Broken {
        path: path.to_owned(),
        why: "it does not begin as a database does".to_owned(),
    })
}

/// A connection that cannot write, beside the writer or without one.
pub(super) fn open_reader(dir: &Path, kind: Kind) -> Result<Connection> {
    let path = dir.join(kind.name);
    if !path.is_file() {
        return Err(DbError::NotFound { path });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&path, flags).and_then(|db| {
        guard(&db)?;
        Ok(db)
    });
    let db = db.map_err(DbError::sqlite("open the database for reading", &path))?;
    check(&db, &path, kind)?;
    Ok(db)
}

/// What holds on every connection: a file is not trusted to run functions from its schema, nor
/// to return values without bound.
fn guard(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES)?;
    Ok(())
}

/// The version is ours and the tables are exactly those we make: no view stands in for a table,
/// no trigger changes what is written.
fn check(db: &Connection, path: &Path, kind: Kind) -> Result<()> {
    let read = || {
        let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let fresh = Connection::open_in_memory()?;
        fresh.execute_batch(kind.tables)?;
        Ok((found, listed(db)?, listed(&fresh)?))
    };
    let (found, is, should) = read().map_err(DbError::sqlite("read the schema", path))?;
    let path = path.to_owned();
    if found > kind.version {
        let known = kind.version;
        return Err(DbError::Version { path, found, known });
    }
    if found != kind.version || is != should {
        let why = "its tables are not those this version makes".to_owned();
        return Err(DbError::Broken { path, why });
    }
    Ok(())
}

type Listed = Vec<(String, String, Option<String>)>;

fn listed(db: &Connection) -> rusqlite::Result<Listed> {
    let sql = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name LIMIT 100";
    let mut rows = db.prepare(sql)?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}
