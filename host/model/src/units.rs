//! Numbers as people write them: `24h`, `10GiB`, `20%`. Parsed once, at the edge.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: expected {expected}")]
pub struct BadQuantity {
    pub what: &'static str,
    pub text: String,
    pub expected: &'static str,
}

/// A span of time: a whole number and `ms`, `s`, `m`, `h`, `d` or `w`, possibly several: `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// A number of bytes: a whole number and `B`, `KiB`, `MiB`, `GiB`, `TiB` or the decimal `kB`,
/// `MB`, `GB`, `TB`. A bare number means bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A share of a whole in thousandths of a percent, so that it is exact: `20%`, `12.5%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Span {
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = BadQuantity;
    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let bad = || BadQuantity {
            what: "a span of time",
            text: text.to_owned(),
            expected: "a number and ms, s, m, h, d or w, for example `24h` or `1h30m`",
        };
        let mut rest = text.trim();
        let mut total: u64 = 0;
        if rest.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
            rest = &rest[digits..];
            let letters = rest
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len());
            let unit_ms: u64 = match &rest[..letters] {
                "ms" => 1,
                "s" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                _ => return Err(bad()),
            };
            rest = &rest[letters..];
            let part = number.checked_mul(unit_ms).ok_or_else(bad)?;
            total = total.checked_add(part).ok_or_else(bad)?;
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.as_millis();
        if ms == 0 {
            return f.write_str("0s");
        }
        let mut left = ms;
        for (unit, size) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
            ("ms", 1),
        ] {
            if left >= size {
                write!(f, "{}{unit}", left / size)?;
                left %= size;
            }
        }
        Ok(())
    }
}

impl FromStr for Bytes {
    type Err = BadQuantity;
    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let bad = || BadQuantity {
            what: "a size",
            text: text.to_owned(),
            expected: "a number and B, KiB, MiB, GiB or TiB, for example `10GiB`",
        };
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| bad())?;
        let unit: u64 = match text[digits..].trim() {
            "" | "B" => 1,
            "KiB" | "K" => 1 << 10,
            "MiB" | "M" => 1 << 20,
            "GiB" | "G" => 1 << 30,
            "TiB" | "T" => 1 << 40,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return Err(bad()),
        };
        Ok(Self(number.checked_mul(unit).ok_or_else(bad)?))
    }
}

impl fmt::Display for Bytes {
    /// For people: three digits at most before the unit. The exact number is in JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        if unit == 0 || value.fract() == 0.0 {
            write!(f, "{value:.0} {}", UNITS[unit])
        } else {
            write!(f, "{value:.1} {}", UNITS[unit])
        }
    }
}

impl Share {
    pub const ALL: Self = Self(100_000);

    /// The share as a ratio, 0 to 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 100_000.0
    }

    /// The most of `whole` that this share allows, rounded down.
    pub fn of(self, whole: u64) -> u64 {
        let exact = u128::from(whole) * u128::from(self.0) / 100_000;
        u64::try_from(exact).unwrap_or(u64::MAX)
    }
}

impl FromStr for Share {
    type Err = BadQuantity;
    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let bad = || BadQuantity {
            what: "a share",
            text: text.to_owned(),
            expected: "a percentage from 0% to 100%, for example `20%`",
        };
        let number = text.trim().strip_suffix('%').ok_or_else(bad)?.trim();
        let percent: f64 = number.parse().map_err(|_| bad())?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(bad());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to lie between 0 and 100 just above"
        )]
        Ok(Self((percent * 1_000.0).round() as u32))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 1_000.0)
    }
}

macro_rules! as_text {
    ($type:ident, $description:literal) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(&exact::$type(*self))
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $description })
            }
        }
    };
}

/// How a quantity is written so that reading gives exactly the same.
mod exact {
    #![expect(
        non_snake_case,
        reason = "one function for each type, named as the type"
    )]
    use std::fmt::Display;

    pub(super) fn Span(span: super::Span) -> impl Display {
        span
    }
    pub(super) fn Bytes(bytes: super::Bytes) -> impl Display {
        const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let whole = UNITS
            .iter()
            .find(|(_, bits)| bytes.0 > 0 && bytes.0.is_multiple_of(1 << bits));
        match whole {
            Some((unit, bits)) => format!("{}{unit}", bytes.0 >> bits),
            None => format!("{}B", bytes.0),
        }
    }
    pub(super) fn Share(share: super::Share) -> impl Display {
        share
    }
}

as_text!(
    Span,
    "a span of time: a number and ms, s, m, h, d or w, for example `24h` or `1h30m`"
);
as_text!(
    Bytes,
    "a size: a number and B, KiB, MiB, GiB or TiB, for example `10GiB`"
);
as_text!(Share, "a percentage from 0% to 100%, for example `20%`");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_s_spellings() {
        assert_eq!("1h30m".parse::<Span>().unwrap().0.as_secs(), 5_400);
        assert_eq!("10GiB".parse::<Bytes>().unwrap().0, 10 << 30);
        assert_eq!("12.5%".parse::<Share>().unwrap().of(1_000), 125);
        assert_eq!(Bytes(1536).to_string(), "1.5 KiB");
        for bad in ["", "h", "5", "5x", "-5s", "99999999999999w"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        for bad in ["", "GiB", "-1", "1XB", "99999999999TiB"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
        for bad in ["20", "101%", "-1%", "NaN%", "%"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn written_and_read_again(ms in 0u64..u64::MAX / 2, bytes in 0u64.., thousandths in 0u32..=100_000) {
            let span = Span(Duration::from_millis(ms));
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
            let text = serde_json::to_string(&Bytes(bytes)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Bytes>(&text).unwrap(), Bytes(bytes));
            let share = Share(thousandths);
            prop_assert_eq!(share.to_string().parse::<Share>().unwrap(), share);
        }
    }
}
