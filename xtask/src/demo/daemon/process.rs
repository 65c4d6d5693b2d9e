//! The daemon as a child whose talk is shown line by line while it happens.

use super::super::stage::Stage;
use crate::error::{Error, Result};
use crate::step::{command, expect_success};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// It takes far less; this is for a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Ended in order, or killed when the demo fails before.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    said: Receiver<String>,
    heard: Vec<String>,
}

impl Daemon {
    /// Starts it and waits until it serves.
    pub(super) fn start(stage: &Stage) -> Result<Self> {
        println!("\n$ keepwell daemon &");
        let start = |source| Error::Start {
            program: stage.keepwell().display().to_string(),
            source,
        };
        let mut child = stage
            .command(&["daemon"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        let err = child.stderr.take();
        let (tell, said) = channel();
        std::thread::spawn(move || {
            let lines = err.into_iter().flat_map(lines_of);
            for line in lines {
                println!("  | {}", short(&line));
                // The demo may have stopped listening; the lines are shown all the same.
                let _ = tell.send(line);
            }
        });
        let mut daemon = Self {
            child,
            said,
            heard: vec![],
        };
        daemon.says("ready", READY_WITHIN)?;
        Ok(daemon)
    }

    /// Waits until it says so, now or since it was heard last.
    pub(super) fn says(&mut self, words: &str, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.said.recv_timeout(left) else {
                return Err(Error::Unexpected(format!(
                    "the daemon did not say `{words}` within {} s",
                    within.as_secs()
                )));
            };
            let hit = line.contains(words);
            self.heard.push(line);
            if hit {
                return Ok(());
            }
        }
    }

    /// Tells it to end, as a service manager does, and waits until it has.
    pub(super) fn end(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        println!("\n$ kill -TERM {pid}");
        expect_success(command("kill").args(["-TERM", &pid]))?;
        let status = self.child.wait().map_err(|source| Error::Start {
            program: "keepwell daemon".into(),
            source,
        })?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Unexpected(format!("the daemon ended with {status}")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(err: ChildStderr) -> impl Iterator<Item = String> {
    BufReader::new(err).lines().map_while(std::io::Result::ok)
}

/// `2026-11-24T23:44:00.123Z  INFO slot is due` as `23:44:00 slot is due`; a level that is not the
/// usual one stays.
fn short(line: &str) -> String {
    let parts = || {
        let (stamp, rest) = line.split_once(char::is_whitespace)?;
        let time = stamp.split_once('T')?.1.get(..8)?;
        let rest = rest.trim_start();
        Some(format!(
            "{time} {}",
            rest.strip_prefix("INFO ").unwrap_or(rest)
        ))
    };
    parts().unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn lines_are_shortened_and_odd_ones_shown_whole() {
        let line = "2026-11-24T23:44:00.123456Z  INFO slot is due schedule=\"a\"";
        assert_eq!(short(line), "23:44:00 slot is due schedule=\"a\"");
        let line = "2026-11-24T23:44:00.123456Z  WARN missed 2 slots";
        assert_eq!(short(line), "23:44:00 WARN missed 2 slots");
        for odd in ["", "x", "a b", "Tx y"] {
            assert_eq!(short(odd), odd);
        }
    }
}
