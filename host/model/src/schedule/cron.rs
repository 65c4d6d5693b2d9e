//! Cron patterns on the wall clock of a zone. `croner` finds matching wall-clock times; which
//! instants those are at a daylight-saving edge is decided here, because the rule is ours:
//! a fixed time in the gap runs once right after it, a fixed time that comes twice runs the first
//! time, and a pattern with `*` in its minute or hour follows real time.

use super::pattern::{BadPattern, Count, NoSlot};
use super::zone::{DAY, Secs, Wall, Zone};
use chrono::{Datelike as _, NaiveDate, NaiveDateTime, TimeDelta, Timelike as _};
use croner::parser::{CronParser, Seconds, Year};

/// Longer than every minute of an hour written out; nobody means more.
const TEXT_MAX_BYTES: usize = 256;
/// Misses are counted day by day over so many steps (ten years and their edges); beyond, "at
/// least" is enough.
const COUNT_DAYS_MAX: u32 = 4_000;
/// A clock has never been put back by more than a day.
const FOLD_MAX: Secs = DAY + 7_200;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const NICKNAMES: [&str; 6] = [
    "@hourly",
    "@daily",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    text: String,
    cron: croner::Cron,
    /// Neither minute nor hour has a `*`.
    fixed: bool,
    /// Matching minutes of a matching day.
    per_day: u64,
}

