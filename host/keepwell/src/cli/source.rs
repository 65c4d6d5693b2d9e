//! `plugin search|outdated|fetch`: what sources offer. Nothing is installed here.

use super::Global;
use crate::error::{Error, Result};
use crate::node_dir::write_file;
use crate::plugins;
use crate::show;
use crate::sources::{Offered, Sources};
use keepwell_model::id::{PluginName, SourceName};
use keepwell_model::manifest::parse_version;
use keepwell_model::state::Exit;
use keepwell_model::units::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An offer with the source it stands in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    source: SourceName,
    #[serde(flatten)]
    offered: Offered,
}

/// An installed plugin that a source has a newer version of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Newer {
    plugin: PluginName,
    installed: String,
    offered: String,
    source: SourceName,
}

pub(super) fn search(global: &Global, words: &[String], only: Option<&str>) -> Result<Exit> {
    let mut rows = vec![];
    let exit = each(global, only, |sources, source| {
        let offered = sources.search(source, words)?;
        rows.extend(offered.into_iter().map(|offered| Row {
            source: source.clone(),
            offered,
        }));
        Ok(())
    })?;
    let columns = ["plugin", "version", "size", "publisher", "source"];
    global.out().rows(&rows, &columns, |row| {
        let it = &row.offered;
        vec![
            it.plugin.to_string(),
            it.version.clone(),
            it.bytes
                .map_or_else(|| "-".to_owned(), |bytes| Bytes(bytes).to_string()),
            it.publisher.clone().unwrap_or_else(|| "-".to_owned()),
            row.source.to_string(),
        ]
    });
    Ok(exit)
}

pub(super) fn outdated(global: &Global, only: Option<&str>) -> Result<Exit> {
    let lock = plugins::lock(&global.dir())?;
    // Of several versions side by side the newest, also one that waits to be accepted.
    let mut installed: BTreeMap<PluginName, String> = BTreeMap::new();
    for entry in lock.entries() {
        let newest = installed.entry(entry.name.clone()).or_default();
        if parse_version(&entry.version) > parse_version(newest) {
            newest.clone_from(&entry.version);
        }
    }
    let mut rows = vec![];
    let exit = each(global, only, |sources, source| {
        let names: Vec<PluginName> = installed.keys().cloned().collect();
        let offered = sources.versions(source, &names)?;
        for (plugin, version) in &installed {
            let newest = offered
                .iter()
                .filter(|o| o.plugin == *plugin)
                .max_by_key(|o| (parse_version(&o.version), o.release));
            let newer = newest.filter(|o| parse_version(&o.version) > parse_version(version));
            rows.extend(newer.map(|offered| Newer {
                plugin: plugin.clone(),
                installed: version.clone(),
                offered: offered.version.clone(),
                source: source.clone(),
            }));
        }
        Ok(())
    })?;
    let columns = ["plugin", "installed", "offered", "source"];
    global.out().rows(&rows, &columns, |row| {
        vec![
            row.plugin.to_string(),
            row.installed.clone(),
            row.offered.clone(),
            row.source.to_string(),
        ]
    });
    Ok(exit)
}

/// Asks one source after the other. One that does not answer is told and does not hide the rest;
/// when none answers, that is the error.
fn each(
    global: &Global,
    only: Option<&str>,
    mut ask: impl FnMut(&Sources<'_>, &SourceName) -> Result<()>,
) -> Result<Exit> {
    let dir = global.dir();
    let config = crate::config::load(&dir)?;
    let sources = Sources::of(&dir, &config.node, only)?;
    let (mut answered, mut first) = (0, None);
    for source in sources.names() {
        match ask(&sources, source) {
            Ok(()) => answered += 1,
            Err(e) => {
                if sources.names().count() > 1 {
                    show::say(&e.message);
                }
                first.get_or_insert(e);
            }
        }
    }
    match first {
        Some(e) if answered == 0 => Err(e),
        Some(_) => Ok(Exit::Warned),
        None => Ok(Exit::Done),
    }
}

/// `NAME` or `NAME@VERSION`.
fn wanted(text: &str) -> Result<(PluginName, Option<&str>)> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    if let Some(version) = version.filter(|version| parse_version(version).is_none()) {
        return Err(Error::usage(format!(
            "{version:?} is no version: expected three numbers, NAME@1.2.3"
        )));
    }
    let name = PluginName::new(name).map_err(|e| Error::usage(e.to_string()))?;
    Ok((name, version))
}

/// A bundle from a source, with what it is and where it came from.
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) endorsement: Option<Vec<u8>>,
    pub(super) source: SourceName,
    pub(super) offered: Offered,
}

pub(super) fn fetched(global: &Global, plugin: &str, only: Option<&str>) -> Result<Fetched> {
    let dir = global.dir();
    let config = crate::config::load(&dir)?;
    let sources = Sources::of(&dir, &config.node, only)?;
    let (name, version) = wanted(plugin)?;
    let (source, offered) = sources.find(&name, version)?;
    let (bytes, endorsement) = sources.fetch(source, &offered)?;
    Ok(Fetched {
        bytes,
        endorsement,
        source: source.clone(),
        offered,
    })
}

pub(super) fn fetch(
    global: &Global,
    plugin: &str,
    only: Option<&str>,
    out: Option<&Path>,
) -> Result<Exit> {
    let got = fetched(global, plugin, only)?;
    let name = || {
        PathBuf::from(format!(
            "{}-{}.kwb",
            got.offered.plugin, got.offered.version
        ))
    };
    let file = out.map_or_else(name, Path::to_owned);
    if let Some(endorsement) = &got.endorsement {
        write_file(&file.with_extension("kwe"), endorsement, 0o644)?;
    }
    write_file(&file, &got.bytes, 0o644)?;
    let value = serde_json::json!({
        "file": file, "bytes": got.bytes.len(), "source": got.source, "plugin": got.offered.plugin,
        "version": got.offered.version, "bundle": got.offered.bundle,
    });
    global.out().document(&value, || {
        format!(
            "{} ({}) from source `{}`; nothing is verified before it is installed",
            file.display(),
            Bytes(got.bytes.len() as u64),
            got.source
        )
    });
    Ok(Exit::Done)
}
