//! The door to child processes: starting one with nothing but what it is given.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a child is looked at that is about to end.
const GLANCE: Duration = Duration::from_millis(1);

/// A child that does not outlive this value.
#[derive(Debug)]
pub(crate) struct OwnChild(pub(crate) Child);

/// Starts `program` with an empty environment, in `/`, with these three descriptors and no other.
pub(crate) fn start(
    program: &Path,
    args: &[&str],
    stdin: Stdio,
    stdout: Stdio,
) -> std::io::Result<OwnChild> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this room starts the worker and the compiler"
    )]
    let mut command = Command::new(program);
    command.args(args).env_clear().current_dir("/");
    command.stdin(stdin).stdout(stdout).stderr(Stdio::piped());
    command.spawn().map(OwnChild)
}

/// As [`start`], with a socket as stdout.
pub(crate) fn start_on_socket(
    program: &Path,
    args: &[&str],
    stdin: Stdio,
    socket: OwnedFd,
) -> std::io::Result<OwnChild> {
    start(program, args, stdin, Stdio::from(socket))
}

impl OwnChild {
    /// Waits for it to end by itself, until then at most.
    pub(crate) fn ends_before(&mut self, until: Instant) -> bool {
        while Instant::now() < until {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(GLANCE);
        }
        false
    }

    /// Ends it, if it has not ended, and says how.
    pub(crate) fn end(&mut self) -> Option<ExitStatus> {
        // Fails only when it has ended already; then waiting gives its status.
        let _ = self.0.kill();
        self.0.wait().ok()
    }

    /// Peak resident memory so far, in bytes; 0 when the kernel does not say.
    pub(crate) fn peak_bytes(&self) -> u64 {
        peak_bytes(
            &Path::new("/proc")
                .join(self.0.id().to_string())
                .join("status"),
        )
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        self.end();
    }
}

fn peak_bytes(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    peak_in(&text)
}

/// `VmHWM: 12345 kB` of proc_pid_status(5).
pub(crate) fn peak_in(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// How a process ended, in words.
pub(crate) fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.signal(), status.code()) {
        (Some(libc::SIGSYS), _) => {
            "it made a forbidden system call and was killed (SIGSYS)".to_owned()
        }
        (Some(libc::SIGKILL), _) => "it was killed (SIGKILL)".to_owned(),
        (Some(libc::SIGABRT), _) => "it aborted (SIGABRT)".to_owned(),
        (Some(libc::SIGSEGV), _) => "it touched memory it may not (SIGSEGV)".to_owned(),
        (Some(libc::SIGXCPU), _) => "it used up its CPU time (SIGXCPU)".to_owned(),
        (Some(signal), _) => format!("it was killed by signal {signal}"),
        (None, Some(code)) => format!("it ended with code {code}"),
        (None, None) => "it ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn peak_memory_is_read_from_status() {
        assert_eq!(
            super::peak_in("VmPeak:\t 9 kB\nVmHWM:\t    12 kB\nVmRSS:\t 3 kB\n"),
            12 << 10
        );
        assert_eq!(super::peak_in("nothing"), 0);
        assert!(super::peak_bytes(std::path::Path::new("/proc/self/status")) > 0);
    }
}
