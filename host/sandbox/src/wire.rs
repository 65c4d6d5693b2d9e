//! The worker's end of the channel: its stdout is a socket to the host.

use crate::frame::{FrameError, HEADER_BYTES, body_length, decode, encode};
use crate::protocol::{Answer, Ask, FromWorker, ToWorker, Told};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use std::io::Stdout;
use std::os::fd::AsFd;

/// Speaks with the host, one frame at a time.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Stdout,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            socket: std::io::stdout(),
        }
    }

    pub(crate) fn send(&self, content: &FromWorker) -> Result<(), FrameError> {
        let frame = encode(content)?;
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            match rustix::io::write(self.socket.as_fd(), rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(FrameError::Closed),
                Err(e) => return Err(FrameError::Io(e)),
            }
        }
        Ok(())
    }

    pub(crate) fn tell(&self, told: Told) -> Result<(), FrameError> {
        self.send(&FromWorker::Told(told))
    }

    pub(crate) fn receive<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        let mut header = [0; HEADER_BYTES];
        self.fill(&mut header)?;
        let mut body = vec![0; body_length(header)?];
        self.fill(&mut body)?;
        decode(&body)
    }

    /// Asks and waits. Long answers come in several frames and are put together here.
    pub(crate) fn ask(&self, ask: Ask) -> Result<Answer, FrameError> {
        self.send(&FromWorker::Ask(ask))?;
        let ToWorker {
            mut answer,
            mut more,
        } = self.receive()?;
        while more {
            let next: ToWorker = self.receive()?;
            more = next.more;
            match (&mut answer, next.answer) {
                (Answer::Remembered(Ok(list)), Answer::Remembered(Ok(rest))) => list.extend(rest),
                (Answer::InUse(Ok((pairs, _))), Answer::InUse(Ok((rest, _)))) => pairs.extend(rest),
                (_, other) => answer = other,
            }
        }
        Ok(answer)
    }

    fn fill(&self, mut rest: &mut [u8]) -> Result<(), FrameError> {
        while !rest.is_empty() {
            match rustix::io::read(self.socket.as_fd(), &mut *rest) {
                Ok(0) | Err(Errno::CONNRESET) => return Err(FrameError::Closed),
                Ok(read) => rest = &mut rest[read..],
                Err(Errno::INTR) => {}
                Err(e) => return Err(FrameError::Io(e)),
            }
        }
        Ok(())
    }
}