impl Cron {
    pub(super) fn parse(text: &str) -> Result<Self, BadPattern> {
        let text = text.trim();
        check_text(text)?;
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(text).map_err(|e| {
            bad(format!("`{text}` is no cron pattern: {e}"))
                .hint("five fields: minute hour day-of-month month day-of-week, 1 is Monday")
        })?;
        // Searching is what tells a pattern that can match from one that cannot, such as the 30th
        // of February. Every pattern that can does so within 40 years (a leap day on a Monday).
        let start = NaiveDate::from_ymd_opt(2000, 1, 1).and_then(|d| d.and_hms_opt(0, 0, 0));
        let fires = start.is_some_and(|t| cron.find_next_occurrence(&t, true).is_ok());
        if !fires {
            return Err(BadPattern::never(text));
        }
        let pattern = &cron.pattern;
        let set = |component: &croner::CronComponent| component.values().len() as u64;
        Ok(Self {
            text: text.to_owned(),
            fixed: !pattern.minutes.from_wildcard && !pattern.hours.from_wildcard,
            per_day: set(&pattern.minutes) * set(&pattern.hours),
            cron,
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) const fn is_fixed(&self) -> bool {
        self.fixed
    }

    pub(super) fn next_after(&self, zone: Zone, at: Secs) -> Result<Secs, NoSlot> {
        if self.fixed {
            self.next_fixed(zone, at)
        } else {
            self.next_flowing(zone, at)
        }
    }

    pub(super) fn last_at_or_before(&self, zone: Zone, at: Secs) -> Result<Option<Secs>, NoSlot> {
        if self.fixed {
            self.last_fixed(zone, at)
        } else {
            self.last_flowing(zone, at)
        }
    }

    fn wall_after(&self, wall: NaiveDateTime, inclusive: bool) -> Result<NaiveDateTime, NoSlot> {
        let found = self.cron.find_next_occurrence(&wall, inclusive);
        found.map_err(|e| self.lost(&e))
    }

    fn wall_before(&self, wall: NaiveDateTime, inclusive: bool) -> Result<NaiveDateTime, NoSlot> {
        let found = self.cron.find_previous_occurrence(&wall, inclusive);
        found.map_err(|e| self.lost(&e))
    }

    fn lost(&self, error: &croner::errors::CronError) -> NoSlot {
        NoSlot::Search {
            pattern: self.text.clone(),
            why: error.to_string(),
        }
    }

    /// The instant of a fixed time. It never decreases as the wall-clock time grows.
    fn instant(zone: Zone, wall: NaiveDateTime) -> Result<Secs, NoSlot> {
        Ok(match zone.resolve(wall)? {
            Wall::Once(at) | Wall::Twice(at, _) | Wall::Never(at) => at,
        })
    }

    fn next_fixed(&self, zone: Zone, at: Secs) -> Result<Secs, NoSlot> {
        let mut wall = zone.local(at)?;
        loop {
            wall = self.wall_after(wall, false)?;
            let found = Self::instant(zone, wall)?;
            if found > at {
                return Ok(found);
            }
        }
    }

    fn last_fixed(&self, zone: Zone, at: Secs) -> Result<Option<Secs>, NoSlot> {
        let mut wall = zone.local(at)?;
        // In the second pass of a repeated range, later wall-clock times lie behind us as well.
        if let Wall::Twice(first, second) = zone.resolve(wall)?
            && at >= second
            && first < second
            && let Some(edge) = zone.last_edge_within((at - FOLD_MAX).max(0), at)?
        {
            wall = wall.max(zone.local(edge - 1)?);
        }
        let mut inclusive = true;
        loop {
            wall = self.wall_before(wall, inclusive)?;
            inclusive = false;
            if wall.and_utc().timestamp() < -DAY {
                return Ok(None);
            }
            let found = Self::instant(zone, wall)?;
            if found <= at {
                return Ok(Some(found).filter(|f| *f >= 0));
            }
        }
    }

    /// Walks the stretches between edges; within one, wall clock and instant differ by a constant.
    fn next_flowing(&self, zone: Zone, at: Secs) -> Result<Secs, NoSlot> {
        let (mut from, mut inclusive) = (at, false);
        loop {
            let offset = zone.offset(from)?;
            let wall = self.wall_after(zone.local(from)?, inclusive)?;
            let found = wall.and_utc().timestamp() - offset;
            match zone.edge_within(from, found)? {
                None => return Ok(found),
                Some(edge) => (from, inclusive) = (edge, true),
            }
        }
    }

    fn last_flowing(&self, zone: Zone, at: Secs) -> Result<Option<Secs>, NoSlot> {
        let mut from = at;
        loop {
            let offset = zone.offset(from)?;
            let wall = self.wall_before(zone.local(from)?, true)?;
            let found = wall.and_utc().timestamp() - offset;
            match zone.last_edge_within(found.max(0), from)? {
                None => return Ok(Some(found).filter(|f| *f >= 0)),
                Some(edge) => from = edge - 1,
            }
        }
    }

    /// How many slots lie in `(after, upto]`. Whole days away from edges are counted by what a day
    /// holds, so that years of misses cost no more than their days.
    pub(super) fn count(&self, zone: Zone, after: Secs, upto: Secs) -> Result<Count, NoSlot> {
        let mut total = 0;
        let mut at = after;
        for _ in 0..COUNT_DAYS_MAX {
            if at >= upto {
                return Ok(Count {
                    slots: total,
                    exact: true,
                });
            }
            let first = zone.local(at + 1)?;
            let into_day = Secs::from(first.num_seconds_from_midnight());
            let end = at + DAY - into_day;
            let plain = into_day == 0 && end <= upto && zone.offset(at)? == zone.offset(end)?;
            if plain {
                total += if self.matches_day(first)? {
                    self.per_day
                } else {
                    0
                };
                at = end;
                continue;
            }
            let end = end.min(upto);
            loop {
                at = self.next_after(zone, at)?;
                if at > end {
                    break;
                }
                total += 1;
            }
            at = end;
        }
        Ok(Count {
            slots: total,
            exact: at >= upto,
        })
    }

    fn matches_day(&self, wall: NaiveDateTime) -> Result<bool, NoSlot> {
        let (year, month, day) = (wall.year(), wall.month(), wall.day());
        let weekday = croner::Weekday::from_days_from_sunday(wall.weekday().num_days_from_sunday());
        let pattern = &self.cron.pattern;
        let matches = pattern
            .month_match(month)
            .and_then(|m| Ok(m && pattern.day_match(year, month, day, weekday)?));
        matches.map_err(|e| self.lost(&e))
    }

    /// Whether the wall clock at `at` is one that the pattern names: false for a run moved behind
    /// a gap.
    pub(super) fn names(&self, zone: Zone, at: Secs) -> Result<bool, NoSlot> {
        let wall = zone.local(at)?;
        let next = self.wall_after(wall - TimeDelta::seconds(1), false)?;
        Ok(next == wall)
    }
}

fn bad(message: impl Into<String>) -> BadPattern {
    BadPattern::new("cron", message)
}

/// What croner would take for something else than it says: names glued to digits or standing in
/// the wrong field, empty members of a list (which match nothing), `+`.
fn check_text(text: &str) -> Result<(), BadPattern> {
    if text.len() > TEXT_MAX_BYTES || !text.is_ascii() {
        return Err(bad(format!(
            "expected at most {TEXT_MAX_BYTES} plain characters"
        )));
    }
    let lower = text.to_ascii_lowercase();
    if lower.starts_with('@') {
        if NICKNAMES.contains(&lower.as_str()) {
            return Ok(());
        }
        return Err(bad(format!("`{}` is no nickname", shown(text)))
            .hint(format!("one of {}", NICKNAMES.join(", "))));
    }
    let fields: Vec<&str> = lower.split_ascii_whitespace().collect();
    if fields.len() != 5 {
        return Err(
            bad(format!("`{}` has {} fields", shown(text), fields.len()))
                .hint("five fields: minute hour day-of-month month day-of-week, 1 is Monday"),
        );
    }
    for (index, field) in fields.iter().enumerate() {
        let names: &[&str] = match index {
            3 => &MONTHS,
            4 => &WEEKDAYS,
            0..=2 | 5.. => &[],
        };
        if field.contains(['+', '?']) {
            return Err(
                bad(format!("`{}` has a sign that is no cron", shown(field)))
                    .hint("day-of-month and day-of-week are joined by OR; `*` is any"),
            );
        }
        for member in field.split(',') {
            check_member(member, names)?;
        }
    }
    Ok(())
}

fn check_member(member: &str, names: &[&str]) -> Result<(), BadPattern> {
    if member.is_empty() {
        return Err(
            bad("a list has an empty member").hint("write `1,2`, without a comma at its end")
        );
    }
    for word in member.split(|c: char| !c.is_ascii_alphanumeric()) {
        if !word.bytes().any(|b| b.is_ascii_alphabetic()) {
            continue;
        }
        let name = word
            .strip_suffix('l')
            .filter(|w| w.len() == 3)
            .unwrap_or(word);
        let mark = name.trim_start_matches(|c: char| c.is_ascii_digit());
        // `L`, `W`, `LW`, `15W` and `5L` are croner's own, checked by it.
        if !names.contains(&name) && !matches!(mark, "l" | "w" | "lw") {
            return Err(bad(format!("`{}` is no name in this field", shown(word)))
                .hint("months are jan to dec, weekdays mon to sun, each in its own field"));
        }
    }
    Ok(())
}

fn shown(text: &str) -> String {
    crate::words::printable(text, 60)
}
