//! Where plugins come from. This program asks no network: it starts the puller, which does, and reads
//! the file it left like one from anybody.

use crate::config::{NodeFile, SourceKind, SourceTable};
use crate::error::{Error, Result};
use crate::node_dir::{NodeDir, make_private_dir, write_file};
use crate::worker;
use keepwell_model::id::{Digest, PluginName, SourceName};
use keepwell_model::manifest::parse_version;
use keepwell_model::state::Exit;
use keepwell_model::words::printable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A pinned root, or a list of certificates.
const GIVEN_MAX_BYTES: u64 = 1 << 20;
/// What is quoted of the puller's words.
const TOLD_MAX_BYTES: usize = 2_000;

/// What is given to the puller, in the folder that it starts in.
const ROOT: &str = "root.json";
const CA: &str = "ca.pem";
const CREDENTIALS: &str = "credentials.json";
/// What it may write: what it remembers of a source, and the bundles it brings.
const KNOWN: &str = "known";
const SPOOL: &str = "spool";

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

/// What the puller says when it cannot.
#[derive(Debug, Deserialize)]
struct Told {
    error: Refused,
}

#[derive(Debug, Deserialize)]
struct Refused {
    message: String,
    hint: Option<String>,
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

    /// The puller's own folder for a source.
    fn folder(&self, source: &SourceName) -> PathBuf {
        self.dir.pulls().join(source.as_str())
    }

    fn table(&self, source: &SourceName) -> Result<&'a SourceTable> {
        let table = self.tables.get(source).copied();
        table.ok_or_else(|| Error::usage(format!("there is no source `{source}`")))
    }

    /// Prepares that folder, starts the puller in it, and gives what it printed.
    fn pull(
        &self,
        source: &SourceName,
        table: &SourceTable,
        verb: Vec<OsString>,
    ) -> Result<String> {
        let folder = self.folder(source);
        make_private_dir(&self.dir.pulls())?;
        make_private_dir(&folder)?;
        let user = self.other_user(&folder)?;
        let mut args = verb;
        args.extend(self.common(table));
        match table.kind {
            SourceKind::Tuf => {
                let root = table.root.as_deref();
                let root =
                    root.ok_or_else(|| Error::config(format!("source `{source}` has no `root`")))?;
                give(root, &folder.join(ROOT), 0o644)?;
                args.extend(["--repo".into(), place(table)?]);
                args.extend(["--root", ROOT, "--known", KNOWN].map(OsString::from));
            }
            SourceKind::Oci => {
                for host in &table.auth_hosts {
                    args.extend(["--auth-host".into(), host.into()]);
                }
                for (of, places) in &self.node.mirror {
                    let pairs = places.iter().map(|at| format!("{of}={at}"));
                    args.extend(pairs.flat_map(|pair| ["--mirror".into(), OsString::from(pair)]));
                }
            }
        }
        if let Some(ca) = &table.ca {
            give(ca, &folder.join(CA), 0o644)?;
            args.extend(["--ca", CA].map(OsString::from));
        }
        let secret = folder.join(CREDENTIALS);
        if let Some(credentials) = &table.credentials {
            give(credentials, &secret, 0o600)?;
            hand_over(&secret, user)?;
            args.extend(["--credentials", CREDENTIALS].map(OsString::from));
        }
        args.extend(
            user.iter()
                .flat_map(|(uid, gid)| ["--as".into(), OsString::from(format!("{uid}:{gid}"))]),
        );
        args.extend(["-o", "json"].map(OsString::from));
        let printed = worker::pull(&folder, &args);
        if table.credentials.is_some() {
            // The puller has read it; the next start gives it again.
            let _ = std::fs::remove_file(&secret);
        }
        let printed = printed?;
        match printed.code {
            Some(0) => {
                let said = printable(printed.err.trim(), TOLD_MAX_BYTES);
                if !said.is_empty() {
                    crate::talk::say(&format!("source `{source}`: {said}"));
                }
                Ok(printed.out)
            }
            code => Err(refused(source, code, &printed.err)),
        }
    }

    /// How the network may be used, as the puller's options.
    fn common(&self, table: &SourceTable) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![];
        for host in &table.allow_http {
            args.extend(["--allow-http".into(), host.into()]);
        }
        if let Some(proxy) = &table.proxy {
            args.extend(["--proxy".into(), proxy.into()]);
        }
        if let Some(within) = &table.within {
            args.extend(["--within".into(), within.to_string().into()]);
        }
        if !self.node.puller.walls {
            args.push("--no-walls".into());
        }
        args
    }

    /// Who the puller becomes, with folders of its own to write into; `None` when nobody else.
    fn other_user(&self, folder: &Path) -> Result<Option<(u32, u32)>> {
        let user = self.node.puller.user.as_ref();
        let user = user.filter(|_| rustix::process::geteuid().is_root());
        let ids = user.map(|user| {
            let ids =
                keepwell_node::accounts::ids(user).map_err(|e| Error::failed(e.to_string()))?;
            ids.ok_or_else(|| {
                Error::config(format!("this machine knows no user `{user}`")).hint(
                    "`[puller] user` names who the puller becomes; `useradd --system` makes one",
                )
            })
        });
        let ids = ids.transpose()?;
        for dir in [folder.join(KNOWN), folder.join(SPOOL)] {
            make_private_dir(&dir)?;
            hand_over(&dir, ids)?;
        }
        if ids.is_some() {
            // It must get into its folder, which nobody but root reaches from outside.
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))
                .map_err(|e| Error::io("open", folder, &e))?;
        }
        Ok(ids)
    }
}

