//! The digest of a file's content, as its store takes it: of the bytes, or of what they expand to.
//! Hostile input costs bounded memory, and time in proportion to the file.

use super::digest::{Hasher, Sum};
use super::files::{self, Seen};
use super::frame;
use super::layout::{Expected, Transform};
use flate2::{Decompress, FlushDecompress, Status};
use keepwell_model::store::DigestKind;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

/// Bytes read at a time. They are hashed while still in the core's own cache: measured on 4 MiB
/// files in the page cache, 32 to 64 KiB cost a quarter of the system time of 256 KiB.
pub(super) const READ_BYTES: usize = 64 << 10;
/// Bytes expanded at a time.
const EXPAND_BYTES: usize = 128 << 10;
/// zstd frames may ask the reader for this much memory, as RFC 8878 advises: 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// zstd has no natural bound, so a small file may expand to at least this much,
const ZSTD_EXPANDED_FLOOR: u64 = 256 << 20;
/// and any file to this many times its size (zlib's own bound is 1032).
const ZSTD_EXPANDED_RATIO: u64 = 4_096;
/// `commit 18446744073709551615` and its NUL.
const GIT_HEADER_MAX: usize = 32;

/// What a thread reads and expands into; one for each, used for every shard.
#[derive(Debug)]
pub(super) struct Buffers {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Buffers {
    pub(super) fn new(expands: bool) -> Self {
        let output = if expands { EXPAND_BYTES } else { 0 };
        Self {
            input: vec![0; READ_BYTES],
            output: vec![0; output],
        }
    }
}

/// What one reading of a file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Sum(Sum, DigestKind),
    /// All checksums within are right.
    Whole,
    /// The compressed stream ends before its end.
    Short,
    /// Bytes follow after its end.
    Long,
    Damaged(String),
    /// Within the rules of its format, and beyond ours.
    Beyond(String),
}

impl Content {
    fn of(hasher: Hasher) -> Self {
        let digest = hasher.kind();
        Self::Sum(hasher.finish(), digest)
    }

    pub(super) fn meets(&self, expected: &Expected) -> bool {
        match (self, expected) {
            (Self::Sum(found, _), Expected::Digest { sum, .. }) => found == sum,
            (Self::Whole, Expected::Framed(_)) => true,
            _ => false,
        }
    }
}

/// Why a reading was not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// By us: the scrub ends, or its time is over.
    Stopped,
    /// The file is longer or shorter than when it was opened.
    Changed,
    Io(Errno),
}

/// A file read in order, from its start to where it ended when it was opened.
pub(super) struct Source<'a> {
    file: &'a OwnedFd,
    pub(super) buffer: &'a mut [u8],
    at: u64,
    pub(super) end: u64,
    go_on: &'a dyn Fn() -> bool,
}

impl Source<'_> {
    /// Reads the next bytes into the buffer; none at the end.
    pub(super) fn next(&mut self) -> Result<usize, Broken> {
        if !(self.go_on)() {
            return Err(Broken::Stopped);
        }
        let read = files::read(self.file, self.buffer, self.at).map_err(Broken::Io)?;
        self.at += read as u64;
        if self.at > self.end || read == 0 && self.at < self.end {
            return Err(Broken::Changed);
        }
        Ok(read)
    }

    fn at_end(&self) -> bool {
        self.at >= self.end
    }
}

/// Reads all of `file`. `go_on` is asked between buffers.
pub(super) fn content(
    file: &OwnedFd,
    seen: Seen,
    expected: &Expected,
    buffers: &mut Buffers,
    go_on: &dyn Fn() -> bool,
) -> Result<Content, Broken> {
    let mut source = Source {
        file,
        buffer: &mut buffers.input,
        at: 0,
        end: seen.bytes,
        go_on,
    };
    let (digest, transform) = match *expected {
        Expected::Framed(frame) => return frame::content(&mut source, frame),
        Expected::Digest {
            digest, transform, ..
        } => (digest, transform),
    };
    let hasher = Hasher::new(digest);
    match transform {
        Transform::None => plain(&mut source, hasher),
        Transform::Zlib => zlib(&mut source, &mut buffers.output, Sink::plain(hasher)),
        Transform::GitObject => zlib(&mut source, &mut buffers.output, Sink::git(hasher)),
        Transform::Zstd => unzstd(&mut source, &mut buffers.output, hasher),
    }
}

fn plain(source: &mut Source<'_>, mut hasher: Hasher) -> Result<Content, Broken> {
    loop {
        let read = source.next()?;
        if read == 0 {
            return Ok(Content::of(hasher));
        }
        hasher.update(&source.buffer[..read]);
    }
}

/// Takes expanded bytes; of a git object also their announced number.
struct Sink {
    hasher: Hasher,
    taken: u64,
    /// The header, while it is being collected.
    header: Option<Vec<u8>>,
    /// Header and content together.
    announced: Option<u64>,
}

impl Sink {
    fn plain(hasher: Hasher) -> Self {
        Self {
            hasher,
            taken: 0,
            header: None,
            announced: None,
        }
    }

