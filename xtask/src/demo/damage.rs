//! Damage as disks do it: one bit flipped, the end cut off, a file gone.

use crate::error::{Error, Result};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Flips the lowest bit of the byte in the middle; an empty file has none.
pub(crate) fn flip_middle(bytes: &mut [u8]) -> Option<usize> {
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle)? ^= 1;
    Some(middle)
}

/// A third of the length: clearly short, and not empty when there was much.
pub(crate) const fn cut_length(length: usize) -> usize {
    length / 3
}

/// Flips one bit of a file and gives the byte's offset.
pub(crate) fn flip_file(path: &Path) -> Result<usize> {
    let mut bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let offset = flip_middle(&mut bytes).ok_or_else(|| {
        Error::Unexpected(format!("`{}` is empty, nothing to flip", path.display()))
    })?;
    rewrite(path, &bytes)?;
    Ok(offset)
}

pub(crate) fn cut_file(path: &Path) -> Result<()> {
    let mut bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    bytes.truncate(cut_length(bytes.len()));
    rewrite(path, &bytes)
}

/// Stores write their files once and read-only; a disk does not ask.
fn rewrite(path: &Path, bytes: &[u8]) -> Result<()> {
    let mode = path
        .metadata()
        .map_err(Error::io("look at", path))?
        .permissions();
    std::fs::set_permissions(path, Permissions::from_mode(0o600))
        .map_err(Error::io("make writable", path))?;
    std::fs::write(path, bytes).map_err(Error::io("write", path))?;
    std::fs::set_permissions(path, mode).map_err(Error::io("make read-only", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_bit_changes() {
        for length in [1, 2, 3, 1000] {
            let whole = vec![0xa5; length];
            let mut damaged = whole.clone();
            let offset = flip_middle(&mut damaged).unwrap();
            let bits: u32 = whole
                .iter()
                .zip(&damaged)
                .map(|(a, b)| (a ^ b).count_ones())
                .sum();
            assert_eq!(bits, 1);
            assert_ne!(whole[offset], damaged[offset]);
        }
        assert_eq!(flip_middle(&mut []), None);
    }

    #[test]
    fn read_only_files_are_damaged_and_stay_read_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack");
        std::fs::write(&path, [7; 90]).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert_eq!(flip_file(&path).unwrap(), 45);
        cut_file(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [7; 30]);
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
    }
}
