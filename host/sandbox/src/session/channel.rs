//! The host's end of the channel: never waits longer than it may, reads no more than it must.

use crate::frame::{FrameError, HEADER_BYTES, body_length, decode};
use crate::protocol::FromWorker;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ChildStderr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How soon a cancel is noticed while the worker is silent.
const GLANCE: Duration = Duration::from_millis(20);
/// Kept of what a worker writes to stderr; the rest is read and dropped, so that it never blocks.
const COMPLAINT_MAX_BYTES: usize = 4 << 10;
const READ_BYTES: usize = 64 << 10;

/// Why nothing more will be received.
#[derive(Debug)]
pub(super) enum Broke {
    Cancelled,
    Deadline,
    Frame(FrameError),
}

impl From<FrameError> for Broke {
    fn from(e: FrameError) -> Self {
        Self::Frame(e)
    }
}

#[derive(Debug)]
pub(super) struct Channel {
    socket: OwnedFd,
    stderr: Option<ChildStderr>,
    complaint: Vec<u8>,
    received: Vec<u8>,
    /// Frames not yet sent, and how much of the first was.
    queue: VecDeque<Vec<u8>>,
    sent: usize,
    deadline: Instant,
}

impl Channel {
    /// Our end and the worker's.
    pub(super) fn pair() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
    }

    pub(super) fn new(socket: OwnedFd, stderr: Option<ChildStderr>, deadline: Instant) -> Self {
        Self {
            socket,
            stderr,
            complaint: Vec::new(),
            received: Vec::new(),
            queue: VecDeque::new(),
            sent: 0,
            deadline,
        }
    }

    /// To be sent while waiting for what comes next.
    pub(super) fn queue(&mut self, frame: Vec<u8>) {
        self.queue.push_back(frame);
    }

    /// Whether the worker has taken all that was queued.
    pub(super) fn is_sent(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next frame.
    pub(super) fn receive(&mut self, cancel: &AtomicBool) -> Result<FromWorker, Broke> {
        loop {
            if cancel.load(Ordering::Relaxed) {
                return Err(Broke::Cancelled);
            }
            if let Some(frame) = self.take_frame()? {
                return Ok(frame);
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Broke::Deadline);
            }
            self.turn(left.min(GLANCE))?;
        }
    }

    /// Waits until the worker closes its end, a while at most; what it still says is dropped.
    pub(super) fn await_close(&mut self, at_most: Duration) {
        let until = Instant::now() + at_most;
        loop {
            self.received.clear();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.turn(left.min(GLANCE)).is_err() {
                return;
            }
        }
    }

    /// What the worker wrote to stderr.
    pub(super) fn complaint(&mut self) -> String {
        self.hear_stderr();
        String::from_utf8_lossy(&self.complaint).trim().to_owned()
    }

    fn take_frame(&mut self) -> Result<Option<FromWorker>, FrameError> {
        let Some(header) = self.received.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let end = HEADER_BYTES + body_length(*header)?;
        let Some(body) = self.received.get(HEADER_BYTES..end) else {
            return Ok(None);
        };
        let frame = decode(body)?;
        self.received.drain(..end);
        Ok(Some(frame))
    }

    /// One round: waits for either side, then sends and receives what is possible.
    fn turn(&mut self, wait: Duration) -> Result<(), FrameError> {
        let (said, complained) = self.wait(wait)?;
        if complained {
            self.hear_stderr();
        }
        self.send()?;
        if said { self.hear() } else { Ok(()) }
    }

    fn wait(&self, wait: Duration) -> Result<(bool, bool), FrameError> {
        let mut interest = PollFlags::IN;
        if !self.queue.is_empty() {
            interest |= PollFlags::OUT;
        }
        let mut watched = vec![PollFd::new(&self.socket, interest)];
        if let Some(stderr) = &self.stderr {
            watched.push(PollFd::new(stderr, PollFlags::IN));
        }
        let wait = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        match poll(&mut watched, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(FrameError::Io(e)),
        }
        let ready = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        let has = |i: usize| {
            watched
                .get(i)
                .is_some_and(|w| w.revents().intersects(ready))
        };
        Ok((has(0), has(1)))
    }

    fn send(&mut self) -> Result<(), FrameError> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while let Some(frame) = self.queue.front() {
            match rustix::net::send(self.socket.as_fd(), &frame[self.sent..], flags) {
                Ok(written) => self.sent += written,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                // What it said before it went is still to be read.
                Err(Errno::PIPE | Errno::CONNRESET) => self.sent = frame.len(),
                Err(e) => return Err(FrameError::Io(e)),
            }
            if self
                .queue
                .front()
                .is_some_and(|frame| self.sent >= frame.len())
            {
                self.queue.pop_front();
                self.sent = 0;
            }
        }
        Ok(())
    }

    fn hear(&mut self) -> Result<(), FrameError> {
        let mut buffer = [0; READ_BYTES];
        match rustix::net::recv(self.socket.as_fd(), &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) | Err(Errno::CONNRESET) => Err(FrameError::Closed),
            Ok((read, _)) => {
                self.received.extend_from_slice(&buffer[..read]);
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(e) => Err(FrameError::Io(e)),
        }
    }

    /// One read, which does not block: it is only called when there is something, or at the end.
    fn hear_stderr(&mut self) {
        let Some(stderr) = &mut self.stderr else {
            return;
        };
        let mut watched = [PollFd::new(&*stderr, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if !matches!(poll(&mut watched, Some(&now)), Ok(1)) {
            return;
        }
        let mut buffer = [0; COMPLAINT_MAX_BYTES];
        match stderr.read(&mut buffer) {
            Ok(0) | Err(_) => self.stderr = None,
            Ok(read) => {
                let room = COMPLAINT_MAX_BYTES.saturating_sub(self.complaint.len());
                self.complaint.extend_from_slice(&buffer[..read.min(room)]);
            }
        }
    }
}
