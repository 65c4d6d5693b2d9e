//! From the host's JSON to a task's fields: defaults filled in, `--set` texts read as what the
//! setting is, and every complaint naming its key.

use crate::fields;
use crate::json::{self, Value};
use crate::manifest::{Default, SettingHelp};
use crate::task::{Failure, Task};

pub(crate) fn read<T: Task>() -> Result<T, Failure> {
    parse::<T>(&crate::wit::sys::core::settings())
}

pub(crate) fn parse<T: Task>(json: &str) -> Result<T, Failure> {
    let all = filled(T::SETTINGS, json).map_err(Failure::Permanent)?;
    fields::settings(all).map_err(|wrong| Failure::Permanent(wrong.0))
}

/// Every setting with its value: what was set, read as what the setting is, or its default.
fn filled(settings: &[SettingHelp], json: &str) -> Result<Vec<(String, Value)>, String> {
    let mut set = match json::parse(json) {
        Ok(Value::Map(set)) => set,
        Ok(_) => return Err("the settings are not a JSON object".into()),
        Err(expected) => {
            return Err(format!(
                "the settings are not a JSON object: expected {expected}"
            ));
        }
    };
    if let Some((key, _)) = set
        .iter()
        .find(|(key, _)| settings.iter().all(|s| s.name != key))
    {
        return Err(format!(
            "unknown setting `{key}`; {}",
            known_settings(settings)
        ));
    }
    let mut all = Vec::new();
    for setting in settings {
        let at = set.iter().position(|(key, _)| key == setting.name);
        let value = match at {
            Some(at) => Some(as_kind(setting, set.swap_remove(at).1)?),
            None => default_value(setting.default),
        };
        if let Some(value) = value {
            all.push((setting.name.to_owned(), value));
        }
    }
    Ok(all)
}

fn known_settings(settings: &[SettingHelp]) -> String {
    if settings.is_empty() {
        return "this task has no settings".into();
    }
    let mut known = String::from("known are ");
    for (n, setting) in settings.iter().enumerate() {
        known.push_str(if n > 0 { ", `" } else { "`" });
        known.push_str(setting.name);
        known.push('`');
    }
    known
}

/// `--set threshold=85` arrives as a number or as text, and both mean the same.
fn as_kind(setting: &SettingHelp, value: Value) -> Result<Value, String> {
    let expected = match (setting.default, value) {
        (Default::Text(_), Value::Number(number)) => return Ok(Value::Text(number)),
        (Default::Text(_), value @ Value::Text(_))
        | (Default::Number(_), value @ Value::Number(_))
        | (Default::Flag(_), value @ Value::Bool(_))
        | (Default::List(_), value @ Value::List(_))
        | (Default::Open, value) => return Ok(value),
        (Default::Number(_), Value::Text(text)) => match json::is_number(text.trim()) {
            true => return Ok(Value::Number(text.trim().to_owned())),
            false => ("a number", Value::Text(text)),
        },
        (Default::Flag(_), Value::Text(text)) => match text.as_str() {
            "true" | "yes" | "on" => return Ok(Value::Bool(true)),
            "false" | "no" | "off" => return Ok(Value::Bool(false)),
            _ => ("true or false", Value::Text(text)),
        },
        (Default::List(_), Value::Text(text)) => {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            return Ok(Value::List(
                parts.map(|part| Value::Text(part.to_owned())).collect(),
            ));
        }
        (Default::Text(_), value) => ("a text", value),
        (Default::Number(_), value) => ("a number", value),
        (Default::Flag(_), value) => ("true or false", value),
        (Default::List(_), value) => ("a list of texts", value),
    };
    let (expected, value) = expected;
    let mut is = String::new();
    json::write(&value, &mut is);
    Err(format!(
        "setting `{}` is {is}: expected {expected}",
        setting.name
    ))
}

fn default_value(default: Default) -> Option<Value> {
    Some(match default {
        Default::Text(text) => Value::Text(text.to_owned()),
        Default::Number(number) => Value::Number(json::number(number)),
        Default::Flag(flag) => Value::Bool(flag),
        Default::List(items) => Value::List(
            items
                .iter()
                .map(|item| Value::Text((*item).to_owned()))
                .collect(),
        ),
        Default::Open => return None,
    })
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
