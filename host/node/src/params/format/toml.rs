//! TOML: the parser gives the span of every value.

use super::{Found, absent, not_one};
use keepwell_model::param::{KeyPath, Raw, RawKind};
use keepwell_model::words::Refusal;
use toml::de::{DeTable, DeValue};

pub(super) fn find(text: &str, key: &KeyPath) -> Result<Found, Refusal> {
    let document = DeTable::parse(text).map_err(|e| bad(&e))?;
    let mut table = document.get_ref();
    let (last, above) = key.parts().split_last().ok_or_else(|| absent(key))?;
    for part in above {
        table = match table.get(part.as_str()).map(toml::Spanned::get_ref) {
            Some(DeValue::Table(below)) => below,
            Some(DeValue::Array(_)) => return Err(not_one("within a list")),
            Some(
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_),
            )
            | None => return Err(absent(key)),
        };
    }
    let value = table.get(last.as_str()).ok_or_else(|| absent(key))?;
    let span = value.span();
    let (kind, said) = match value.get_ref() {
        DeValue::String(text) => (RawKind::Text, text.to_string()),
        DeValue::Integer(i) => {
            let plain = i64::from_str_radix(i.as_str(), i.radix())
                .map_err(|_| not_one("an integer beyond 64 bits"))?;
            (RawKind::Number, plain.to_string())
        }
        DeValue::Float(f) => (RawKind::Number, f.as_str().replace('_', "")),
        DeValue::Boolean(b) => (RawKind::Boolean, b.to_string()),
        DeValue::Datetime(_) => return Err(not_one("a date or time")),
        DeValue::Array(_) => return Err(not_one("a list")),
        DeValue::Table(_) => return Err(not_one("a table")),
    };
    let spelled = text.get(span.clone()).unwrap_or_default();
    if spelled.starts_with("\"\"\"") || spelled.starts_with("'''") {
        return Err(not_one("text over several lines"));
    }
    let raw = Raw { kind, text: said };
    Ok(Found {
        span,
        raw,
        doubt: None,
    })
}

fn bad(e: &toml::de::Error) -> Refusal {
    Refusal::invalid(format!("it is not TOML: {}", e.message()))
}

/// Literal quotes stay literal where the text allows; else a basic string, whose escapes are
/// JSON's.
pub(super) fn quote(text: &str, old: &str) -> String {
    if old.starts_with('\'') && !text.contains('\'') {
        format!("'{text}'")
    } else {
        super::json::quote(text)
    }
}

pub(super) fn same_but(before: &str, after: &str, key: &KeyPath) -> Result<bool, Refusal> {
    let blank = |text: &str| -> Result<String, Refusal> {
        let mut table: toml::Table = toml::from_str(text).map_err(|e| bad(&e))?;
        let (last, above) = key.parts().split_last().ok_or_else(|| absent(key))?;
        let mut at = &mut table;
        for part in above {
            at = at
                .get_mut(part)
                .and_then(toml::Value::as_table_mut)
                .ok_or_else(|| absent(key))?;
        }
        at.insert(last.clone(), toml::Value::Boolean(false));
        // As text, in which one NaN equals another.
        Ok(format!("{table:?}"))
    };
    Ok(blank(before)? == blank(after)?)
}
