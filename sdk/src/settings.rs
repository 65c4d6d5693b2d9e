//! From the host's JSON to a task's fields: defaults filled in, `--set` texts read as what the
//! setting is, and every complaint naming its key.

use crate::manifest::{Default, SettingHelp};
use crate::task::{Failure, Task};
use serde_json::{Map, Value};

pub(crate) fn read<T: Task>() -> Result<T, Failure> {
    parse::<T>(&crate::wit::sys::core::settings())
}

pub(crate) fn parse<T: Task>(json: &str) -> Result<T, Failure> {
    let set: Map<String, Value> = serde_json::from_str(json)
        .map_err(|error| permanent(format!("the settings are not a JSON object: {error}")))?;
    let mut read = Map::new();
    for (key, value) in set {
        let Some(known) = T::SETTINGS.iter().find(|s| s.name == key) else {
            return Err(permanent(format!(
                "unknown setting `{key}`; {}",
                known_settings(T::SETTINGS)
            )));
        };
        let value = as_kind(known, value).map_err(permanent)?;
        read.insert(key, value);
    }
    serde_json::from_value(Value::Object(filled(T::SETTINGS, &read)))
        .map_err(|error| permanent(blame::<T>(&read, &error)))
}

fn permanent(message: String) -> Failure {
    Failure::Permanent(message)
}

fn known_settings(settings: &[SettingHelp]) -> String {
    if settings.is_empty() {
        return "this task has no settings".into();
    }
    let names: Vec<_> = settings.iter().map(|s| format!("`{}`", s.name)).collect();
    format!("known are {}", names.join(", "))
}

/// `--set threshold=85` arrives as a number or as text, and both mean the same.
fn as_kind(setting: &SettingHelp, value: Value) -> Result<Value, String> {
    let wrong = |what: &str, value: &Value| {
        Err(format!(
            "setting `{}` is {value}: expected {what}",
            setting.name
        ))
    };
    match (setting.default, value) {
        (Default::Text(_), Value::Number(number)) => Ok(Value::String(number.to_string())),
        (Default::Text(_), value @ Value::String(_)) => Ok(value),
        (Default::Text(_), value) => wrong("a text", &value),

        (Default::Number(_), value @ Value::Number(_)) => Ok(value),
        (Default::Number(_), Value::String(text)) => {
            number(&text).map_or_else(|| wrong("a number", &Value::String(text.clone())), Ok)
        }
        (Default::Number(_), value) => wrong("a number", &value),

        (Default::Flag(_), value @ Value::Bool(_)) => Ok(value),
        (Default::Flag(_), Value::String(text)) => match text.as_str() {
            "true" | "yes" | "on" => Ok(Value::Bool(true)),
            "false" | "no" | "off" => Ok(Value::Bool(false)),
            _ => wrong("true or false", &Value::String(text)),
        },
        (Default::Flag(_), value) => wrong("true or false", &value),

        (Default::List(_), Value::String(text)) => Ok(text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect()),
        (Default::List(_), value @ Value::Array(_)) => Ok(value),
        (Default::List(_), value) => wrong("a list of texts", &value),

        (Default::Open, value) => Ok(value),
    }
}

fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let number: f64 = text.parse().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

/// A whole default is written without a fraction, so that it also fits a field of an integer
/// type.
fn default_value(default: Default) -> Option<Value> {
    /// Up to here every whole f64 is exact.
    const EXACT: f64 = 9e15;
    match default {
        Default::Text(text) => Some(text.into()),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and within what both types hold exactly, checked in the guard"
        )]
        Default::Number(n) if n.fract() == 0.0 && n.abs() < EXACT => Some((n as i64).into()),
        Default::Number(n) => Some(n.into()),
        Default::Flag(flag) => Some(flag.into()),
        Default::List(items) => Some(items.iter().copied().collect()),
        Default::Open => None,
    }
}

/// One by one: collecting into a map sorts first, and that sort would be a tenth of a component.
fn filled(settings: &[SettingHelp], set: &Map<String, Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for setting in settings {
        let value = set.get(setting.name).cloned();
        if let Some(value) = value.or_else(|| default_value(setting.default)) {
            all.insert(setting.name.to_owned(), value);
        }
    }
    all
}

/// serde does not say which field a value was for. The key whose value alone makes the reading
/// fail is the one to name.
fn blame<T: Task>(set: &Map<String, Value>, error: &serde_json::Error) -> String {
    for (key, value) in set {
        let mut alone = Map::new();
        alone.insert(key.clone(), value.clone());
        let alone = Value::Object(filled(T::SETTINGS, &alone));
        if let Err(error) = serde_json::from_value::<T>(alone) {
            return format!("setting `{key}` is {value}: {error}");
        }
    }
    format!("the settings do not fit together: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Request, Size, Span, Summary, flag, list, number, open, text};
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct All {
        older_than: Span,
        max: Size,
        threshold: u32,
        ratio: f64,
        deep: bool,
        globs: Vec<String>,
        store: Option<String>,
    }
    impl Task for All {
        const NAME: &str = "all";
        const ABOUT: &str = "Has a setting of every kind";
        const SETTINGS: &[SettingHelp] = &[
            text("older-than", "24h", ""),
            text("max", "10GiB", ""),
            number("threshold", 85.0, ""),
            number("ratio", 0.5, ""),
            flag("deep", true, ""),
            list("globs", &["**"], ""),
            open("store", ""),
        ];
        fn run(self, _: &Request) -> Result<Summary, Failure> {
            Ok(Summary::done(""))
        }
    }

    fn complaint(json: &str) -> String {
        match parse::<All>(json) {
            Err(Failure::Permanent(text)) => text,
            other => panic!("expected a permanent failure for {json}, got {other:?}"),
        }
    }

    #[test]
    fn defaults_stand_in_one_place() {
        let all = parse::<All>("{}").unwrap();
        assert_eq!(all.older_than.millis(), 86_400_000);
        assert_eq!((all.max.0, all.threshold), (10 << 30, 85));
        assert_eq!((all.ratio, all.deep), (0.5, true));
        assert_eq!((all.globs, all.store), (vec!["**".to_owned()], None));
    }

    #[test]
    fn text_from_the_command_line_means_the_same() {
        let typed = r#"{"threshold":90,"ratio":2,"deep":false,"globs":["a","b"],"store":"s"}"#;
        let texts = r#"{"threshold":"90","ratio":"2","deep":"no","globs":"a, b","store":"s"}"#;
        let [a, b] = [typed, texts].map(|json| format!("{:?}", parse::<All>(json).unwrap()));
        assert_eq!(a, b);
    }

    #[test]
    fn complaints_name_the_key() {
        let unknown = complaint(r#"{"older":"1h"}"#);
        assert!(
            unknown.contains("`older`") && unknown.contains("`older-than`"),
            "{unknown}"
        );
        for (json, key) in [
            (r#"{"older-than":"soon","max":"1GiB"}"#, "`older-than`"),
            (r#"{"threshold":"many"}"#, "`threshold`"),
            (r#"{"threshold":-1}"#, "`threshold`"),
            (r#"{"deep":3}"#, "`deep`"),
            (r#"{"globs":[1]}"#, "`globs`"),
            (r#"{"store":[]}"#, "`store`"),
        ] {
            let text = complaint(json);
            assert!(text.contains(key), "{json}: {text}");
        }
        assert!(complaint("[]").contains("JSON object"));
    }
}
