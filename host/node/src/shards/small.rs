//! Reading a store's own small files (lists, manifests) whole, below a bound.

use super::files::{self, OpenError};
use rustix::fd::{BorrowedFd, OwnedFd};
use std::io;

/// Why a small file could not be had.
#[derive(Debug)]
pub(super) enum SmallError {
    Gone,
    TooLarge {
        bytes: u64,
    },
    /// In words.
    Unreadable(String),
}

/// The bytes of the file at `path`, if there are at most `most`.
pub(super) fn read(root: BorrowedFd<'_>, path: &[u8], most: u64) -> Result<Vec<u8>, SmallError> {
    let (file, seen) = files::open_file(root, path).map_err(|why| match why {
        OpenError::Gone => SmallError::Gone,
        OpenError::NotAFile(what) => SmallError::Unreadable(format!("it is {what}")),
        OpenError::Errno(errno) => SmallError::Unreadable(files::in_words(errno)),
    })?;
    if seen.bytes > most {
        return Err(SmallError::TooLarge { bytes: seen.bytes });
    }
    let mut text = vec![];
    io::Read::read_to_end(&mut io::Read::take(Stream::new(&file), most), &mut text)
        .map_err(|e| SmallError::Unreadable(e.to_string()))?;
    Ok(text)
}

/// A file as a stream.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    file: &'a OwnedFd,
    at: u64,
}

impl<'a> Stream<'a> {
    pub(super) fn new(file: &'a OwnedFd) -> Self {
        Self { file, at: 0 }
    }
}

impl io::Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = files::read(self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
