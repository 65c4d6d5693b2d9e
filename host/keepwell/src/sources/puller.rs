//! Starting the puller, which alone asks a network: what it is given, where it may write, what it
//! says, and what it left.

use super::Sources;
use crate::config::{SourceKind, SourceTable};
use crate::error::{Error, Result};
use crate::node_dir::{make_private_dir, write_file};
use crate::worker;
use keepwell_model::id::SourceName;
use keepwell_model::state::Exit;
use keepwell_model::words::printable;
use serde::Deserialize;
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
pub(super) const SPOOL: &str = "spool";

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

impl Sources<'_> {
    /// The puller's own folder for a source.
    pub(super) fn folder(&self, source: &SourceName) -> PathBuf {
        self.dir.pulls().join(source.as_str())
    }

    /// Prepares that folder, starts the puller in it, and gives what it printed.
    pub(super) fn pull(
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
pub(super) fn read_spooled(path: &Path, most: usize) -> Result<Vec<u8>> {
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

/// What cannot be read of its answer.
pub(super) fn unreadable(source: &SourceName, e: &serde_json::Error) -> Error {
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
