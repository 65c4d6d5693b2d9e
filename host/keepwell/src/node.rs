//! An opened node: its lock, configuration, trust, keys and journal.

use crate::clock::Clock;
use crate::config::{Config, load};
use crate::error::{Error, Result};
use crate::node_dir::{NodeDir, NodeLock};
use crate::plugins;
use keepwell_bundle::Trust;
use keepwell_journal::{Journal, NodeKey, Reader};
use keepwell_model::event::{Event, Record};
use std::path::Path;
use std::sync::Arc;

/// Held by one process at a time. Clones share the lock and the journal; each keeps the
/// configuration it was made with, so that a reload changes nothing under a run.
#[derive(Debug, Clone)]
pub struct Node {
    pub dir: NodeDir,
    pub config: Arc<Config>,
    pub trust: Arc<Trust>,
    pub key: NodeKey,
    pub journal: Journal,
    pub clock: Clock,
    /// For whom this process acts, as the journal names them.
    pub actor: String,
    _lock: Arc<NodeLock>,
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
            config: Arc::new(config),
            trust: Arc::new(trust),
            key,
            journal,
            clock: Clock::system(),
            actor: actor(),
            _lock: Arc::new(lock),
        })
    }

    /// The same node, acting for somebody else.
    #[must_use]
    pub fn acting_for(&self, actor: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            ..self.clone()
        }
    }

    /// Reads configuration and trust again; what is bad is told and changes nothing.
    pub fn reload(&mut self) -> Result<()> {
        let config = load(&self.dir)?;
        let trust = plugins::trust(&self.dir)?;
        let problems = crate::config::check_all(&self.dir, &config, &trust);
        if !problems.is_empty() {
            return Err(crate::config::bad(problems));
        }
        self.config = Arc::new(config);
        self.trust = Arc::new(trust);
        Ok(())
    }

    /// Reads the trust file again, after it was changed by a request.
    pub fn reload_trust(&mut self) -> Result<()> {
        self.trust = Arc::new(plugins::trust(&self.dir)?);
        Ok(())
    }

    pub fn reader(&self) -> Result<Reader> {
        Ok(self.journal.reader()?)
    }
}

/// A record of this moment that belongs to no run.
impl Node {
    pub fn record(&self, task: Option<&str>, event: Event) -> Record {
        Record {
            at: self.clock.now_ms(),
            run: None,
            task: task.map(str::to_owned),
            actor: self.actor.clone(),
            event,
        }
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