    fn git(hasher: Hasher) -> Self {
        Self {
            header: Some(vec![]),
            ..Self::plain(hasher)
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Content> {
        self.hasher.update(bytes);
        self.taken += bytes.len() as u64;
        if let Some(header) = &mut self.header {
            let room = GIT_HEADER_MAX - header.len().min(GIT_HEADER_MAX);
            header.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if header.contains(&0) || header.len() >= GIT_HEADER_MAX {
                self.announced = Some(git_announces(header)?);
                self.header = None;
            }
        }
        match self.announced {
            Some(most) if self.taken > most => Err(Content::Damaged(
                "the object is longer than its header says".to_owned(),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn finish(self) -> Content {
        if self.header.is_some() {
            return Content::Damaged("the object has no header".to_owned());
        }
        match self.announced {
            Some(all) if self.taken < all => {
                Content::Damaged("the object is shorter than its header says".to_owned())
            }
            Some(_) | None => Content::of(self.hasher),
        }
    }
}

/// The length of a git object with its header: `type SP size NUL`.
fn git_announces(header: &[u8]) -> Result<u64, Content> {
    let bad = || Content::Damaged("the object's header is not `type size`".to_owned());
    let end = header.iter().position(|&b| b == 0).ok_or_else(bad)?;
    let text = std::str::from_utf8(&header[..end]).map_err(|_| bad())?;
    let (kind, size) = text.split_once(' ').ok_or_else(bad)?;
    if !matches!(kind, "blob" | "tree" | "commit" | "tag")
        || !size.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(bad());
    }
    let size: u64 = size.parse().map_err(|_| bad())?;
    size.checked_add(end as u64 + 1).ok_or_else(bad)
}

fn zlib(source: &mut Source<'_>, output: &mut [u8], mut sink: Sink) -> Result<Content, Broken> {
    let mut stream = Decompress::new(true);
    loop {
        let read = source.next()?;
        if read == 0 {
            return Ok(Content::Short);
        }
        let input = &source.buffer[..read];
        let mut used = 0;
        loop {
            let (before_in, before_out) = (stream.total_in(), stream.total_out());
            let status = stream.decompress(&input[used..], output, FlushDecompress::None);
            used += usize::try_from(stream.total_in() - before_in).unwrap_or(0);
            let made = usize::try_from(stream.total_out() - before_out).unwrap_or(0);
            if let Err(content) = sink.take(&output[..made]) {
                return Ok(content);
            }
            match status {
                Ok(Status::StreamEnd) => {
                    let rest = used < input.len() || !source.at_end();
                    return Ok(if rest { Content::Long } else { sink.finish() });
                }
                // All was used and the output was not filled: more input is needed.
                Ok(Status::Ok | Status::BufError) if used == input.len() && made < output.len() => {
                    break;
                }
                Ok(Status::Ok) => {}
                Ok(Status::BufError) if made > 0 => {}
                Ok(Status::BufError) => break,
                Err(e) => return Ok(Content::Damaged(format!("zlib: {e}"))),
            }
            if !(source.go_on)() {
                return Err(Broken::Stopped);
            }
        }
    }
}

fn unzstd(
    source: &mut Source<'_>,
    output: &mut [u8],
    mut hasher: Hasher,
) -> Result<Content, Broken> {
    let started = Decoder::new().and_then(|mut decoder| {
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
        Ok(decoder)
    });
    let mut decoder = match started {
        Ok(decoder) => decoder,
        Err(e) => return Ok(Content::Beyond(format!("zstd: {e}"))),
    };
    let most = ZSTD_EXPANDED_FLOOR.max(source.end.saturating_mul(ZSTD_EXPANDED_RATIO));
    let mut expanded: u64 = 0;
    // Frames may follow each other; between two of them the file may end.
    let (mut between, mut frames) = (false, 0_u32);
    loop {
        let read = source.next()?;
        let bytes = &source.buffer[..read];
        if bytes.is_empty() {
            return Ok(if between {
                Content::of(hasher)
            } else {
                Content::Short
            });
        }
        let mut input = InBuffer::around(bytes);
        loop {
            let mut out = OutBuffer::around(&mut *output);
            let hint = match decoder.run(&mut input, &mut out) {
                Ok(hint) => hint,
                Err(_) if between && frames > 0 => return Ok(Content::Long),
                Err(e) => return Ok(zstd_error(&e)),
            };
            let made = out.pos();
            hasher.update(&output[..made]);
            expanded = expanded.saturating_add(made as u64);
            if expanded > most {
                return Ok(Content::Beyond(format!(
                    "it expands to more than {most} bytes"
                )));
            }
            between = hint == 0;
            frames += u32::from(between);
            if input.pos() == bytes.len() && (between || made < output.len()) {
                break;
            }
            if !(source.go_on)() {
                return Err(Broken::Stopped);
            }
        }
    }
}

fn zstd_error(e: &std::io::Error) -> Content {
    let text = e.to_string();
    if text.contains("too much memory") {
        Content::Beyond(format!("zstd: {text}; at most 8 MiB are given"))
    } else {
        Content::Damaged(format!("zstd: {text}"))
    }
}
