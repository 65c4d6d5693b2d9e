//! How this program starts itself, as a worker, as a compiler, or to look at a node for somebody, and
//! how it starts the puller: the one door to child processes.

use crate::error::{Error, Result};
use keepwell_model::id::Digest;
use keepwell_model::units::Span;
use keepwell_sandbox::{Answer, Ask};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Hidden first argument of a worker process.
pub const WORKER: &str = "__worker";
/// The program that reaches the network.
const PULLER: &str = "keepwell-pull";
/// Hidden first argument of a compiling process.
pub const COMPILE: &str = "__compile";

/// Describing itself is printing a page; who needs longer does something else.
const DESCRIBE_CPU: Span = Span::secs(2);
/// The same on a machine that is busy.
const DESCRIBE_WALL: Span = Span::secs(10);

/// A component's own words in an error: some lines of them.
const TOLD_MAX_BYTES: usize = 1_000;

/// This program's own file.
pub fn program() -> Result<PathBuf> {
    // The path of the running file, not the name it was called by: it stays right when the
    // file on disk is replaced during an upgrade.
    Ok(PathBuf::from("/proc/self/exe"))
}

/// Machine code of a component, made in a child process with limits.
pub fn compile(component: &[u8]) -> Result<Vec<u8>> {
    keepwell_sandbox::compile(&program()?, &[COMPILE], component).map_err(|e| {
        Error::failed(format!(
            "cannot compile the component: {}",
            crate::error::chain(&e)
        ))
    })
}

/// The manifest of compiled code, from a worker that holds no capability and tells nobody.
pub fn describe(code: &[u8]) -> Result<String> {
    use keepwell_model::limits::Limits;
    use keepwell_sandbox::{Assignment, Launch, Outcome};
    let file = in_memory(&keepwell_sandbox::seal(code, &[0; 32], Digest::of(b"")))
        .map_err(|e| Error::failed(format!("cannot hand code to a worker: {e}")))?;
    let limits = Limits {
        cpu: DESCRIBE_CPU,
        wall: DESCRIBE_WALL,
        ..Limits::default()
    };
    let assignment = Assignment::describe(limits, false);
    let program = program()?;
    let launch = Launch {
        program: &program,
        args: &[WORKER],
        code: file,
        assignment: &assignment,
    };
    let ended = keepwell_sandbox::look(
        launch,
        &mut Nobody,
        &std::sync::atomic::AtomicBool::new(false),
    );
    match ended.outcome {
        Outcome::Described(json) => Ok(json),
        other => Err(Error::failed(format!(
            "the component does not describe itself: {}",
            why(&other)
        ))
        .hint("`keepwell plugin test DIR` runs its tests and shows where it stops")),
    }
}

/// What came instead of a manifest.
fn why(outcome: &keepwell_sandbox::Outcome) -> String {
    use keepwell_model::words::{Failure, printable};
    use keepwell_sandbox::Outcome;
    match outcome {
        Outcome::Described(_) | Outcome::Summarized(_) => "it ran a task instead".into(),
        Outcome::Failed(Failure::Transient(why) | Failure::Permanent(why)) => {
            format!("it failed: {}", printable(why, TOLD_MAX_BYTES))
        }
        Outcome::Failed(Failure::Refused(refusal)) => {
            format!(
                "it was refused: {}",
                printable(&refusal.message, TOLD_MAX_BYTES)
            )
        }
        Outcome::Limited { limit, detail } => {
            format!("it crossed limit `{}`: {detail}", limit.as_str())
        }
        Outcome::Trapped { message } => {
            format!("it trapped: {}", printable(message, TOLD_MAX_BYTES))
        }
        Outcome::Cancelled => "it was cancelled".into(),
        Outcome::Died { detail } => format!("its worker ended: {detail}"),
        Outcome::Unwalled { detail } => format!("a wall does not stand: {detail}"),
    }
}

/// Most that a look may print: some ten thousand rows.
const LOOK_MAX_BYTES: u64 = 4 << 20;
/// Longest that a look may take. Whoever waits longer has asked for too much.
const LOOK_WITHIN: Duration = Duration::from_secs(30);
/// Longest that the puller may take: metadata and one bundle over a slow line.
const PULL_WITHIN: Duration = Duration::from_secs(3_600);
/// How often it is looked whether a look has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a look printed.
#[derive(Debug)]
pub struct Printed {
    pub out: String,
    pub err: String,
    /// `None`: a signal ended it.
    pub code: Option<i32>,
}

