//! `plugin new`: a plugin to begin with, whose tests pass and whose component builds as it is.

use super::super::Global;
use crate::error::{Error, Result};
use crate::node_dir::{make_private_dir, write_file};
use keepwell_model::id::PluginName;
use keepwell_model::state::Exit;
use std::path::Path;

/// `Cargo.toml` of a new plugin; `{name}` and `{sdk}` are filled in.
const CARGO: &str = include_str!("template/Cargo.toml");

/// What the new plugin's task does.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Reads a number and judges it.
    Check,
    /// Finds old files and proposes them for quarantine.
    Cleaner,
    /// Verifies the shards of the granted stores.
    Scrubber,
}

impl Kind {
    const fn template(self) -> &'static str {
        match self {
            Self::Check => include_str!("template/check.rs"),
            Self::Cleaner => include_str!("template/cleaner.rs"),
            Self::Scrubber => include_str!("template/scrubber.rs"),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Cleaner => "cleaner",
            Self::Scrubber => "scrubber",
        }
    }
}

pub(super) fn new(global: &Global, dir: &Path, kind: Kind, sdk: &Path) -> Result<Exit> {
    if dir.exists() {
        return Err(Error::usage(format!("{} exists", dir.display())));
    }
    let name = dir
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name = PluginName::new(name).map_err(|e| Error::usage(e.to_string()))?;
    if !sdk.join("Cargo.toml").is_file() {
        return Err(Error::usage(format!("{} is not the SDK", sdk.display()))
            .hint("name `sdk` of a checkout of Keepwell: --sdk KEEPWELL/sdk"));
    }
    let path = std::path::absolute(sdk).map_err(|e| Error::io("find", sdk, &e))?;
    let path = path
        .to_str()
        .ok_or_else(|| Error::usage(format!("{} is not UTF-8", path.display())))?;
    let sdk = format!("{{ path = {} }}", toml::Value::String(path.to_owned()));
    make_private_dir(&dir.join("src"))?;
    let cargo = CARGO
        .replace("{name}", name.as_str())
        .replace("{sdk}", &sdk);
    write_file(&dir.join("Cargo.toml"), cargo.as_bytes(), 0o644)?;
    let lib = kind.template().replace("{name}", name.as_str());
    write_file(&dir.join("src/lib.rs"), lib.as_bytes(), 0o644)?;
    let value = serde_json::json!({ "plugin": name, "dir": dir, "kind": kind.word() });
    global.out().document(&value, || {
        let dir = dir.display();
        format!("{dir} is ready\nnext: keepwell plugin test {dir}")
    });
    Ok(Exit::Done)
}
