//! A daemon on a test's node, ended when the test does.

use super::node::Node;
use super::program::start;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Starting, reloading or ending takes far less; what takes longer is stuck.
const STUCK: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    said: Receiver<String>,
    socket: PathBuf,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    #[track_caller]
    pub(crate) fn on(node: &Node) -> Self {
        Self::at(&node.dir())
    }

    /// The same for a node directory that lies elsewhere.
    #[track_caller]
    pub(crate) fn at(dir: &Path) -> Self {
        let mut child = start(Some(dir), &["daemon"]);
        let (tell, said) = channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let daemon = Self {
            child,
            said,
            socket: dir.join("api.sock"),
        };
        daemon.says("ready");
        daemon
    }

    /// Waits until it says so on stderr, and gives the line.
    #[track_caller]
    pub(crate) fn says(&self, words: &str) -> String {
        let began = Instant::now();
        let mut seen = vec![];
        while began.elapsed() < STUCK {
            match self.said.recv_timeout(Duration::from_millis(200)) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => seen.push(line),
                Err(_) => {}
            }
        }
        panic!("the daemon never said `{words}`: {seen:#?}");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection as a hostile neighbour would make it.
    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(STUCK)).unwrap();
        stream
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < STUCK, "the daemon did not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// As the power going does it.
    pub(crate) fn killed(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already, as the test wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut rest = String::new();
        if std::thread::panicking()
            && let Some(mut out) = self.child.stdout.take()
        {
            let _ = out.read_to_string(&mut rest);
        }
        for line in self.said.try_iter().filter(|_| std::thread::panicking()) {
            eprintln!("daemon: {line}");
        }
    }
}
