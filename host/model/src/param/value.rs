//! Typed values, and numbers counted in whole small units.

use super::literal::Decimal;
use crate::units::{Bytes, Span};
use crate::words::{Refusal, printable};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A value of one of the types.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParamValue {
    Integer(i64),
    Float(Decimal),
    Boolean(bool),
    /// Free text, or one of the declared values.
    Text(String),
    Duration(Span),
    Bytes(Bytes),
}

/// The kinds of number. Each is counted in whole small units: ones, millionths, milliseconds,
/// bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Number {
    Integer,
    Float,
    Duration,
    Bytes,
}

const SPANS: [(&str, i64); 7] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];
const SIZES: [(&str, i64); 13] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

impl Number {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Duration => "duration",
            Self::Bytes => "bytes",
        }
    }

    pub(super) const fn units(self) -> &'static [(&'static str, i64)] {
        match self {
            Self::Integer | Self::Float => &[],
            Self::Duration => &SPANS,
            Self::Bytes => &SIZES,
        }
    }

    /// How many small units one `unit` is.
    pub fn unit(self, unit: &str) -> Option<i64> {
        let found = self.units().iter().find(|(name, _)| *name == unit);
        found.map(|(_, size)| *size)
    }

    /// The count that a person's spelling means.
    pub fn count(self, text: &str) -> Result<i64, Refusal> {
        let far = |count: u64, text: &str| {
            i64::try_from(count)
                .map_err(|_| Refusal::invalid(format!("`{}` is too large", printable(text, 40))))
        };
        match self {
            Self::Integer => integer(text),
            Self::Float => text
                .parse::<Decimal>()
                .map(|d| d.0)
                .map_err(|e| Refusal::invalid(e.to_string())),
            Self::Duration => match text.parse::<Span>() {
                Ok(span) => far(span.as_millis(), text),
                Err(e) => Err(Refusal::invalid(e.to_string())),
            },
            Self::Bytes => match text.parse::<Bytes>() {
                Ok(bytes) => far(bytes.0, text),
                Err(e) => Err(Refusal::invalid(e.to_string())),
            },
        }
    }

    pub fn value(self, count: i64) -> ParamValue {
        let small = count.unsigned_abs();
        match self {
            Self::Integer => ParamValue::Integer(count),
            Self::Float => ParamValue::Float(Decimal(count)),
            Self::Duration => ParamValue::Duration(Span(std::time::Duration::from_millis(small))),
            Self::Bytes => ParamValue::Bytes(Bytes(small)),
        }
    }

    /// The count in one unit: the one of `like` if that fits, else the largest that does.
    pub(super) fn spell(self, count: i64, like: &str) -> String {
        match self {
            Self::Integer => return count.to_string(),
            Self::Float => return Decimal(count).to_string(),
            Self::Duration | Self::Bytes => {}
        }
        let letters = like.trim_start_matches(|c: char| c.is_ascii_digit());
        let unit = letters.trim_start();
        let space = &letters[..letters.len() - unit.len()];
        let fits = |size: i64| count % size == 0;
        // A size may have a blank before its unit, a span of time has none.
        let blank = space.is_empty() || self == Self::Bytes;
        if let Some(size) = self.unit(unit).filter(|size| blank && fits(*size)) {
            return format!("{}{space}{unit}", count / size);
        }
        if self == Self::Bytes && unit.is_empty() {
            return count.to_string();
        }
        // From the end, as of units of one size the first in the table is the plain one.
        let whole = self.units().iter().rev().filter(|(_, size)| fits(*size));
        let zero = if self == Self::Bytes { "B" } else { "s" };
        match whole.max_by_key(|(_, size)| *size) {
            Some((name, size)) if count != 0 => format!("{}{name}", count / size),
            Some(_) | None => format!("0{zero}"),
        }
    }
}

/// Plain decimal digits with a sign at most: `010` is eight to one program and ten to another.
pub(super) fn integer(text: &str) -> Result<i64, Refusal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let bad = || {
        Refusal::invalid(format!(
            "`{}` is not a whole number in plain decimal digits",
            printable(text, 40)
        ))
    };
    if !plain || digits.len() > 1 && digits.starts_with('0') {
        return Err(bad());
    }
    text.parse().map_err(|_| bad())
}

impl ParamValue {
    /// The small units, for a number.
    pub fn count(&self) -> Option<(Number, i64)> {
        match self {
            Self::Integer(i) => Some((Number::Integer, *i)),
            Self::Float(d) => Some((Number::Float, d.0)),
            Self::Duration(span) => Some((Number::Duration, i64::try_from(span.as_millis()).ok()?)),
            Self::Bytes(bytes) => Some((Number::Bytes, i64::try_from(bytes.0).ok()?)),
            Self::Boolean(_) | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for ParamValue {
    /// The exact value, as [`Shape::parse`](super::Shape::parse) reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(b) => write!(f, "{b}"),
            Self::Text(text) => f.write_str(text),
            Self::Bytes(bytes) => match self.count() {
                Some((number, count)) => f.write_str(&number.spell(count, "1x")),
                None => write!(f, "{}B", bytes.0),
            },
            Self::Integer(i) => write!(f, "{i}"),
            Self::Float(d) => write!(f, "{d}"),
            Self::Duration(span) => write!(f, "{span}"),
        }
    }
}
