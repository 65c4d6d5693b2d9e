//! The tables of both files, and what columns hold.

use super::file::Kind;
use keepwell_model::measure::Tier;

/// `series.floor` is the time up to which points were removed: what comes later for a time before
/// it would be counted twice in a rollup, or begin one that was given up. `series.points` counts
/// the rows in `points`. `folded` has the runs whose report was taken in, and whether wholly.
pub(super) const MEASUREMENTS: Kind = Kind {
    name: "measurements.db",
    version: 1,
    synchronous: "normal",
    tables: "
CREATE TABLE series(id INTEGER PRIMARY KEY, task TEXT NOT NULL, name TEXT NOT NULL, unit TEXT NOT NULL, labels TEXT NOT NULL, points INTEGER NOT NULL, floor INTEGER NOT NULL, UNIQUE(name, unit, labels)) STRICT;
CREATE INDEX series_task ON series(task);
CREATE TABLE points(series INTEGER NOT NULL, at INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY(series, at)) STRICT, WITHOUT ROWID;
CREATE TABLE rollups(series INTEGER NOT NULL, tier INTEGER NOT NULL, bucket INTEGER NOT NULL, min REAL NOT NULL, max REAL NOT NULL, sum REAL NOT NULL, count INTEGER NOT NULL, last REAL NOT NULL, last_at INTEGER NOT NULL, PRIMARY KEY(series, tier, bucket)) STRICT, WITHOUT ROWID;
CREATE TABLE baselines(name TEXT NOT NULL, version INTEGER NOT NULL, series TEXT NOT NULL, worse TEXT NOT NULL, noise_floor REAL NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, made_ms INTEGER NOT NULL, actor TEXT NOT NULL, samples BLOB NOT NULL, PRIMARY KEY(name, version)) STRICT;
CREATE TABLE findings(fingerprint BLOB PRIMARY KEY, task TEXT NOT NULL, id TEXT NOT NULL, subject TEXT NOT NULL, severity TEXT NOT NULL, title TEXT NOT NULL, detail TEXT NOT NULL, facts TEXT NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, count INTEGER NOT NULL, reopened INTEGER NOT NULL, resolved INTEGER, last_run BLOB NOT NULL) STRICT;
CREATE INDEX findings_task ON findings(task, resolved);
CREATE INDEX findings_seen ON findings(last_seen);
CREATE INDEX findings_resolved ON findings(resolved) WHERE resolved IS NOT NULL;
CREATE TABLE folded(run BLOB PRIMARY KEY, whole INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE floors(name TEXT PRIMARY KEY, run BLOB NOT NULL) STRICT, WITHOUT ROWID;
",
};

/// `tasks.version` grows with each commit; `tasks.run` is the run that committed last.
pub(super) const TASKS: Kind = Kind {
    name: "tasks.db",
    version: 1,
    synchronous: "full",
    tables: "
CREATE TABLE tasks(task TEXT PRIMARY KEY, version INTEGER NOT NULL, run BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE state(task TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY(task, key)) STRICT;
",
};

/// A tier as its column has it.
pub(super) const fn tier_column(tier: Tier) -> i64 {
    match tier {
        Tier::FiveMinutes => 0,
        Tier::Hour => 1,
        Tier::Day => 2,
    }
}
