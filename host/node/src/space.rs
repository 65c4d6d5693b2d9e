//! Space on the file system below a path, as whoever runs this may use it.

use std::path::Path;

/// What is left there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub free_bytes: u64,
    pub read_only: bool,
}

/// Asks the kernel. The path is the host's own, on a file system that it writes to anyway, so this
/// does not hang where nothing else would.
pub fn space(path: &Path) -> std::io::Result<Space> {
    let found = rustix::fs::statvfs(path)?;
    Ok(Space {
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        read_only: found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}
