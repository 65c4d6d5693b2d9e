//! `wasi:io`: waiting, an input that has ended, and an output that is the log.

use super::Never;
use super::bindings::wasi::io::{error, poll, streams};
use super::cli::{Output, WRITE_MAX_BYTES};
use crate::bounds::TICK;
use crate::ctx::Ctx;
use std::time::Duration;
use wasmtime::component::Resource;

/// Something to wait for: a time since the run's begin. What is always ready waits for time zero.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Pollable(pub(super) Duration);

impl Pollable {
    const READY: Self = Self(Duration::ZERO);
}

/// Standard input: at its end from the start.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Empty;

type Streamed<T> = wasmtime::Result<Result<T, streams::StreamError>>;

impl Ctx {
    /// Sleeps until that time. The limits go on counting: a guest that waits for ever is ended by
    /// its wall limit, and the host hears of what was held back meanwhile.
    fn wait_until(&mut self, at: Duration) -> wasmtime::Result<()> {
        loop {
            self.meter.check().map_err(wasmtime::Error::new)?;
            let left = at.saturating_sub(self.meter.wall());
            if left.is_zero() {
                return Ok(());
            }
            self.flush().map_err(wasmtime::Error::new)?;
            std::thread::sleep(left.min(TICK));
        }
    }

    fn is_due(&self, at: Duration) -> bool {
        at <= self.meter.wall()
    }
}

impl error::Host for Ctx {}

impl error::HostError for Ctx {
    fn to_debug_string(&mut self, it: Resource<Never>) -> wasmtime::Result<String> {
        match *self.table.get(&it)? {}
    }

    fn drop(&mut self, it: Resource<Never>) -> wasmtime::Result<()> {
        match self.table.delete(it)? {}
    }
}

impl poll::Host for Ctx {
    fn poll(&mut self, of: Vec<Resource<Pollable>>) -> wasmtime::Result<Vec<u32>> {
        let mut times = Vec::with_capacity(of.len());
        for it in &of {
            times.push(self.table.get(it)?.0);
        }
        let Some(first) = times.iter().min() else {
            wasmtime::bail!("it polls nothing, which would never end");
        };
        self.wait_until(*first)?;
        let due = (0u32..).zip(&times).filter(|(_, at)| self.is_due(**at));
        Ok(due.map(|(index, _)| index).collect())
    }
}

impl poll::HostPollable for Ctx {
    fn ready(&mut self, it: Resource<Pollable>) -> wasmtime::Result<bool> {
        let at = self.table.get(&it)?.0;
        Ok(self.is_due(at))
    }

    fn block(&mut self, it: Resource<Pollable>) -> wasmtime::Result<()> {
        let at = self.table.get(&it)?.0;
        self.wait_until(at)
    }

    fn drop(&mut self, it: Resource<Pollable>) -> wasmtime::Result<()> {
        self.table.delete(it)?;
        Ok(())
    }
}

impl streams::Host for Ctx {}

impl streams::HostInputStream for Ctx {
    fn read(&mut self, it: Resource<Empty>, _: u64) -> Streamed<Vec<u8>> {
        let Empty = *self.table.get(&it)?;
        Ok(Err(streams::StreamError::Closed))
    }

    fn blocking_read(&mut self, it: Resource<Empty>, most: u64) -> Streamed<Vec<u8>> {
        self.read(it, most)
    }

    fn skip(&mut self, it: Resource<Empty>, _: u64) -> Streamed<u64> {
        let Empty = *self.table.get(&it)?;
        Ok(Err(streams::StreamError::Closed))
    }

    fn blocking_skip(&mut self, it: Resource<Empty>, most: u64) -> Streamed<u64> {
        self.skip(it, most)
    }

    fn subscribe(&mut self, it: Resource<Empty>) -> wasmtime::Result<Resource<Pollable>> {
        let Empty = *self.table.get(&it)?;
        Ok(self.table.push(Pollable::READY)?)
    }

    fn drop(&mut self, it: Resource<Empty>) -> wasmtime::Result<()> {
        self.table.delete(it)?;
        Ok(())
    }
}

impl streams::HostOutputStream for Ctx {
    fn check_write(&mut self, it: Resource<Output>) -> Streamed<u64> {
        self.table.get(&it)?;
        Ok(Ok(WRITE_MAX_BYTES))
    }

    fn write(&mut self, it: Resource<Output>, contents: Vec<u8>) -> Streamed<()> {
        let output = *self.table.get(&it)?;
        self.print(output, &contents)?;
        Ok(Ok(()))
    }

    fn blocking_write_and_flush(
        &mut self,
        it: Resource<Output>,
        contents: Vec<u8>,
    ) -> Streamed<()> {
        self.write(it, contents)
    }

    /// A line is told when it ends; a flush in its middle would make two of it.
    fn flush(&mut self, it: Resource<Output>) -> Streamed<()> {
        self.table.get(&it)?;
        Ok(Ok(()))
    }

    fn blocking_flush(&mut self, it: Resource<Output>) -> Streamed<()> {
        streams::HostOutputStream::flush(self, it)
    }

    fn subscribe(&mut self, it: Resource<Output>) -> wasmtime::Result<Resource<Pollable>> {
        self.table.get(&it)?;
        Ok(self.table.push(Pollable::READY)?)
    }

    fn write_zeroes(&mut self, it: Resource<Output>, len: u64) -> Streamed<()> {
        let output = *self.table.get(&it)?;
        self.print_zeroes(output, len)?;
        Ok(Ok(()))
    }

    fn blocking_write_zeroes_and_flush(&mut self, it: Resource<Output>, len: u64) -> Streamed<()> {
        self.write_zeroes(it, len)
    }

    fn splice(&mut self, it: Resource<Output>, from: Resource<Empty>, most: u64) -> Streamed<u64> {
        self.table.get(&it)?;
        streams::HostInputStream::skip(self, from, most)
    }

    fn blocking_splice(
        &mut self,
        it: Resource<Output>,
        from: Resource<Empty>,
        most: u64,
    ) -> Streamed<u64> {
        self.splice(it, from, most)
    }

    fn drop(&mut self, it: Resource<Output>) -> wasmtime::Result<()> {
        self.table.delete(it)?;
        Ok(())
    }
}
