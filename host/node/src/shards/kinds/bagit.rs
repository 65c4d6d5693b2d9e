//! BagIt bags (RFC 8493): `manifest-ALGORITHM.txt` names every file below `data/`, and `tagmanifest-` some
//! of those beside it. Of several manifests the strongest is read.

use super::super::digest;
use super::super::files::{self, OpenError};
use super::super::layout::{Layout, LayoutError};
use super::list::{self, Line, relative};
use super::{Kind, Names, Stranger};
use keepwell_model::store::{DigestKind, Encoding};
use keepwell_model::words::Refusal;
use rustix::fd::BorrowedFd;
use rustix::fs::FileType;

/// What manifests are made of, strongest first. MD5 protects against nothing that is meant.
const ALGORITHMS: [(&str, list::Format); 3] = [
    ("sha512", format(DigestKind::Sha512Truncated, sha512)),
    ("sha256", format(DigestKind::Sha256, sha256)),
    ("sha1", format(DigestKind::Sha1, sha1)),
];

const fn format(digest: DigestKind, line: fn(&[u8]) -> Line) -> list::Format {
    list::Format {
        digest,
        line,
        hint: "a line is a digest in hexadecimal, spaces, and a path in the bag",
    }
}

#[derive(Debug)]
pub(super) struct Bagit;

impl Kind for Bagit {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        Ok(None)
    }

    fn needed(&self) -> Vec<(&str, FileType)> {
        vec![
            ("bagit.txt", FileType::RegularFile),
            ("data", FileType::Directory),
        ]
    }

    fn names(&self, root: BorrowedFd<'_>) -> Result<Names, Refusal> {
        let mut names = Names::default();
        for (algorithm, format) in &ALGORITHMS {
            let manifest = format!("manifest-{algorithm}.txt");
            if !is_there(root, &manifest)? {
                continue;
            }
            list::read(root, &manifest, format, &mut names.named)?;
            let tags = format!("tagmanifest-{algorithm}.txt");
            if is_there(root, &tags)? {
                list::read(root, &tags, format, &mut names.named)?;
            }
            return Ok(names);
        }
        Err(
            Refusal::invalid("the bag has no manifest of SHA-512, SHA-256 or SHA-1")
                .hint("`manifest-sha256.txt` is one; a bag with MD5 alone is not verified"),
        )
    }

    /// Files beside `data/` need not be named.
    fn stranger(&self, name: &str) -> Stranger {
        match name.starts_with("data/") {
            true => Stranger::Extra,
            false => Stranger::Ignored,
        }
    }
}

/// Whether there is something; reading it tells what else may be wrong.
fn is_there(root: BorrowedFd<'_>, name: &str) -> Result<bool, Refusal> {
    match files::open_file(root, name.as_bytes()) {
        Ok(_) | Err(OpenError::NotAFile(_)) => Ok(true),
        Err(OpenError::Gone) => Ok(false),
        Err(OpenError::Errno(errno)) => Err(Refusal::io(format!(
            "cannot open `{name}`: {}",
            files::in_words(errno)
        ))),
    }
}

fn sha512(line: &[u8]) -> Line {
    parse_line(line, 64, DigestKind::Sha512Truncated)
}

fn sha256(line: &[u8]) -> Line {
    parse_line(line, 32, DigestKind::Sha256)
}

fn sha1(line: &[u8]) -> Line {
    parse_line(line, 20, DigestKind::Sha1)
}

/// Digest and raw path; `written` is how many bytes of digest a line has.
fn parse_line(line: &[u8], written: usize, digest: DigestKind) -> Line {
    let (hex, rest) = line
        .split_at_checked(written * 2)
        .ok_or("is not a digest and a path")?;
    let no_digest = "does not begin with a digest of its manifest's kind";
    let hex = hex.to_ascii_lowercase();
    if !hex.iter().all(u8::is_ascii_hexdigit) {
        return Err(no_digest);
    }
    let kept = digest::width(digest) * 2;
    let sum = digest::parse(&hex[..kept.min(hex.len())], digest, Encoding::Hex).ok_or(no_digest)?;
    let path = rest.trim_ascii_start();
    if path.len() == rest.len() {
        return Err("has no space after the digest");
    }
    // `md5sum` and its like mark binary files so, and bags were made with them.
    let path = path.strip_prefix(b"*").unwrap_or(path);
    Ok((sum, relative(&decoded(path))?))
}

/// A line feed, a carriage return and a percent sign are written `%0A`, `%0D`, `%25`; nothing else is.
fn decoded(path: &[u8]) -> Vec<u8> {
    let mut raw = vec![];
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let code = rest.get(1..3).filter(|_| first == b'%');
        let byte = code.and_then(|code| match code.to_ascii_uppercase().as_slice() {
            b"0A" => Some(b'\n'),
            b"0D" => Some(b'\r'),
            b"25" => Some(b'%'),
            _ => None,
        });
        match byte {
            Some(byte) => {
                raw.push(byte);
                rest = &rest[3..];
            }
            None => {
                raw.push(first);
                rest = tail;
            }
        }
    }
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_their_authors_wrote_them() {
        let hex = "A9993E364706816ABA3E25717850C26C9CD0D89D";
        for (line, path) in [
            ("  data/a b", &b"data/a b"[..]),
            (" \t data/a", b"data/a"),
            (" *data/a", b"data/a"),
            ("  ./data//a%0Ab%25c%zz", b"data/a\nb%c%zz"),
        ] {
            let (_, raw) = sha1(format!("{hex}{line}").as_bytes()).unwrap();
            assert_eq!(raw, path);
        }
        for bad in ["", "data/a", "  ../a", "  /a", "  ", "  data/%2e%2e/../x"] {
            assert!(sha1(format!("{hex}{bad}").as_bytes()).is_err(), "{bad}");
        }
        assert!(sha256(format!("{hex}  data/a").as_bytes()).is_err());
        let long = format!("{hex}{hex}{hex}ZZZZZZZZ  data/a");
        assert!(sha512(long.as_bytes()).is_err());
    }
}
