//! JSON as settings come in and manifests go out. Its own and small, since all of it is in every
//! component: a number stays as it was written until somebody wants it as a type.

/// A value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

/// Deeper ones are refused before they take the stack.
const DEPTH_MAX: usize = 32;

/// One value and nothing after it; otherwise what was expected.
pub(crate) fn parse(text: &str) -> Result<Value, &'static str> {
    let mut reader = Reader { rest: text };
    let value = reader.value(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err("the end"),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// The next character that is no space.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\r', '\t']);
        self.rest.as_bytes().first().copied()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        if is {
            self.skip(1);
        }
        is
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, &'static str> {
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                Ok(value)
            }
            None => Err("a value"),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, &'static str> {
        if depth > DEPTH_MAX {
            return Err("fewer levels");
        }
        match self.peek() {
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'"') => self.text().map(Value::Text),
            Some(b'[') => {
                self.skip(1);
                let mut all = Vec::new();
                while !self.takes(b']') {
                    if !all.is_empty() && !self.takes(b',') {
                        return Err("`,` or `]`");
                    }
                    all.push(self.value(depth + 1)?);
                }
                Ok(Value::List(all))
            }
            Some(b'{') => {
                self.skip(1);
                let mut all = Vec::new();
                while !self.takes(b'}') {
                    if !all.is_empty() && !self.takes(b',') {
                        return Err("`,` or `}`");
                    }
                    if self.peek() != Some(b'"') {
                        return Err("a key");
                    }
                    let key = self.text()?;
                    if !self.takes(b':') {
                        return Err("`:`");
                    }
                    all.push((key, self.value(depth + 1)?));
                }
                Ok(Value::Map(all))
            }
            Some(_) => self.number(),
            None => Err("a value"),
        }
    }

    fn number(&mut self) -> Result<Value, &'static str> {
        let of = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.rest.bytes().take_while(|b| of(b)).count();
        let text = self.rest.get(..length).unwrap_or_default();
        if !is_number(text) {
            return Err("a value");
        }
        let value = Value::Number(text.to_owned());
        self.skip(length);
        Ok(value)
    }

    fn text(&mut self) -> Result<String, &'static str> {
        self.skip(1);
        let mut text = String::new();
        loop {
            let mut chars = self.rest.chars();
            let Some(next) = chars.next() else {
                return Err("`\"`");
            };
            self.rest = chars.as_str();
            match next {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, &'static str> {
        let which = self.rest.as_bytes().first().copied();
        self.skip(1);
        Ok(match which {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let mut code = self.hex()?;
                if let Some(high) = code.checked_sub(0xd800).filter(|high| *high < 0x400) {
                    if !self.rest.starts_with("\\u") {
                        return Err("the other half of a character");
                    }
                    self.skip(2);
                    let low = self.hex()?.wrapping_sub(0xdc00);
                    if low >= 0x400 {
                        return Err("the other half of a character");
                    }
                    code = 0x1_0000 + (high << 10) + low;
                }
                char::from_u32(code).ok_or("a character")?
            }
            _ => return Err("an escape"),
        })
    }

    fn hex(&mut self) -> Result<u32, &'static str> {
        let digits = self.rest.get(..4).ok_or("four hex digits")?;
        let code = u32::from_str_radix(digits, 16).map_err(|_| "four hex digits")?;
        self.skip(4);
        Ok(code)
    }
}

/// Whether a text is a number as JSON writes it.
pub(crate) fn is_number(text: &str) -> bool {
    fn digits(rest: &mut &[u8]) -> bool {
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        *rest = &rest[count..];
        count > 0
    }
    fn takes(rest: &mut &[u8], one_of: &[u8]) -> bool {
        let takes = rest.first().is_some_and(|b| one_of.contains(b));
        if takes {
            *rest = &rest[1..];
        }
        takes
    }
    let mut rest = text.as_bytes();
    takes(&mut rest, b"-");
    let zero = rest.first() == Some(&b'0');
    let before = rest.len();
    if !digits(&mut rest) || (zero && before - rest.len() > 1) {
        return false;
    }
    if takes(&mut rest, b".") && !digits(&mut rest) {
        return false;
    }
    if takes(&mut rest, b"eE") {
        takes(&mut rest, b"+-");
        if !digits(&mut rest) {
            return false;
        }
    }
    rest.is_empty()
}

