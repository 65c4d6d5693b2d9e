//! The worker's main: walls first, then the guest.

use crate::ctx::{Ctx, Opened};
use crate::engine::engine;
use crate::frame::FrameError;
use crate::protocol::{Assignment, Finished, FromWorker, RootAt, Told};
use crate::wire::Wire;
use crate::{child, code, guest, walls};
use keepwell_model::event::Walls;
use keepwell_model::id::{RootName, StoreName};
use keepwell_model::store::StoreConfig;
use keepwell_model::words::Refusal;
use keepwell_node::root::Root;
use keepwell_node::shards::Store;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use walls::landlock::Standing;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Exit code when all was said.
const SAID: u8 = 0;
/// Exit code when the host was gone.
const ALONE: u8 = 74;

/// Runs one guest for the host at the other end of stdout; sealed code is on stdin. Call it
/// before anything else opens a file or starts a thread, and exit with what it returns.
pub fn worker_main() -> u8 {
    worker_main_with_probe(|| {})
}

/// As [`worker_main`], with something native to try once the walls stand. For tests of the walls.
#[doc(hidden)]
pub fn worker_main_with_probe(probe: impl FnOnce()) -> u8 {
    let closed = walls::close_all_others();
    let wire = Wire::new();
    let done = match closed {
        Ok(()) => work(&wire, probe),
        Err(e) => Err(Stopped::Broken(format!(
            "cannot close inherited descriptors: {e}"
        ))),
    };
    let last = match done {
        Ok(()) => return SAID,
        Err(Stopped::Alone) => return ALONE,
        Err(Stopped::Broken(detail)) => Finished::Broken { detail },
        Err(Stopped::Unwalled(detail)) => Finished::Unwalled { detail },
    };
    let usage = keepwell_model::event::Usage::default();
    match wire.send(&FromWorker::Finished {
        finished: last,
        usage,
    }) {
        Ok(()) => SAID,
        Err(_) => ALONE,
    }
}

/// Why there was no guest to speak of.
enum Stopped {
    /// The host is gone.
    Alone,
    Broken(String),
    Unwalled(String),
}

impl From<FrameError> for Stopped {
    fn from(e: FrameError) -> Self {
        match e {
            FrameError::Closed => Self::Alone,
            other => Self::Broken(format!("the channel broke: {other}")),
        }
    }
}

fn broken<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Stopped {
    move |e| Stopped::Broken(format!("{what}: {e}"))
}

fn work(wire: &Wire, probe: impl FnOnce()) -> Result<(), Stopped> {
    let assignment: Assignment = wire.receive()?;
    // Read at the end, when the walls no longer let it be opened.
    let status = File::open("/proc/self/status").ok();
    let (roots, stores, store_fds) = open_granted(&assignment);
    let reads = !assignment.storage.is_empty() || !assignment.stores.is_empty();
    let (engine, component) = load(&assignment, reads)?;
    let readable: Vec<BorrowedFd<'_>> = roots
        .values()
        .flatten()
        .map(|root| root.fd())
        .chain(store_fds.iter().map(AsFd::as_fd))
        .collect();
    let walls = raise(&assignment, &readable, component.1)?;
    drop(readable);
    drop(store_fds);
    wire.tell(Told::Ready(walls))?;
    probe();
    let ctx = Ctx::new(assignment, Wire::new(), roots, stores);
    let (finished, mut store, fuel) = guest::run(&engine, &component.0, ctx)?;
    let ctx = store.data_mut();
    if let Some(progress) = ctx.progress.last() {
        wire.tell(Told::Progressed(progress))?;
    }
    if let Some(state) = ctx.checkpoint.last() {
        wire.tell(Told::Checkpointed(state))?;
    }
    ctx.flush()?;
    ctx.tell_calls()?;
    let usage = ctx.usage(fuel, status.map_or(0, |file| peak(&file)));
    wire.send(&FromWorker::Finished { finished, usage })?;
    Ok(())
}

