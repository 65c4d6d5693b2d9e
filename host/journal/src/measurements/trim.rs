//! What one batch of a sweep removes. Each function takes a bound and says how much it did.

use super::RunKey;
use super::findings::FOLDED_FLOOR;
use super::schema::tier_column;
use crate::schema::{column, number};
use keepwell_model::measure::Tier;
use rusqlite::{Connection, params};

/// Removes at most `rows` of a series' points, oldest first, all before `before`; moves its floor.
pub(super) fn trim_points(
    db: &Connection,
    id: i64,
    before: i64,
    rows: i64,
) -> rusqlite::Result<i64> {
    let sql = "SELECT max(at) FROM (SELECT at FROM points WHERE series = ?1 AND at < ?2 \
               ORDER BY at LIMIT ?3)";
    let mut cut = db.prepare_cached(sql)?;
    let cut: Option<i64> = cut.query_row(params![id, before, rows], |row| row.get(0))?;
    let Some(cut) = cut else { return Ok(0) };
    let sql = "DELETE FROM points WHERE series = ?1 AND at <= ?2";
    let removed = db.prepare_cached(sql)?.execute([id, cut])?;
    let sql = "UPDATE series SET points = points - ?2, floor = max(floor, ?3) WHERE id = ?1";
    let removed = column(removed as u64);
    db.prepare_cached(sql)?.execute([id, removed, cut])?;
    Ok(removed)
}

pub(super) fn excess(db: &Connection, id: i64, most: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT max(points - ?2, 0) FROM series WHERE id = ?1";
    db.prepare_cached(sql)?
        .query_row([id, most], |row| row.get(0))
}

/// Removes at most `rows` buckets, oldest first, all before `before`. The floor moves to the end
/// of the last: a point that comes late must not begin anew what was removed.
pub(super) fn trim_rollups(
    db: &Connection,
    id: i64,
    tier: Tier,
    before: i64,
    rows: i64,
) -> rusqlite::Result<i64> {
    let sql = "SELECT max(bucket) FROM (SELECT bucket FROM rollups \
               WHERE series = ?1 AND tier = ?2 AND bucket < ?3 ORDER BY bucket LIMIT ?4)";
    let mut cut = db.prepare_cached(sql)?;
    let of = tier_column(tier);
    let cut: Option<i64> = cut.query_row([id, of, before, rows], |row| row.get(0))?;
    let Some(cut) = cut else { return Ok(0) };
    let sql = "DELETE FROM rollups WHERE series = ?1 AND tier = ?2 AND bucket <= ?3";
    let removed = db.prepare_cached(sql)?.execute([id, of, cut])?;
    let end = cut.saturating_add(column(tier.length_ms()) - 1);
    let sql = "UPDATE series SET floor = max(floor, ?2) WHERE id = ?1";
    db.prepare_cached(sql)?.execute([id, end])?;
    Ok(column(removed as u64))
}

pub(super) fn buckets(db: &Connection, id: i64, tier: Tier) -> rusqlite::Result<i64> {
    let sql = "SELECT count(*) FROM rollups WHERE series = ?1 AND tier = ?2";
    db.prepare_cached(sql)?
        .query_row([id, tier_column(tier)], |row| row.get(0))
}

pub(super) fn remove_empty(db: &Connection, id: i64) -> rusqlite::Result<i64> {
    let sql = "DELETE FROM series WHERE id = ?1 \
               AND NOT EXISTS (SELECT 1 FROM points WHERE series = ?1) \
               AND NOT EXISTS (SELECT 1 FROM rollups WHERE series = ?1)";
    let removed = db.prepare_cached(sql)?.execute([id])?;
    Ok(column(removed as u64))
}

/// Resolved findings that are too old, or more than are kept.
pub(super) fn trim_findings(
    db: &Connection,
    before: i64,
    most: i64,
    rows: i64,
) -> rusqlite::Result<i64> {
    let sql = "DELETE FROM findings WHERE fingerprint IN (SELECT fingerprint FROM findings \
               WHERE resolved < ?1 ORDER BY resolved LIMIT ?2)";
    let old = column(db.prepare_cached(sql)?.execute([before, rows])? as u64);
    let sql = "SELECT count(*) FROM findings WHERE resolved IS NOT NULL";
    let kept: i64 = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let more = (kept - most).clamp(0, rows - old);
    let more = db
        .prepare_cached(
            "DELETE FROM findings WHERE fingerprint IN (SELECT fingerprint FROM findings \
             WHERE resolved IS NOT NULL ORDER BY resolved LIMIT ?1)",
        )?
        .execute([more])?;
    Ok(old + column(more as u64))
}

/// Forgets one by one which runs were folded; the floor remembers them all together.
pub(super) fn forget_runs(db: &Connection, oldest: &RunKey, rows: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT max(run) FROM (SELECT run FROM folded WHERE run < ?1 ORDER BY run LIMIT ?2)";
    let mut cut = db.prepare_cached(sql)?;
    let cut: Option<RunKey> = cut.query_row(params![oldest, rows], |row| row.get(0))?;
    let Some(cut) = cut else { return Ok(0) };
    let sql = "INSERT INTO floors VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET run = max(run, excluded.run)";
    db.execute(sql, params![FOLDED_FLOOR, cut])?;
    let removed = db.execute("DELETE FROM folded WHERE run <= ?1", [cut])?;
    Ok(column(removed as u64))
}

/// Bytes in use of the file: free pages left out.
pub(super) fn used(db: &Connection) -> rusqlite::Result<u64> {
    let used = pages(db, "page_count")? - pages(db, "freelist_count")?;
    Ok(number(used.saturating_mul(pages(db, "page_size")?)))
}

pub(super) fn pages(db: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, pragma, |row| row.get(0))
}
