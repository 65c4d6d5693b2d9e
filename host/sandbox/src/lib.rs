//! The only place that names wasmtime: engine, limits, the host side of each WIT interface, the
//! worker process and its walls, and the protocol between worker and host.
//!
//! `unsafe` is denied here and expected at two spots: `code.rs` (deserializing machine code is
//! unsafe because wrong bytes are native code; the host checked their seal first) and
//! `walls/descriptors.rs` (closing descriptors nobody in this process owns).
#![deny(unsafe_code)]

mod bounds;
mod checks;
mod child;
mod code;
mod compile;
mod ctx;
mod doctor;
mod engine;
mod fail;
mod frame;
mod guest;
mod instances;
mod interface;
mod protocol;
mod recount;
mod seal;
mod session;
mod walls;
mod wire;
mod worker;

pub use checks::Checks;
pub use compile::{COMPONENT_MAX_BYTES, CompileError, compile, compile_main};
pub use doctor::{landlock_abi, seccomp_available};
pub use engine::cache_key;
pub use fail::{Fail, FailEnd};
pub use frame::FRAME_MAX_BYTES;
#[doc(hidden)]
pub use instances::{InstanceTimes, time_instances};
pub use protocol::{
    Answer, AppliedAction, Ask, Assignment, Broker, Ended, Entry, InUsePairs, Launch, Outcome,
    ParamSheet, Proposal, RootAt, StateAnswer, StateAsk, Stop, StoreFigures, Told, Tried,
};
pub use recount::CALLS_KEPT;
pub use seal::{SealError, seal, unseal};
pub use session::look;
pub use worker::{worker_main, worker_main_with_probe};
