//! Env files: `KEY=VALUE`, as a shell and `EnvironmentFile=` of systemd both read them. A line that
//! the two would read differently is refused.

use super::lines::{BLANK, at, inner, lines, quoted};
use super::{Found, absent, twice};
use keepwell_model::param::{KeyPath, Raw, RawKind};
use keepwell_model::words::Refusal;
use std::ops::Range;

struct Entry<'t> {
    key: &'t str,
    /// Of the file, quotes included.
    value: Range<usize>,
    line: usize,
}

/// Bytes that mean themselves outside quotes to every reader.
fn bare(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"_./:@%+,=-".contains(&b)
}

pub(super) fn find(text: &str, key: &KeyPath) -> Result<Found, Refusal> {
    let [name] = key.parts() else {
        return Err(absent(key));
    };
    let entries = entries(text)?;
    let mut ours = entries.iter().filter(|e| e.key == name);
    let entry = ours.next().ok_or_else(|| absent(key))?;
    if ours.next().is_some() {
        return Err(twice(name));
    }
    let spelled = &text[entry.value.clone()];
    certain(spelled).map_err(|what| at(entry.line, what))?;
    Ok(Found {
        span: entry.value.clone(),
        raw: Raw {
            kind: RawKind::Bare,
            text: inner(spelled).to_owned(),
        },
        doubt: None,
    })
}

fn entries(text: &str) -> Result<Vec<Entry<'_>>, Refusal> {
    let mut all = Vec::new();
    for line in lines(text)? {
        let body = line.text.trim_start_matches(BLANK);
        if body.is_empty() || body.starts_with(['#', ';']) {
            continue;
        }
        let indent = line.text.len() - body.len();
        let (before, exported) = match body.strip_prefix("export ") {
            Some(rest) => (indent + "export ".len(), rest),
            None => (indent, body),
        };
        let mark = exported
            .find('=')
            .ok_or_else(|| at(line.number, "is neither a comment nor `KEY=VALUE`"))?;
        let key = &exported[..mark];
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if key.is_empty() || !key.bytes().all(plain) {
            return Err(at(line.number, "has an odd name before `=`"));
        }
        let start = before + mark + 1;
        let value = line.text[start..].trim_end_matches(BLANK);
        if !closed(&line.text[start..]) {
            return Err(at(line.number, "holds a value over several lines"));
        }
        all.push(Entry {
            key,
            value: line.start + start..line.start + start + value.len(),
            line: line.number,
        });
    }
    Ok(all)
}

/// Whether a value ends on its line: every quote is closed, and no `\` stands at the end. A value
/// that goes on would take the lines below it with it.
fn closed(value: &str) -> bool {
    let mut quote = None;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\\') => {}
            (_, '\\') => {
                if chars.next().is_none() {
                    return false;
                }
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            (None | Some(_), _) => {}
        }
    }
    quote.is_none()
}

/// Whether every reader takes the value as the same text; else what it holds.
fn certain(value: &str) -> Result<(), &'static str> {
    match quoted(value) {
        Some(Some(end)) if end == value.len() => {
            if value.contains('\\') || value.starts_with('"') && value.contains(['$', '`']) {
                return Err("holds `$`, `` ` `` or `\\` between quotes");
            }
            Ok(())
        }
        Some(Some(_)) => Err("holds something after the closing quote"),
        Some(None) => Err("holds a value over several lines"),
        None if value.bytes().all(bare) => Ok(()),
        None => Err("holds a value that needs quotes: shells and systemd read it differently"),
    }
}

pub(super) fn same_but(before: &str, after: &str, key: &KeyPath) -> Result<bool, Refusal> {
    let ours = |e: &Entry<'_>| key.parts() == [e.key];
    let (old, new) = (entries(before)?, entries(after)?);
    let same = |(b, a): (&Entry<'_>, &Entry<'_>)| {
        b.key == a.key && (ours(b) || before[b.value.clone()] == after[a.value.clone()])
    };
    Ok(old.len() == new.len() && old.iter().zip(&new).all(same))
}
