//! Starting the program and keeping what it said, how long it took and how much it held.

use super::places::{binary, puller};
use keepwell_model::report::Report;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How often the program is looked at while it runs.
const LOOK: Duration = Duration::from_millis(2);
/// Nothing here takes so long; what does is stuck.
const STUCK: Duration = Duration::from_secs(120);

#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
    /// Most memory the program itself held, without its workers.
    pub(crate) peak_bytes: u64,
}

impl Output {
    /// It must have ended with `code`; what it said helps when it did not.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.out, self.err
        );
        self
    }

    /// All of `words` must be on stderr, whatever the line breaks between them.
    #[track_caller]
    pub(crate) fn says(&self, words: &[&str]) -> &Self {
        let flat = flat(&self.err);
        for word in words {
            assert!(flat.contains(word), "`{word}` is not said in: {}", self.err);
        }
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{e} in stdout: {}\nstderr: {}", self.out, self.err))
    }

    /// The report it printed.
    #[track_caller]
    pub(crate) fn report(&self) -> Report {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{e} in stdout: {}\nstderr: {}", self.out, self.err))
    }
}

/// Terminal wrapping undone.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The program, started and not awaited.
pub(crate) fn start<S: AsRef<OsStr>>(node: Option<&Path>, args: &[S]) -> Child {
    let mut command = alone(Command::new(binary()));
    if let Some(node) = node {
        command.arg("--node").arg(node);
    }
    command.args(args);
    command.spawn().unwrap()
}

/// It sees nothing of this machine's settings.
fn alone(mut command: Command) -> Command {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Reads what a program started with `-o jsonl` prints until it says that `kind` happened. Who
/// drops what is left of the pipe goes away while the program still speaks.
#[track_caller]
#[must_use]
pub(crate) fn wait_for(child: &mut Child, kind: &str) -> BufReader<ChildStdout> {
    let sign = format!("\"kind\":\"{kind}\"");
    let mut pipe = BufReader::new(child.stdout.take().unwrap());
    let mut seen = vec![];
    for line in pipe.by_ref().lines().map_while(Result::ok) {
        let hit = line.contains(&sign);
        seen.push(line);
        if hit {
            return pipe;
        }
    }
    panic!("it never said `{kind}`: {seen:?}");
}

/// The program from start to end.
pub(crate) fn keepwell<S: AsRef<OsStr>>(node: Option<&Path>, args: &[S]) -> Output {
    let began = Instant::now();
    finish(start(node, args), began)
}

/// The program without a node, with these settings in its environment.
pub(crate) fn keepwell_knowing(set: &[(&str, &str)], args: &[&str]) -> Output {
    let began = Instant::now();
    let mut command = alone(Command::new(binary()));
    command.envs(set.iter().copied()).args(args);
    finish(command.spawn().unwrap(), began)
}

/// The program with something in its environment.
pub(crate) fn keepwell_set(node: &Path, args: &[&str], set: &[(&str, &str)]) -> Output {
    let began = Instant::now();
    let mut command = alone(Command::new(binary()));
    command.envs(set.iter().copied());
    command.arg("--node").arg(node).args(args);
    finish(command.spawn().unwrap(), began)
}

/// The puller from start to end, as a person runs it.
pub(crate) fn pull<S: AsRef<OsStr>>(args: &[S]) -> Output {
    let began = Instant::now();
    let mut command = alone(Command::new(puller()));
    finish(command.args(args).spawn().unwrap(), began)
}

/// The program with its stdout going somewhere else.
pub(crate) fn keepwell_into(node: &Path, args: &[&str], stdout: std::fs::File) -> Output {
    let began = Instant::now();
    let mut command = alone(Command::new(binary()));
    command.arg("--node").arg(node).args(args).stdout(stdout);
    finish(command.spawn().unwrap(), began)
}

/// The program as another user, who reaches nothing of the node but that socket. Only for root.
pub(crate) fn keepwell_as(uid: u32, socket: &Path, args: &[&str]) -> Output {
    let began = Instant::now();
    let mut command = alone(Command::new("setpriv"));
    let uid = uid.to_string();
    command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--"]);
    command.arg(binary()).arg("--socket").arg(socket).args(args);
    finish(command.spawn().unwrap(), began)
}

/// The program at a terminal at which somebody types this and presses return.
pub(crate) fn keepwell_typing(node: &Path, args: &[&str], typed: &str) -> Output {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::os::unix::fs::OpenOptionsExt as _;
    let began = Instant::now();
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname(&keyboard, vec![]).unwrap().into_string().unwrap();
    let mut options = std::fs::OpenOptions::new();
    let noctty = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
    let terminal = options.read(true).write(true).custom_flags(noctty);
    let terminal = terminal.open(name).unwrap();
    let mut command = alone(Command::new(binary()));
    command.arg("--node").arg(node).args(args).stdin(terminal);
    let child = command.spawn().unwrap();
    let line = format!("{typed}\n");
    let mut keys = std::fs::File::from(keyboard);
    std::io::Write::write_all(&mut keys, line.as_bytes()).unwrap();
    finish(child, began)
}

fn finish(mut child: Child, began: Instant) -> Output {
    let out = child.stdout.take().map(drain);
    let err = drain(child.stderr.take().unwrap());
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak_bytes = 0;
    let code = loop {
        peak_bytes = peak(&status_file).unwrap_or(peak_bytes);
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().unwrap_or(-1);
        }
        if began.elapsed() > STUCK {
            let _ = child.kill();
            panic!("the program did not end within {STUCK:?}");
        }
        std::thread::sleep(LOOK);
    };
    let took = began.elapsed();
    Output {
        code,
        out: out.map_or_else(String::new, |out| out.join().unwrap()),
        err: err.join().unwrap(),
        took,
        peak_bytes,
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = vec![];
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The kernel's own high-water mark; it only grows, so the last look is the highest.
fn peak(status_file: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status_file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// A line by a shell in this folder, in which the program has its name: whether it went well, and all
/// that it printed.
pub(crate) fn command_line(line: &str, folder: &Path, program: &Path) -> (bool, String) {
    let path = std::env::var("PATH").unwrap_or_default();
    let named = program.parent().unwrap().display().to_string();
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{line}")])
        .current_dir(folder)
        .env("PATH", format!("{named}:{path}"))
        .env("NO_COLOR", "1")
        .env_remove("KEEPWELL_NODE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), printed)
}
