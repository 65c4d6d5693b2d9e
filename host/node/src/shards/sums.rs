//! `SHA256SUMS`: lines of a digest and a name, as coreutils' `sha256sum` writes them.

use super::digest::{self, Sum};
use super::files::{self, OpenError};
use super::name;
use super::small::Stream;
use keepwell_model::store::{DigestKind, Encoding};
use keepwell_model::words::Refusal;
use rustix::fd::BorrowedFd;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};

/// A path of the longest length, every byte of it escaped, and its digest.
const LINE_MAX_BYTES: u64 = 2 * 4_096 + 128;
/// A listing holds no more shards than this.
const LINES_MAX: usize = super::SHARDS_MAX;

/// What the list names, by shown name.
pub(super) type Named = BTreeMap<String, Sum>;

/// Reads the list at `path`. Blank lines are passed over; whatever else is not a line of a list
/// is refused with its number, because a shard behind it would silently go unchecked.
pub(super) fn read(root: BorrowedFd<'_>, path: &str) -> Result<Named, Refusal> {
    let (file, _) = files::open_file(root, path.as_bytes()).map_err(|why| match why {
        OpenError::Gone => Refusal::gone(format!("the list `{path}` is not in the store"))
            .hint("is the file system mounted? otherwise set `list` of this store"),
        OpenError::NotAFile(what) => Refusal::invalid(format!("the list `{path}` is {what}")),
        OpenError::Errno(e) => Refusal::io(format!(
            "cannot read the list `{path}`: {}",
            files::in_words(e)
        )),
    })?;
    let mut lines = BufReader::new(Stream::new(&file));
    let mut named = Named::new();
    let mut line = vec![];
    for number in 1.. {
        line.clear();
        let read = lines
            .by_ref()
            .take(LINE_MAX_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(|e| Refusal::io(format!("cannot read the list `{path}`: {e}")))?;
        if read == 0 {
            break;
        }
        let refuse = |why: &str| {
            Err(
                Refusal::invalid(format!("line {number} of `{path}` {why}")).hint(
                    "a line is a SHA-256 in hexadecimal, a space, a space or `*`, and a \
                     relative name",
                ),
            )
        };
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read as u64 == LINE_MAX_BYTES {
            return refuse("is too long");
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.is_empty() {
            continue;
        }
        let (sum, raw) = match parse_line(&line) {
            Ok(found) => found,
            Err(why) => return refuse(why),
        };
        if named.len() >= LINES_MAX {
            return Err(Refusal::limit(format!(
                "`{path}` names more than {LINES_MAX} files"
            )));
        }
        if named
            .insert(name::escape(&raw), sum)
            .is_some_and(|earlier| earlier != sum)
        {
            return refuse("gives a name that has another digest further up");
        }
    }
    Ok(named)
}

/// Digest and raw path of one line.
fn parse_line(line: &[u8]) -> Result<(Sum, Vec<u8>), &'static str> {
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

/// The path without `.` parts; `find . | xargs sha256sum` writes them.
fn relative(raw: &[u8]) -> Result<Vec<u8>, &'static str> {
    if raw.first() == Some(&b'/') {
        return Err("names an absolute path");
    }
    if raw.contains(&0) {
        return Err("has a name with a zero byte");
    }
    let mut parts = vec![];
    for part in raw.split(|&b| b == b'/') {
        match part {
            b".." => return Err("names a path with `..`"),
            b"" | b"." => {}
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err("has no name");
    }
    Ok(parts.join(&b'/'))
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
