//! One guest, from instantiation to its last word.

use crate::bounds::{CALL_BYTES, Crossed, TICK};
use crate::ctx::Ctx;
use crate::frame::FrameError;
use crate::interface::bindings::{self, Plugin, PluginPre, task as wit};
use crate::interface::link;
use crate::protocol::{AppliedAction, Entry, Finished};
use crate::recount::LINE_MAX_BYTES;
use keepwell_model::limits::LimitName;
use keepwell_model::words::{Failure, Status, Summary, printable};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wasmtime::component::{Component, ResourceTableError};
use wasmtime::{Engine, Store, Trap, UpdateDeadline};

/// Live resources in component tables: what the host's own table allows, and borrows beside.
const HANDLES_SPARE: usize = 256;

/// How it came out, and what it used of its fuel. An error means that the host is gone.
pub(crate) fn run(
    engine: &Engine,
    component: &Component,
    ctx: Ctx,
) -> Result<(Finished, Store<Ctx>, u64), FrameError> {
    let fuel_max = ctx.assignment.limits.fuel;
    let entry = ctx.assignment.entry.clone();
    let mut store = bounded(engine, ctx);
    let outcome = store.set_fuel(fuel_max).and_then(|()| {
        with_ticks(engine, || {
            call(&prepare(engine, component)?, &mut store, entry)
        })?
    });
    // What it printed last says best why it ended, if its line has an end or not.
    let said = store.data_mut().end_lines();
    let outcome = outcome.and_then(|finished| said.map(|()| finished));
    let fuel = fuel_max.saturating_sub(store.get_fuel().unwrap_or(0));
    let finished = match outcome {
        Ok(finished) => finished,
        Err(error) => ended_by(&error)?,
    };
    Ok((finished, store, fuel))
}

/// A component held against the whole contract: all that is left to do is to make an instance.
pub(crate) fn prepare(engine: &Engine, component: &Component) -> wasmtime::Result<PluginPre<Ctx>> {
    PluginPre::new(link(engine, component)?.instantiate_pre(component)?)
}

/// A store with every bound set, before anything is instantiated in it, so that start functions
/// are bounded too. Only its fuel is still to be given.
pub(crate) fn bounded(engine: &Engine, ctx: Ctx) -> Store<Ctx> {
    let handles = usize::try_from(ctx.assignment.limits.handles).unwrap_or(0);
    let mut store = Store::new(engine, ctx);
    store.limiter(|ctx| &mut ctx.meter);
    store.set_hostcall_fuel(CALL_BYTES);
    store.set_max_component_handles(handles + HANDLES_SPARE);
    store.epoch_deadline_callback(|store| {
        store.data().meter.check().map_err(wasmtime::Error::new)?;
        Ok(UpdateDeadline::Continue(1))
    });
    store.set_epoch_deadline(1);
    store
}

/// Runs `work` while a thread of its own turns the engine's epoch, so that the guest is looked at
/// however long it computes. The thread is not waited for: it sees within a tick that it is done,
/// and the process that ends before takes it along.
fn with_ticks<T>(engine: &Engine, work: impl FnOnce() -> T) -> wasmtime::Result<T> {
    let done = Arc::new(AtomicBool::new(false));
    let (stop, weak) = (Arc::clone(&done), engine.weak());
    // Without it nothing would ever end the guest.
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                if let Some(engine) = weak.upgrade() {
                    engine.increment_epoch();
                }
            }
        })
        .map_err(|e| wasmtime::Error::msg(format!("cannot start the clock's thread: {e}")))?;
    let result = work();
    done.store(true, Ordering::Relaxed);
    Ok(result)
}

