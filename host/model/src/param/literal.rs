//! Exact numbers: decimals in millionths, and literals that keep what the operator wrote.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A decimal number in millionths, so that bounds and steps are exact where a binary fraction
/// would not be: 0.1 is on the grid of 0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(pub i64);

/// Digits after the point that a [`Decimal`] holds.
const PLACES: i32 = 6;
/// Millionths in one.
const ONE: i64 = 1_000_000;
/// No number worth tuning is longer; also bounds the exponent's work.
const DECIMAL_MAX_BYTES: usize = 40;

/// Why a text is not a decimal number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a decimal number of at most six digits after the point, below 9223372036854")]
pub struct BadDecimal(pub String);

impl Decimal {
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / ONE as f64
    }
}

impl FromStr for Decimal {
    type Err = BadDecimal;

    /// Digits, at most one point, and possibly an exponent: `-1.5`, `2`, `1e3`.
    fn from_str(text: &str) -> Result<Self, BadDecimal> {
        let bad = || BadDecimal(text.chars().take(DECIMAL_MAX_BYTES).collect());
        if text.len() > DECIMAL_MAX_BYTES {
            return Err(bad());
        }
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (digits, exponent) = match rest.split_once(['e', 'E']) {
            Some((digits, e)) => (digits, e.parse::<i8>().map_err(|_| bad())?),
            None => (rest, 0),
        };
        let (whole, part) = match digits.split_once('.') {
            Some((_, "")) => return Err(bad()),
            Some(both) => both,
            None => (digits, ""),
        };
        let plain = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(part) {
            return Err(bad());
        }
        let all: i128 = format!("{whole}{part}").parse().map_err(|_| bad())?;
        let part = i32::try_from(part.len()).map_err(|_| bad())?;
        let shift = PLACES + i32::from(exponent) - part;
        let power = 10i128.checked_pow(shift.unsigned_abs());
        let scaled = match (shift >= 0, power) {
            _ if all == 0 => Some(0),
            (true, Some(power)) => all.checked_mul(power),
            (false, Some(power)) if all % power == 0 => Some(all / power),
            (true | false, Some(_) | None) => None,
        };
        let scaled = scaled.ok_or_else(bad)?;
        i64::try_from(if negative { -scaled } else { scaled })
            .map(Self)
            .map_err(|_| bad())
    }
}

impl fmt::Display for Decimal {
    /// Always with a point, so that a file that holds a float keeps holding one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) = (
            self.0.unsigned_abs() / ONE.unsigned_abs(),
            self.0.unsigned_abs() % ONE.unsigned_abs(),
        );
        let part = format!("{part:06}");
        let part = part.trim_end_matches('0');
        write!(
            f,
            "{sign}{whole}.{}",
            if part.is_empty() { "0" } else { part }
        )
    }
}

impl Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A number or a quantity as the operator wrote it, kept as text until the parameter's type says
/// what it means: `5`, `0.5`, `"10MiB"`, `"30s"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Literal(pub String);

impl Serialize for Literal {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Any;
        impl serde::de::Visitor<'_> for Any {
            type Value = Literal;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a quantity such as \"10MiB\" or \"30s\"")
            }
            fn visit_i64<E>(self, v: i64) -> Result<Literal, E> {
                Ok(Literal(v.to_string()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Literal, E> {
                Ok(Literal(v.to_string()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Literal, E> {
                Ok(Literal(v.to_string()))
            }
            fn visit_str<E>(self, v: &str) -> Result<Literal, E> {
                Ok(Literal(v.to_owned()))
            }
        }
        d.deserialize_any(Any)
    }
}

impl schemars::JsonSchema for Literal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Literal".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["number", "string"],
            "description": "a number, or a quantity such as `10MiB` or `30s`"
        })
    }
}
