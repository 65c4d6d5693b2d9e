//! What everything in the daemon works on: the node as it is configured now, and what is under way.

use super::door::{BUNDLES_MAX, Door, REQUESTS_MAX};
use super::running::{For, NotNow, Running};
use super::scheduler::Scheduler;
use crate::api::{self, Answer, Request};
use crate::error::{Error, Result, chain};
use crate::node::Node;
use crate::pipeline::{Brake, Observer, Watch};
use keepwell_model::event::Event;
use keepwell_model::id::RunId;
use keepwell_model::role::{Peer, Role, may_use};
use keepwell_model::schedule::zone_table_version;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::{Notify, Semaphore};

#[derive(Debug)]
pub(super) struct Shared {
    node: RwLock<Node>,
    pub(super) running: Running,
    pub(super) scheduler: Scheduler,
    pub(super) door: Arc<Door>,
    /// One for each request that is worked on.
    pub(super) places: Arc<Semaphore>,
    /// One for each bundle that is read.
    pub(super) bundles: Semaphore,
    watch: Mutex<Watch>,
    /// Told when something changed that may make something due.
    pub(super) wake: Notify,
}

impl Shared {
    pub(super) fn new(node: Node) -> Self {
        Self {
            node: RwLock::new(node),
            running: Running::new(),
            scheduler: Scheduler::default(),
            door: Arc::default(),
            places: Arc::new(Semaphore::new(REQUESTS_MAX)),
            bundles: Semaphore::new(BUNDLES_MAX),
            watch: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// As it is configured now. Who holds it keeps that configuration through a reload.
    pub(super) fn node(&self) -> Node {
        let node = self.node.read().unwrap_or_else(PoisonError::into_inner);
        node.clone()
    }

    pub(super) fn begun(&self) -> Result<()> {
        let node = self.node();
        let event = Event::DaemonStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            zone_table: zone_table_version().to_owned(),
        };
        node.journal.commit(node.record(None, event))?;
        // Trust may have been narrowed while no daemon ran.
        self.enforce(&node)
    }

    /// What is revoked runs no more: it goes into quarantine, and what is under way of it stops.
    fn enforce(&self, node: &Node) -> Result<()> {
        for entry in api::enforce(node, &node.trust)? {
            tracing::error!("plugin {}@{} is in quarantine", entry.name, entry.version);
        }
        let lock = crate::plugins::lock(&node.dir)?;
        let aside = |plugin: &str| lock.find(plugin).is_some_and(|it| it.quarantined.is_some());
        let tasks = node.config.tasks.values();
        let tasks = tasks.filter(|task| aside(&task.file.plugin));
        let tasks: Vec<String> = tasks.map(|task| task.name.to_string()).collect();
        let why = "its plugin is revoked and in quarantine";
        self.running.stop_tasks(&tasks, why);
        Ok(())
    }

    /// Takes back every change of a parameter that is due. Gives when to look again.
    pub(super) fn take_back(&self, restarted: &dyn Fn(RunId) -> bool) -> Result<Option<u64>> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |what: &str| tracing::warn!("{what}");
        crate::pipeline::take_back(&self.node(), &mut watch, restarted, &told)
    }

    pub(super) fn ended(&self) -> Result<()> {
        let node = self.node();
        node.journal.commit(node.record(None, Event::DaemonEnded))?;
        node.journal.checkpoint()?;
        Ok(())
    }

    /// Reads configuration and trust again. What is bad changes nothing, is told and journaled.
    pub(super) fn reload(&self, caller: Option<Peer>) -> Result<Answer> {
        let node = self.node();
        let mut fresh = match caller {
            Some(peer) => node.acting_for(peer),
            None => node.acting_alone(),
        };
        let result = fresh.reload();
        // A trust file that could be read holds, whatever became of the rest.
        self.node
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .trust = Arc::clone(&fresh.trust);
        let enforced = self.enforce(&fresh);
        let refused = result.as_ref().err().map(|e| {
            let places = e.places.iter().map(|p| format!("{}: {p}", p.file));
            std::iter::once(e.message.clone())
                .chain(places)
                .collect::<Vec<_>>()
                .join("; ")
        });
        let record = fresh.record(None, Event::ConfigReloaded { refused });
        fresh.journal.commit(record)?;
        enforced?;
        result?;
        let tasks = fresh.config.tasks.len();
        *self.node.write().unwrap_or_else(PoisonError::into_inner) = fresh.acting_alone();
        self.wake.notify_one();
        Ok(Answer::Said(format!("read again: {tasks} tasks")))
    }

    /// Whether that user holds any role at all.
    pub(super) fn knows(&self, uid: u32) -> Result<()> {
        let peer = keepwell_node::accounts::peer(uid).map_err(|e| Error::failed(chain(&e)))?;
        let roles = &self.node().roles;
        if Role::ALL.into_iter().any(|role| roles.holds(&peer, role)) {
            return Ok(());
        }
        Err(
            Error::denied(format!("user {uid} holds no role on this node"))
                .hint("[roles] in keepwell.toml says who may do what"),
        )
    }

    /// Whether that user may send as much as a bundle.
    pub(super) fn may_install(&self, uid: u32) -> bool {
        let peer = keepwell_node::accounts::peer(uid);
        peer.is_ok_and(|peer| self.node().roles.holds(&peer, Role::PluginAdmin))
    }

    /// Who is at the other end of a socket, with every group they are in, if they may ask for that.
    pub(super) fn admit(&self, uid: u32, request: &Request) -> Result<Peer> {
        let peer = keepwell_node::accounts::peer(uid).map_err(|e| Error::failed(chain(&e)))?;
        may_use(&self.node().roles, &peer, request.verb())?;
        Ok(peer)
    }

    pub(super) fn perform(
        &self,
        caller: Peer,
        request: Request,
        observer: &mut dyn Observer,
        brake: &Brake,
    ) -> Result<Answer> {
        if request == Request::Reload {
            return self.reload(Some(caller));
        }
        if let Request::Look { words } = &request {
            return super::looking::look(&self.node().dir, words);
        }
        let task = match &request {
            Request::Run { task, .. } => Some(task.clone()),
            _ => None,
        };
        let what = For {
            task,
            ..For::default()
        };
        let _under_way = self.running.begin(what, brake).map_err(no)?;
        let changes_trust = matches!(request, Request::Trust { .. });
        let answers = matches!(
            request,
            Request::Answer { .. } | Request::Import { .. } | Request::BreakGlass { .. }
        );
        let uid = caller.uid;
        if answers {
            self.door.may_answer(uid, Instant::now())?;
        }
        let answer = api::perform(&self.node().acting_for(caller), request, observer, brake);
        if answers && answer.is_err() {
            self.door.refused(uid, Instant::now());
        }
        if changes_trust {
            let mut node = self.node.write().unwrap_or_else(PoisonError::into_inner);
            node.reload_trust()?;
            drop(node);
            self.enforce(&self.node())?;
        }
        // What was asked for is done, or not: that the journal cannot be read now changes neither.
        if let Err(e) = self.scheduler.changed(&self.node(), &self.running) {
            tracing::error!("what this changes is looked at later: {e}");
        }
        self.wake.notify_one();
        answer
    }
}

fn no(why: NotNow) -> Error {
    match why {
        NotNow::Ending => Error::not_now("the daemon is ending and begins nothing new")
            .hint("try again when it is gone or has been started again"),
        NotNow::GoesOn => Error::not_now("the run is under way"),
    }
}
