//! Where plugins come from. This program asks no network: it starts the puller, which does, and reads
//! the file it left like one from anybody.

mod puller;

use self::puller::{SPOOL, read_spooled, unreadable};
use crate::config::{NodeFile, SourceKind, SourceTable};
use crate::error::{Error, Result};
use crate::node_dir::NodeDir;
use keepwell_model::id::{Digest, PluginName, SourceName};
use keepwell_model::manifest::parse_version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;

/// One version of a plugin, as a source offers it. Signed by the source, not by the publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Offered {
    pub plugin: PluginName,
    pub version: String,
    /// A registry tells nothing of these three: they stand in the bundle.
    pub release: Option<u64>,
    pub bundle: Option<Digest>,
    pub bytes: Option<u64>,
    pub publisher: Option<String>,
}

/// What the puller says it has brought.
#[derive(Debug, Deserialize)]
struct Came {
    plugin: PluginName,
    version: String,
}

/// All sources of a node, or the one that was named.
#[derive(Debug)]
pub struct Sources<'a> {
    dir: &'a NodeDir,
    node: &'a NodeFile,
    tables: BTreeMap<&'a SourceName, &'a SourceTable>,
}

impl<'a> Sources<'a> {
    pub fn of(dir: &'a NodeDir, node: &'a NodeFile, only: Option<&str>) -> Result<Self> {
        let all = &node.sources;
        let known: Vec<&str> = all.keys().map(SourceName::as_str).collect();
        if known.is_empty() {
            return Err(Error::config("no source is configured").hint(
                "a table `[sources.NAME]` in keepwell.toml is one; see docs/DISTRIBUTION.md",
            ));
        }
        if let Some(name) = only.filter(|name| !known.contains(name)) {
            let near = keepwell_model::grant::nearest(name, &known);
            return Err(
                Error::usage(format!("there is no source `{name}`")).hint(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known sources: {}", known.join(", ")),
                }),
            );
        }
        let tables = all
            .iter()
            .filter(|(name, _)| only.is_none_or(|only| only == name.as_str()));
        Ok(Self {
            dir,
            node,
            tables: tables.collect(),
        })
    }

    pub fn names(&self) -> impl Iterator<Item = &'a SourceName> {
        self.tables.keys().copied()
    }

    /// What one of them offers whose name contains every word. A registry cannot be searched: there
    /// the words are names.
    pub fn search(&self, source: &SourceName, words: &[String]) -> Result<Vec<Offered>> {
        let table = self.table(source)?;
        match table.kind {
            SourceKind::Tuf => {
                let words = words.iter().map(OsString::from);
                let verb = [OsString::from("repo"), "search".into()]
                    .into_iter()
                    .chain(words);
                let out = self.pull(source, table, verb.collect())?;
                serde_json::from_str(&out).map_err(|e| unreadable(source, &e))
            }
            SourceKind::Oci => {
                if words.is_empty() {
                    return Err(Error::usage(format!(
                        "source `{source}` is a registry, which lists nothing"
                    ))
                    .hint("name a plugin: `keepwell plugin search NAME`"));
                }
                let names = words.iter().filter_map(|word| PluginName::new(word).ok());
                self.versions(source, &names.collect::<Vec<_>>())
            }
        }
    }

    /// All versions of these plugins.
    pub fn versions(&self, source: &SourceName, names: &[PluginName]) -> Result<Vec<Offered>> {
        let table = self.table(source)?;
        match table.kind {
            SourceKind::Tuf => {
                let all = self.search(source, &[])?;
                Ok(all
                    .into_iter()
                    .filter(|o| names.contains(&o.plugin))
                    .collect())
            }
            SourceKind::Oci => {
                let mut all = vec![];
                for name in names {
                    let verb = ["oci", "versions", &repository(table, name)?];
                    let out = self.pull(source, table, verb.map(OsString::from).into())?;
                    let versions: Vec<String> =
                        serde_json::from_str(&out).map_err(|e| unreadable(source, &e))?;
                    all.extend(versions.into_iter().map(|version| Offered {
                        plugin: name.clone(),
                        version,
                        release: None,
                        bundle: None,
                        bytes: None,
                        publisher: None,
                    }));
                }
                Ok(all)
            }
        }
    }

    /// One bundle of one of them. Its name and version are those that were asked for; everything
    /// else about it is for whoever installs it to verify.
    /// With it comes the endorsement that lay beside it, if there was one.
    pub fn fetch(
        &self,
        source: &SourceName,
        offered: &Offered,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
        let table = self.table(source)?;
        let wanted = format!("{}@{}", offered.plugin, offered.version);
        let (noun, what) = match table.kind {
            SourceKind::Tuf => ("repo", wanted.clone()),
            SourceKind::Oci => {
                let repository = repository(table, &offered.plugin)?;
                ("oci", format!("{repository}:{}", offered.version))
            }
        };
        let verb = [noun, "fetch", &what, "--out", SPOOL];
        let out = self.pull(source, table, verb.map(OsString::from).into())?;
        let came: Came = serde_json::from_str(&out).map_err(|e| unreadable(source, &e))?;
        let as_asked = |plugin: &PluginName, version: &str| match *plugin == offered.plugin
            && version == offered.version
        {
            true => Ok(()),
            false => Err(Error::denied(format!(
                "source `{source}` was asked for {wanted} and gave {plugin}@{version}"
            ))),
        };
        as_asked(&came.plugin, &came.version)?;
        let name = format!("{}-{}.kwb", offered.plugin, offered.version);
        let path = self.folder(source).join(SPOOL).join(name);
        let bytes = read_spooled(&path, keepwell_bundle::BUNDLE_MAX_BYTES)?;
        let beside = path.with_extension("kwe");
        let endorsement = match beside.symlink_metadata() {
            Ok(_) => Some(read_spooled(
                &beside,
                keepwell_bundle::ENDORSEMENT_MAX_BYTES,
            )?),
            Err(_) => None,
        };
        // What stays behind is replaced by the next one.
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_file(&beside);
        let is =
            keepwell_bundle::inspect(&bytes).map_err(|e| crate::plugins::refused(&path, &e))?;
        as_asked(&is.manifest.name, &is.manifest.version)?;
        Ok((bytes, endorsement))
    }

    /// The newest of a plugin, or the version that was named, and whose it is. Two sources that
    /// offer the same name are two plugins: a person says which is meant.
    pub fn find(
        &self,
        plugin: &PluginName,
        version: Option<&str>,
    ) -> Result<(&'a SourceName, Offered)> {
        let mut found: Vec<(&SourceName, Offered)> = vec![];
        for name in self.names() {
            let all = self.versions(name, std::slice::from_ref(plugin))?;
            if let Some(newest) = newest(all, plugin, version) {
                found.push((name, newest));
            }
        }
        let wanted = version.map_or(plugin.to_string(), |version| format!("{plugin}@{version}"));
        match found.len() {
            0 => Err(Error::failed(format!("no source offers {wanted}"))
                .hint("`keepwell plugin search` lists what they offer")),
            1 => Ok(found.remove(0)),
            _ => {
                let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
                Err(
                    Error::usage(format!("{wanted} is offered by: {}", names.join(", ")))
                        .hint("say which is meant with `--source NAME`"),
                )
            }
        }
    }

    fn table(&self, source: &SourceName) -> Result<&'a SourceTable> {
        let table = self.tables.get(source).copied();
        table.ok_or_else(|| Error::usage(format!("there is no source `{source}`")))
    }
}

/// The repository of a plugin in a registry.
fn repository(table: &SourceTable, plugin: &PluginName) -> Result<String> {
    let url = table.url.as_deref();
    let url = url.ok_or_else(|| Error::config("a registry has a `url`"))?;
    Ok(format!("{url}/{plugin}"))
}

/// By version, then by release; of all versions or of the one that was named.
fn newest(all: Vec<Offered>, plugin: &PluginName, version: Option<&str>) -> Option<Offered> {
    all.into_iter()
        .filter(|o| o.plugin == *plugin && version.is_none_or(|v| v == o.version))
        .filter(|o| parse_version(&o.version).is_some())
        .max_by_key(|o| (parse_version(&o.version), o.release))
}
