//! The daemon: holds the node, serves its socket, runs what is due, and ends in order.

mod asked;
mod door;
mod going_on;
mod looking;
mod running;
mod scheduler;
mod serve;
mod set;
mod shared;
mod signals;
#[cfg(test)]
mod simulation;
mod sockets;
mod timetable;

use crate::error::{Error, Result};
use crate::node_dir::NodeDir;
use crate::pipeline;
use shared::Shared;
use std::sync::Arc;
use std::time::Duration;

/// Threads for requests and for looking at what is due. Requests take half of them at the most
/// (`door::REQUESTS_MAX`), so that no flood of them holds up a look.
const THREADS_MAX: usize = 2 * door::REQUESTS_MAX;

/// Clocks are stepped and machines sleep without telling anyone.
const SLEEP_MAX: Duration = Duration::from_millis(keepwell_model::schedule::due::SLEEP_MAX_MS);
/// How often old history is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// After a look that failed: the journal recovers by itself when there is room again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// After a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Runs until told to end by SIGTERM or SIGINT.
pub fn run(dir: NodeDir) -> Result<()> {
    let node = pipeline::open(dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS_MAX)
        .build()
        .map_err(|e| Error::failed(format!("cannot start the daemon's threads: {e}")))?;
    runtime.block_on(until_told(Arc::new(Shared::new(node.acting_alone()))))
}

async fn until_told(shared: Arc<Shared>) -> Result<()> {
    let sockets = sockets::Sockets::listen(&shared.node())?;
    let mut signals = signals::Signals::listen()?;
    shared.begun()?;
    // What watched over these was gone for a while.
    shared.take_back(&|_| true)?;
    tracing::info!(socket = %shared.node().dir.socket_file().display(), "ready");
    // Also while it ends: who asks then is told so.
    let door = tokio::spawn(accept(Arc::clone(&shared), sockets));
    let clock = tokio::spawn(keep_time(Arc::clone(&shared)));
    let house = tokio::spawn(keep_house(Arc::clone(&shared)));
    while let signals::Signal::Reload = signals.next().await {
        match shared.reload(None) {
            Ok(_) => tracing::info!("the configuration was read again"),
            Err(e) => tracing::error!("the old configuration stays: {e}"),
        }
    }
    clock.abort();
    house.abort();
    shared.running.drain();
    tracing::info!(
        "ending: no new runs; waiting for {} under way",
        shared.running.count()
    );
    loop {
        tokio::select! {
            () = shared.running.ended() => break,
            signal = signals.next() => match signal {
                signals::Signal::Reload => {}
                signals::Signal::End => {
                    tracing::warn!("told again: stopping what is under way at its next safe point");
                    shared.running.stop_all();
                }
            },
        }
    }
    door.abort();
    // Dropping the sockets takes their names away.
    let _ = door.await;
    shared.ended()
}

async fn accept(shared: Arc<Shared>, sockets: sockets::Sockets) {
    loop {
        match sockets.accept().await {
            Ok(stream) => serve::spawn(Arc::clone(&shared), stream),
            // Out of descriptors: those that are open will end.
            Err(e) => {
                tracing::warn!("cannot accept a connection: {e}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Forgets what need not be kept, a while after each start and then now and again.
async fn keep_house(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let sweeping = Arc::clone(&shared);
        let swept = tokio::task::spawn_blocking(move || {
            let ending = || sweeping.running.is_draining();
            pipeline::sweep(&sweeping.node(), &ending)
        });
        match swept.await {
            Ok(Ok(forgotten)) => tracing::debug!("{forgotten:?}"),
            Ok(Err(e)) => tracing::error!("old history was not forgotten: {e}"),
            Err(e) => tracing::error!("forgetting old history has panicked: {e}"),
        }
    }
}

/// Looks at what is due, sleeps until the next thing can be, and is woken by whoever changes it.
async fn keep_time(shared: Arc<Shared>) {
    let beginning = Arc::clone(&shared);
    let begun = tokio::task::spawn_blocking(move || going_on::after_a_crash(&beginning)).await;
    if let Ok(Err(e)) = begun {
        tracing::error!("what was cut off does not go on by itself: {e}");
    }
    loop {
        let looking = Arc::clone(&shared);
        let looked = tokio::task::spawn_blocking(move || {
            // First: it is due whatever the journal can take.
            let again = looking.take_back(&|_| false)?;
            pipeline::mark_cut_off(&looking.node())?;
            going_on::approved(&looking)?;
            let wake = looking.scheduler.look(&looking)?;
            Ok::<u64, Error>(again.map_or(wake, |again| wake.min(again)))
        });
        let now = shared.node().clock.now_ms();
        let sleep = match looked.await {
            Ok(Ok(wake)) => Duration::from_millis(wake.saturating_sub(now)).min(SLEEP_MAX),
            Ok(Err(e)) => {
                tracing::error!("nothing is started: {e}");
                LOOK_AGAIN
            }
            Err(e) => {
                tracing::error!("looking at what is due has panicked: {e}");
                LOOK_AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = shared.wake.notified() => {}
        }
    }
}
