//! An opened node: its lock, configuration, trust, keys and journal.

use crate::clock::{Clock, Steps};
use crate::config::Problem;
use crate::config::{Config, load};
use crate::error::{Error, Result};
use crate::node_dir::{NodeDir, NodeLock};
use crate::pipeline::InHand;
use crate::plugins;
use keepwell_bundle::{Approvers, Trust};
use keepwell_journal::measurements::{Measurements, TaskStates};
use keepwell_journal::{Journal, NodeKey, Reader};
use keepwell_model::clock::Doubt;
use keepwell_model::event::{Event, Record};
use keepwell_model::id::RunId;
use keepwell_model::role::{Peer, Roles};
use keepwell_node::accounts::System;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Held by one process at a time. Clones share the lock and the journal; each keeps the
/// configuration it was made with, so that a reload changes nothing under a run.
#[derive(Debug, Clone)]
pub struct Node {
    pub dir: NodeDir,
    pub config: Arc<Config>,
    pub trust: Arc<Trust>,
    pub approvers: Arc<Approvers>,
    pub roles: Arc<Roles>,
    pub key: NodeKey,
    pub journal: Journal,
    pub clock: Clock,
    /// Steps of that clock.
    pub steps: Steps,
    /// For whom this process acts, as the journal names them.
    pub actor: String,
    /// The same as the kernel knows them; `None`: for itself, by schedule.
    pub caller: Option<Peer>,
    pub(crate) measured: Arc<Mutex<Option<Measurements>>>,
    pub(crate) states: Arc<Mutex<Option<TaskStates>>>,
    /// Runs whose end the journal could not take; told when it can again.
    pub cut_off: Arc<Mutex<Vec<RunId>>>,
    /// Held while parameters are changed, confirmed or taken back.
    pub changes: Arc<Mutex<()>>,
    /// Held while a window is extended: each extension counts what the others gave.
    pub windows: Arc<Mutex<()>>,
    /// Held while the installed plugins change.
    pub plugins: Arc<Mutex<()>>,
    /// Runs that are under way.
    pub in_hand: InHand,
    /// Held while an answer to a request for approval is taken in, and while a plan is let through.
    pub answers: Arc<Mutex<()>>,
    /// What a rehearsal puts in place of the machine. No other node has it.
    pub(crate) rehearsed: Option<crate::pipeline::Rehearsed>,
    _lock: Arc<NodeLock>,
}

impl Node {
    /// Takes the lock and opens the journal. Verbs open a node by `pipeline::open`.
    pub fn open(dir: NodeDir) -> Result<Self> {
        dir.must_exist()?;
        let lock = dir.lock()?;
        let config = load(&dir)?;
        let trust = plugins::trust(&dir)?;
        let approvers = approvers(&dir)?;
        let roles = resolve_roles(&dir, &config)?;
        let key = read_key(&dir.node_key())?;
        let journal = Journal::open(&dir.state(), &key)?;
        Ok(Self {
            dir,
            config: Arc::new(config),
            trust: Arc::new(trust),
            approvers: Arc::new(approvers),
            roles: Arc::new(roles),
            key,
            journal,
            clock: Clock::system(),
            steps: Steps::default(),
            actor: actor(),
            caller: Some(own_peer()),
            measured: Arc::default(),
            states: Arc::default(),
            cut_off: Arc::default(),
            changes: Arc::default(),
            windows: Arc::default(),
            plugins: Arc::default(),
            in_hand: InHand::default(),
            answers: Arc::default(),
            rehearsed: None,
            _lock: Arc::new(lock),
        })
    }

    /// The same node, acting for somebody at the socket.
    #[must_use]
    pub fn acting_for(&self, caller: Peer) -> Self {
        Self {
            actor: format!("uid:{}", caller.uid),
            caller: Some(caller),
            ..self.clone()
        }
    }

    /// The same node, acting for itself.
    #[must_use]
    pub fn acting_alone(&self) -> Self {
        Self {
            actor: "host".into(),
            caller: None,
            ..self.clone()
        }
    }

