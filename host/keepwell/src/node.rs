//! An opened node: its lock, configuration, trust, keys and journal.

use crate::config::{Config, load};
use crate::error::{Error, Result};
use crate::node_dir::{NodeDir, NodeLock};
use crate::plugins;
use keepwell_bundle::Trust;
use keepwell_journal::{Journal, NodeKey, Reader};
use std::path::Path;

/// Held by one process at a time.
#[derive(Debug)]
pub struct Node {
    pub dir: NodeDir,
    pub config: Config,
    pub trust: Trust,
    pub key: NodeKey,
    pub journal: Journal,
    /// Who runs this process, as the journal names them.
    pub actor: String,
    _lock: NodeLock,
}

impl Node {
    /// Takes the lock and opens the journal. Verbs open a node by `pipeline::open`.
    pub fn open(dir: NodeDir) -> Result<Self> {
        if !dir.config_file().exists() {
            return Err(no_node(&dir));
        }
        let lock = dir.lock()?;
        let config = load(&dir)?;
        let trust = plugins::trust(&dir)?;
        let key = read_key(&dir.node_key())?;
        let journal = Journal::open(&dir.state(), &key)?;
        Ok(Self {
            dir,
            config,
            trust,
            key,
            journal,
            actor: actor(),
            _lock: lock,
        })
    }

    pub fn reader(&self) -> Result<Reader> {
        Ok(self.journal.reader()?)
    }
}

/// The journal for reading, beside whoever writes it.
pub fn reader(dir: &NodeDir) -> Result<Reader> {
    if !dir.config_file().exists() {
        return Err(no_node(dir));
    }
    Ok(Reader::open(&dir.state())?)
}

fn no_node(dir: &NodeDir) -> Error {
    Error::config(format!(
        "{} is not a node directory: it has no keepwell.toml",
        dir.path().display()
    ))
    .hint("`keepwell init DIR` makes one; name it with --node DIR or KEEPWELL_NODE")
}

pub fn read_key(path: &Path) -> Result<NodeKey> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    let text = String::from_utf8_lossy(&bytes);
    let raw = data_encoding::HEXLOWER
        .decode(text.trim().as_bytes())
        .ok()
        .and_then(|raw| <[u8; 32]>::try_from(raw).ok())
        .ok_or_else(|| {
            Error::config(format!("{} is not a node key", path.display()))
                .hint("it holds 64 hex digits; restore it from your copy")
        })?;
    Ok(NodeKey::from_bytes(raw))
}

/// `uid:0`: the user the kernel says this process belongs to.
pub fn actor() -> String {
    format!("uid:{}", rustix::process::getuid().as_raw())
}
