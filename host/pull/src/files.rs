//! Files: read up to a bound whatever lies there, and replaced whole or not at all.

use crate::error::{Error, Result};
use keepwell_model::words::printable;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Reads a regular file of at most `most` bytes. A pipe does not make it wait, a device does not
/// fill memory.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    use rustix::fs::OFlags;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut bytes = vec![];
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let why = format!("it has more than {most} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// The same, with the error a person reads.
pub(crate) fn read_told(path: &Path, most: u64) -> Result<Vec<u8>> {
    read(path, most).map_err(|e| Error::io("read", path, &e))
}

/// Longest name of a file that is quoted in an error.
const QUOTE_MAX_BYTES: usize = 200;

/// Replaces a file by rename, so that a crash leaves the old or the new one whole.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else {
        let told = printable(&path.to_string_lossy(), QUOTE_MAX_BYTES);
        return Err(Error::usage(format!("{told} is no path of a file")));
    };
    let mut temporary = name.to_owned();
    temporary.push(".new");
    let temporary = parent.join(temporary);
    let write = || -> io::Result<()> {
        // Never what lies there already: it may be a link somebody else made.
        match std::fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(parent)?.sync_all()
    };
    write().map_err(|e| Error::io("write", path, &e))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, &e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A directory and those above it.
pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_of_few_bytes_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, b"twelve bytes").unwrap();
        assert_eq!(read(&path, 12).unwrap(), b"twelve bytes");
        assert_eq!(
            read(&path, 11).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert!(read(dir.path(), 12).is_err());
        // Without a writer, and without a wait.
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(read(&pipe, 12).unwrap_err().to_string().contains("no file"));
        assert!(read(Path::new("/dev/zero"), 12).is_err());
    }

    #[test]
    fn a_link_that_lies_in_the_way_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("file"), dir.path().join("other"));
        std::fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join("file.new")).unwrap();
        write(&file, b"new").unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), b"mine");
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
    }
}
