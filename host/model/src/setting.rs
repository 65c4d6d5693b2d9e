//! A setting of a task: what it is for, its default, and what it may be.
//!
//! What it may be is a small part of JSON Schema (draft 2020-12): `type`, `minimum`, `maximum`, `items`,
//! `enum`, `description`. Nothing else is read, so that nothing else is believed to be checked.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

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
            (Some(Kind::Array), Value::String(_)) => Value::Array(vec![]),
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
        let within = match value.as_number().and_then(whole) {
            Some(number) => {
                let bound = |it: &Option<Number>| it.as_ref().and_then(whole);
                bound(&self.minimum).is_none_or(|least| number >= least)
                    && bound(&self.maximum).is_none_or(|most| number <= most)
            }
            None => true,
        };
        let listed = match &self.one_of {
            Some(all) => value
                .as_str()
                .is_some_and(|it| all.iter().any(|one| one == it)),
            None => true,
        };
        kind && within && listed
    }

    /// What it may be, for a sentence.
    fn expected(&self) -> String {
        if let Some(all) = &self.one_of {
            return format!("one of {}", all.join(", "));
        }
        match self.kind {
            None => "something else".to_owned(),
            Some(Kind::Boolean) => "true or false".to_owned(),
            Some(Kind::Integer) => match (&self.minimum, &self.maximum) {
                (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
                _ => "a whole number".to_owned(),
            },
            Some(Kind::Number) => "a number".to_owned(),
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
mod tests {
    use super::*;
    use serde_json::json;

    fn setting(default: Value, schema: Value) -> Setting {
        Setting {
            name: "it".into(),
            help: "Help".into(),
            default,
            schema: Some(serde_json::from_value(schema).unwrap()),
        }
    }

    #[test]
    fn what_fits_and_what_is_expected_instead() {
        let whole = setting(
            json!(5),
            json!({"type":"integer","minimum":0,"maximum":255}),
        );
        for good in [json!(0), json!(255), json!("7")] {
            whole.fits(&good).unwrap();
        }
        for bad in [
            json!(-1),
            json!(256),
            json!(1.5),
            json!("x"),
            json!(true),
            json!(null),
        ] {
            assert_eq!(
                whole.fits(&bad).unwrap_err(),
                "a whole number from 0 to 255",
                "{bad}"
            );
        }
        let flag = setting(json!(true), json!({"type":"boolean"}));
        flag.fits(&json!("off")).unwrap();
        assert_eq!(flag.fits(&json!(1)).unwrap_err(), "true or false");
        let list = setting(json!([]), json!({"type":"array","items":{"type":"string"}}));
        list.fits(&json!("a, b")).unwrap();
        list.fits(&json!(["a"])).unwrap();
        assert_eq!(list.fits(&json!([1])).unwrap_err(), "a list, each a text");
        let level = setting(json!("low"), json!({"enum":["low","high"]}));
        level.fits(&json!("high")).unwrap();
        assert_eq!(level.fits(&json!("odd")).unwrap_err(), "one of low, high");
        let span = setting(json!("1h"), json!({"type":"string","description":"a span"}));
        span.fits(&json!(90)).unwrap();
        assert_eq!(span.fits(&json!([])).unwrap_err(), "a text: a span");
        let open = setting(json!(null), json!({"type":"integer"}));
        assert!(open.fits(&json!("7")).is_err());
        let large = setting(
            json!(0),
            json!({"type":"integer","minimum":0,"maximum":u64::MAX}),
        );
        large.fits(&json!(u64::MAX)).unwrap();
        assert!(large.fits(&json!(-1)).is_err());
    }

    #[test]
    fn a_keyword_that_is_not_checked_is_refused() {
        let odd = serde_json::from_value::<Schema>(json!({"type":"string","pattern":"^a"}));
        assert!(odd.is_err());
    }

    #[test]
    fn the_document_is_json_schema() {
        let it = setting(json!(5), json!({"type":"integer","minimum":0}));
        let document = document("a-task", &[it]);
        assert_eq!(document["additionalProperties"], false);
        assert_eq!(
            document["properties"]["it"],
            json!({"type":"integer","minimum":0,"description":"Help","default":5})
        );
    }
}