/// The process's bounds and privileges, then the machine code: loading needs executable memory,
/// which the last wall forbids. The flag says whether privileges were dropped.
fn load(assignment: &Assignment, reads: bool) -> Result<(Engine, (Component, bool)), Stopped> {
    let memory = assignment.limits.memory.0;
    walls::bound_resources(memory).map_err(broken("cannot bound resources"))?;
    let dropped = walls::drop_privileges(reads).map_err(broken("cannot drop privileges"))?;
    walls::bind_to_host().map_err(broken("cannot bind to the host"))?;
    let engine = engine(false).map_err(broken("cannot make the engine"))?;
    let sealed = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(broken("no code"))?;
    let component = code::load(&engine, &File::from(sealed)).map_err(broken("cannot load"))?;
    Ok((engine, (component, dropped)))
}

fn raise(
    assignment: &Assignment,
    readable: &[BorrowedFd<'_>],
    privileges_dropped: bool,
) -> Result<Walls, Stopped> {
    let required = assignment.walls_required;
    // The first reading of a clock looks up where the kernel keeps it, by a call that the wall
    // forbids.
    crate::bounds::thread_cpu();
    let landlock = match walls::landlock::restrict(readable) {
        Ok(standing) => standing,
        Err(e) if required => return Err(Stopped::Unwalled(format!("Landlock: {e}"))),
        Err(_) => Standing::Absent,
    };
    if required && !matches!(landlock, Standing::Enforced { .. }) {
        let least = walls::landlock::LEAST_ABI;
        let words = landlock.words();
        return Err(Stopped::Unwalled(format!(
            "Landlock is {words}; ABI {least} is needed"
        )));
    }
    let seccomp = match walls::seccomp::restrict() {
        Ok(()) => "enforced",
        Err(e) if required => return Err(Stopped::Unwalled(format!("seccomp: {e}"))),
        Err(_) => "absent",
    };
    Ok(Walls {
        landlock: landlock.words(),
        seccomp: seccomp.to_owned(),
        no_new_privileges: true,
        rlimits: true,
        privileges_dropped,
    })
}

type Granted = (Opened<Root>, Opened<Store>, Vec<OwnedFd>);

/// Opens what was granted. What is missing or was replaced is not an end: calls that name it are
/// refused.
fn open_granted(assignment: &Assignment) -> Granted {
    let root = |(name, at): (&RootName, &RootAt)| {
        (name.as_str().to_owned(), open_root(name, at).map(Arc::new))
    };
    let roots = assignment.storage.iter().map(root).collect();
    let (mut stores, mut fds) = (Opened::new(), Vec::new());
    for (name, config) in &assignment.stores {
        let opened = open_store(name, config).map(|(store, fd)| {
            fds.push(fd);
            Arc::new(store)
        });
        stores.insert(name.as_str().to_owned(), opened);
    }
    (roots, stores, fds)
}

fn open_root(name: &RootName, at: &RootAt) -> Result<Root, Refusal> {
    let root = Root::open(name, &at.path)?;
    if at.identity == Some(root.identity()) {
        return Ok(root);
    }
    Err(Refusal::gone(format!(
        "root `{name}` is not the directory it was when the run began"
    ))
    .hint("it was replaced or mounted over; run the task again"))
}

/// The store, and a descriptor to name it to Landlock.
fn open_store(name: &StoreName, config: &StoreConfig) -> Result<(Store, OwnedFd), Refusal> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let gone = |e: rustix::io::Errno| {
        Refusal::gone(format!(
            "cannot open store `{name}` at `{}`: {e}",
            config.path.display()
        ))
    };
    let fd = rustix::fs::openat2(CWD, &config.path, flags, Mode::empty(), resolve).map_err(gone)?;
    let named = fd.try_clone().map_err(|e| Refusal::io(e.to_string()))?;
    Ok((Store::open(config, fd)?, named))
}

/// Peak resident memory, from an open `/proc/self/status`.
fn peak(status: &File) -> u64 {
    let mut text = [0; 4096];
    let read = status.read_at(&mut text, 0).unwrap_or(0);
    child::peak_in(&String::from_utf8_lossy(&text[..read]))
}