    /// Reads trust and configuration again. A trust file that can be read holds from now on, whatever
    /// else is wrong: a key that was revoked must not stay because a task's file has a mistake, or
    /// because that task's plugin is what was revoked. Of the rest what is bad is told and changes
    /// nothing.
    pub fn reload(&mut self) -> Result<()> {
        self.reload_trust()?;
        let config = load(&self.dir)?;
        let problems = crate::config::check_all(&self.dir, &config, &self.trust);
        if !problems.is_empty() {
            return Err(crate::config::bad(problems));
        }
        let approvers = approvers(&self.dir)?;
        let roles = resolve_roles(&self.dir, &config)?;
        self.config = Arc::new(config);
        self.approvers = Arc::new(approvers);
        self.roles = Arc::new(roles);
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

    /// An installed plugin that the trust file admits now.
    pub fn plugin(&self, wanted: &str) -> Result<plugins::Installed> {
        plugins::open(&self.dir, &self.trust, self.latest_ms()?, wanted)
    }

    /// The time by which keys end: never earlier than what the journal has seen.
    pub fn latest_ms(&self) -> Result<u64> {
        let newest = self.reader()?.newest_ms()?.unwrap_or_default();
        Ok(self.clock.now_ms().max(newest))
    }

    /// Why this machine's clock cannot be believed.
    pub fn clock_doubt(&self) -> Result<Option<Doubt>> {
        let newest_ms = self.reader()?.newest_ms()?;
        Ok(crate::clock::facts(&self.clock, &self.steps, newest_ms).doubt())
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
    dir.must_exist()?;
    Ok(Reader::open(&dir.state())?)
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

/// Whose keys may answer for this node; without the file, nobody's.
pub fn approvers(dir: &NodeDir) -> Result<Approvers> {
    let path = dir.approvers_file();
    if !path.exists() {
        return Ok(Approvers::default());
    }
    let text = crate::config::read_text(&path)?;
    Approvers::parse(&text)
        .map_err(|e| crate::config::bad_file(&path, &text, &crate::error::chain(&e), e.span()))
}

/// `[roles]` by number. Whoever owns the directory holds every role.
fn resolve_roles(dir: &NodeDir, config: &Config) -> Result<Roles> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::metadata(dir.path()).map_err(|e| Error::io("read", dir.path(), &e))?;
    let roles = config.node.roles.resolve(owner.uid(), &System);
    roles.map_err(|e| {
        let problem = Problem::new(&config.path, &config.text, e.to_string()).at("roles");
        crate::config::bad(vec![problem])
    })
}

/// This process, as the kernel would name it at the other end of a socket.
fn own_peer() -> Peer {
    let groups = rustix::process::getgroups().unwrap_or_default();
    let own = std::iter::once(rustix::process::getgid());
    Peer {
        uid: rustix::process::getuid().as_raw(),
        gids: groups
            .into_iter()
            .chain(own)
            .map(rustix::fs::Gid::as_raw)
            .collect(),
    }
}

/// `uid:0`: the user the kernel says this process belongs to.
pub fn actor() -> String {
    format!("uid:{}", rustix::process::getuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_dir::write_file;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Keys end by the latest time that is known, and not by a clock that somebody has turned back.
    #[test]
    fn a_clock_that_is_set_back_lets_no_ended_key_in() {
        const TEN_YEARS_MS: u64 = 10 * 365 * 86_400_000;
        let scratch = tempfile::tempdir().unwrap();
        let dir = NodeDir::new(scratch.path().join("node"));
        dir.create().unwrap();
        write_file(&dir.config_file(), b"[node]\nname = \"n\"\n", 0o644).unwrap();
        let key = NodeKey::generate([7; 32]);
        let hex = data_encoding::HEXLOWER.encode(&key.to_bytes());
        write_file(&dir.node_key(), hex.as_bytes(), 0o600).unwrap();
        drop(Journal::create(&dir.state(), "n/test", &key).unwrap());
        let today = 1_800_000_000_000;
        let hand = Arc::new(AtomicU64::new(today));
        let mut node = Node::open(dir).unwrap();
        node.clock = Clock::set_by(&hand);
        let entry = node.record(None, Event::DaemonEnded);
        node.journal.commit(entry).unwrap();
        hand.store(today - TEN_YEARS_MS, Ordering::Relaxed);
        assert_eq!(node.latest_ms().unwrap(), today);
        assert!(plugins::latest_ms(&node.dir) >= today);
        hand.store(today + 5, Ordering::Relaxed);
        assert_eq!(node.latest_ms().unwrap(), today + 5);
    }
}
