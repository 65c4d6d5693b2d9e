//! Typed values: what a parameter may be, how it is read from a file and spelled back into it.

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

/// What a parameter may be. Bounds and step are counts as [`Number`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    Number {
        number: Number,
        min: i64,
        max: i64,
        /// Values are `min`, `min + step`, `min + 2 × step`, …
        step: Option<i64>,
        /// For durations and sizes: the file holds a bare number of this unit.
        unit: Option<String>,
    },
    Boolean,
    Text,
    OneOf(Vec<String>),
}

/// Longest text value: a value, not a document.
pub const TEXT_MAX_BYTES: usize = 1024;

/// What a file holds at a parameter's place, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    pub kind: RawKind,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawKind {
    /// The format says it is a number.
    Number,
    /// The format says it is true or false.
    Boolean,
    /// The format says it is text.
    Text,
    /// The format knows nothing but text: INI, env, sysctl.
    Bare,
}

/// Pairs that say yes and no. The first three are what typed formats may use.
const BOOLEANS: [(&str, &str); 9] = [
    ("true", "false"),
    ("True", "False"),
    ("TRUE", "FALSE"),
    ("yes", "no"),
    ("Yes", "No"),
    ("on", "off"),
    ("On", "Off"),
    ("enabled", "disabled"),
    ("1", "0"),
];
const TYPED_BOOLEANS: usize = 3;

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

    const fn units(self) -> &'static [(&'static str, i64)] {
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
    fn spell(self, count: i64, like: &str) -> String {
        match self {
            Self::Integer => return count.to_string(),
            Self::Float => return Decimal(count).to_string(),
            Self::Duration | Self::Bytes => {}
        }
        let letters = like.trim_start_matches(|c: char| c.is_ascii_digit());
        let (number, space) = (like.len() - letters.len(), letters.len());
        let unit = letters.trim_start();
        let space = &like[number..number + space - unit.len()];
        let fits = |size: i64| count % size == 0;
        if let Some(size) = self.unit(unit).filter(|size| fits(*size)) {
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
fn integer(text: &str) -> Result<i64, Refusal> {
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
    /// The exact value, as [`Shape::parse`] reads it.
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

impl Shape {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Number { number, .. } => number.as_str(),
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::OneOf(_) => "one-of",
        }
    }

    /// A value as a task or a person writes it, within bounds.
    pub fn parse(&self, text: &str) -> Result<ParamValue, Refusal> {
        let value = match self {
            Self::Number { number, .. } => number.value(number.count(text)?),
            Self::Boolean => match text {
                "true" => ParamValue::Boolean(true),
                "false" => ParamValue::Boolean(false),
                _ => {
                    return Err(Refusal::invalid(format!(
                        "`{}` is not a boolean: expected `true` or `false`",
                        printable(text, 40)
                    )));
                }
            },
            Self::Text | Self::OneOf(_) => ParamValue::Text(text.to_owned()),
        };
        self.admits(&value)?;
        Ok(value)
    }

    /// Whether the value is of this type, within the bounds and on the step.
    pub fn admits(&self, value: &ParamValue) -> Result<(), Refusal> {
        let other = || {
            Refusal::invalid(format!(
                "`{}` is no value of type {}",
                printable(&value.to_string(), 40),
                self.name()
            ))
        };
        match (self, value) {
            (
                Self::Number {
                    number,
                    min,
                    max,
                    step,
                    ..
                },
                value,
            ) => {
                let (kind, count) = value.count().ok_or_else(other)?;
                if kind != *number {
                    return Err(other());
                }
                let said = |count: i64| number.value(count).to_string();
                if count < *min || count > *max {
                    return Err(Refusal::limit(format!(
                        "{value} is outside {} to {}",
                        said(*min),
                        said(*max)
                    ))
                    .hint("propose a value within the bounds, or widen `min` or `max` of the parameter"));
                }
                let Some(step) = step else { return Ok(()) };
                // In 128 bits, as bounds at both ends of the range may lie that far apart.
                let off = (i128::from(count) - i128::from(*min)) % i128::from(*step);
                if off == 0 {
                    return Ok(());
                }
                let below = i64::try_from(i128::from(count) - off).unwrap_or(*min);
                Err(Refusal::limit(format!(
                    "{value} is not {} and a multiple of the step {}",
                    said(*min),
                    said(*step)
                ))
                .hint(format!("the nearest value below is {}", said(below))))
            }
            (Self::Boolean, ParamValue::Boolean(_)) => Ok(()),
            (Self::Text, ParamValue::Text(text)) => {
                if text.len() > TEXT_MAX_BYTES {
                    return Err(Refusal::limit(format!(
                        "the text is longer than {TEXT_MAX_BYTES} bytes"
                    )));
                }
                if printable(text, TEXT_MAX_BYTES) != *text || text.contains('\t') {
                    return Err(Refusal::invalid(
                        "the text holds a control character or a hidden one",
                    ));
                }
                Ok(())
            }
            (Self::OneOf(values), ParamValue::Text(text)) => {
                if values.contains(text) {
                    return Ok(());
                }
                Err(Refusal::limit(format!(
                    "`{}` is not one of the declared values",
                    printable(text, 40)
                ))
                .hint(format!("propose one of: {}", values.join(", "))))
            }
            (Self::Boolean | Self::Text | Self::OneOf(_), _) => Err(other()),
        }
    }

    /// What the file holds as a value of this type. It need not lie within the bounds: what an
    /// administrator set may be anything, and is read all the same.
    pub fn read(&self, raw: &Raw) -> Result<ParamValue, Refusal> {
        let (kind, text) = (raw.kind, raw.text.as_str());
        let other = |is: &str| {
            Refusal::invalid(format!(
                "its place holds {is}, `{}`, and the parameter is of type {}",
                printable(text, 40),
                self.name()
            ))
            .hint("correct `type` or `unit` of the parameter, or the value by hand")
        };
        match (self, kind) {
            (Self::Number { number, unit, .. }, kind) => {
                let bare = unit.is_some() || number.units().is_empty();
                match kind {
                    RawKind::Number if bare => {}
                    RawKind::Text if !bare => {}
                    RawKind::Bare => {}
                    RawKind::Number => return Err(other("a bare number")),
                    RawKind::Text => return Err(other("text")),
                    RawKind::Boolean => return Err(other("a boolean")),
                }
                let size = unit.as_deref().and_then(|u| number.unit(u));
                let count = match size {
                    Some(size) => integer(text)?.checked_mul(size).filter(|c| *c >= 0),
                    None => Some(number.count(text)?),
                };
                Ok(number.value(count.ok_or_else(|| other("a number too large or negative"))?))
            }
            (Self::Boolean, RawKind::Boolean | RawKind::Bare) => {
                let (yes, no) = self.boolean(raw).ok_or_else(|| other("another word"))?;
                debug_assert!(text == yes || text == no, "found by its own spelling");
                Ok(ParamValue::Boolean(text == yes))
            }
            (Self::Text | Self::OneOf(_), RawKind::Text | RawKind::Bare) => {
                let value = ParamValue::Text(raw.text.clone());
                Self::Text.admits(&value)?;
                Ok(value)
            }
            (Self::Boolean | Self::Text | Self::OneOf(_), RawKind::Number) => {
                Err(other("a number"))
            }
            (Self::Boolean, RawKind::Text) => Err(other("text")),
            (Self::Text | Self::OneOf(_), RawKind::Boolean) => Err(other("a boolean")),
        }
    }

    fn boolean(&self, raw: &Raw) -> Option<(&'static str, &'static str)> {
        let known = match raw.kind {
            RawKind::Bare => &BOOLEANS[..],
            RawKind::Number | RawKind::Boolean | RawKind::Text => &BOOLEANS[..TYPED_BOOLEANS],
        };
        let text = raw.text.as_str();
        let found = known.iter().find(|(yes, no)| text == *yes || text == *no);
        found.copied()
    }

    /// The text of `value` as it stands in a file, in the manner of what stands there now: the
    /// same unit, the same words for yes and no. Quotes are the format's.
    pub fn spell(&self, value: &ParamValue, like: &Raw) -> Result<String, Refusal> {
        self.admits(value)?;
        match (self, value) {
            (Self::Number { number, unit, .. }, value) => {
                let count = value.count().map_or(0, |(_, count)| count);
                let Some(unit) = unit else {
                    return Ok(number.spell(count, &like.text));
                };
                let size = number.unit(unit).unwrap_or(1);
                if count % size != 0 {
                    return Err(Refusal::invalid(format!(
                        "{value} is not a whole number of `{unit}`, the unit its place is in"
                    )));
                }
                Ok((count / size).to_string())
            }
            (Self::Boolean, ParamValue::Boolean(b)) => {
                let (yes, no) = self.boolean(like).unwrap_or(BOOLEANS[0]);
                Ok(if *b { yes } else { no }.to_owned())
            }
            (Self::Boolean | Self::Text | Self::OneOf(_), value) => Ok(value.to_string()),
        }
    }
}