fn call(
    prepared: &PluginPre<Ctx>,
    store: &mut Store<Ctx>,
    entry: Entry,
) -> wasmtime::Result<Finished> {
    let plugin: Plugin = prepared.instantiate(&mut *store)?;
    let task = plugin.keepwell_task_task();
    let output_max = store.data().assignment.limits.output.0;
    let result = match entry {
        Entry::Describe => {
            let text = task.call_describe(&mut *store)?;
            within(output_max, text.len())?;
            return Ok(Finished::Described(text));
        }
        Entry::Run {
            task: name,
            trigger,
        } => task.call_run(
            &mut *store,
            &wit::Request {
                task: name,
                trigger,
            },
        )?,
        Entry::Review {
            task: name,
            trigger,
            before,
            done,
            not_done,
            applied,
        } => {
            let request = wit::Request {
                task: name,
                trigger,
            };
            let applied: Vec<wit::Applied> = applied.into_iter().map(one_applied).collect();
            task.call_review(
                &mut *store,
                &request,
                &summary(before),
                done,
                not_done,
                &applied,
            )?
        }
    };
    match result {
        Ok(summary) => {
            within(output_max, summary.line.len() + summary.data.len())?;
            let status = match summary.status {
                wit::Status::Done => Status::Done,
                wit::Status::Warned => Status::Warned,
            };
            Ok(Finished::Summarized(Summary {
                status,
                line: summary.line,
                data: summary.data,
            }))
        }
        Err(failure) => Ok(Finished::Failed(failed(failure).into())),
    }
}

fn within(most: u64, bytes: usize) -> Result<(), Crossed> {
    if bytes as u64 > most {
        return Err(Crossed::new(
            LimitName::Output,
            format!("its answer has {bytes} bytes, of {most}"),
        ));
    }
    Ok(())
}

fn one_applied(applied: AppliedAction) -> wit::Applied {
    wit::Applied {
        action: applied.action,
        done: applied.done,
        detail: applied.detail,
    }
}

fn summary(summary: Summary) -> wit::Summary {
    wit::Summary {
        status: match summary.status {
            Status::Done => wit::Status::Done,
            Status::Warned => wit::Status::Warned,
        },
        line: summary.line,
        data: summary.data,
    }
}

fn failed(failure: wit::Failure) -> Failure {
    let shown = |text: String| printable(&text, LINE_MAX_BYTES);
    match failure {
        wit::Failure::Transient(why) => Failure::Transient(shown(why)),
        wit::Failure::Permanent(why) => Failure::Permanent(shown(why)),
        wit::Failure::Refused(refusal) => Failure::Refused(bindings::types::Refusal::into(refusal)),
    }
}

/// Which limit or trap ended the guest.
fn ended_by(error: &wasmtime::Error) -> Result<Finished, FrameError> {
    if let Some(crossed) = error.downcast_ref::<Crossed>() {
        return Ok(Finished::Limited {
            limit: crossed.limit,
            detail: crossed.detail.clone(),
        });
    }
    if let Some(frame) = error.downcast_ref::<FrameError>() {
        return match frame {
            FrameError::Closed => Err(FrameError::Closed),
            other => Ok(Finished::Broken {
                detail: other.to_string(),
            }),
        };
    }
    let limited = |limit, detail: &str| {
        Ok(Finished::Limited {
            limit,
            detail: detail.to_owned(),
        })
    };
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return limited(LimitName::Fuel, "it used up its instructions"),
        Some(Trap::StackOverflow) => {
            return limited(LimitName::Stack, "it called itself too deep");
        }
        _ => {}
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return limited(LimitName::Handles, "it holds too many resources");
    }
    // These have no type of their own in Wasmtime; a test for each holds the words.
    let words = format!("{error:#}");
    if words.contains("fuel allocated for hostcalls has been exhausted") {
        return limited(LimitName::Call, "one call moved too much");
    }
    if words.contains("handle limit exceeded") {
        return limited(LimitName::Handles, "it holds too many resources");
    }
    if words.contains("resource limit exceeded") {
        return limited(
            LimitName::Memory,
            "it has too many instances, memories or tables",
        );
    }
    Ok(Finished::Trapped {
        message: printable(&words, LINE_MAX_BYTES),
    })
}