/// A value as JSON.
pub(crate) fn write(value: &Value, to: &mut String) {
    match value {
        Value::Null => to.push_str("null"),
        Value::Bool(true) => to.push_str("true"),
        Value::Bool(false) => to.push_str("false"),
        Value::Number(text) => to.push_str(text),
        Value::Text(text) => quote(text, to),
        Value::List(all) => {
            to.push('[');
            for (n, value) in all.iter().enumerate() {
                if n > 0 {
                    to.push(',');
                }
                write(value, to);
            }
            to.push(']');
        }
        Value::Map(all) => {
            to.push('{');
            for (n, (key, value)) in all.iter().enumerate() {
                if n > 0 {
                    to.push(',');
                }
                quote(key, to);
                to.push(':');
                write(value, to);
            }
            to.push('}');
        }
    }
}

/// A text in quotes.
pub(crate) fn quote(text: &str, to: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    to.push('"');
    for c in text.chars() {
        match c {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            c if c < ' ' => {
                to.push_str("\\u00");
                to.push(char::from(HEX[(c as usize) >> 4]));
                to.push(char::from(HEX[(c as usize) & 15]));
            }
            c => to.push(c),
        }
    }
    to.push('"');
}

/// The most decimals a default has.
const DECIMALS_MAX: u32 = 12;
/// Up to here every whole f64 is exact, and so is what is multiplied below.
const EXACT: f64 = 9e15;

/// The fewest decimals that are this number again, and the number times ten to that power.
const fn decimals(number: f64) -> Option<(u32, u64)> {
    let (mut count, mut power) = (0, 1.0);
    while count <= DECIMALS_MAX {
        let scaled = number.abs() * power;
        if scaled >= EXACT {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and below what both types hold exactly"
        )]
        let whole = (scaled + 0.5) as u64;
        #[expect(
            clippy::cast_precision_loss,
            reason = "below what both types hold exactly"
        )]
        if whole as f64 / power == number.abs() {
            return Some((count, whole));
        }
        count += 1;
        power *= 10.0;
    }
    None
}

/// Whether [`number`] can write it; asked when the plugin is compiled.
pub(crate) const fn is_plain(number: f64) -> bool {
    decimals(number).is_some()
}

/// A number with few decimals: no component needs to carry how all others are written. A whole one
/// is written without a fraction, so that it also fits a field of an integer type.
pub(crate) fn number(number: f64) -> String {
    let (count, whole) = decimals(number).unwrap_or_default();
    let mut text = whole.to_string();
    let count = usize::try_from(count).unwrap_or_default();
    while text.len() <= count {
        text.insert(0, '0');
    }
    if count > 0 {
        text.insert(text.len() - count, '.');
    }
    if number < 0.0 && whole > 0 {
        text.insert(0, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        let mut written = String::new();
        write(&parse(text).unwrap(), &mut written);
        written
    }

    #[test]
    fn it_reads_what_serde_json_writes_and_the_other_way_round() {
        for text in [
            r#"{"a":[1,-2.5,1e9,0],"b":{"c":null,"d":true,"e":false},"f":"g"}"#,
            r#""line\nquote\" back\\ tab\t bell\u0007 \u00e9 \ud83d\ude00 /""#,
            "[]",
            "{}",
            " [ 1 , 2 ] ",
            r#"[[[[""]]]]"#,
        ] {
            let theirs: serde_json::Value = serde_json::from_str(text).unwrap();
            let ours: serde_json::Value = serde_json::from_str(&again(text)).unwrap();
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn what_is_no_json_is_refused_as_serde_json_refuses_it() {
        for text in [
            "",
            "{",
            "[1",
            "[1 2]",
            "{\"a\" 1}",
            "{a:1}",
            "nul",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "[1,]",
            "{\"a\":1,}",
            "1 1",
            "+1",
        ] {
            assert!(parse(text).is_err(), "{text}");
            assert!(
                serde_json::from_str::<serde_json::Value>(text).is_err(),
                "{text}"
            );
        }
        assert!(parse(&"[".repeat(100)).is_err());
    }

    #[test]
    fn numbers_are_written_as_people_would() {
        for (n, text) in [
            (85.0, "85"),
            (0.5, "0.5"),
            (-1.25, "-1.25"),
            (0.05, "0.05"),
            (0.1, "0.1"),
            (0.0, "0"),
            (-0.0, "0"),
            (1e12, "1000000000000"),
            (99.999, "99.999"),
        ] {
            assert!(is_plain(n));
            assert_eq!(number(n), text);
            assert_eq!(text.parse::<f64>().unwrap().abs(), n.abs());
        }
        for n in [1e300, 1e-30, f64::NAN, f64::INFINITY, 0.1 + 0.2] {
            assert!(!is_plain(n), "{n}");
        }
    }
}
