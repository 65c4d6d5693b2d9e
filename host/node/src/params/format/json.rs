//! JSON: serde_json judges the text, then a scanner finds the span of the value in what is known
//! to be well formed.

use super::{DEPTH_MAX, Found, absent, not_one, twice};
use keepwell_model::param::{KeyPath, Raw, RawKind};
use keepwell_model::words::Refusal;
use std::collections::HashSet;
use std::ops::Range;

pub(super) fn find(text: &str, key: &KeyPath) -> Result<Found, Refusal> {
    parse(text)?;
    let mut scan = Scan {
        text,
        at: 0,
        found: None,
    };
    scan.value(Some(key.parts()), 0)?;
    let span = scan.found.ok_or_else(|| absent(key))?;
    let spelled = &text[span.clone()];
    let (kind, said) = match spelled.as_bytes().first() {
        Some(b'"') => (RawKind::Text, string(spelled)?),
        Some(b't' | b'f') => (RawKind::Boolean, spelled.to_owned()),
        Some(b'n') | None => return Err(not_one("null")),
        Some(b'{') => return Err(not_one("an object")),
        Some(b'[') => return Err(not_one("a list")),
        Some(_) => (RawKind::Number, spelled.to_owned()),
    };
    let raw = Raw { kind, text: said };
    Ok(Found {
        span,
        raw,
        doubt: None,
    })
}

fn parse(text: &str) -> Result<serde_json::Value, Refusal> {
    serde_json::from_str(text).map_err(|e| Refusal::invalid(format!("it is not JSON: {e}")))
}

fn string(spelled: &str) -> Result<String, Refusal> {
    serde_json::from_str(spelled).map_err(|e| Refusal::invalid(format!("a string is odd: {e}")))
}

pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(super) fn same_but(before: &str, after: &str, key: &KeyPath) -> Result<bool, Refusal> {
    let blank = |text: &str| -> Result<serde_json::Value, Refusal> {
        let mut all = parse(text)?;
        let mut at = &mut all;
        for part in key.parts() {
            at = at.get_mut(part.as_str()).ok_or_else(|| absent(key))?;
        }
        *at = serde_json::Value::Null;
        Ok(all)
    };
    Ok(blank(before)? == blank(after)?)
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    found: Option<Range<usize>>,
}

impl Scan<'_> {
    /// Passes one value. `path` is what is left of the key when the value lies on its way.
    fn value(&mut self, path: Option<&[String]>, depth: usize) -> Result<(), Refusal> {
        if depth > DEPTH_MAX {
            return Err(Refusal::limit(format!("it nests deeper than {DEPTH_MAX}")));
        }
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.object(path, depth)?,
            Some(b'[') => {
                self.at += 1;
                while !self.closes(b']') {
                    self.value(None, depth + 1)?;
                }
            }
            Some(b'"') => drop(self.string()?),
            Some(_) | None => {
                let ends = |b: u8| b.is_ascii_whitespace() || matches!(b, b',' | b']' | b'}');
                while self.peek().is_some_and(|b| !ends(b)) {
                    self.at += 1;
                }
                if self.at == start {
                    return Err(Refusal::invalid("it is not JSON: a value is missing"));
                }
            }
        }
        if path.is_some_and(<[String]>::is_empty) {
            self.found = Some(start..self.at);
        }
        Ok(())
    }

    fn object(&mut self, path: Option<&[String]>, depth: usize) -> Result<(), Refusal> {
        self.at += 1;
        let mut keys = HashSet::new();
        while !self.closes(b'}') {
            let key = self.string()?;
            self.space();
            // The colon; what is well formed has one here.
            self.at += 1;
            let below = path
                .and_then(<[String]>::split_first)
                .filter(|(first, _)| **first == key)
                .map(|(_, rest)| rest);
            self.value(below, depth + 1)?;
            if keys.contains(&key) {
                return Err(twice(&key));
            }
            keys.insert(key);
        }
        Ok(())
    }

    /// Passes white space and commas, and the closing bracket if it comes next.
    fn closes(&mut self, bracket: u8) -> bool {
        self.space();
        while self.peek() == Some(b',') {
            self.at += 1;
            self.space();
        }
        match self.peek() {
            Some(b) if b == bracket => {
                self.at += 1;
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    fn string(&mut self) -> Result<String, Refusal> {
        let start = self.at;
        self.at += 1;
        while let Some(b) = self.peek() {
            self.at += if b == b'\\' { 2 } else { 1 };
            if b == b'"' {
                break;
            }
        }
        string(self.text.get(start..self.at).unwrap_or_default())
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
