//! `SHA256SUMS`: lines of a digest and a name, as coreutils' `sha256sum` writes them.

use super::super::digest;
use super::super::layout::{Layout, LayoutError};
use super::list::{self, Line, relative};
use super::{Kind, Names, Stranger};
use keepwell_model::store::{DigestKind, Encoding};
use keepwell_model::words::Refusal;
use rustix::fd::BorrowedFd;
use rustix::fs::FileType;

/// The list when none is named.
const DEFAULT: &str = "SHA256SUMS";

const FORMAT: list::Format = list::Format {
    digest: DigestKind::Sha256,
    line: parse_line,
    hint: "a line is a SHA-256 in hexadecimal, a space, a space or `*`, and a relative name",
};

#[derive(Debug)]
pub(super) struct Sums {
    list: String,
}

impl Sums {
    pub(super) fn new(list: Option<&str>) -> Result<Self, LayoutError> {
        list::path(list.unwrap_or(DEFAULT)).map(|list| Self { list })
    }
}

impl Kind for Sums {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        Ok(None)
    }

    fn needed(&self) -> Vec<(&str, FileType)> {
        vec![(&self.list, FileType::RegularFile)]
    }

    fn names(&self, root: BorrowedFd<'_>) -> Result<Names, Refusal> {
        let mut names = Names::default();
        list::read(root, &self.list, &FORMAT, &mut names.named)?;
        Ok(names)
    }

    /// The list and its signatures.
    fn stranger(&self, name: &str) -> Stranger {
        match name.starts_with(self.list.as_str()) {
            true => Stranger::Ignored,
            false => Stranger::Extra,
        }
    }
}

/// Digest and raw path of one line.
fn parse_line(line: &[u8]) -> Line {
    // A leading backslash says that the name is escaped.
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (hex, rest) = line
        .split_at_checked(64)
        .ok_or("is not a digest and a name")?;
    let sum = digest::parse(&hex.to_ascii_lowercase(), DigestKind::Sha256, Encoding::Hex)
        .ok_or("does not begin with a SHA-256")?;
    let shown = rest
        .strip_prefix(b"  ")
        .or_else(|| rest.strip_prefix(b" *"))
        .ok_or("has no two spaces, or space and `*`, after the digest")?;
    let raw = if escaped {
        unescape(shown).ok_or("has an escape other than `\\\\`, `\\n` and `\\r`")?
    } else {
        shown.to_vec()
    };
    Ok((sum, relative(&raw)?))
}

fn unescape(shown: &[u8]) -> Option<Vec<u8>> {
    let mut raw = vec![];
    let mut bytes = shown.iter();
    while let Some(&byte) = bytes.next() {
        raw.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            other => other,
        });
    }
    Some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn raw(line: &str) -> Result<Vec<u8>, &'static str> {
        parse_line(line.as_bytes()).map(|(_, raw)| raw)
    }

    #[test]
    fn both_modes_and_escapes_are_read() {
        assert_eq!(raw(&format!("{HEX}  a b")).unwrap(), b"a b");
        assert_eq!(raw(&format!("{HEX} *x/y")).unwrap(), b"x/y");
        assert_eq!(raw(&format!("{HEX}  ./x//y")).unwrap(), b"x/y");
        assert_eq!(raw(&format!("{}  x", HEX.to_uppercase())).unwrap(), b"x");
        assert_eq!(raw(&format!("\\{HEX}  a\\nb\\\\")).unwrap(), b"a\nb\\");
    }

    #[test]
    fn what_leaves_the_store_is_refused() {
        for bad in ["/etc/passwd", "../x", "a/../../x", "..", ".", ""] {
            assert!(raw(&format!("{HEX}  {bad}")).is_err(), "{bad}");
        }
        assert!(raw(&HEX[..63]).is_err());
        assert!(raw(&format!("{HEX} x")).is_err());
        assert!(raw(&format!("\\{HEX}  a\\tb")).is_err());
        assert!(raw("# a comment").is_err());
    }
}
