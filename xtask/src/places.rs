//! Where things lie: the checkout, and below its target directory everything the chores make.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The profile a binary was built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

impl Profile {
    /// The folder below the target directory that cargo gives it.
    pub(crate) const fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// The folders of this checkout.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) checkout: PathBuf,
    pub(crate) target: PathBuf,
}

impl Places {
    /// Cargo says where this package lies, and `CARGO_TARGET_DIR`, when set, where to build.
    pub(crate) fn find() -> Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| {
            Error::Usage(
                "start the chores with `cargo xtask`, so that the checkout is known".into(),
            )
        })?;
        let checkout = Path::new(&package)
            .parent()
            .map(Path::to_owned)
            .ok_or_else(|| Error::Usage("the checkout has no parent folder".into()))?;
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| checkout.join("target"), |dir| checkout.join(dir));
        Ok(Self { checkout, target })
    }

    /// The binary under test.
    pub(crate) fn keepwell(&self, profile: Profile) -> PathBuf {
        self.target.join(profile.folder()).join("keepwell")
    }

    /// Components on their way to bundles.
    pub(crate) fn components(&self) -> PathBuf {
        self.target.join("components")
    }

    /// Bundles for the demo and the tests.
    pub(crate) fn bundles(&self) -> PathBuf {
        self.target.join("bundles")
    }

    /// The publisher's key of this checkout, made once.
    pub(crate) fn publisher_key(&self) -> PathBuf {
        self.target.join("keys").join("publisher.key")
    }

    pub(crate) fn demo(&self) -> PathBuf {
        self.target.join("demo")
    }

    pub(crate) fn dist(&self) -> PathBuf {
        self.target.join("dist")
    }

    pub(crate) fn bench(&self) -> PathBuf {
        self.target.join("bench")
    }
}

/// Makes a folder and those above it.
pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(Error::io("create", dir))
}

/// Writes a whole file.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(path, bytes).map_err(Error::io("write", path))
}

/// Whether a program of this name is on the `PATH`.
pub(crate) fn tool_is_there(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}
