//! Which directories are never cleaned, whatever is configured.

use crate::at::{look, look_at, refused};
use keepwell_model::words::Refusal;
use rustix::fs::{CWD, Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Directories that hold a system or its users together. They themselves are refused; what an
/// operator names below them may be cleaned.
const SYSTEM: [&str; 26] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/share",
    "/var",
    "/var/lib",
    "/var/log",
    "/var/spool",
];

/// Directories below which nothing is cleaned: programs, configuration and the kernel's own.
const SYSTEM_BELOW: [&str; 10] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr",
];

/// Directories above directories: a path has no more parts.
const MAX_ABOVE: usize = 2_048;
/// The bit of a mode by which only owners may remove what is in a directory.
const STICKY: u16 = 0o1000;
const OTHERS_WRITE: u16 = 0o022;

/// Refuses a root that must not be cleaned: a system directory, a home, one that is, holds or
/// lies in a shard store or the node directory, one that another user owns, or one that another
/// user could replace. Compares directories by device and inode, not by name alone.
pub fn check_cleanable(
    path: &Path,
    fd: BorrowedFd<'_>,
    stores: &[PathBuf],
    node_dir: &Path,
) -> Result<(), Refusal> {
    let shown = path.display();
    let failed = |e| refused(e, format!("cannot look at `{shown}`"));
    let facts = look_at(fd).map_err(failed)?;
    let above = ancestry(fd).map_err(failed)?;
    let me = (facts.device, facts.inode);
    for system in SYSTEM {
        if identity(Path::new(system)) == Some(me) {
            return Err(never(
                path,
                &format!("it is the system directory `{system}`"),
            ));
        }
    }
    for system in SYSTEM_BELOW {
        if identity(Path::new(system)).is_some_and(|id| above.contains(&id)) {
            return Err(never(
                path,
                &format!("it lies in the system directory `{system}`"),
            ));
        }
    }
    for home in homes() {
        if identity(&home).is_some_and(|id| id == me) {
            return Err(never(
                path,
                &format!("it is the home directory `{}`", home.display()),
            ));
        }
    }
    for kept in stores.iter().map(PathBuf::as_path).chain([node_dir]) {
        let what = if kept == node_dir {
            "node directory"
        } else {
            "shard store"
        };
        if let Some(how) = touches(path, me, &above, kept) {
            return Err(never(
                path,
                &format!("it {how} the {what} `{}`", kept.display()),
            ));
        }
    }
    let ours = rustix::process::geteuid().as_raw();
    if facts.owner != ours && facts.owner != 0 {
        return Err(Refusal::denied(format!(
            "`{shown}` belongs to user {}, not to the user that runs keepwell",
            facts.owner
        ))
        .hint(format!(
            "run keepwell as that user, or `chown {ours} {shown}`"
        )));
    }
    let parent = look(fd, "..").map_err(failed)?;
    if parent.owner != ours && parent.owner != 0 {
        return Err(Refusal::denied(format!(
            "the directory above `{shown}` belongs to user {}, who could replace it",
            parent.owner
        ))
        .hint(format!(
            "`chown {ours}` the directory above, or move `{shown}` to one of ours"
        )));
    }
    if parent.mode & OTHERS_WRITE != 0 && parent.mode & STICKY == 0 {
        return Err(Refusal::denied(format!(
            "others may write to the directory above `{shown}`, so they could replace it"
        ))
        .hint("take away the group's and others' right to write there, or set the sticky bit"));
    }
    Ok(())
}

fn never(path: &Path, why: &str) -> Refusal {
    Refusal::denied(format!("`{}` is never cleaned: {why}", path.display()))
        .hint("name a directory that holds nothing but what may be cleaned")
}

/// How the directory at `path` and the kept one lie to each other, if they touch.
fn touches(path: &Path, me: (u64, u64), above: &[(u64, u64)], kept: &Path) -> Option<&'static str> {
    // What does not exist yet is compared by name.
    let real = std::fs::canonicalize(kept).unwrap_or_else(|_| kept.to_owned());
    let opened = open(&real);
    let id = opened.as_ref().and_then(|fd| look_at(fd.as_fd()).ok());
    let id = id.map(|f| (f.device, f.inode));
    if id == Some(me) || real == path {
        return Some("is");
    }
    if id.is_some_and(|id| above.contains(&id)) || path.starts_with(&real) {
        return Some("lies in");
    }
    let over = opened.and_then(|fd| ancestry(fd.as_fd()).ok());
    if over.is_some_and(|ids| ids.contains(&me)) || real.starts_with(path) {
        return Some("contains");
    }
    None
}

