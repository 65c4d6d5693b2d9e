//! Removing what an earlier chore made, and nothing else.

use crate::error::{Error, Result};
use crate::places::Places;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Removes a folder below the target directory and makes it anew, empty.
pub(crate) fn anew(places: &Places, dir: &Path) -> Result<()> {
    if !is_below(&places.target, dir) {
        return Err(Error::Unexpected(format!(
            "will not clear `{}`: it is not below the target directory",
            dir.display()
        )));
    }
    if dir.symlink_metadata().is_ok() {
        open_up(dir)?;
        remove(dir)?;
    }
    crate::places::make_dir(dir)
}

/// Strictly below, by the words of the path, without `..` anywhere.
fn is_below(target: &Path, dir: &Path) -> bool {
    let plain = dir
        .components()
        .all(|part| part != std::path::Component::ParentDir);
    plain && dir != target && dir.starts_with(target)
}

/// Folders without write permission keep their contents; ours are made writable first.
fn open_up(dir: &Path) -> Result<()> {
    let about = dir.symlink_metadata().map_err(Error::io("look at", dir))?;
    if !about.is_dir() {
        return Ok(());
    }
    if about.permissions().mode() & 0o700 != 0o700 {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700))
            .map_err(Error::io("make writable", dir))?;
    }
    for entry in std::fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let entry = entry.map_err(Error::io("read", dir))?;
        if entry
            .file_type()
            .map_err(Error::io("look at", dir))?
            .is_dir()
        {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a chore clears its own folder below the target directory, where no guest writes"
)]
fn remove(dir: &Path) -> Result<()> {
    std::fs::remove_dir_all(dir).map_err(Error::io("remove", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_below_the_target_directory() {
        let target = Path::new("/x/target");
        assert!(is_below(target, Path::new("/x/target/demo")));
        for bad in ["/x/target", "/x", "/x/target/../home", "/x/targets/a", "/"] {
            assert!(!is_below(target, Path::new(bad)), "{bad}");
        }
    }

    #[test]
    fn a_folder_without_permissions_goes_too() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            checkout: dir.path().into(),
            target: dir.path().into(),
        };
        let demo = places.demo();
        std::fs::create_dir_all(demo.join("closed")).unwrap();
        std::fs::write(demo.join("closed/file"), "x").unwrap();
        std::fs::set_permissions(demo.join("closed"), Permissions::from_mode(0o500)).unwrap();
        anew(&places, &demo).unwrap();
        assert_eq!(std::fs::read_dir(&demo).unwrap().count(), 0);
        assert!(anew(&places, dir.path()).is_err());
    }
}
