//! A store that is there: described well, mounted, not empty.

use super::files;
use super::kinds::{self, Kind};
use super::layout::{Layout, LayoutError};
use keepwell_model::store::StoreConfig;
use keepwell_model::words::Refusal;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;

/// A store, opened for reading.
#[derive(Debug)]
pub struct Store {
    pub(super) kind: Box<dyn Kind>,
    /// As operators call it.
    called: &'static str,
    root: OwnedFd,
    pub(super) layout: Option<Layout>,
}

impl Store {
    /// Takes the handle of the store's directory, which the caller opened. Refusals: `invalid`
    /// (the description, or not such a store), `gone` (missing, empty or not mounted), `io`.
    pub fn open(config: &StoreConfig, dir: OwnedFd) -> Result<Self, Refusal> {
        let kind = kinds::of(config).map_err(|why| in_words(&why))?;
        let layout = kind.layout().map_err(|why| in_words(&why))?;
        let store = Self {
            root: kind.root(dir)?,
            kind,
            called: config.kind.as_str(),
            layout,
        };
        store.check_present()?;
        Ok(store)
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// What no store of this kind is without, so that an unmounted disk is not taken for a store
    /// whose shards vanished.
    pub(super) fn check_present(&self) -> Result<(), Refusal> {
        if is_empty(self.root())? {
            return Err(Refusal::gone("the store's directory is empty")
                .hint("is its file system mounted? check `path` of this store"));
        }
        for (name, kind) in self.kind.needed() {
            self.check_entry(name, kind)?;
        }
        Ok(())
    }

    fn check_entry(&self, name: &str, kind: FileType) -> Result<(), Refusal> {
        let what = files::kind_in_words(kind);
        match statat(self.root(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == kind => Ok(()),
            Ok(stat) => Err(Refusal::invalid(format!(
                "`{name}` is {}, not {what}",
                files::kind_in_words(FileType::from_raw_mode(stat.st_mode))
            ))),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(Refusal::gone(format!(
                "the directory has no `{name}`, so it is no `{}` store",
                self.called
            ))
            .hint("is the right file system mounted? check `path` and `kind` of this store")),
            Err(errno) => Err(Refusal::io(format!(
                "cannot look at `{name}`: {}",
                files::in_words(errno)
            ))),
        }
    }
}

fn in_words(why: &LayoutError) -> Refusal {
    let mut message = why.to_string();
    if let Some(source) = std::error::Error::source(why) {
        message = format!("{message}: {source}");
    }
    Refusal::invalid(message).hint("`keepwell config check` shows what is wrong with a store")
}

/// Nothing lies in it but what file systems put there themselves.
pub(super) fn is_empty(root: BorrowedFd<'_>) -> Result<bool, Refusal> {
    let failed = |errno| match errno {
        Errno::NOENT | Errno::STALE | Errno::NODEV | Errno::NOTCONN => {
            Refusal::gone("the store's directory is gone").hint("is its file system mounted?")
        }
        errno => Refusal::io(format!(
            "cannot read the store's directory: {}",
            files::in_words(errno)
        )),
    };
    let fd = files::open_dir(root, b"").map_err(failed)?;
    let mut dir = Dir::new(fd).map_err(failed)?;
    while let Some(entry) = dir.read() {
        let entry = entry.map_err(failed)?;
        if !matches!(entry.file_name().to_bytes(), b"." | b".." | b"lost+found") {
            return Ok(false);
        }
    }
    Ok(true)
}
