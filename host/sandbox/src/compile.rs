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

/// Largest component that is compiled, the largest that a bundle may hold. The largest plugin built
/// with the SDK has under 1 MiB; what brings an interpreter along has up to 18.
pub const COMPONENT_MAX_BYTES: usize = 24 << 20;
/// Memory the compiler may use; an ordinary component needs under 100 MiB.
const MEMORY_BYTES: u64 = 1 << 30;
/// CPU time the compiler may use for any component; an ordinary one needs under a second.
const CPU_SECONDS: u64 = 30;
/// And for each MiB of it: the interpreters of JavaScript and Python need one to two.
const CPU_SECONDS_PER_MIB: u64 = 3;
/// After so many times its CPU time on the clock the compiler is killed, whatever it waits for.
const WALL_FACTOR: u64 = 2;
/// Of what the compiler says went wrong.
const COMPLAINT_MAX_BYTES: usize = 4 << 10;

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("the component has {0} bytes, more than {COMPONENT_MAX_BYTES}")]
    TooLarge(usize),
    #[error("cannot start the compiler")]
    Start(#[source] std::io::Error),
    #[error("the compiler ran longer than {0} s and was killed")]
    TooSlow(u64),
    #[error("the compiler refused the component: {0}")]
    Refused(String),
    #[error("the compiler died: {how}; it may use {cpu_seconds} s of CPU time and 1 GiB")]
    Died { how: String, cpu_seconds: u64 },
}

/// CPU time for a component of that size: what is large may cost more, what is small may not.
const fn cpu_seconds(component_bytes: usize) -> u64 {
    CPU_SECONDS + CPU_SECONDS_PER_MIB * (component_bytes as u64 >> 20)
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
        let cpu_seconds = cpu_seconds(component.len());
        let wall_seconds = WALL_FACTOR * cpu_seconds;
        let wall = Duration::from_secs(wall_seconds);
        let until = Instant::now() + wall;
        let died = |how| Err(CompileError::Died { how, cpu_seconds });
        // The end of its output is not yet its own: one that closes the pipe and stays is killed.
        let in_time = ended.recv_timeout(wall).is_ok() && child.ends_before(until);
        let status = child.end();
        let code = code.join().unwrap_or_default();
        let complaint = complaint.join().unwrap_or_default();
        match status {
            _ if !in_time => Err(CompileError::TooSlow(wall_seconds)),
            Some(status) if status.success() && code.len() < CODE_MAX_BYTES => Ok(code),
            Some(status) if status.code() == Some(i32::from(REFUSED)) => {
                let text = String::from_utf8_lossy(&complaint);
                Err(CompileError::Refused(printable(
                    text.trim(),
                    COMPLAINT_MAX_BYTES,
                )))
            }
            Some(status) => died(in_words(status)),
            None => died("nobody knows how".to_owned()),
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
    walls::bound_compiler(MEMORY_BYTES).map_err(|e| broken(&e))?;
    walls::drop_privileges(false).map_err(|e| broken(&e))?;
    walls::bind_to_host().map_err(|e| broken(&e))?;
    // Only bytes so far: how much the compiler may cost depends on how many, and the last wall
    // forbids to set a limit.
    let component = read_component()?;
    walls::bound_cpu(cpu_seconds(component.len())).map_err(|e| broken(&e))?;
    let engine = engine(true).map_err(|e| broken(&e))?;
    // On a kernel without Landlock the other bounds hold; a compiler error then costs no more
    // than this process, and `doctor` says what is missing.
    walls::landlock::restrict(&[]).map_err(|e| broken(&e))?;
    walls::seccomp::restrict().map_err(|e| broken(&e))?;
    let code = engine
        .precompile_component(&component)
        .map_err(|e| (REFUSED, format!("{e:#}")))?;
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(&code)
        .and_then(|()| stdout.flush())
        .map_err(|e| broken(&e))
}

fn read_component() -> Result<Vec<u8>, (u8, String)> {
    let mut component = Vec::new();
    let most = COMPONENT_MAX_BYTES as u64 + 1;
    std::io::stdin()
        .lock()
        .take(most)
        .read_to_end(&mut component)
        .map_err(|e| (BROKEN, e.to_string()))?;
    if component.len() > COMPONENT_MAX_BYTES {
        return Err((REFUSED, CompileError::TooLarge(component.len()).to_string()));
    }
    Ok(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_component_may_cost_little_and_the_largest_less_than_two_minutes() {
        assert_eq!(cpu_seconds(200 << 10), CPU_SECONDS);
        assert!((80..90).contains(&cpu_seconds(18 << 20)));
        assert!(cpu_seconds(COMPONENT_MAX_BYTES) < 120);
    }
}
