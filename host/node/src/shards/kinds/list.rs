//! Lists: files of lines, each with a digest and the path of what has it.

use super::super::digest::Sum;
use super::super::files::{self, OpenError};
use super::super::layout::{Expected, LayoutError};
use super::super::name;
use super::super::small::Stream;
use super::Named;
use keepwell_model::store::DigestKind;
use keepwell_model::words::Refusal;
use rustix::fd::BorrowedFd;
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _};

/// A path of the longest length, every byte of it escaped, and its digest.
const LINE_MAX_BYTES: u64 = 3 * 4_096 + 256;
/// A listing holds no more shards than this.
const LINES_MAX: usize = super::super::SHARDS_MAX;

/// Digest and raw path of a line, or what is wrong with it.
pub(super) type Line = Result<(Sum, Vec<u8>), &'static str>;

/// How a list is written.
pub(super) struct Format {
    pub(super) digest: DigestKind,
    pub(super) line: fn(&[u8]) -> Line,
    /// What a line is, for whoever wrote another.
    pub(super) hint: &'static str,
}

/// Adds what the list at `path` names. Blank lines are passed over; whatever else is not a line of a list is
/// refused with its number, because a shard behind it would silently go unchecked.
pub(super) fn read(
    root: BorrowedFd<'_>,
    path: &str,
    format: &Format,
    named: &mut HashMap<String, Named>,
) -> Result<(), Refusal> {
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
            let refusal = Refusal::invalid(format!("line {number} of `{path}` {why}"));
            Err(refusal.hint(format.hint))
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
        let (sum, raw) = match (format.line)(&line) {
            Ok(found) => found,
            Err(why) => return refuse(why),
        };
        if named.len() >= LINES_MAX {
            return Err(Refusal::limit(format!(
                "`{path}` names more than {LINES_MAX} files"
            )));
        }
        let expected = Expected::plain(sum, format.digest);
        let it = Named {
            expected,
            bytes: None,
        };
        if named
            .insert(name::escape(&raw), it)
            .is_some_and(|earlier| earlier != it)
        {
            return refuse("gives a name that has another digest further up");
        }
    }
    Ok(())
}

/// The place of a list in its store, as an operator writes it.
pub(super) fn path(list: &str) -> Result<String, LayoutError> {
    let list = list.to_owned();
    if list.split('/').any(|p| matches!(p, "" | "." | "..")) || list.contains('\0') {
        return Err(LayoutError::List { list });
    }
    Ok(list)
}

/// The path without `.` parts; `find . | xargs sha256sum` writes them.
pub(super) fn relative(raw: &[u8]) -> Result<Vec<u8>, &'static str> {
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