/// This program with `words` on the node at `dir`, in a process that ends with what it may print or
/// take at the latest.
pub fn look(dir: &Path, words: &[String]) -> Result<Printed> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where processes are started"
    )]
    let mut command = Command::new(program()?);
    command
        .arg("--node")
        .arg(dir)
        .args(words)
        .env_clear()
        .env("NO_COLOR", "1");
    collect(
        &mut command,
        LOOK_WITHIN,
        "ask for less: `--limit`, `--task` and `--since` narrow it",
    )
}

/// The puller in the folder that is its own, with an empty environment. It puts its walls up itself.
pub fn pull(dir: &Path, args: &[OsString]) -> Result<Printed> {
    let puller = beside(PULLER)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where processes are started"
    )]
    let mut command = Command::new(&puller);
    command.args(args).env_clear().current_dir(dir);
    collect(
        &mut command,
        PULL_WITHIN,
        "name the plugin, or a part of its name",
    )
    .map_err(|e| match puller.exists() {
        true => e,
        false => Error::failed(format!("{} is not there", puller.display()))
            .hint("`keepwell-pull` comes with Keepwell and lies beside it"),
    })
}

/// A program in the folder of this one.
fn beside(name: &str) -> Result<PathBuf> {
    let path = std::fs::read_link("/proc/self/exe")
        .map_err(|e| Error::failed(format!("this program does not know where it lies: {e}")))?;
    Ok(path.with_file_name(name))
}

/// Runs it to its end and keeps what it prints, both within bounds.
fn collect(command: &mut Command, within: Duration, less: &str) -> Result<Printed> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let failed = |e: std::io::Error| Error::failed(format!("cannot look: {e}"));
    let mut child = command.spawn().map_err(failed)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (code, out, err) = std::thread::scope(|scope| {
        let out = scope.spawn(|| read_up_to(out));
        let err = scope.spawn(|| read_up_to(err));
        let code = wait(&mut child, within);
        let read = |it: std::thread::ScopedJoinHandle<'_, std::io::Result<Vec<u8>>>| {
            it.join().unwrap_or_else(|_| Ok(vec![])).map_err(failed)
        };
        Ok::<_, Error>((code, read(out)?, read(err)?))
    })?;
    if out.len() as u64 > LOOK_MAX_BYTES || err.len() as u64 > LOOK_MAX_BYTES {
        return Err(Error::usage(format!("it prints more than {LOOK_MAX_BYTES} bytes")).hint(less));
    }
    let code = code.map_err(failed)?.ok_or_else(|| {
        let within = within.as_secs();
        Error::not_now(format!("looking took longer than {within} s")).hint(less)
    })?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Printed {
        out: text(out),
        err: text(err),
        code: code.code(),
    })
}

/// One byte more than is allowed tells that there was more.
fn read_up_to(from: Option<impl Read>) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    if let Some(from) = from {
        from.take(LOOK_MAX_BYTES + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Its end; `None` when it had to be ended. Who reads no further closes the pipe and so ends it too.
fn wait(child: &mut Child, within: Duration) -> std::io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() >= within {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Answers nothing; a task that describes itself asks for nothing.
struct Nobody;

impl keepwell_sandbox::Broker for Nobody {
    fn told(&mut self, _: keepwell_sandbox::Told) -> Result<(), keepwell_sandbox::Stop> {
        Ok(())
    }
    fn ask(&mut self, ask: Ask) -> Answer {
        let no = keepwell_model::words::Refusal::denied("nothing is granted while describing");
        match ask {
            Ask::Rest => Answer::Rest(0),
            Ask::Cpu => Answer::Cpu(Err(no)),
            Ask::Memory => Answer::Memory(Err(no)),
            Ask::Pressure(_) => Answer::Pressure(Err(no)),
            Ask::Mounts => Answer::Mounts(Err(no)),
            Ask::Networks => Answer::Networks(Err(no)),
            Ask::Processes { .. } => Answer::Processes(Err(no)),
            Ask::InUse => Answer::InUse(Err(no)),
            Ask::Remembered { .. } => Answer::Remembered(Err(no)),
            Ask::StoreFigures { .. } => Answer::StoreFigures(Err(no)),
            Ask::Propose { .. } => Answer::Proposed(Err(no)),
            Ask::ProposeTree { .. } => Answer::ProposedTree(Err(no)),
            Ask::Param { .. } => Answer::Param(Err(no)),
            Ask::ProposeConfig { .. } => Answer::ProposedConfig(Err(no)),
            Ask::State(_) => Answer::State(Err(no)),
        }
    }
}

/// A file that has no name and lives in memory: freshly compiled code never touches a disk
/// before its bundle is accepted.
fn in_memory(bytes: &[u8]) -> std::io::Result<std::fs::File> {
    use std::io::{Seek as _, Write as _};
    let fd = rustix::fs::memfd_create("code", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}
