//! Runs cargo for plugin authors: the second door to child processes.
#![expect(
    clippy::disallowed_methods,
    reason = "building a plugin means running cargo"
)]

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Guests have no operating system under them: no WASI, so the import list is the permission list.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// Scans in guests run many times faster with SIMD, which every engine has.
const SIMD: &str = "target-feature=+simd128";
/// Cargo wants flags that may hold spaces apart by this.
const APART: &str = "\x1f";

fn cargo(dir: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(dir);
    command
}

/// Builds the plugin in `dir` and returns its core module.
pub fn build_wasm(dir: &Path) -> Result<Vec<u8>> {
    if !dir.join("Cargo.toml").exists() {
        return Err(Error::usage(format!("{} has no Cargo.toml", dir.display())));
    }
    let output = cargo(dir)
        .args([
            "build",
            "--release",
            "--lib",
            "--target",
            TARGET,
            "--message-format",
            "json-render-diagnostics",
        ])
        .env("CARGO_ENCODED_RUSTFLAGS", flags(dir)?)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| {
            Error::failed(format!("cannot run cargo: {e}")).hint("install Rust, then try again")
        })?;
    if !output.status.success() {
        return Err(
            Error::failed(format!("cargo build failed in {}", dir.display())).hint(format!(
                "if the target is missing: rustup target add {TARGET}"
            )),
        );
    }
    let module = artifact(&output.stdout, dir).ok_or_else(|| {
        Error::failed("cargo built no .wasm")
            .hint("set `crate-type = [\"cdylib\", \"rlib\"]` in [lib]")
    })?;
    std::fs::read(&module).map_err(|e| Error::io("read", &module, &e))
}

/// What a panic says names source files. Where the SDK and what it needs lie on this machine is not
/// the plugin's business, and would make other bytes of the same source.
fn flags(dir: &Path) -> Result<String> {
    let mut flags = vec!["-C".to_owned(), SIMD.to_owned()];
    let mut remap = |from: &Path, to: &str| {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    };
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    if let Some(home) = home {
        remap(&home, "/cargo");
    }
    if let Some(sdk) = sdk(&metadata(dir, &[])?) {
        remap(&sdk, "/keepwell");
    }
    Ok(flags.join(APART))
}

/// The checkout in which the plugin finds the SDK.
fn sdk(metadata: &serde_json::Value) -> Option<PathBuf> {
    let packages = metadata["packages"].as_array()?;
    let sdk = packages.iter().find(|p| p["name"] == "keepwell-sdk")?;
    let manifest = Path::new(sdk["manifest_path"].as_str()?);
    Some(manifest.parent()?.parent()?.to_owned())
}

/// What cargo says of the plugin in `dir` and all it needs.
fn metadata(dir: &Path, more: &[&str]) -> Result<serde_json::Value> {
    let output = cargo(dir)
        .args(["metadata", "--format-version", "1"])
        .args(["--filter-platform", TARGET])
        .args(more)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| {
            Error::failed(format!("cannot run cargo: {e}")).hint("install Rust, then try again")
        })?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        Error::failed(format!(
            "`cargo metadata` says nothing in {}",
            dir.display()
        ))
    })
}

/// The `.wasm` of the package in `dir`: the last one cargo says it made.
fn artifact(messages: &[u8], dir: &Path) -> Option<PathBuf> {
    let manifest = dir.canonicalize().ok()?.join("Cargo.toml");
    let mut found = None;
    for line in messages.split(|b| *b == b'\n') {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else {
            continue;
        };
        if message["reason"] != "compiler-artifact"
            || message["manifest_path"] != manifest.to_string_lossy().as_ref()
        {
            continue;
        }
        let files = message["filenames"].as_array().into_iter().flatten();
        for file in files.filter_map(serde_json::Value::as_str) {
            if Path::new(file).extension().is_some_and(|e| e == "wasm") {
                found = Some(PathBuf::from(file));
            }
        }
    }
    found
}

/// What cargo says of the plugin in `dir` and all it needs for that target, as it is locked; the text of
/// the lock file; and which compiler it is.
pub fn describe(dir: &Path) -> Result<(serde_json::Value, String, String)> {
    let metadata = metadata(dir, &["--offline"])?;
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let path = Path::new(root).join("Cargo.lock");
    let lock = std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, &e))?;
    let rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .current_dir(dir)
        .arg("--version")
        .output()
        .map_err(|e| Error::failed(format!("cannot run rustc: {e}")))?;
    let rustc = String::from_utf8_lossy(&rustc.stdout).trim().to_owned();
    Ok((metadata, lock, rustc))
}

/// Runs the plugin's own tests, natively, against the SDK's simulated node.
pub fn test(dir: &Path) -> Result<()> {
    let status = cargo(dir)
        .arg("test")
        .status()
        .map_err(|e| Error::failed(format!("cannot run cargo: {e}")))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::failed(format!(
            "the tests in {} fail",
            dir.display()
        )))
    }
}
