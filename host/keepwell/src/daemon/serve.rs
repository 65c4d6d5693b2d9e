//! One connection: who it is, one request, its events while it is worked on, one answer.

use super::shared::Shared;
use crate::api::{Frame, LINE_MAX_BYTES, Request};
use crate::error::{Error, Result};
use crate::pipeline::{Brake, Observer};
use keepwell_model::event::Record;
use keepwell_model::role::Peer;
use keepwell_model::state::RunState;
use keepwell_model::words::Progress;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// Who connects has this long to say what it wants.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// Progress is for looking at: nobody sees more than this.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Longest line but a bundle's: settings and reasons.
const SHORT_LINE_MAX_BYTES: u64 = 128 << 10;
/// Events that wait for a reader. One that is slower misses the rest; the journal has them.
const EVENTS_WAITING: usize = 1_024;
/// Whoever reads nothing for this long has gone.
const READ_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn spawn(shared: Arc<Shared>, stream: UnixStream) {
    tokio::spawn(async move {
        if let Err(e) = serve(shared, stream).await {
            tracing::debug!("a connection ended early: {e}");
        }
    });
}

async fn serve(shared: Arc<Shared>, stream: UnixStream) -> Result<()> {
    let peer = stream
        .peer_cred()
        .map_err(|e| Error::denied(format!("the kernel does not say who connects: {e}")))?;
    let (read, mut write) = stream.into_split();
    // Before anything of theirs is read: a stranger costs us one line.
    if let Err(no) = shared.knows(peer.uid()) {
        return answer(&mut write, Err(no)).await;
    }
    let _inside = match shared.door.enter(peer.uid()) {
        Ok(inside) => inside,
        Err(no) => return answer(&mut write, Err(no)).await,
    };
    let mut lines = BufReader::new(read);
    let asked = tokio::time::timeout(REQUEST_WITHIN, first(&shared, peer.uid(), &mut lines)).await;
    let request = match asked {
        Ok(Ok(Some(Frame::Request(request)))) => request,
        Ok(Ok(Some(_))) => {
            let no = Error::usage("the first line of a connection is a request");
            return answer(&mut write, Err(no)).await;
        }
        Ok(Ok(None)) => return Ok(()),
        Ok(Err(e)) => return answer(&mut write, Err(e)).await,
        Err(_) => {
            let within = REQUEST_WITHIN.as_secs();
            let no = Error::usage(format!("no request came within {within} s"));
            return answer(&mut write, Err(no)).await;
        }
    };
    match shared.admit(peer.uid(), &request) {
        Ok(caller) => work(shared, caller, request, lines, write).await,
        Err(no) => answer(&mut write, Err(no)).await,
    }
}

/// Works on the request in a thread of its own and passes on what happens.
async fn work(
    shared: Arc<Shared>,
    caller: Peer,
    request: Request,
    lines: BufReader<OwnedReadHalf>,
    mut write: OwnedWriteHalf,
) -> Result<()> {
    let Ok(_place) = shared.places.clone().try_acquire_owned() else {
        let no = Error::not_now("the daemon works on as many requests as it can")
            .hint("try again when some have ended");
        return answer(&mut write, Err(no)).await;
    };
    let brake = Brake::default();
    let (frames, mut waiting) = mpsc::channel(EVENTS_WAITING);
    let theirs = brake.clone();
    let mut done = tokio::task::spawn_blocking(move || {
        let mut observer = ToSocket {
            frames,
            progressed: None,
        };
        shared.perform(caller, request, &mut observer, &theirs)
    });
    let listener = tokio::spawn(until_stop(lines, brake));
    let mut reads = true;
    let result = loop {
        tokio::select! {
            biased;
            Some(frame) = waiting.recv() => {
                // A reader that went away does not stop the run: it is in the journal.
                reads = reads && send(&mut write, &frame).await.is_ok();
            }
            ended = &mut done => break ended.unwrap_or_else(|e| {
                Err(Error::new(keepwell_model::state::Exit::Internal, format!("the work panicked: {e}")))
            }),
        }
    };
    listener.abort();
    while let Ok(frame) = waiting.try_recv() {
        reads = reads && send(&mut write, &frame).await.is_ok();
    }
    if !reads {
        return Err(Error::failed("who asked reads no more"));
    }
    answer(&mut write, result).await
}

/// Who asked may stop it. Who merely goes away does not.
async fn until_stop(mut lines: BufReader<OwnedReadHalf>, brake: Brake) {
    while let Ok(Some(frame)) = next(&mut lines).await {
        if matches!(frame, Frame::Stop) {
            brake.pull(RunState::Cancelled, "cancelled by who asked for it", None);
        }
    }
}

async fn answer(write: &mut OwnedWriteHalf, result: Result<crate::api::Answer>) -> Result<()> {
    let frame = match result {
        Ok(answer) => Frame::Answer(Box::new(answer)),
        Err(error) => Frame::Error(error.into()),
    };
    send(write, &frame).await
}

async fn send(write: &mut OwnedWriteHalf, frame: &Frame) -> Result<()> {
    let line = frame.line();
    match tokio::time::timeout(READ_WITHIN, write.write_all(&line)).await {
        Ok(written) => written.map_err(|e| Error::failed(format!("who asked is gone: {e}"))),
        Err(_) => Err(Error::failed(format!(
            "who asked read nothing for {} s",
            READ_WITHIN.as_secs()
        ))),
    }
}

/// The first line. One as long as a bundle is read only for who may install, a few at a time.
async fn first(
    shared: &Shared,
    uid: u32,
    lines: &mut BufReader<OwnedReadHalf>,
) -> Result<Option<Frame>> {
    let mut line = vec![];
    read_on(lines, &mut line, SHORT_LINE_MAX_BYTES).await?;
    if line.len() as u64 == SHORT_LINE_MAX_BYTES && shared.may_install(uid) {
        let _one_of_few = shared.bundles.acquire().await;
        read_on(lines, &mut line, LINE_MAX_BYTES - SHORT_LINE_MAX_BYTES).await?;
        return parse(&line);
    }
    parse(&line)
}

/// The next line; `None` at the end.
async fn next(lines: &mut BufReader<OwnedReadHalf>) -> Result<Option<Frame>> {
    let mut line = vec![];
    read_on(lines, &mut line, SHORT_LINE_MAX_BYTES).await?;
    parse(&line)
}

async fn read_on(
    lines: &mut BufReader<OwnedReadHalf>,
    line: &mut Vec<u8>,
    most: u64,
) -> Result<()> {
    let mut bounded = lines.take(most);
    let broke = |e| Error::failed(format!("the connection broke: {e}"));
    bounded.read_until(b'\n', line).await.map_err(broke)?;
    Ok(())
}

fn parse(line: &[u8]) -> Result<Option<Frame>> {
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Frame::parse(line).map(Some),
        Some(_) => Err(Error::usage(
            "a line is too long for who sends it, or has no end",
        )),
    }
}

/// Sees a run and sends what it sees.
struct ToSocket {
    frames: mpsc::Sender<Frame>,
    progressed: Option<Instant>,
}

impl Observer for ToSocket {
    fn record(&mut self, record: &Record) {
        // Nobody listening, or not fast enough, is no reason to stop or to wait.
        let _ = self
            .frames
            .try_send(Frame::Record(Box::new(record.clone())));
    }

    fn progress(&mut self, progress: &Progress) {
        if self
            .progressed
            .is_none_or(|at| at.elapsed() >= PROGRESS_EVERY)
        {
            self.progressed = Some(Instant::now());
            let _ = self.frames.try_send(Frame::Progress(progress.clone()));
        }
    }
}
