//! The journal of one change of the installed plugins: what they are to become, and how far it came.
//! A file of its own, `state/plugins.jsonl`, that is there for as long as the change takes.

use crate::error::{Error, Result};
use crate::node_dir::{NodeDir, sync_dir};
use keepwell_model::event::Event;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A lock file, some events and names of files; larger is none of ours.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// Which change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    Install,
    Upgrade,
    Hold,
    Accept,
    Reject,
    Remove,
    RollBack,
    Prove,
}

/// How far it came. `Told` decides: before it nothing happened, from it on everything will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    /// This journal is on the disk.
    Begun,
    /// The machine code lies in the cache.
    Compiled,
    /// The bundle lies among the plugins.
    Stored,
    /// The next lock file lies beside the one that counts.
    Prepared,
    /// The node's journal says what is so from here on.
    Told,
    /// The lock file is the next one.
    Switched,
    /// What nobody needs any more is gone.
    Cleared,
}

/// The first line: everything that is needed to finish the change or to take it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Intent {
    pub(super) what: What,
    pub(super) plugin: String,
    pub(super) version: String,
    /// For whom, as the journal names them.
    pub(super) actor: String,
    /// Entries of the node's journal before it.
    pub(super) entries: u64,
    /// Files that are made: `plugins/NAME` or `cache/NAME`.
    pub(super) made: Vec<String>,
    /// Files that nobody needs afterwards.
    pub(super) gone: Vec<String>,
    /// What the node's journal is told, in this order.
    pub(super) events: Vec<Event>,
    /// The text of the next lock file.
    pub(super) lock: String,
}

/// The open file of a change that is under way.
#[derive(Debug)]
pub(super) struct Steps {
    path: PathBuf,
    file: File,
}

impl What {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Hold => "hold",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Remove => "remove",
            Self::RollBack => "roll back",
            Self::Prove => "prove",
        }
    }
}

impl Step {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Compiled => "compiled",
            Self::Stored => "stored",
            Self::Prepared => "prepared",
            Self::Told => "told",
            Self::Switched => "switched",
            Self::Cleared => "cleared",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

pub(super) fn path(dir: &NodeDir) -> PathBuf {
    dir.state().join("plugins.jsonl")
}

/// Where a file that an intent names lies; `None` for a name that leads elsewhere.
pub(super) fn place(dir: &NodeDir, name: &str) -> Option<PathBuf> {
    let (folder, file) = name.split_once('/')?;
    let plain = !file.is_empty() && !file.starts_with('.') && !file.contains('/');
    match folder {
        "plugins" if plain => Some(dir.plugins().join(file)),
        "cache" if plain => Some(dir.cache().join(file)),
        _ => None,
    }
}

impl Steps {
    /// Durable when it returns: nothing is made before.
    pub(super) fn begin(dir: &NodeDir, intent: &Intent) -> Result<Self> {
        let path = path(dir);
        let write = || -> std::io::Result<File> {
            let mut file = OpenOptions::new()
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(&line(intent)?)?;
            file.sync_all()?;
            sync_dir(&dir.state())?;
            Ok(file)
        };
        let file = write().map_err(|e| {
            // A part of a line says nothing; it must not stand in the way of the next change.
            let _ = std::fs::remove_file(&path);
            Error::io("write", &path, &e)
        })?;
        Ok(Self { path, file })
    }

    pub(super) fn did(&mut self, step: Step) -> Result<()> {
        let write = |file: &mut File| -> std::io::Result<()> {
            file.write_all(&line(&step)?)?;
            file.sync_data()
        };
        write(&mut self.file).map_err(|e| Error::io("write", &self.path, &e))
    }
}

fn line(value: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// A change that was cut off, and its last step. The end of a file may be half a line. `None` when
/// there is none, or when it was cut off while it was written down, before anything was made.
pub(super) fn left(dir: &NodeDir) -> Result<Option<(Intent, Step)>> {
    let path = path(dir);
    let mut bytes = vec![];
    match File::open(&path) {
        Ok(file) => file.take(FILE_MAX_BYTES).read_to_end(&mut bytes),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", &path, &e)),
    }
    .map_err(|e| Error::io("read", &path, &e))?;
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Option<(Intent, Step)> {
    let mut lines = bytes.split_inclusive(|b| *b == b'\n');
    let whole = |line: &&[u8]| line.ends_with(b"\n");
    let intent = serde_json::from_slice(lines.next().filter(whole)?).ok()?;
    let steps = lines
        .filter(whole)
        .map_while(|l| serde_json::from_slice(l).ok());
    Some((intent, steps.last().unwrap_or(Step::Begun)))
}

/// The change is whole, or nothing of it stays.
pub(super) fn end(dir: &NodeDir) -> Result<()> {
    gone(&path(dir))?;
    sync_dir(&dir.state()).map_err(|e| Error::io("sync", &dir.state(), &e))
}

/// Removes a file that may not be there any more.
pub(super) fn gone(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io("remove", path, &e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent() -> Intent {
        Intent {
            what: What::Install,
            plugin: "clean".into(),
            version: "0.1.0".into(),
            actor: "uid:0".into(),
            entries: 4,
            made: vec!["plugins/clean-0.1.0.kwb".into()],
            gone: vec![],
            events: vec![Event::DaemonEnded],
            lock: "form = 2\n".into(),
        }
    }

    /// Cut at every byte it is either not begun or at the last step whose line is whole.
    #[test]
    fn a_journal_that_was_cut_off_says_what_is_whole() {
        let mut bytes = line(&intent()).unwrap();
        let first = bytes.len();
        for step in [Step::Compiled, Step::Stored] {
            bytes.extend(line(&step).unwrap());
        }
        for cut in 0..=bytes.len() {
            let read = parse(&bytes[..cut]);
            assert_eq!(read.is_none(), cut < first, "{cut}");
            if let Some((read, step)) = read {
                assert_eq!(read, intent());
                let stored = cut == bytes.len();
                assert_eq!(step == Step::Stored, stored, "{cut}: {step}");
            }
        }
    }

    #[test]
    fn names_lead_nowhere_else() {
        let dir = NodeDir::new("/n");
        let there = place(&dir, "cache/x.cwasm").unwrap();
        assert_eq!(there, Path::new("/n/cache/x.cwasm"));
        for bad in [
            "plugins/../keys/node.key",
            "plugins/..",
            "keys/node.key",
            "/etc/passwd",
            "plugins/",
            "plugins//x",
            "node.key",
            "",
        ] {
            assert_eq!(place(&dir, bad), None, "{bad}");
        }
    }
}
