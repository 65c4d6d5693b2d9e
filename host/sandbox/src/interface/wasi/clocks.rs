//! `wasi:clocks`: one clock that stands still, and one that tells how long the run has taken.

use super::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use super::io::Pollable;
use crate::ctx::Ctx;
use std::time::Duration;
use wasmtime::component::Resource;

/// What the clocks count in. A finer one would only serve to look at what else the machine does.
const RESOLUTION: Duration = Duration::from_millis(1);

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Counts from the run's begin: how long the machine is up is nothing a guest need know.
impl monotonic_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<u64> {
        let resolution = nanos(RESOLUTION);
        Ok(nanos(self.meter.wall()) / resolution * resolution)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(nanos(RESOLUTION))
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<Pollable>> {
        Ok(self.table.push(Pollable(Duration::from_nanos(when)))?)
    }

    fn subscribe_duration(&mut self, when: u64) -> wasmtime::Result<Resource<Pollable>> {
        let at = self.meter.wall().saturating_add(Duration::from_nanos(when));
        Ok(self.table.push(Pollable(at))?)
    }
}

/// The run's own time, which stands still as that of `core` does: same inputs, same plan.
impl wall_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(Duration::from_millis(self.assignment.now_ms)))
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(RESOLUTION))
    }
}

const fn datetime(time: Duration) -> wall_clock::Datetime {
    wall_clock::Datetime {
        seconds: time.as_secs(),
        nanoseconds: time.subsec_nanos(),
    }
}
