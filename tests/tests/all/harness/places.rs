//! Where the program, the bundles and the guests lie. `cargo xtask test` says so in the
//! environment; without it they are looked for where it leaves them.

use std::path::{Path, PathBuf};

pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from)
}

fn find(variable: &str, otherwise: PathBuf) -> PathBuf {
    let path = std::env::var_os(variable).map_or(otherwise, PathBuf::from);
    assert!(
        path.exists(),
        "{} is not there: `cargo xtask test` builds what these tests need, then runs them",
        path.display()
    );
    path
}

pub(crate) fn binary() -> PathBuf {
    find("KEEPWELL_BIN", target().join("debug/keepwell"))
}

/// The program that reaches repositories and registries.
pub(crate) fn puller() -> PathBuf {
    binary().with_file_name("keepwell-pull")
}

/// A folder with the plugins' bundles and `publisher.pub`.
pub(crate) fn bundles() -> PathBuf {
    find("KEEPWELL_BUNDLES", target().join("bundles"))
}

/// The component of `tests/guests`.
pub(crate) fn guests() -> PathBuf {
    find("KEEPWELL_GUESTS", target().join("components/guests.wasm"))
}
