//! What INI and env files share: lines, and values with or without quotes.

use keepwell_model::words::Refusal;
use std::ops::Range;

/// A line without its end.
pub(super) struct Line<'t> {
    pub(super) number: usize,
    /// Where it begins in the file.
    pub(super) start: usize,
    pub(super) text: &'t str,
}

/// The lines of a file. A control character within one is refused: editors hide it, and programs
/// differ in what it does.
pub(super) fn lines(text: &str) -> Result<Vec<Line<'_>>, Refusal> {
    let mut all = Vec::new();
    let mut start = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.strip_suffix('\n').unwrap_or(line);
        let bare = if bare.len() < line.len() {
            bare.strip_suffix('\r').unwrap_or(bare)
        } else {
            bare
        };
        if bare.chars().any(|c| c.is_control() && c != '\t') {
            return Err(at(i + 1, "holds a control character"));
        }
        all.push(Line {
            number: i + 1,
            start,
            text: bare,
        });
        start += line.len();
    }
    Ok(all)
}

pub(super) fn at(line: usize, what: &str) -> Refusal {
    Refusal::invalid(format!("line {line} {what}"))
}

pub(super) const BLANK: [char; 2] = [' ', '\t'];

/// The part of `line` from `from` on without blanks on both sides, as a range of the line.
pub(super) fn trimmed(line: &str, from: usize) -> Range<usize> {
    let rest = &line[from..];
    let start = from + (rest.len() - rest.trim_start_matches(BLANK).len());
    start..start.max(from + rest.trim_end_matches(BLANK).len())
}

/// If `text` begins with a quote: the length up to and with the closing one, or nothing when it is
/// not closed.
pub(super) fn quoted(text: &str) -> Option<Option<usize>> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Some(text[1..].find(quote).map(|end| end + 2))
}

/// The text between the quotes, if there are any.
pub(super) fn inner(spelled: &str) -> &str {
    match quoted(spelled) {
        Some(Some(end)) if end == spelled.len() => &spelled[1..end - 1],
        Some(Some(_) | None) | None => spelled,
    }
}
