//! A folder with all below it as a stream, and back: tar, in the order of names.

use crate::error::{Error, Result};
use rustix::fs::OFlags;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What of a tree is not in its stream, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub path: PathBuf,
    pub why: &'static str,
}

/// Writes files, folders and links below `root`. Owners, modes and times go along; extended
/// attributes do not; a file with several names is written under each.
pub fn write_tree(root: &Path, to: impl Write) -> Result<Vec<Left>> {
    let mut tar = tar::Builder::new(to);
    tar.follow_symlinks(false);
    tar.mode(tar::HeaderMode::Complete);
    let mut left = vec![];
    // What is still to be visited, the next at the end.
    let mut stack: Vec<PathBuf> = vec![PathBuf::new()];
    while let Some(below) = stack.pop() {
        let path = root.join(&below);
        let meta = path.symlink_metadata().map_err(Error::io("read", &path))?;
        let kind = meta.file_type();
        if kind.is_dir() {
            if below.as_os_str().is_empty() {
                tar.append_dir(".", &path)
            } else {
                tar.append_dir(&below, &path)
            }
            .map_err(|e| inner(e, &path))?;
            let mut names = vec![];
            for entry in std::fs::read_dir(&path).map_err(Error::io("list", &path))? {
                let entry = entry.map_err(Error::io("list", &path))?;
                names.push(below.join(entry.file_name()));
            }
            names.sort();
            stack.extend(names.into_iter().rev());
        } else if kind.is_symlink() {
            tar.append_path_with_name(&path, &below)
                .map_err(|e| inner(e, &path))?;
        } else if kind.is_file() {
            append_file(&mut tar, &path, &below)?;
        } else {
            left.push(Left {
                path: below,
                why: "neither a file, a folder nor a link",
            });
        }
    }
    tar.finish().map_err(|e| inner(e, root))?;
    Ok(left)
}

/// Writes a file. One that is written to meanwhile is refused.
pub fn write_file(path: &Path, mut to: impl Write) -> Result<()> {
    let mut steady = Steady::open(path)?;
    io::copy(&mut steady, &mut to).map_err(|e| inner(e, path))?;
    steady.unchanged(path)
}

fn append_file(tar: &mut tar::Builder<impl Write>, path: &Path, below: &Path) -> Result<()> {
    let mut steady = Steady::open(path)?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&steady.before);
    tar.append_data(&mut header, below, &mut steady)
        .map_err(|e| inner(e, path))?;
    steady.unchanged(path)
}

/// A file as long as it was when it was opened.
struct Steady {
    file: File,
    before: Metadata,
    read: u64,
}

impl Steady {
    fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        let file = opened.map_err(Error::io("open", path))?;
        let before = file.metadata().map_err(Error::io("read", path))?;
        Ok(Self {
            file,
            before,
            read: 0,
        })
    }

    /// All of it was read, and nobody wrote to it meanwhile.
    fn unchanged(&self, path: &Path) -> Result<()> {
        let after = self.file.metadata().map_err(Error::io("read", path))?;
        let facts = |m: &Metadata| (m.len(), m.mtime(), m.mtime_nsec());
        match self.read == self.before.len() && facts(&self.before) == facts(&after) {
            true => Ok(()),
            false => Err(Error::Changed(path.to_owned())),
        }
    }
}

impl Read for Steady {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = self.before.len() - self.read;
        let read = (&self.file).take(most).read(into)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// The store's own error, if that is what stopped the stream.
pub(crate) fn inner(e: io::Error, path: &Path) -> Error {
    match e.downcast::<Error>() {
        Ok(own) => own,
        Err(e) => Error::io("read", path)(e),
    }
}

/// Makes the tree of a stream in `to`, which is not there yet.
pub(crate) fn read_tree(from: &mut impl Read, to: &Path) -> Result<()> {
    std::fs::create_dir(to).map_err(Error::io("create", to))?;
    let mut tar = tar::Archive::new(&mut *from);
    tar.set_overwrite(false);
    tar.set_preserve_permissions(true);
    tar.set_preserve_mtime(true);
    tar.unpack(to).map_err(|e| inner(e, to))?;
    // To its end, where the digest of the whole is looked at.
    io::copy(from, &mut io::sink()).map_err(|e| inner(e, to))?;
    Ok(())
}
