//! A store that is there: described well, mounted, not empty.

use super::files;
use super::layout::{DEFAULT_LIST, Layout, LayoutError};
use keepwell_model::store::{StoreConfig, StoreKind};
use keepwell_model::words::Refusal;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;

/// A store, opened for reading.
#[derive(Debug)]
pub struct Store {
    kind: StoreKind,
    root: OwnedFd,
    pub(super) layout: Option<Layout>,
    pub(super) list: String,
}

impl Store {
    /// Takes the handle of the store's directory, which the caller opened. Refusals: `invalid`
    /// (the description, or not such a store), `gone` (missing, empty or not mounted), `io`.
    pub fn open(config: &StoreConfig, dir: OwnedFd) -> Result<Self, Refusal> {
        let layout = Layout::of(config).map_err(|why| in_words(&why))?;
        let root = match config.kind {
            StoreKind::GitLoose => objects_of(dir)?,
            StoreKind::Restic
            | StoreKind::Oci
            | StoreKind::Sha256sums
            | StoreKind::Native
            | StoreKind::Cas => dir,
        };
        let list = config
            .list
            .clone()
            .unwrap_or_else(|| DEFAULT_LIST.to_owned());
        let store = Self {
            kind: config.kind,
            root,
            layout,
            list,
        };
        store.check_present()?;
        Ok(store)
    }

    /// The preset this store was opened as.
    pub fn kind(&self) -> StoreKind {
        self.kind
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
        let needed: &[(&str, FileType)] = match self.kind {
            StoreKind::Restic => &[
                ("config", FileType::RegularFile),
                ("data", FileType::Directory),
            ],
            StoreKind::Oci => &[
                ("oci-layout", FileType::RegularFile),
                ("index.json", FileType::RegularFile),
                ("blobs", FileType::Directory),
            ],
            StoreKind::Native => &[
                ("format.json", FileType::RegularFile),
                ("marker", FileType::RegularFile),
                ("shards", FileType::Directory),
            ],
            StoreKind::Sha256sums => &[(self.list.as_str(), FileType::RegularFile)],
            StoreKind::GitLoose | StoreKind::Cas => &[],
        };
        for (name, kind) in needed {
            self.check_entry(name, *kind)?;
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
                self.kind.as_str()
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

/// The objects directory of a repository, of its `.git`, or itself.
fn objects_of(dir: OwnedFd) -> Result<OwnedFd, Refusal> {
    for path in [".git/objects", "objects"] {
        match files::open_dir(dir.as_fd(), path.as_bytes()) {
            Ok(objects) => return Ok(objects),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => {
                return Err(Refusal::io(format!(
                    "cannot open `{path}`: {}",
                    files::in_words(errno)
                )));
            }
        }
    }
    let is_objects = ["pack", "info"].iter().any(|name| {
        statat(&dir, *name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Directory)
    });
    if is_objects {
        return Ok(dir);
    }
    if is_empty(dir.as_fd())? {
        return Err(Refusal::gone("the store's directory is empty")
            .hint("is its file system mounted? check `path` of this store"));
    }
    Err(
        Refusal::gone("the directory is no git repository and no objects directory").hint(
            "`path` may be a repository, its `.git` or its `objects`; of a linked worktree give \
             the main repository",
        ),
    )
}

fn is_empty(root: BorrowedFd<'_>) -> Result<bool, Refusal> {
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
