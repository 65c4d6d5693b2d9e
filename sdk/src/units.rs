//! Quantities in settings: `24h`, `10GiB`.

use std::fmt;

/// A span of time, in milliseconds: `500ms`, `30s`, `24h`, `1d12h`. A bare number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub u64);

/// A number of bytes: `512`, `64KiB`, `10GiB`, `1GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Size(pub u64);

impl Span {
    pub const fn millis(self) -> u64 {
        self.0
    }
    pub const fn secs(self) -> u64 {
        self.0 / 1_000
    }

    /// Reads `1h30m`; `None` when it is no span or too long for 64 bits of milliseconds.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return None;
        }
        if let Ok(secs) = rest.parse::<u64>() {
            return secs.checked_mul(1_000).map(Self);
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: u64 = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
            let letters = rest
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len());
            let unit: u64 = match &rest[..letters] {
                "ms" => 1,
                "s" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                _ => return None,
            };
            rest = &rest[letters..];
            total = total.checked_add(number.checked_mul(unit)?)?;
        }
        Some(Self(total))
    }
}

impl fmt::Display for Span {
    /// The two largest units: an age of `3d4h` needs no milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 5] = [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
            ("ms", 1),
        ];
        let mut left = self.0;
        let mut written = 0;
        for (unit, size) in UNITS {
            if left >= size && written < 2 {
                write!(f, "{}{unit}", left / size)?;
                left %= size;
                written += 1;
            }
        }
        if written == 0 {
            f.write_str("0s")
        } else {
            Ok(())
        }
    }
}

impl Size {
    /// Reads `10GiB`; `None` when it is no size or over 64 bits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let number: u64 = text[..digits].parse().ok()?;
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
            _ => return None,
        };
        number.checked_mul(unit).map(Self)
    }
}

impl fmt::Display for Size {
    /// For people: `1.5 GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1 << 10 {
            return write!(f, "{} B", self.0);
        }
        let unit = ((self.0.ilog2() / 10) as usize).min(UNITS.len());
        // Tenths in whole numbers: exact, and a component need not carry float formatting.
        let tenths = u128::from(self.0) * 10 / (1u128 << (10 * unit));
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit - 1])
    }
}

/// Reads a type from its text. `$format` is what the schema of a setting calls such a text.
macro_rules! read_as_written {
    ($type:ident, $format:literal, $expected:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                use serde::de::{Deserializer, Error, Unexpected, Visitor};
                struct Written;
                impl<'de> Visitor<'de> for Written {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_newtype_struct<D: Deserializer<'de>>(
                        self,
                        from: D,
                    ) -> Result<$type, D::Error> {
                        from.deserialize_str(self)
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        $type::parse(text)
                            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
                    }
                }
                from.deserialize_newtype_struct(concat!("format ", $format), Written)
            }
        }
    };
}
pub(crate) use read_as_written;

read_as_written!(
    Span,
    "span",
    "a number and ms, s, m, h, d or w, for example `24h` or `1h30m`"
);
read_as_written!(
    Size,
    "size",
    "a number and B, KiB, MiB, GiB or TiB, for example `10GiB`"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_s_spellings() {
        assert_eq!(Span::parse("1h30m"), Some(Span(5_400_000)));
        assert_eq!(Span::parse("90"), Some(Span(90_000)));
        assert_eq!(Size::parse("10 GiB"), Some(Size(10 << 30)));
        for bad in [
            "",
            "h",
            "5x",
            "-5s",
            "1h30",
            "99999999999999w",
            "99999999999999999999",
        ] {
            assert_eq!(Span::parse(bad), None, "{bad}");
        }
        for bad in ["", "GiB", "-1", "1XB", "99999999999TiB"] {
            assert_eq!(Size::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn for_people() {
        assert_eq!(Span(273_661_001).to_string(), "3d4h");
        assert_eq!(Span(0).to_string(), "0s");
        let sizes = [0, 1023, 1536, 10 << 30, u64::MAX].map(|n| Size(n).to_string());
        assert_eq!(
            sizes,
            ["0 B", "1023 B", "1.5 KiB", "10.0 GiB", "16383.9 PiB"]
        );
    }
}