/// Makes it that user's, if there is one.
fn hand_over(path: &Path, user: Option<(u32, u32)>) -> Result<()> {
    let Some((uid, gid)) = user else {
        return Ok(());
    };
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))
        .map_err(|e| Error::io("hand over", path, &e))
}

/// The repository of a plugin in a registry.
fn repository(table: &SourceTable, plugin: &PluginName) -> Result<String> {
    let url = table.url.as_deref();
    let url = url.ok_or_else(|| Error::config("a registry has a `url`"))?;
    Ok(format!("{url}/{plugin}"))
}

/// Where a repository lies, as the puller's argument.
fn place(table: &SourceTable) -> Result<OsString> {
    match (&table.url, &table.path) {
        (Some(url), None) => Ok(url.into()),
        (None, Some(path)) => Ok(path.into()),
        (Some(_), Some(_)) | (None, None) => {
            Err(Error::config("a source has either `url` or `path`"))
        }
    }
}

/// Copies a file of the operator's to where the puller, who may be somebody else, can read it.
fn give(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let mut bytes = vec![];
    std::fs::File::open(from)
        .and_then(|file| file.take(GIVEN_MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|e| Error::io("read", from, &e))?;
    write_file(to, &bytes, mode)
}

/// The puller may have left anything there: a link is not followed, a pipe not waited for, and of
/// a file too large no more is read than it takes to refuse it.
fn read_spooled(path: &Path, most: usize) -> Result<Vec<u8>> {
    use rustix::fs::OFlags;
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut bytes = vec![];
    let mut options = std::fs::OpenOptions::new();
    let read = || -> std::io::Result<()> {
        let file = options.read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("it is no file"));
        }
        file.take(most as u64 + 1).read_to_end(&mut bytes).map(drop)
    };
    let mut read = read;
    read().map_err(|e| Error::io("read", path, &e))?;
    Ok(bytes)
}

/// By version, then by release; of all versions or of the one that was named.
fn newest(all: Vec<Offered>, plugin: &PluginName, version: Option<&str>) -> Option<Offered> {
    all.into_iter()
        .filter(|o| o.plugin == *plugin && version.is_none_or(|v| v == o.version))
        .filter(|o| parse_version(&o.version).is_some())
        .max_by_key(|o| (parse_version(&o.version), o.release))
}

fn unreadable(source: &SourceName, e: &serde_json::Error) -> Error {
    Error::failed(format!(
        "the puller's answer about source `{source}` is not understood: {e}"
    ))
    .hint("`keepwell` and `keepwell-pull` must be of the same version")
}

/// What the puller told, as this program tells it.
fn refused(source: &SourceName, code: Option<i32>, err: &str) -> Error {
    let last = err.trim().lines().last().unwrap_or_default();
    let exit = code
        .and_then(|code| u8::try_from(code).ok())
        .map(Exit::from_code);
    match serde_json::from_str::<Told>(last) {
        Ok(told) => Error {
            hint: told.error.hint.map(|hint| printable(&hint, TOLD_MAX_BYTES)),
            ..Error::new(
                exit.unwrap_or(Exit::Failed),
                format!(
                    "source `{source}`: {}",
                    printable(&told.error.message, TOLD_MAX_BYTES)
                ),
            )
        },
        Err(_) => Error::failed(format!(
            "the puller ended without an answer about source `{source}`: {}",
            printable(last, TOLD_MAX_BYTES)
        )),
    }
}
