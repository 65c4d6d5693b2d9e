//! Running a command and watching it: wall time, and the peak memory of it and its children.

use crate::error::{Error, Result};
use crate::step::typed;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at the memory. The kernel keeps the peak, so only what grows in the last
/// moment before the end can be missed.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What a command took.
#[derive(Debug, Clone)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    /// Peak of resident memory of the process itself.
    pub(crate) own_bytes: u64,
    /// The largest peak among its children (Keepwell's workers).
    pub(crate) child_bytes: u64,
}

impl Took {
    /// Both together, as if their peaks fell on the same moment.
    pub(crate) const fn bytes(&self) -> u64 {
        self.own_bytes + self.child_bytes
    }

    pub(crate) fn mebibytes(&self) -> f64 {
        self.bytes() as f64 / f64::from(1 << 20)
    }
}

/// Runs it to the end; an exit code that is not expected is an error that shows what it said.
pub(crate) fn watch(command: &mut Command, expected: &[i32]) -> Result<Took> {
    let line = typed(command);
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| Error::Start {
            program: command.get_program().to_string_lossy().into_owned(),
            source,
        })?;
    let stderr = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        if let Some(mut stderr) = stderr {
            // What it said is only shown when it failed.
            let _ = stderr.read_to_string(&mut said);
        }
        said
    });
    let mut peaks = BTreeMap::new();
    let status = loop {
        look(child.id(), &mut peaks);
        let gone = child.try_wait().map_err(|source| Error::Start {
            program: line.clone(),
            source,
        })?;
        match gone {
            Some(status) => break status,
            None => std::thread::sleep(LOOK_EVERY),
        }
    };
    let wall = begun.elapsed();
    let said = reader.join().unwrap_or_default();
    if !status.code().is_some_and(|code| expected.contains(&code)) {
        eprint!("{said}");
        return Err(Error::Failed {
            command: line,
            status,
        });
    }
    let own_bytes = peaks.remove(&child.id()).unwrap_or_default();
    Ok(Took {
        wall,
        own_bytes,
        child_bytes: peaks.into_values().max().unwrap_or_default(),
    })
}

/// Notes the peaks of a process and of its children so far.
fn look(pid: u32, peaks: &mut BTreeMap<u32, u64>) {
    let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
    let mut note = |pid: u32| {
        if let Some(peak) = peak_bytes(&read(format!("/proc/{pid}/status"))) {
            peaks.insert(pid, peak);
        }
    };
    note(pid);
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        let children = thread.path().join("children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        children
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .for_each(&mut note);
    }
}

/// `VmHWM` of a `/proc/PID/status`; absent for a process that has ended.
fn peak_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::command;

    #[test]
    fn the_peak_is_read() {
        assert_eq!(peak_bytes("Name:\tx\nVmHWM:\t   12 kB\n"), Some(12 << 10));
        assert_eq!(peak_bytes("Name:\tx\n"), None);
    }

    #[test]
    fn a_child_is_watched_and_its_exit_code_judged() {
        let mut it = command("sh");
        it.args(["-c", "sleep 0.1; exit 3"]);
        let took = watch(&mut it, &[3]).unwrap();
        assert!(took.wall >= Duration::from_millis(100));
        assert!(took.own_bytes > 0 && took.child_bytes > 0);
        assert!(watch(&mut it, &[0]).is_err());
    }
}
