//! One key of a configuration file: where its value's bytes are, and other bytes in their place.
//! Everything else in the file stays as it is, byte for byte.
//!
//! Each format finds the span of the value with a parser or a strict scanner; the bytes are
//! replaced; then the whole file is parsed again, and must hold the new value at this key and the
//! same as before everywhere else. What a scanner cannot be sure of is refused.

mod env;
mod ini;
mod json;
mod lines;
#[cfg(test)]
mod tests;
mod toml;
mod yaml;

use keepwell_model::param::{Format, KeyPath, Raw, RawKind};
use keepwell_model::words::{Refusal, printable};
use std::ops::Range;

/// Where a value stands, in bytes of the file with quotes included, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) span: Range<usize>,
    pub(super) raw: Raw,
    /// Why its end is not certain when it is free text.
    pub(super) doubt: Option<&'static str>,
}

/// How deep a file may nest: what serde_json allows, and more than people write.
const DEPTH_MAX: usize = 128;
/// A byte order mark, which some editors leave before the first character.
const MARK: &str = "\u{feff}";

/// Finds the value of `key`. Refusals: `gone` when it is not there, `invalid` when the file is not
/// of this format or holds what cannot be edited safely.
pub(super) fn find(format: Format, text: &str, key: &KeyPath) -> Result<Found, Refusal> {
    let body = text.strip_prefix(MARK).unwrap_or(text);
    let mut found = match format {
        Format::Toml => toml::find(body, key),
        Format::Json => json::find(body, key),
        Format::Yaml => yaml::find(body, key),
        Format::Ini => ini::find(body, key),
        Format::Env => env::find(body, key),
    }?;
    let mark = text.len() - body.len();
    found.span.start += mark;
    found.span.end += mark;
    Ok(found)
}

/// The value's text with the quotes that its place needs, in the manner of the old spelling.
pub(super) fn quote(format: Format, text: &str, kind: RawKind, old: &str) -> String {
    match kind {
        RawKind::Number | RawKind::Boolean => text.to_owned(),
        RawKind::Text => match format {
            Format::Toml => toml::quote(text, old),
            Format::Yaml => yaml::quote(text, old),
            Format::Json | Format::Ini | Format::Env => json::quote(text),
        },
        RawKind::Bare => match old.as_bytes().first() {
            Some(b'"') => format!("\"{text}\""),
            Some(b'\'') => format!("'{text}'"),
            Some(_) | None => text.to_owned(),
        },
    }
}

/// The file with `spelling` as the value of `key`. Refused unless it reads back as the same kind
/// of value, with exactly `says` as its text if that is given, and everything else in the file
/// reads as before.
pub(super) fn replace(
    format: Format,
    text: &str,
    key: &KeyPath,
    spelling: &str,
    says: Option<&str>,
) -> Result<String, Refusal> {
    let old = find(format, text, key)?;
    let (head, tail) = (&text[..old.span.start], &text[old.span.end..]);
    let new = format!("{head}{spelling}{tail}");
    let cannot = || {
        Refusal::invalid(format!(
            "`{}` cannot be written there so that it reads back the same",
            printable(spelling, 40)
        ))
        .hint("quote the value by hand once, or propose a plainer one")
    };
    let now = find(format, &new, key).map_err(|_| cannot())?;
    let there = old.span.start..old.span.start + spelling.len();
    if now.span != there
        || says.is_some_and(|says| now.raw.text != says)
        || now.raw.kind != old.raw.kind
    {
        return Err(cannot());
    }
    let body = |text: &'_ str| text.strip_prefix(MARK).unwrap_or(text).to_owned();
    let (before, after) = (body(text), body(&new));
    let same = match format {
        Format::Toml => toml::same_but(&before, &after, key),
        Format::Json => json::same_but(&before, &after, key),
        Format::Yaml => yaml::same_but(&before, &after, key),
        Format::Ini => ini::same_but(&before, &after, key),
        Format::Env => env::same_but(&before, &after, key),
    }?;
    if same { Ok(new) } else { Err(cannot()) }
}

/// The refusal for a key that is not there.
fn absent(key: &KeyPath) -> Refusal {
    Refusal::gone(format!("the key `{key}` is not there")).hint(
        "write the key with its present value into the file by hand; tasks only change values",
    )
}

/// The refusal for what stands at the key and is no single value.
fn not_one(what: &str) -> Refusal {
    Refusal::invalid(format!("it is {what}, and a parameter is one value"))
}

fn twice(key: &str) -> Refusal {
    Refusal::invalid(format!("the key `{}` is there twice", printable(key, 80)))
        .hint("programs differ in which one they read: remove one by hand")
}
