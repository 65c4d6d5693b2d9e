//! The Wasm targets that plugins are built for. The network is touched only when one is absent.

use crate::error::{Error, Result};
use crate::step::{capture, command, typed};
use std::path::Path;

/// Plugins are built for the first; the second is accepted when a manifest says `wasi`.
pub(crate) const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];

/// Makes sure that the standard library of both targets is there.
pub(crate) fn ensure() -> Result<()> {
    let mut absent = Vec::new();
    for target in TARGETS {
        if !is_installed(target)? {
            absent.push(target);
        }
    }
    if absent.is_empty() {
        return Ok(());
    }
    println!("  adding the Rust targets {}", absent.join(", "));
    let mut add = command("rustup");
    add.args(["target", "add"]).args(&absent);
    let why = match capture(&mut add) {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(_) => "rustup is not on the PATH".to_owned(),
    };
    Err(Error::Missing {
        what: format!(
            "the Rust standard library for {} is absent, and `{}` did not add it: {why}",
            absent.join(" and "),
            typed(&add)
        ),
        hint: "install rustup and run that command with a network, or install your \
               distribution's package of the standard library for these targets"
            .into(),
    })
}

/// The compiler knows where a target's standard library would lie; it is there or it is not.
fn is_installed(target: &str) -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut ask = command(rustc);
    ask.args(["--print", "target-libdir", "--target", target]);
    let output = capture(&mut ask)?;
    if !output.status.success() {
        return Ok(false);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(holds_std(Path::new(said.trim())))
}

fn holds_std(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_there_when_its_std_is() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!holds_std(&dir.path().join("absent")));
        assert!(!holds_std(dir.path()));
        std::fs::write(dir.path().join("libcore-1.rlib"), "").unwrap();
        assert!(!holds_std(dir.path()));
        std::fs::write(dir.path().join("libstd-1.rlib"), "").unwrap();
        assert!(holds_std(dir.path()));
    }
}
