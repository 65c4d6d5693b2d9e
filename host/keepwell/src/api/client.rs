//! The command line's end of the socket.

use super::frame::{Frame, read_line};
use super::{Answer, Request};
use crate::error::{Error, Result};
use crate::node_dir::{NodeDir, Socket};
use crate::pipeline::{Brake, Observer};
use std::io::{BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a waiting client looks whether its person wants to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A connection to the daemon of a node.
#[derive(Debug)]
pub struct Client(UnixStream);

impl Client {
    /// `None` when no daemon listens; then the node is free to be opened here. At a socket that was
    /// named there must be one.
    pub fn connect(dir: &NodeDir) -> Result<Option<Self>> {
        if let Some(file) = dir.elsewhere() {
            let stream = UnixStream::connect(Socket::beside(file)?.path());
            return stream.map(|s| Some(Self(s))).map_err(|e| {
                Error::io("connect to", file, &e)
                    .hint("`[daemon] socket` in keepwell.toml says where a daemon listens")
            });
        }
        let socket = dir.socket()?;
        match UnixStream::connect(socket.path()) {
            Ok(stream) => Ok(Some(Self(stream))),
            // Nobody there, or what a daemon that was killed left behind.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(e) => Err(Error::io("connect to", &dir.socket_file(), &e)),
        }
    }

    /// Sends one request and shows what comes until its answer.
    pub fn ask(
        mut self,
        request: &Request,
        observer: &mut dyn Observer,
        brake: &Brake,
    ) -> Result<Answer> {
        let lost = |e: std::io::Error| Error::failed(format!("the daemon went away: {e}"));
        let request = serde_json::json!({ "request": request });
        let mut line = request.to_string().into_bytes();
        line.push(b'\n');
        let written = self.0.write_all(&line);
        let mut lines = BufReader::new(self.0.try_clone().map_err(lost)?);
        if let Err(e) = written {
            // Who is turned away unheard finds the reason all the same.
            let said = listen(&mut lines, observer);
            return said.and(Err(lost(e)));
        }
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| pass_on_stop(&self.0, brake, &over));
            let answer = listen(&mut lines, observer);
            over.store(true, Ordering::Relaxed);
            answer
        })
    }
}

/// Ctrl-C on this side stops the run on the other.
fn pass_on_stop(mut stream: &UnixStream, brake: &Brake, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        if brake.is_pulled() {
            // A daemon that is gone has stopped already; the reader will say so.
            let _ = stream.write_all(&Frame::Stop.line());
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn listen(lines: &mut BufReader<UnixStream>, observer: &mut dyn Observer) -> Result<Answer> {
    while let Some(line) = read_line(lines)? {
        match Frame::parse(&line)? {
            Frame::Record(record) => observer.record(&record),
            Frame::Progress(progress) => observer.progress(&progress),
            Frame::Answer(answer) => return Ok(*answer),
            Frame::Error(error) => return Err(error.into()),
            Frame::Request(_) | Frame::Stop => {
                return Err(Error::failed("the daemon asked instead of answering"));
            }
        }
    }
    Err(Error::new(
        keepwell_model::state::Exit::Interrupted,
        "the daemon ended before it answered",
    )
    .hint("`keepwell runs list` shows what became of the run; it can be resumed"))
}
