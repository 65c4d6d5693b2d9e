//! YAML: the parser's events give the span of every scalar. Whatever makes one value stand in two
//! places, or mean two things to two readers, is refused.

use super::{DEPTH_MAX, Found, absent, not_one, twice};
use keepwell_model::param::{KeyPath, Raw, RawKind};
use keepwell_model::words::{Refusal, printable};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashSet;

/// What ends a line in YAML 1.1 and not in 1.2: one reader sees a key where the other sees text.
const BREAKS_OF_OLD: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

pub(super) fn find(text: &str, key: &KeyPath) -> Result<Found, Refusal> {
    if text.contains(BREAKS_OF_OLD) {
        return Err(Refusal::invalid(
            "it holds a character that ends a line in YAML 1.1 and not in 1.2",
        )
        .hint("remove it: it is U+0085, U+2028 or U+2029, and editors hide it"));
    }
    let (events, at) = scan(text, key)?;
    let Some((Event::Scalar(said, style, ..), span)) = at.and_then(|i| events.get(i)) else {
        return Err(absent(key));
    };
    let byte = |index: usize| {
        let mut ends = text.char_indices().map(|(i, _)| i).chain([text.len()]);
        ends.nth(index).unwrap_or(text.len())
    };
    let (start, end) = (byte(span.start.index()), byte(span.end.index()));
    let told = text.get(start..end).unwrap_or_default();
    let length = match style {
        ScalarStyle::Plain => Some(told.len()).filter(|_| told == said.as_ref()),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => quoted(told),
        ScalarStyle::Literal | ScalarStyle::Folded => None,
    };
    let several = || not_one("text over several lines");
    let length = length.ok_or_else(several)?;
    let span = start..start + length;
    if text[span.clone()].contains(['\n', '\r']) {
        return Err(several());
    }
    let kind = match style {
        ScalarStyle::Plain => kind(said)?,
        ScalarStyle::SingleQuoted
        | ScalarStyle::DoubleQuoted
        | ScalarStyle::Literal
        | ScalarStyle::Folded => RawKind::Text,
    };
    let raw = Raw {
        kind,
        text: said.to_string(),
    };
    Ok(Found {
        span,
        raw,
        doubt: None,
    })
}

/// The length of a quoted scalar, quotes included. The parser's span goes on over the blanks and the
/// comment after it, and over nothing else.
fn quoted(told: &str) -> Option<usize> {
    let quote = *told.as_bytes().first()?;
    let bytes = told.as_bytes();
    let mut at = 1;
    while let Some(b) = bytes.get(at) {
        let doubled = quote == b'\'' && bytes.get(at + 1) == Some(&quote);
        match *b {
            b'\\' if quote == b'"' => at += 2,
            b if b == quote && doubled => at += 2,
            b if b == quote => {
                let after = told[at + 1..].trim_start_matches([' ', '\t', '\r', '\n']);
                return (after.is_empty() || after.starts_with('#')).then_some(at + 1);
            }
            _ => at += 1,
        }
    }
    None
}

type Events<'t> = Vec<(Event<'t>, Span)>;

/// An open collection: a mapping with the keys seen, the one whose value comes next and what is
/// left of the path; or a list.
enum Open<'k> {
    Mapping {
        keys: HashSet<String>,
        next: Option<String>,
        path: Option<&'k [String]>,
    },
    List,
}

/// All events, and which of them is the value of `key`.
fn scan<'t>(text: &'t str, key: &KeyPath) -> Result<(Events<'t>, Option<usize>), Refusal> {
    let mut events = Events::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    let (mut found, mut documents) = (None, 0);
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|e| Refusal::invalid(format!("it is not YAML: {}", e.info())))?;
        let index = events.len();
        match &event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(Refusal::invalid("it holds more than one document"));
                }
            }
            Event::Alias(_) => return Err(linked()),
            Event::Scalar(said, _, anchor, tag) => {
                plain(*anchor, tag.is_some())?;
                if is_key(&open) {
                    begin(&mut open, said)?;
                } else {
                    if below(&open, key).is_some_and(<[String]>::is_empty) {
                        found = Some(index);
                    }
                    end(&mut open);
                }
            }
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                plain(*anchor, tag.is_some())?;
                let mapping = matches!(event, Event::MappingStart(..));
                if is_key(&open) {
                    return Err(Refusal::invalid("a key is a mapping or a list"));
                }
                let path = below(&open, key);
                if path.is_some_and(<[String]>::is_empty) {
                    return Err(not_one(if mapping { "a mapping" } else { "a list" }));
                }
                if open.len() >= DEPTH_MAX {
                    return Err(Refusal::limit(format!("it nests deeper than {DEPTH_MAX}")));
                }
                open.push(if mapping {
                    Open::Mapping {
                        keys: HashSet::new(),
                        next: None,
                        path,
                    }
                } else {
                    Open::List
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop();
                end(&mut open);
            }
        }
        events.push((event, span));
    }
    Ok((events, found))
}

