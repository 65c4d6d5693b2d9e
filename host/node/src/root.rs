//! Roots: directory trees the operator named, opened once and known by device and inode.

pub use crate::cleanable::check_cleanable;

use crate::at::{look_at, refused};
use keepwell_model::action::EntryKind;
use keepwell_model::id::RootName;
use keepwell_model::words::Refusal;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A root, opened. The handle is `O_PATH`: it names the directory and gives no right to read it.
#[derive(Debug)]
pub struct Root {
    name: RootName,
    fd: OwnedFd,
    device: u64,
    inode: u64,
}

impl Root {
    /// Opens the directory at `path`, which must be absolute and without links in any part, so
    /// that nobody who may write to a directory above can lead the host elsewhere.
    pub fn open(name: &RootName, path: &Path) -> Result<Self, Refusal> {
        if !path.is_absolute() {
            return Err(Refusal::invalid(format!(
                "the path `{}` of root `{name}` is not absolute",
                path.display()
            ))
            .hint("write the whole path, from `/`"));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let fd = rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve).map_err(|e| {
            // `O_DIRECTORY` answers for a link as the last part before the kernel names it one.
            let link = std::fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
            let e = if link { Errno::LOOP } else { e };
            let refusal = refused(
                e,
                format!("cannot open root `{name}` at `{}`", path.display()),
            );
            match (e, std::fs::canonicalize(path)) {
                (Errno::LOOP, Ok(real)) => refusal.hint(format!(
                    "write the path without links: `{}`",
                    real.display()
                )),
                _ => refusal,
            }
        })?;
        Self::from_fd(name.clone(), fd)
    }

    /// A root from a handle that somebody else opened, as the worker receives them.
    pub fn from_fd(name: RootName, fd: OwnedFd) -> Result<Self, Refusal> {
        let facts =
            look_at(fd.as_fd()).map_err(|e| refused(e, format!("cannot look at root `{name}`")))?;
        if facts.kind != EntryKind::Directory {
            return Err(Refusal::invalid(format!(
                "root `{name}` is not a directory"
            )));
        }
        Ok(Self {
            name,
            fd,
            device: facts.device,
            inode: facts.inode,
        })
    }

    /// The operator's name for it.
    pub const fn name(&self) -> &RootName {
        &self.name
    }

    /// Device and inode.
    pub const fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// The directory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether `path` still leads to this very directory. A root that was replaced between the
    /// look and the act is refused with code `gone`.
    pub fn still_there(&self, path: &Path) -> Result<(), Refusal> {
        let now = Self::open(&self.name, path)?;
        if now.identity() == self.identity() {
            return Ok(());
        }
        Err(Refusal::gone(format!(
            "root `{}` at `{}` is no longer the directory it was",
            self.name,
            path.display()
        ))
        .hint("it was replaced or mounted over; plan again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_model::words::Code;

    fn name() -> RootName {
        RootName::new("tmp").unwrap()
    }

    #[test]
    fn links_in_any_part_are_refused_with_the_real_path() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        std::fs::create_dir_all(real.join("in")).unwrap();
        std::os::unix::fs::symlink(&real, dir.path().join("link")).unwrap();
        let no = Root::open(&name(), &dir.path().join("link/in")).unwrap_err();
        assert_eq!(no.code, Code::Denied);
        assert!(no.hint.unwrap().contains("real/in"));
        assert_eq!(
            Root::open(&name(), &dir.path().join("link"))
                .unwrap_err()
                .code,
            Code::Denied
        );
        assert!(Root::open(&name(), &real.join("in")).is_ok());
    }

    #[test]
    fn files_missing_and_relative_paths_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "x").unwrap();
        let open = |p: &Path| Root::open(&name(), p).unwrap_err().code;
        assert_eq!(open(&dir.path().join("f")), Code::Gone);
        assert_eq!(open(&dir.path().join("none")), Code::Gone);
        assert_eq!(open(Path::new("tmp")), Code::Invalid);
    }

    #[test]
    fn a_replaced_root_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r");
        std::fs::create_dir(&path).unwrap();
        let root = Root::open(&name(), &path).unwrap();
        root.still_there(&path).unwrap();
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        assert_eq!(root.still_there(&path).unwrap_err().code, Code::Gone);
        std::fs::create_dir(&path).unwrap();
        assert_eq!(root.still_there(&path).unwrap_err().code, Code::Gone);
        std::fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink(dir.path().join("old"), &path).unwrap();
        assert_eq!(root.still_there(&path).unwrap_err().code, Code::Denied);
    }
}
