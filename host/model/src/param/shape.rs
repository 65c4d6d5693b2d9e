//! Shapes: what a parameter may be, how it is read from a file and spelled back into it.

use super::value::{Number, ParamValue, integer};
use crate::words::{Refusal, printable};
use serde::{Deserialize, Serialize};

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
