//! A setting of a task: what it is for, its default, and what it may be.
//!
//! What it may be is a small part of JSON Schema (draft 2020-12): `type`, `minimum`, `maximum`, `items`,
//! `enum`, `format`, `description`. Nothing else is read, so that nothing else is believed to be checked.

use crate::units::{Bytes, Span};
use crate::words::printable;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// More settings than anybody reads: each is a line of `plugin inspect`.
const SETTINGS_MAX: usize = 128;
/// As long as a name may be that stands in a line of a task's file and in messages about it.
const NAME_MAX_BYTES: usize = 64;
/// A list of lists is as deep as a person writes; the check goes down as far as the schema does.
const DEPTH_MAX: usize = 4;
/// More words than anybody chooses among; each is in the message about another one.
const CHOICES_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Setting {
    pub name: String,
    pub help: String,
    /// JSON; `null` when the task decides.
    pub default: Value,
    /// `None` when the SDK that built it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<Schema>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    #[serde(rename = "enum", default, skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

/// What a text means. Other words than these are refused, since nobody would check them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `24h`; a bare number is seconds.
    Span,
    /// `10GiB`; a bare number is bytes.
    Size,
    /// `85`, `10:`, `@5:9`, as monitoring plugins write thresholds.
    Range,
}

/// Whether a task's settings are within bounds, and each is named once and fits itself.
pub fn check(settings: &[Setting]) -> Result<(), String> {
    if settings.len() > SETTINGS_MAX {
        let many = settings.len();
        return Err(format!("{many} settings; expected at most {SETTINGS_MAX}"));
    }
    for (n, setting) in settings.iter().enumerate() {
        let name = &setting.name;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let odd = name.is_empty() || name.len() > NAME_MAX_BYTES || !name.bytes().all(plain);
        if odd || settings[..n].iter().any(|other| other.name == *name) {
            let shown = printable(name, NAME_MAX_BYTES);
            return Err(format!(
                "setting name `{shown}` is empty, odd or used twice"
            ));
        }
        let Some(schema) = &setting.schema else {
            continue;
        };
        let told = |why| format!("setting `{name}`: {why}");
        schema.check(DEPTH_MAX).map_err(told)?;
        if !setting.default.is_null() {
            let expected = |expected| told(format!("its default is not {expected}"));
            setting.fits(&setting.default).map_err(expected)?;
        }
    }
    Ok(())
}

impl Setting {
    /// Whether an operator may set it to this; else what is expected. What the SDK reads from a text, as
    /// `--set` gives it, fits too.
    pub fn fits(&self, value: &Value) -> Result<(), String> {
        let Some(schema) = &self.schema else {
            return Ok(());
        };
        // Without a default the SDK does not know how to read a text as something else.
        let fits = match self.default.is_null() {
            true => schema.fits(value),
            false => schema.fits(&schema.read(value)),
        };
        match fits {
            true => Ok(()),
            false => Err(schema.expected()),
        }
    }

    /// Its JSON Schema, with default and help.
    fn document(&self) -> Value {
        let schema = self.schema.as_ref().map(serde_json::to_value);
        let mut document = schema
            .and_then(Result::ok)
            .unwrap_or_else(|| Value::Object(Default::default()));
        if let Value::Object(all) = &mut document {
            let help = match all.get("description").and_then(Value::as_str) {
                Some(form) if !self.help.is_empty() => format!("{} ({form})", self.help),
                Some(form) => form.to_owned(),
                None => self.help.clone(),
            };
            all.insert("description".into(), help.into());
            if !self.default.is_null() {
                all.insert("default".into(), self.default.clone());
            }
        }
        document
    }
}

impl Schema {
    fn check(&self, depth: usize) -> Result<(), String> {
        if depth == 0 {
            return Err(format!("its schema is deeper than {DEPTH_MAX}"));
        }
        let choices = self.one_of.as_ref().map_or(1, Vec::len);
        if !(1..=CHOICES_MAX).contains(&choices) {
            return Err(format!(
                "its schema names {choices} choices; expected 1 to {CHOICES_MAX}"
            ));
        }
        self.items.as_ref().map_or(Ok(()), |i| i.check(depth - 1))
    }

