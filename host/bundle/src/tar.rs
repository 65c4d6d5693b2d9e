//! A tar of the smallest kind: POSIX ustar, regular files and directories, every other field at
//! its one value. What this reads, any tar reads the same way; nothing can hide in it.

/// Unit of a tar.
pub const BLOCK: usize = 512;
/// Most entries: a bundle has 8, room for more layers.
pub const ENTRIES_MAX: usize = 64;
/// The name field of a header; the prefix field is not used.
pub const NAME_MAX_BYTES: usize = 100;
/// Eleven octal digits.
const SIZE_MAX: u64 = (1 << 33) - 1;

/// One entry. A directory's name ends with `/` and its content is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    pub name: &'a str,
    pub content: &'a [u8],
}

/// Why bytes are not such a tar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TarError {
    #[error("it ends early, within the block at byte {at}")]
    Short { at: usize },
    #[error("bytes follow the end at byte {at}")]
    Trailing { at: usize },
    #[error("it holds more than {ENTRIES_MAX} entries")]
    TooMany,
    #[error("the name in the header at byte {at} is refused: {why}")]
    Name { at: usize, why: &'static str },
    #[error("the entry at byte {at} is neither a plain file nor a directory")]
    Kind { at: usize },
    #[error("the size in the header at byte {at} is not eleven octal digits")]
    Size { at: usize },
    #[error("the header at byte {at} has another owner, time, mode, checksum or extension")]
    Header { at: usize },
    #[error("the padding at byte {at} is not zero")]
    Padding { at: usize },
    #[error("entry `{name}` stands twice or out of order")]
    Order { name: String },
}

/// Reads all of `bytes`. Names are relative, without `.` or `..`, strictly ascending by byte.
pub fn read(bytes: &[u8]) -> Result<Vec<Entry<'_>>, TarError> {
    let mut entries: Vec<Entry<'_>> = vec![];
    let mut at = 0;
    loop {
        let header = block(bytes, at)?;
        if is_zero(header) {
            break;
        }
        if entries.len() == ENTRIES_MAX {
            return Err(TarError::TooMany);
        }
        let entry = entry(bytes, header, at)?;
        if entries.last().is_some_and(|last| last.name >= entry.name) {
            return Err(TarError::Order {
                name: entry.name.to_owned(),
            });
        }
        at += BLOCK + padded(entry.content.len());
        entries.push(entry);
    }
    if !is_zero(block(bytes, at + BLOCK)?) {
        return Err(TarError::Padding { at: at + BLOCK });
    }
    let end = at + 2 * BLOCK;
    if bytes.len() > end {
        return Err(TarError::Trailing { at: end });
    }
    Ok(entries)
}

