//! How many shards a group has, and how many of them it takes.

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Shards in one group.
pub const SHARDS_MAX: usize = 128;

/// k data shards and m more; any k of them are enough. With k = 1 all are copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scheme {
    k: u16,
    m: u16,
}

impl Scheme {
    pub fn new(k: usize, m: usize) -> Option<Self> {
        let fits = k >= 1 && k.checked_add(m).is_some_and(|n| n <= SHARDS_MAX);
        let (k, m) = (u16::try_from(k).ok()?, u16::try_from(m).ok()?);
        fits.then_some(Self { k, m })
    }

    /// Shards it takes.
    pub fn k(self) -> usize {
        self.k.into()
    }

    /// Shards that may be lost.
    pub fn m(self) -> usize {
        self.m.into()
    }

    pub fn shards(self) -> usize {
        self.k() + self.m()
    }

    /// Which codec made the parity; the parities of different codecs are not interchangeable.
    pub fn codec(self) -> &'static str {
        match self.k {
            1 => "copies",
            _ => "rs16-leopard",
        }
    }
}

impl Default for Scheme {
    /// Half as much again on disk, and any two of six may go.
    fn default() -> Self {
        Self { k: 4, m: 2 }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.k {
            1 => write!(f, "x{}", self.shards()),
            k => write!(f, "{k}+{}", self.m),
        }
    }
}

impl FromStr for Scheme {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |text: &str| {
            let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
            plain.then(|| text.parse::<usize>().ok()).flatten()
        };
        let parsed = match (text.strip_prefix('x'), text.split_once('+')) {
            (Some(copies), _) => number(copies).and_then(|n| Self::new(1, n.checked_sub(1)?)),
            (None, Some((k, m))) => number(k).zip(number(m)).and_then(|(k, m)| {
                // One data shard is written xN: one scheme has one spelling.
                (k > 1).then(|| Self::new(k, m)).flatten()
            }),
            (None, None) => None,
        };
        parsed.ok_or_else(|| Error::Scheme(text.to_owned()))
    }
}

impl TryFrom<String> for Scheme {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Scheme> for String {
    fn from(scheme: Scheme) -> Self {
        scheme.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_read_as_they_are_written() {
        for text in ["4+2", "x1", "x3", "2+1", "100+28"] {
            assert_eq!(text.parse::<Scheme>().unwrap().to_string(), text);
        }
        assert_eq!("x3".parse::<Scheme>().unwrap().shards(), 3);
        for bad in [
            "", "x0", "x", "0+2", "1+2", "4+0", "4", "+", "04+2", "100+29", "x129", "4+-1",
        ] {
            assert!(bad.parse::<Scheme>().is_err(), "{bad}");
        }
    }
}