    /// A text as what it stands for.
    fn read(&self, value: &Value) -> Value {
        match (self.kind, value) {
            (Some(Kind::Integer | Kind::Number), Value::String(text)) => {
                let number = serde_json::from_str::<Number>(text.trim());
                number.map_or_else(|_| value.clone(), Value::Number)
            }
            (Some(Kind::Boolean), Value::String(text)) => match text.as_str() {
                "true" | "yes" | "on" => true.into(),
                "false" | "no" | "off" => false.into(),
                _ => value.clone(),
            },
            (Some(Kind::String), Value::Number(number)) => number.to_string().into(),
            // As the SDK takes it: texts with commas between them.
            (Some(Kind::Array), Value::String(text)) => {
                let parts = text.split(',').map(str::trim).filter(|it| !it.is_empty());
                parts.collect()
            }
            _ => value.clone(),
        }
    }

    fn fits(&self, value: &Value) -> bool {
        let kind = match (self.kind, value) {
            (None, _)
            | (Some(Kind::Boolean), Value::Bool(_))
            | (Some(Kind::Number), Value::Number(_))
            | (Some(Kind::String), Value::String(_))
            | (Some(Kind::Object), Value::Object(_)) => true,
            (Some(Kind::Integer), Value::Number(number)) => whole(number).is_some(),
            (Some(Kind::Array), Value::Array(all)) => {
                let items = self.items.as_ref();
                items.is_none_or(|items| all.iter().all(|one| items.fits(one)))
            }
            (Some(_), _) => false,
        };
        let within = value.as_number().is_none_or(|number| {
            let (least, most) = (self.minimum.as_ref(), self.maximum.as_ref());
            least.is_none_or(|least| !is_less(number, least))
                && most.is_none_or(|most| !is_less(most, number))
        });
        let formed = match (self.format, value.as_str()) {
            (Some(format), Some(text)) => format.holds(text.trim()),
            (Some(_) | None, _) => true,
        };
        let listed = match &self.one_of {
            Some(all) => value
                .as_str()
                .is_some_and(|it| all.iter().any(|one| one == it)),
            None => true,
        };
        kind && within && formed && listed
    }

    /// What it may be, for a sentence.
    fn expected(&self) -> String {
        if let Some(all) = &self.one_of {
            return format!("one of {}", all.join(", "));
        }
        match self.kind {
            None => "something else".to_owned(),
            Some(Kind::Boolean) => "true or false".to_owned(),
            Some(Kind::Integer) => self.bounded("a whole number"),
            Some(Kind::Number) => self.bounded("a number"),
            Some(Kind::String) => match self.description.as_deref() {
                Some(form) => format!("a text: {form}"),
                None => "a text".to_owned(),
            },
            Some(Kind::Array) => match &self.items {
                Some(items) => format!("a list, each {}", items.expected()),
                None => "a list".to_owned(),
            },
            Some(Kind::Object) => "a table".to_owned(),
        }
    }

    fn bounded(&self, what: &str) -> String {
        match (&self.minimum, &self.maximum) {
            (Some(least), Some(most)) => format!("{what} from {least} to {most}"),
            (Some(least), None) => format!("{what} of at least {least}"),
            (None, Some(most)) => format!("{what} of at most {most}"),
            (None, None) => what.to_owned(),
        }
    }
}

impl Format {
    fn holds(self, text: &str) -> bool {
        match self {
            Self::Span => text.parse::<u64>().is_ok() || text.parse::<Span>().is_ok(),
            Self::Size => text.parse::<Bytes>().is_ok(),
            Self::Range => is_range(text),
        }
    }
}

/// <https://www.monitoring-plugins.org/doc/guidelines.html#THRESHOLDFORMAT>
fn is_range(text: &str) -> bool {
    let text = text.strip_prefix('@').unwrap_or(text);
    let number = |text: &str| text.trim().parse().ok().filter(|n: &f64| n.is_finite());
    let (start, end) = text.split_once(':').unwrap_or(("0", text));
    let start = match start {
        "" => Some(0.0),
        "~" => Some(f64::NEG_INFINITY),
        start => number(start),
    };
    let end = match end {
        "" if text.contains(':') => Some(f64::INFINITY),
        end => number(end),
    };
    matches!((start, end), (Some(start), Some(end)) if start <= end)
}

/// Whole numbers are compared exactly.
fn is_less(a: &Number, b: &Number) -> bool {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a < b,
        (Some(_) | None, _) => a.as_f64() < b.as_f64(),
    }
}

fn whole(number: &Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}

/// The JSON Schema of a task's settings.
pub fn document(title: &str, settings: &[Setting]) -> Value {
    let each = settings.iter().map(|s| (s.name.clone(), s.document()));
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": each.collect::<serde_json::Map<_, _>>(),
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests;
