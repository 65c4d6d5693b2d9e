//! Compiling, in a child process with limits: a component may be made to cost the compiler dearly.

use crate::child::{self, in_words};
use crate::engine::engine;
use crate::seal::CODE_MAX_BYTES;
use crate::walls;
use keepwell_model::words::printable;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Largest component that is compiled. The largest plugin built with the SDK has under 1 MiB.
pub const COMPONENT_MAX_BYTES: usize = 16 << 20;
/// Memory the compiler may use; an ordinary component needs under 100 MiB.
const MEMORY_BYTES: u64 = 1 << 30;
/// CPU time the compiler may use; an ordinary component needs under a second.
const CPU_SECONDS: u64 = 30;
/// After this long on the clock the compiler is killed, whatever it waits for.
const WALL: Duration = Duration::from_secs(60);
/// Of what the compiler says went wrong.
const COMPLAINT_MAX_BYTES: usize = 4 << 10;

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("the component has {0} bytes, more than {COMPONENT_MAX_BYTES}")]
    TooLarge(usize),
    #[error("cannot start the compiler")]
    Start(#[source] std::io::Error),
    #[error("the compiler ran longer than {} s and was killed", WALL.as_secs())]
    TooSlow,
    #[error("the compiler refused the component: {0}")]
    Refused(String),
    #[error("the compiler died: {0}; it may use {CPU_SECONDS} s of CPU time and 1 GiB")]
    Died(String),
}

/// Compiles in a child: `program` with `args` must lead to [`compile_main`].
pub fn compile(program: &Path, args: &[&str], component: &[u8]) -> Result<Vec<u8>, CompileError> {
    if component.len() > COMPONENT_MAX_BYTES {
        return Err(CompileError::TooLarge(component.len()));
    }
    let mut child =
        child::start(program, args, Stdio::piped(), Stdio::piped()).map_err(CompileError::Start)?;
    let (stdin, stdout, stderr) = (
        child.0.stdin.take(),
        child.0.stdout.take(),
        child.0.stderr.take(),
    );
    std::thread::scope(|scope| {
        let (done, ended) = mpsc::channel();
        // A child that does not read fails here with a broken pipe and says why on stderr.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(component)));
        let code = scope.spawn(move || {
            let code = read_at_most(stdout, CODE_MAX_BYTES);
            // The receiver is gone only when the time was up.
            let _ = done.send(());
            code
        });
        let complaint = scope.spawn(move || read_at_most(stderr, COMPLAINT_MAX_BYTES));
        let until = Instant::now() + WALL;
        // The end of its output is not yet its own: one that closes the pipe and stays is killed.
        let in_time = ended.recv_timeout(WALL).is_ok() && child.ends_before(until);
        let status = child.end();
        let code = code.join().unwrap_or_default();
        let complaint = complaint.join().unwrap_or_default();
        match status {
            _ if !in_time => Err(CompileError::TooSlow),
            Some(status) if status.success() && code.len() < CODE_MAX_BYTES => Ok(code),
            Some(status) if status.code() == Some(i32::from(REFUSED)) => {
                let text = String::from_utf8_lossy(&complaint);
                Err(CompileError::Refused(printable(
                    text.trim(),
                    COMPLAINT_MAX_BYTES,
                )))
            }
            Some(status) => Err(CompileError::Died(in_words(status))),
            None => Err(CompileError::Died("nobody knows how".to_owned())),
        }
    })
}

fn read_at_most(pipe: Option<impl Read>, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What was read before an error is all there is; the child's status tells the rest.
        let _ = pipe.take(most as u64).read_to_end(&mut bytes);
    }
    bytes
}

/// Exit code for a component that does not compile.
const REFUSED: u8 = 65;
/// Exit code for a wall that does not stand up, or a pipe that fails.
const BROKEN: u8 = 71;

/// The compiling process: a component on stdin, machine code on stdout, what is wrong on stderr.
pub fn compile_main() -> u8 {
    match run() {
        Ok(()) => 0,
        Err((code, why)) => {
            // With stderr gone there is nobody left to tell; the exit code remains.
            let _ = writeln!(std::io::stderr(), "{why}");
            code
        }
    }
}

fn run() -> Result<(), (u8, String)> {
    let broken = |why: &dyn std::fmt::Display| (BROKEN, why.to_string());
    walls::close_all_others().map_err(|e| broken(&e))?;
    walls::bound_compiler(MEMORY_BYTES, CPU_SECONDS).map_err(|e| broken(&e))?;
    walls::drop_privileges(false).map_err(|e| broken(&e))?;
    walls::bind_to_host().map_err(|e| broken(&e))?;
    let engine = engine(true).map_err(|e| broken(&e))?;
    // On a kernel without Landlock the other bounds hold; a compiler error then costs no more
    // than this process, and `doctor` says what is missing.
    walls::landlock::restrict(&[]).map_err(|e| broken(&e))?;
    walls::seccomp::restrict().map_err(|e| broken(&e))?;
    let mut component = Vec::new();
    let most = COMPONENT_MAX_BYTES as u64 + 1;
    std::io::stdin()
        .lock()
        .take(most)
        .read_to_end(&mut component)
        .map_err(|e| broken(&e))?;
    if component.len() > COMPONENT_MAX_BYTES {
        return Err((REFUSED, CompileError::TooLarge(component.len()).to_string()));
    }
    let code = engine
        .precompile_component(&component)
        .map_err(|e| (REFUSED, format!("{e:#}")))?;
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(&code)
        .and_then(|()| stdout.flush())
        .map_err(|e| broken(&e))
}