/// Writes entries as [`read`] wants them. The caller brings them sorted, with names that fit.
pub(crate) fn write(entries: &[Entry<'_>]) -> Result<Vec<u8>, TarError> {
    let mut out = vec![];
    for entry in entries {
        let at = out.len();
        let size = entry.content.len() as u64;
        out.extend_from_slice(&header(entry.name, size).ok_or(TarError::Size { at })?);
        out.extend_from_slice(entry.content);
        out.resize(at + BLOCK + padded(entry.content.len()), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    read(&out)?;
    Ok(out)
}

fn block(bytes: &[u8], at: usize) -> Result<&[u8], TarError> {
    let rest = bytes.get(at..).ok_or(TarError::Short { at })?;
    rest.get(..BLOCK).ok_or(TarError::Short { at })
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0)
}

fn padded(len: usize) -> usize {
    len.div_ceil(BLOCK) * BLOCK
}

fn entry<'a>(bytes: &'a [u8], head: &'a [u8], at: usize) -> Result<Entry<'a>, TarError> {
    let kind = head[156];
    if kind != b'0' && kind != b'5' {
        return Err(TarError::Kind { at });
    }
    let name = name(&head[..NAME_MAX_BYTES]).map_err(|why| TarError::Name { at, why })?;
    let size = size(&head[124..136]).ok_or(TarError::Size { at })?;
    // Only one header describes this name and size, so every field is checked by making it.
    if header(name, size).is_none_or(|only| only != head) {
        return Err(TarError::Header { at });
    }
    let start = at + BLOCK;
    let short = TarError::Short { at: start };
    let len = usize::try_from(size).map_err(|_| short.clone())?;
    let rest = bytes.get(start..).ok_or(short.clone())?;
    let content = rest.get(..len).ok_or(short.clone())?;
    let padding = rest.get(len..padded(len)).ok_or(short)?;
    if !is_zero(padding) {
        return Err(TarError::Padding { at: start + len });
    }
    Ok(Entry { name, content })
}

fn name(field: &[u8]) -> Result<&str, &'static str> {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    let name = std::str::from_utf8(&field[..end]).map_err(|_| "it is not text")?;
    let inner = name.strip_suffix('/').unwrap_or(name);
    if inner.is_empty() {
        return Err("it is empty");
    }
    if !name.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return Err("it holds something else than printable ASCII");
    }
    for part in inner.split('/') {
        match part {
            "" => return Err("it is absolute or has an empty part"),
            "." | ".." => return Err("it holds `.` or `..`"),
            _ => {}
        }
    }
    Ok(name)
}

fn size(field: &[u8]) -> Option<u64> {
    let (digits, end) = field.split_at(11);
    if end != b"\0" || !digits.iter().all(|b| (b'0'..=b'7').contains(b)) {
        return None;
    }
    Some(digits.iter().fold(0, |n, b| n * 8 + u64::from(b - b'0')))
}

