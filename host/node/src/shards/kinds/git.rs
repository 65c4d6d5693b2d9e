//! Git repositories, of SHA-1 and of SHA-256: loose objects by their names, packs and their indexes by the
//! digest that they end with. Whether an object is missing `git fsck` alone knows.

use super::super::files;
use super::super::layout::{Layout, LayoutError, Rule, Transform};
use super::super::store::is_empty;
use super::Kind;
use keepwell_model::store::DigestKind;
use keepwell_model::words::Refusal;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{AtFlags, FileType, statat};
use rustix::io::Errno;

#[derive(Debug)]
pub(super) struct Git {
    /// Packs, too.
    pub(super) packs: bool,
}

impl Kind for Git {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        let kinds = [DigestKind::Sha1, DigestKind::Sha256];
        let object = |digest| Rule::hex("{h:2}/{h:2..}", digest).after(Transform::GitObject);
        let mut rules: Vec<Rule<'_>> = kinds.map(object).to_vec();
        if self.packs {
            // Of the pack, its index, its reverse index, and when its objects were last wanted.
            for template in [
                "pack/pack-{h}.pack",
                "pack/pack-{h}.idx",
                "pack/pack-{h}.rev",
                "pack/pack-{h}.mtimes",
            ] {
                rules.extend(kinds.map(|digest| Rule::hex(template, digest).with_trailer()));
            }
        }
        let packs = ["pack/pack-*"].into_iter().filter(|_| !self.packs);
        // Marks beside a pack, which hold nothing; caches, which git makes anew.
        let beside = [
            "info/**",
            "pack/*.keep",
            "pack/*.promisor",
            "pack/*.bitmap",
            "pack/multi-pack-index*",
        ];
        let ignore: Vec<&str> = beside.into_iter().chain(packs).collect();
        let temporary = [
            "tmp_*",
            "??/tmp_obj_*",
            "pack/tmp_*",
            "pack/.tmp-*",
            "incoming-*/**",
            "tmp_objdir-*/**",
        ];
        Layout::new(&rules, &ignore, &temporary).map(Some)
    }

    fn root(&self, dir: OwnedFd) -> Result<OwnedFd, Refusal> {
        objects_of(dir)
    }

    /// Git packs them by itself.
    fn may_empty(&self) -> bool {
        true
    }
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
