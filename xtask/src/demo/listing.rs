//! A listing of a tree that tells whether anything in it changed: path, kind, mode, owner, links,
//! time of modification and content of every entry, folders too.
//!
//! The tree's own top folder and the host's quarantine folder in it are left out: the first holds
//! the second.

use crate::error::{Error, Result};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The folder in a root that the host keeps for itself.
const OWN_FOLDER: &str = ".keepwell";

/// Each entry's path below the top, and everything about it as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing(BTreeMap<PathBuf, String>);

/// Reads the whole tree.
pub(crate) fn list(top: &Path) -> Result<Listing> {
    let mut entries = BTreeMap::new();
    let mut open = vec![top.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).map_err(Error::io("read", &dir))? {
            let path = entry.map_err(Error::io("read", &dir))?.path();
            let below = path.strip_prefix(top).unwrap_or(&path).to_owned();
            if below == Path::new(OWN_FOLDER) {
                continue;
            }
            let about = path
                .symlink_metadata()
                .map_err(Error::io("look at", &path))?;
            entries.insert(below, describe(&path, &about)?);
            if about.is_dir() {
                open.push(path);
            }
        }
    }
    Ok(Listing(entries))
}

fn describe(path: &Path, about: &Metadata) -> Result<String> {
    let (kind, content) = content(path, about)?;
    // A folder's count of links is the file system's own business on some of them.
    let links = if about.is_dir() { 1 } else { about.nlink() };
    Ok(format!(
        "{kind} {:o} {}:{} links={links} mtime={}.{:09} {content}",
        about.mode() & 0o7777,
        about.uid(),
        about.gid(),
        about.mtime(),
        about.mtime_nsec(),
    ))
}

fn content(path: &Path, about: &Metadata) -> Result<(&'static str, String)> {
    let kind = about.file_type();
    Ok(if kind.is_file() {
        match std::fs::read(path) {
            Ok(bytes) => ("file", hex(&Sha256::digest(bytes))),
            // Somebody who is not root cannot read a file without permissions; it is compared by
            // the rest.
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                ("file", format!("unreadable length={}", about.len()))
            }
            Err(e) => return Err(Error::io("read", path)(e)),
        }
    } else if kind.is_symlink() {
        let target = std::fs::read_link(path).map_err(Error::io("read the link", path))?;
        ("link", hex(target.as_os_str().as_bytes()))
    } else if kind.is_dir() {
        ("folder", String::new())
    } else if kind.is_fifo() {
        ("pipe", String::new())
    } else if kind.is_socket() {
        ("socket", String::new())
    } else {
        ("other", String::new())
    })
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

impl Listing {
    pub(crate) fn entries(&self) -> usize {
        self.0.len()
    }

    /// SHA-256 over all paths and lines in order, each ended by a NUL, which neither contains.
    pub(crate) fn digest(&self) -> String {
        let mut all = Sha256::new();
        for (path, line) in &self.0 {
            all.update(path.as_os_str().as_bytes());
            all.update([0]);
            all.update(line);
            all.update([0]);
        }
        hex(&all.finalize())
    }

    /// The first differences to another listing, at most `most`, as lines for people.
    pub(crate) fn differences(&self, after: &Self, most: usize) -> Vec<String> {
        let gone = self.0.iter().filter_map(|(path, was)| {
            let path_text = path.display();
            match after.0.get(path) {
                None => Some(format!("gone: {path_text}")),
                Some(is) if is != was => {
                    Some(format!("changed: {path_text}\n  was {was}\n  is  {is}"))
                }
                Some(_) => None,
            }
        });
        let new = after
            .0
            .keys()
            .filter(|path| !self.0.contains_key(*path))
            .map(|path| format!("new: {}", path.display()));
        gone.chain(new).take(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    /// Each change alone must be seen.
    #[test]
    fn every_kind_of_change_changes_the_digest() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        std::fs::create_dir(top.join("folder")).unwrap();
        std::fs::write(top.join("folder/file"), "one").unwrap();
        std::os::unix::fs::symlink("a", top.join("link")).unwrap();
        let before = list(top).unwrap();
        assert_eq!(before.entries(), 3);
        assert_eq!(before.digest(), list(top).unwrap().digest());

        let mtime = top
            .join("folder/file")
            .metadata()
            .unwrap()
            .modified()
            .unwrap();
        std::fs::write(top.join("folder/file"), "two").unwrap();
        let file = std::fs::File::options()
            .write(true)
            .open(top.join("folder/file"))
            .unwrap();
        file.set_modified(mtime).unwrap();
        let content = list(top).unwrap();
        assert_eq!(before.differences(&content, 9).len(), 1);
        assert_ne!(before.digest(), content.digest());

        std::fs::set_permissions(top.join("folder"), Permissions::from_mode(0o700)).unwrap();
        let mode = list(top).unwrap();
        assert_eq!(content.differences(&mode, 9).len(), 1);

        std::fs::remove_file(top.join("link")).unwrap();
        std::os::unix::fs::symlink("b", top.join("link")).unwrap();
        assert!(!mode.differences(&list(top).unwrap(), 9).is_empty());

        file.set_modified(mtime - std::time::Duration::from_nanos(1))
            .unwrap();
        let time = list(top).unwrap();
        assert!(
            mode.differences(&time, 9)
                .iter()
                .any(|d| d.contains("folder/file"))
        );
    }

    #[test]
    fn the_hosts_own_folder_at_the_top_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(".keepwell/run")).unwrap();
        assert_eq!(list(dir.path()).unwrap().entries(), 0);
    }
}