/// The only header for a name and size; `None` when they do not fit or a directory has a size.
fn header(name: &str, size: u64) -> Option<[u8; BLOCK]> {
    let folder = name.ends_with('/');
    if name.len() > NAME_MAX_BYTES || size > SIZE_MAX || (folder && size > 0) {
        return None;
    }
    let mut head = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| head[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, if folder { b"0000755\0" } else { b"0000644\0" });
    put(108, b"0000000\0"); // uid
    put(116, b"0000000\0"); // gid
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0"); // mtime
    put(148, b"        "); // the checksum counts itself as spaces
    put(156, if folder { b"5" } else { b"0" });
    put(257, b"ustar\x0000");
    put(329, b"0000000\0"); // device numbers, which files do not have
    put(337, b"0000000\0");
    let sum: u32 = head.iter().map(|b| u32::from(*b)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        let entries = [
            Entry {
                name: "a/",
                content: b"",
            },
            Entry {
                name: "a/b",
                content: b"hello",
            },
            Entry {
                name: "c",
                content: b"",
            },
        ];
        write(&entries).unwrap()
    }

    /// Changes the first header and makes its checksum right again.
    fn with_header(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = write(&[Entry {
            name: "c",
            content: b"",
        }])
        .unwrap();
        change(&mut bytes[..BLOCK]);
        bytes[148..156].fill(b' ');
        let sum: u32 = bytes[..BLOCK].iter().map(|b| u32::from(*b)).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes
    }

    #[test]
    fn written_and_read() {
        let bytes = sample();
        let entries = read(&bytes).unwrap();
        assert_eq!(entries.len(), 3);
        assert_eq!(
            entries[1],
            Entry {
                name: "a/b",
                content: b"hello"
            }
        );
        assert!(read(&with_header(|_| {})).is_ok());
    }

    #[test]
    fn every_cut_and_flip_is_seen_or_changes_only_the_content() {
        let bytes = sample();
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let content = 2 * BLOCK..2 * BLOCK + 5;
            assert_eq!(
                read(&flipped).is_ok(),
                content.contains(&at),
                "flip at {at}"
            );
        }
        for more in [1, BLOCK, 20 * BLOCK] {
            let mut longer = bytes.clone();
            longer.resize(bytes.len() + more, 0);
            assert_eq!(read(&longer), Err(TarError::Trailing { at: bytes.len() }));
        }
    }

    #[test]
    fn links_devices_and_extensions_are_refused() {
        for kind in *b"\x0012346789xgLKSVDMN" {
            let bytes = with_header(|h| h[156] = kind);
            let expected = if kind == b'0' {
                Ok(1)
            } else {
                Err(TarError::Kind { at: 0 })
            };
            assert_eq!(read(&bytes).map(|e| e.len()), expected, "{kind}");
        }
    }

    #[test]
    fn names_that_could_leave_are_refused() {
        for bad in [
            "/c", "..", "../c", "a/../c", "./c", "a//c", "/", "", "a\\c", "a\nc", "\u{e9}",
        ] {
            let bytes = with_header(|h| {
                h[..NAME_MAX_BYTES].fill(0);
                h[..bad.len()].copy_from_slice(bad.as_bytes());
            });
            assert!(
                matches!(read(&bytes), Err(TarError::Name { at: 0, .. })),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn odd_fields_are_refused() {
        type Change = fn(&mut [u8]);
        let changes: [(&str, Change); 12] = [
            ("mode", |h| h[100..108].copy_from_slice(b"0004755\0")),
            ("uid", |h| h[114] = b'1'),
            ("gid", |h| h[122] = b'1'),
            ("mtime", |h| h[146] = b'1'),
            ("link name", |h| h[157] = b'x'),
            ("magic", |h| h[257..265].copy_from_slice(b"ustar  \0")),
            ("user", |h| h[265] = b'r'),
            ("group", |h| h[297] = b'r'),
            ("device", |h| h[335] = b'1'),
            ("prefix", |h| h[345] = b'x'),
            ("end", |h| h[511] = b'x'),
            ("name after its end", |h| h[50] = b'x'),
        ];
        for (what, change) in changes {
            assert_eq!(
                read(&with_header(change)),
                Err(TarError::Header { at: 0 }),
                "{what}"
            );
        }
        let sizes: [&[u8; 12]; 5] = [
            b"\x80\0\0\0\0\0\0\0\0\0\0\x01",
            b"00000000009\0",
            b"          1\0",
            b"000000000000",
            b"0000000001\0\0",
        ];
        for size in sizes {
            let bytes = with_header(|h| h[124..136].copy_from_slice(size));
            assert_eq!(read(&bytes), Err(TarError::Size { at: 0 }), "{size:?}");
        }
        let huge = with_header(|h| h[124..136].copy_from_slice(b"77777777777\0"));
        assert_eq!(read(&huge), Err(TarError::Short { at: BLOCK }));
        let mut sum = sample();
        sum[150] ^= 1;
        assert_eq!(read(&sum), Err(TarError::Header { at: 0 }));
    }

    #[test]
    fn order_doubles_and_number() {
        for names in [["c", "c"], ["c", "b"]] {
            let entries = names.map(|name| Entry { name, content: b"" });
            assert!(matches!(write(&entries), Err(TarError::Order { .. })));
        }
        let names: Vec<String> = (0..=ENTRIES_MAX).map(|n| format!("{n:03}")).collect();
        let entries: Vec<_> = names
            .iter()
            .map(|name| Entry { name, content: b"" })
            .collect();
        assert!(write(&entries[..ENTRIES_MAX]).is_ok());
        assert_eq!(write(&entries), Err(TarError::TooMany));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let _ = read(&bytes);
        }

        /// What is read is written back to the very same bytes: there is one encoding.
        #[test]
        fn damaged_tars_never_panic_and_have_one_encoding(
            changes in proptest::collection::vec((0usize..3072, any::<u8>()), 0..6)
        ) {
            let mut bytes = sample();
            for (at, byte) in changes {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            if let Ok(entries) = read(&bytes) {
                prop_assert_eq!(write(&entries).unwrap(), bytes);
            }
        }
    }
}