fn open(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).ok()
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let facts = look_at(open(path)?.as_fd()).ok()?;
    Some((facts.device, facts.inode))
}

/// Device and inode of a directory and of all above it.
fn ancestry(fd: BorrowedFd<'_>) -> Result<Vec<(u64, u64)>, rustix::io::Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut ids = Vec::new();
    let mut at = rustix::fs::openat(fd, c".", flags, Mode::empty())?;
    for _ in 0..MAX_ABOVE {
        let facts = look_at(at.as_fd())?;
        let id = (facts.device, facts.inode);
        if ids.last() == Some(&id) {
            break;
        }
        ids.push(id);
        at = rustix::fs::openat(&at, c"..", flags, Mode::empty())?;
    }
    Ok(ids)
}

/// Home directories of all users of this machine. Users without a home of their own have a system
/// directory there, or one that does not exist.
fn homes() -> Vec<PathBuf> {
    let mut homes: Vec<PathBuf> = std::env::var_os("HOME")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    homes.extend(
        users
            .lines()
            .filter_map(|l| l.split(':').nth(5))
            .map(PathBuf::from),
    );
    if let Ok(dir) = std::fs::read_dir("/home") {
        homes.extend(dir.flatten().map(|e| e.path()));
    }
    homes.retain(|h| h.is_absolute());
    homes
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_model::words::Code;
    use std::os::unix::fs::PermissionsExt;

    fn check(path: &Path, stores: &[PathBuf], node: &Path) -> Result<(), Refusal> {
        check_cleanable(path, open(path).unwrap().as_fd(), stores, node)
    }

    #[test]
    fn system_and_home_directories_are_refused() {
        let none = Path::new("/nonexistent/node");
        for path in [
            "/",
            "/etc",
            "/usr",
            "/var",
            "/proc",
            "/sys",
            "/dev",
            "/root",
            "/home",
            "/usr/bin",
            "/usr/share/doc",
        ] {
            if Path::new(path).is_dir() {
                let no = check(Path::new(path), &[], none).unwrap_err();
                assert_eq!(no.code, Code::Denied, "{path}");
                assert!(no.hint.is_some());
            }
        }
    }

    #[test]
    fn stores_and_the_node_directory_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let at = |p: &str| dir.path().join(p);
        std::fs::create_dir_all(at("srv/store/in")).unwrap();
        std::fs::create_dir_all(at("free")).unwrap();
        std::fs::create_dir_all(at("node")).unwrap();
        std::os::unix::fs::symlink(at("srv/store"), at("link")).unwrap();
        // Named through a link, the store is still the same store.
        for store in [at("srv/store"), at("link")] {
            let stores = [store];
            for (bad, how) in [
                ("srv", "contains"),
                ("srv/store", "is"),
                ("srv/store/in", "lies in"),
            ] {
                let no = check(&at(bad), &stores, &at("node")).unwrap_err();
                assert!(no.message.contains(how), "{bad}: {no}");
            }
            check(&at("free"), &stores, &at("node")).unwrap();
        }
        assert!(check(&at("node"), &[], &at("node")).is_err());
        assert!(check(&at("free"), &[], &at("free/not-yet")).is_err());
    }

    #[test]
    fn a_root_that_others_could_replace_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        std::fs::create_dir(&root).unwrap();
        let node = dir.path().join("node");
        let set =
            |mode| std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(mode)).unwrap();
        set(0o777);
        assert!(
            check(&root, &[], &node)
                .unwrap_err()
                .message
                .contains("replace")
        );
        set(0o1777);
        check(&root, &[], &node).unwrap();
    }

    #[test]
    fn a_root_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can give a directory away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        std::fs::create_dir(&root).unwrap();
        std::os::unix::fs::chown(&root, Some(12_345), None).unwrap();
        let no = check(&root, &[], Path::new("/nonexistent")).unwrap_err();
        assert!(no.message.contains("12345"));
        // Ours, in a directory that another user owns and may therefore rename it in.
        std::os::unix::fs::chown(&root, Some(0), None).unwrap();
        check(&root, &[], Path::new("/nonexistent")).unwrap();
        std::os::unix::fs::chown(dir.path(), Some(12_345), None).unwrap();
        let no = check(&root, &[], Path::new("/nonexistent")).unwrap_err();
        assert!(no.message.contains("could replace"), "{no}");
    }
}
