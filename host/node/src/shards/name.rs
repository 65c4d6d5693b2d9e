//! Shard names: a file's path in its store, as text that leads back to the exact bytes. Pure.

/// A path as a name. Bytes that are not UTF-8, control characters and the backslash itself are
/// written `\xNN`, so every name is printable and stands for one path.
pub(super) fn escape(path: &[u8]) -> String {
    let mut name = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                let mut utf8 = [0; 4];
                push_bytes(&mut name, c.encode_utf8(&mut utf8).as_bytes());
            } else {
                name.push(c);
            }
        }
        push_bytes(&mut name, chunk.invalid());
    }
    name
}

fn push_bytes(name: &mut String, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        name.push_str("\\x");
        name.push(char::from(HEX[usize::from(byte >> 4)]));
        name.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

/// The path a name stands for.
pub(super) fn unescape(name: &str) -> Vec<u8> {
    let mut path = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match rest {
            [b'\\', b'x', high, low, ..] => nibble(*high).zip(nibble(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            path.push(high << 4 | low);
            rest = &rest[4..];
        } else {
            path.push(byte);
            rest = tail;
        }
    }
    path
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_names_are_shown_without_harm() {
        assert_eq!(escape(b"a/\xff\n\\x41"), r"a/\xff\x0a\x5cx41");
        assert_eq!(escape("grün/ä".as_bytes()), "grün/ä");
    }

    proptest! {
        #[test]
        fn a_name_leads_back_to_its_path(path in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(unescape(&escape(&path)), path);
        }
    }
}
