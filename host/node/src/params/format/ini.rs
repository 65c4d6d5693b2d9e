//! INI: sections in brackets, one `key = value` or `key: value` on a line. There is no one INI, so
//! whatever its dialects read differently is refused where it touches the value.

use super::lines::{BLANK, at, inner, lines, quoted, trimmed};
use super::{Found, absent, twice};
use keepwell_model::param::{KeyPath, Raw, RawKind};
use keepwell_model::words::Refusal;
use std::ops::Range;

struct Entry<'t> {
    section: &'t str,
    key: &'t str,
    /// The rest of its line, as a range of the file.
    rest: Range<usize>,
    line: usize,
    indent: usize,
    /// The line after it is indented deeper: the value may go on there.
    goes_on: bool,
}

pub(super) fn find(text: &str, key: &KeyPath) -> Result<Found, Refusal> {
    let (section, name) = key.ini().ok_or_else(|| absent(key))?;
    let entries = entries(text)?;
    let like = |e: &&Entry<'_>| {
        e.section.eq_ignore_ascii_case(section) && e.key.eq_ignore_ascii_case(name)
    };
    let mut ours = entries.iter().filter(like);
    let entry = ours
        .next()
        .filter(|e| e.section == section && e.key == name)
        .ok_or_else(|| absent(key))?;
    if ours.next().is_some() {
        return Err(twice(&key.to_string()));
    }
    if entry.goes_on {
        return Err(at(
            entry.line,
            "holds a value that may go on in the next line",
        ));
    }
    let (value, comment) = value(&text[entry.rest.clone()], entry.line)?;
    let span = entry.rest.start + value.start..entry.rest.start + value.end;
    let spelled = &text[span.clone()];
    let doubt = (comment && quoted(spelled).is_none())
        .then_some("a comment follows, which some programs take as part of the text");
    Ok(Found {
        span,
        raw: Raw {
            kind: RawKind::Bare,
            text: inner(spelled).to_owned(),
        },
        doubt,
    })
}

fn entries(text: &str) -> Result<Vec<Entry<'_>>, Refusal> {
    let mut all: Vec<Entry<'_>> = Vec::new();
    let mut section = "";
    // The entry on the line before, whose value an indented line would go on with.
    let mut before = false;
    for line in lines(text)? {
        let body = &line.text[trimmed(line.text, 0)];
        let indent = line.text.len() - line.text.trim_start_matches(BLANK).len();
        if body.is_empty() || body.starts_with([';', '#']) {
            continue;
        }
        if line.text.ends_with('\\') {
            return Err(at(
                line.number,
                "ends with `\\`, so it may go on in the next line",
            ));
        }
        if let Some(last) = all.last_mut().filter(|e| before && indent > e.indent) {
            last.goes_on = true;
        }
        before = false;
        if let Some(rest) = body.strip_prefix('[') {
            let end = rest
                .find(']')
                .ok_or_else(|| at(line.number, "opens a section and does not close it"))?;
            let after = rest[end + 1..].trim_start_matches(BLANK);
            if !after.is_empty() && !after.starts_with([';', '#']) {
                return Err(at(line.number, "holds something after the section's name"));
            }
            section = rest[..end].trim_matches(BLANK);
            continue;
        }
        // A key alone, as some dialects have it, holds no value.
        let Some(mark) = line.text.find(['=', ':']) else {
            continue;
        };
        let key = line.text[..mark].trim_matches(BLANK);
        let rest = &line.text[mark + 1..];
        if quoted(&rest[trimmed(rest, 0)]) == Some(None) {
            return Err(at(line.number, "opens a quote and does not close it"));
        }
        before = true;
        all.push(Entry {
            section,
            key,
            rest: line.start + mark + 1..line.start + line.text.len(),
            line: line.number,
            indent,
            goes_on: false,
        });
    }
    Ok(all)
}

/// The range of the value in the rest of its line, quotes included, and whether a comment follows.
fn value(rest: &str, number: usize) -> Result<(Range<usize>, bool), Refusal> {
    let range = trimmed(rest, 0);
    let text = &rest[range.clone()];
    let comment = |after: &str| after.trim_start_matches(BLANK).starts_with([';', '#']);
    match quoted(text) {
        Some(None) => Err(at(number, "opens a quote and does not close it")),
        Some(Some(end)) => {
            let after = &text[end..];
            if text[..end].contains('\\') {
                return Err(at(number, "holds `\\` between quotes"));
            }
            if after.is_empty() {
                return Ok((range, false));
            }
            if !after.starts_with(BLANK) || !comment(after) {
                return Err(at(number, "holds something after the closing quote"));
            }
            Ok((range.start..range.start + end, true))
        }
        None => {
            let blanks = text.match_indices(BLANK);
            let cut = blanks.map(|(i, _)| i).find(|i| comment(&text[*i..]));
            // A value that begins with the mark is a comment after nothing.
            if text.starts_with([';', '#']) {
                return Ok((range.start..range.start, true));
            }
            Ok(match cut {
                Some(cut) => (range.start..range.start + cut, true),
                None => (range, false),
            })
        }
    }
}

pub(super) fn same_but(before: &str, after: &str, key: &KeyPath) -> Result<bool, Refusal> {
    let ours = |e: &Entry<'_>| key.ini() == Some((e.section, e.key));
    let (old, new) = (entries(before)?, entries(after)?);
    let same = |(b, a): (&Entry<'_>, &Entry<'_>)| {
        b.section == a.section
            && b.key == a.key
            && (ours(b) || before[b.rest.clone()] == after[a.rest.clone()])
    };
    Ok(old.len() == new.len() && old.iter().zip(&new).all(same))
}
