//! How long loading code and making instances of it takes: what the bench cannot see from outside
//! of a worker.

use crate::code;
use crate::ctx::{Ctx, Opened};
use crate::engine::engine;
use crate::guest::{bounded, prepare};
use crate::protocol::Assignment;
use crate::wire::Wire;
use std::fs::File;
use std::time::{Duration, Instant};

/// What [`time_instances`] measured.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct InstanceTimes {
    /// The engine, once in a process.
    pub engine: Duration,
    /// Machine code from its sealed file.
    pub load: Duration,
    /// Holding it against the contract.
    pub prepare: Duration,
    /// A fresh store with all its bounds, an instance in it, and the end of both; in order.
    pub instances: Vec<Duration>,
}

/// Makes `rounds` instances of sealed code as a worker makes its one, in this process and without
/// walls, and calls nothing in them. Only for code that is known.
#[doc(hidden)]
pub fn time_instances(
    sealed: &File,
    assignment: &Assignment,
    rounds: usize,
) -> Result<InstanceTimes, String> {
    let began = Instant::now();
    let engine = engine(false).map_err(|e| format!("{e:#}"))?;
    let engine_took = began.elapsed();
    let began = Instant::now();
    let component = code::load(&engine, sealed).map_err(|e| e.to_string())?;
    let load = began.elapsed();
    let began = Instant::now();
    let prepared = prepare(&engine, &component).map_err(|e| format!("{e:#}"))?;
    let prepare = began.elapsed();
    let mut instances = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let assignment = assignment.clone();
        let began = Instant::now();
        let fuel = assignment.limits.fuel;
        let ctx = Ctx::new(assignment, Wire::new(), Opened::new(), Opened::new());
        let mut store = bounded(&engine, ctx);
        store
            .set_fuel(fuel)
            .and_then(|()| prepared.instantiate(&mut store))
            .map_err(|e| format!("{e:#}"))?;
        drop(store);
        instances.push(began.elapsed());
    }
    instances.sort();
    Ok(InstanceTimes {
        engine: engine_took,
        load,
        prepare,
        instances,
    })
}