fn is_key(open: &[Open<'_>]) -> bool {
    matches!(open.last(), Some(Open::Mapping { next: None, .. }))
}

/// Takes `said` as the key whose value comes next.
fn begin(open: &mut [Open<'_>], said: &str) -> Result<(), Refusal> {
    let Some(Open::Mapping { keys, next, .. }) = open.last_mut() else {
        return Ok(());
    };
    if said == "<<" {
        return Err(linked());
    }
    if !keys.insert(said.to_owned()) {
        return Err(twice(said));
    }
    *next = Some(said.to_owned());
    Ok(())
}

/// A value has ended.
fn end(open: &mut [Open<'_>]) {
    if let Some(Open::Mapping { next, .. }) = open.last_mut() {
        *next = None;
    }
}

/// What is left of the key at the value that comes next, if it lies on the key's way.
fn below<'k>(open: &[Open<'k>], key: &'k KeyPath) -> Option<&'k [String]> {
    match open.last() {
        None => Some(key.parts()),
        Some(Open::Mapping { next, path, .. }) => {
            let (first, rest) = path.and_then(<[String]>::split_first)?;
            (Some(first) == next.as_ref()).then_some(rest)
        }
        Some(Open::List) => None,
    }
}

fn plain(anchor: usize, tagged: bool) -> Result<(), Refusal> {
    if anchor != 0 {
        return Err(linked());
    }
    if tagged {
        return Err(Refusal::invalid("it holds a tag (`!…`)"));
    }
    Ok(())
}

fn linked() -> Refusal {
    Refusal::invalid(
        "it holds an anchor, an alias or a merge key, so one value may stand in two places",
    )
    .hint("write the values out by hand, or tune another file")
}

/// What a plain scalar is. Where YAML 1.1 and 1.2 disagree it is refused: nobody knows which of
/// the two the program reads.
fn kind(said: &str) -> Result<RawKind, Refusal> {
    let two = || {
        Err(Refusal::invalid(format!(
            "`{}` means one thing in YAML 1.1 and another in 1.2",
            printable(said, 40)
        ))
        .hint("quote it, or write it in full: `true`, `false`, plain decimal digits"))
    };
    match said {
        "" | "~" | "null" | "Null" | "NULL" => return Err(not_one("null")),
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return Ok(RawKind::Boolean),
        _ => {}
    }
    let lower = said.to_ascii_lowercase();
    if matches!(lower.as_str(), "y" | "n" | "yes" | "no" | "on" | "off") {
        return two();
    }
    let digits = lower.strip_prefix(['-', '+']).unwrap_or(&lower);
    if matches!(digits, ".inf" | ".nan") {
        return Ok(RawKind::Number);
    }
    let only = |set: &str| {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit() || set.contains(char::from(b)))
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(RawKind::Text);
    }
    let based = ["0x", "0o", "0b"].iter().any(|p| digits.starts_with(p));
    let octal = digits.len() > 1 && digits.starts_with('0') && only("");
    let sixty = digits.contains(':') && only(":._");
    let date = digits.len() > 7 && digits.as_bytes().get(4) == Some(&b'-') && only("-:.tz+ ");
    if based || octal || sixty || date || digits.contains('_') && only("_.e+-") {
        return two();
    }
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((digits, "+0"));
    let signed = exponent.strip_prefix(['-', '+']);
    let exponent = signed.unwrap_or(exponent);
    let numeric = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let dots = mantissa.bytes().filter(|b| *b == b'.').count();
    let number = dots < 2 && numeric(&mantissa.replacen('.', "", 1)) && numeric(exponent);
    // YAML 1.1 takes an exponent only with a sign, and only after a point.
    let text_of_old = digits.contains('e') && (signed.is_none() || dots == 0);
    if number && text_of_old {
        return two();
    }
    Ok(if number {
        RawKind::Number
    } else {
        RawKind::Text
    })
}

/// Quotes of the old kind. Text that stood plain stays plain where every reader takes it as text.
pub(super) fn quote(text: &str, old: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"_./-".contains(&b);
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    if old.starts_with('"') {
        super::json::quote(text)
    } else if !old.starts_with('\'')
        && first
        && text.bytes().all(safe)
        && matches!(kind(text), Ok(RawKind::Text))
    {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

pub(super) fn same_but(before: &str, after: &str, key: &KeyPath) -> Result<bool, Refusal> {
    let (before, old) = scan(before, key)?;
    let (after, new) = scan(after, key)?;
    let mut pairs = before.iter().zip(&after).enumerate();
    let same = pairs.all(|(i, ((b, _), (a, _)))| Some(i) == old || b == a);
    Ok(old == new && before.len() == after.len() && same)
}
