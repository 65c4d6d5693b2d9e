//! Files that carry their own checksums: whether those are right. Nothing of them is kept, however long they
//! or their parts say that they are.

use super::digest::{self, Hasher};
use super::expand::{Broken, Content, Source};
use super::layout::Frame;
use keepwell_model::store::{DigestKind, Encoding};

/// Reads all of it.
pub(super) fn content(source: &mut Source<'_>, frame: Frame) -> Result<Content, Broken> {
    match frame {
        Frame::Trailer(digest) => trailer(source, digest),
        Frame::BorgSegment => segment(source),
    }
}

/// The digest of all but the end of the file, which it must be.
fn trailer(source: &mut Source<'_>, kind: DigestKind) -> Result<Content, Broken> {
    let width = digest::width(kind);
    let mut hasher = Hasher::new(kind);
    let mut body = source.end.saturating_sub(width as u64);
    let mut end = vec![];
    loop {
        let read = source.next()?;
        if read == 0 {
            break;
        }
        let of_body = read.min(usize::try_from(body).unwrap_or(read));
        hasher.update(&source.buffer[..of_body]);
        end.extend_from_slice(&source.buffer[of_body..read]);
        body -= of_body as u64;
    }
    let sum = hasher.finish();
    if end == sum[..width] {
        return Ok(Content::Whole);
    }
    let found = digest::text(&sum, kind, Encoding::Hex);
    let why = format!("its bytes hash to {found}, and its end says otherwise");
    Ok(Content::Damaged(why))
}

/// What a segment begins with.
const MAGIC: &[u8] = b"BORG_SEG";
/// CRC-32 of the rest of an entry, the entry's length with all of this, and a tag; little-endian.
const HEADER_BYTES: usize = 4 + 4 + 1;
/// Tags whose CRC covers the whole entry: put, delete, commit.
const TAG_MAX: u8 = 2;

fn segment(source: &mut Source<'_>) -> Result<Content, Broken> {
    let mut segment = Segment::default();
    loop {
        let read = source.next()?;
        if read == 0 {
            return Ok(segment.finish());
        }
        if let Err(found) = segment.take(&source.buffer[..read]) {
            return Ok(found);
        }
    }
}

/// A segment that is being read, a few bytes or many at a time.
#[derive(Default)]
struct Segment {
    /// Bytes taken.
    at: u64,
    /// The magic or a header, while it is collected.
    head: Vec<u8>,
    /// What is left of the entry, and its CRC-32 as it says and as it is so far.
    entry: Option<(u64, u32, crc32fast::Hasher)>,
}

impl Segment {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Content> {
        while !bytes.is_empty() {
            let taken = match self.entry.take() {
                Some(entry) => self.body(entry, bytes)?,
                None => self.heading(bytes)?,
            };
            bytes = &bytes[taken..];
            self.at += taken as u64;
        }
        Ok(())
    }

    fn body(
        &mut self,
        (left, says, mut crc): (u64, u32, crc32fast::Hasher),
        bytes: &[u8],
    ) -> Result<usize, Content> {
        let taken = bytes
            .len()
            .min(usize::try_from(left).unwrap_or(bytes.len()));
        crc.update(&bytes[..taken]);
        self.next(left - taken as u64, says, crc)?;
        Ok(taken)
    }

    /// Goes on with the entry, or ends it.
    fn next(&mut self, left: u64, says: u32, crc: crc32fast::Hasher) -> Result<(), Content> {
        if left > 0 {
            self.entry = Some((left, says, crc));
        } else if crc.finalize() != says {
            return Err(self.damaged("the entry that ends there has another CRC-32"));
        }
        Ok(())
    }

    fn heading(&mut self, bytes: &[u8]) -> Result<usize, Content> {
        let whole = match self.at < MAGIC.len() as u64 {
            true => MAGIC.len(),
            false => HEADER_BYTES,
        };
        let taken = bytes.len().min(whole - self.head.len());
        self.head.extend_from_slice(&bytes[..taken]);
        if self.head.len() < whole {
            return Ok(taken);
        }
        let head = std::mem::take(&mut self.head);
        if whole == MAGIC.len() {
            return match head == MAGIC {
                true => Ok(taken),
                false => Err(self.damaged("a segment begins with `BORG_SEG`")),
            };
        }
        let number = |at: usize| {
            let four = head[at..at + 4].try_into().unwrap_or_default();
            u32::from_le_bytes(four)
        };
        let (says, size, tag) = (number(0), u64::from(number(4)), head[8]);
        let Some(left) = size.checked_sub(HEADER_BYTES as u64) else {
            return Err(self.damaged("an entry is shorter than its own header"));
        };
        if tag > TAG_MAX {
            let why = format!(
                "an entry of a kind that is not known ({tag}) at byte {}",
                self.at
            );
            return Err(Content::Beyond(why));
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[4..]);
        self.next(left, says, crc)?;
        Ok(taken)
    }

    fn finish(self) -> Content {
        if self.at < MAGIC.len() as u64 || self.entry.is_some() || !self.head.is_empty() {
            return self.damaged("it ends within an entry");
        }
        Content::Whole
    }

    fn damaged(&self, why: &str) -> Content {
        Content::Damaged(format!("{why} (at byte {})", self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(tag: u8, data: &[u8]) -> Vec<u8> {
        let size = u32::try_from(HEADER_BYTES + data.len()).unwrap();
        let rest = [&size.to_le_bytes()[..], &[tag], data].concat();
        [&crc32fast::hash(&rest).to_le_bytes()[..], &rest].concat()
    }

    fn read(bytes: &[u8], step: usize) -> Content {
        let mut segment = Segment::default();
        for some in bytes.chunks(step) {
            if let Err(found) = segment.take(some) {
                return found;
            }
        }
        segment.finish()
    }

    proptest! {
        /// In whatever pieces it is read, a segment is whole, and after any flip or cut it is not.
        #[test]
        fn a_segment_is_whole_or_not(
            entries in proptest::collection::vec(
                (0u8..=2, proptest::collection::vec(any::<u8>(), 0..60)), 1..6),
            step in 1usize..40, at in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let mut bytes = MAGIC.to_vec();
            let mut ends = vec![bytes.len()];
            for (tag, data) in &entries {
                bytes.extend(entry(*tag, data));
                ends.push(bytes.len());
            }
            prop_assert_eq!(read(&bytes, step), Content::Whole);
            let cut = at.index(bytes.len());
            // What ends with an entry is a shorter segment.
            prop_assert_eq!(read(&bytes[..cut], step) == Content::Whole, ends.contains(&cut));
            bytes[cut] ^= 1 << bit;
            prop_assert_ne!(read(&bytes, step), Content::Whole);
        }
    }

    #[test]
    fn what_is_not_known_is_not_called_corrupt() {
        let bytes = [MAGIC, &entry(3, b"put of another sort")].concat();
        assert!(matches!(read(&bytes, 7), Content::Beyond(_)));
        let tiny = [MAGIC, &[0; 4], &8u32.to_le_bytes(), &[0]].concat();
        assert!(matches!(read(&tiny, 7), Content::Damaged(_)));
    }
}
