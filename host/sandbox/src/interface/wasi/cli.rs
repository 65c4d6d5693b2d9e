//! `wasi:cli`: nothing was handed to the guest, and what it prints are lines of the run's log.

use super::Never;
use super::bindings::wasi::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr,
    terminal_stdin, terminal_stdout,
};
use super::io::Empty;
use crate::bounds::Crossed;
use crate::ctx::Ctx;
use crate::recount::LINE_MAX_BYTES;
use keepwell_model::limits::LimitName;
use keepwell_model::words::Level;
use wasmtime::component::Resource;

/// Most bytes of one write, as `check-write` tells the guest; it writes on in the next.
pub(super) const WRITE_MAX_BYTES: u64 = 64 << 10;

/// Which of the two.
#[derive(Debug, Clone, Copy)]
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub enum Output {
    Stdout,
    Stderr,
}

impl Output {
    const fn level(self) -> Level {
        match self {
            Self::Stdout => Level::Info,
            Self::Stderr => Level::Warn,
        }
    }
}

/// What was printed since the last end of a line, at most [`LINE_MAX_BYTES`] of each.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Lines {
    const fn of(&mut self, output: Output) -> &mut Vec<u8> {
        match output {
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        }
    }
}

impl Ctx {
    /// Bytes of an output become lines of the log, under the limit of the log. A line longer than
    /// any line of the log may be goes on in the next.
    pub(super) fn print(&mut self, output: Output, bytes: &[u8]) -> wasmtime::Result<()> {
        if bytes.len() as u64 > WRITE_MAX_BYTES {
            return Err(too_much(bytes.len() as u64));
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = part.ends_with(b"\n");
            let mut rest = part.strip_suffix(b"\n").unwrap_or(part);
            while self.lines.of(output).len() + rest.len() > LINE_MAX_BYTES {
                let fits = LINE_MAX_BYTES - self.lines.of(output).len();
                let (now, later) = rest.split_at(fits);
                self.lines.of(output).extend(now);
                self.end_line(output)?;
                rest = later;
            }
            self.lines.of(output).extend(rest);
            if ends {
                self.end_line(output)?;
            }
        }
        Ok(())
    }

    pub(super) fn print_zeroes(&mut self, output: Output, len: u64) -> wasmtime::Result<()> {
        match usize::try_from(len) {
            Ok(len) if len as u64 <= WRITE_MAX_BYTES => self.print(output, &vec![0; len]),
            _ => Err(too_much(len)),
        }
    }

    fn end_line(&mut self, output: Output) -> wasmtime::Result<()> {
        let line = std::mem::take(self.lines.of(output));
        let text = String::from_utf8_lossy(&line).into_owned();
        self.say(output.level(), text)
    }

    /// What was printed without an end of its line, when the guest is done.
    pub(crate) fn end_lines(&mut self) -> wasmtime::Result<()> {
        for output in [Output::Stdout, Output::Stderr] {
            if !self.lines.of(output).is_empty() {
                self.end_line(output)?;
            }
        }
        Ok(())
    }
}

fn too_much(len: u64) -> wasmtime::Error {
    wasmtime::Error::new(Crossed::new(
        LimitName::Call,
        format!("a write of {len} bytes, of at most {WRITE_MAX_BYTES}"),
    ))
}

impl environment::Host for Ctx {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

/// Ends the run as a trap does: whatever the status says, there is no answer.
impl exit::Host for Ctx {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        self.exit_with_code(u8::from(status.is_err()))
    }

    fn exit_with_code(&mut self, code: u8) -> wasmtime::Result<()> {
        wasmtime::bail!("it called exit with code {code} and gave no answer")
    }
}

impl stdin::Host for Ctx {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<Empty>> {
        Ok(self.table.push(Empty)?)
    }
}

impl stdout::Host for Ctx {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<Output>> {
        Ok(self.table.push(Output::Stdout)?)
    }
}

impl stderr::Host for Ctx {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<Output>> {
        Ok(self.table.push(Output::Stderr)?)
    }
}

impl terminal_input::Host for Ctx {}

impl terminal_input::HostTerminalInput for Ctx {
    fn drop(&mut self, it: Resource<Never>) -> wasmtime::Result<()> {
        match self.table.delete(it)? {}
    }
}

impl terminal_output::Host for Ctx {}

impl terminal_output::HostTerminalOutput for Ctx {
    fn drop(&mut self, it: Resource<Never>) -> wasmtime::Result<()> {
        match self.table.delete(it)? {}
    }
}

impl terminal_stdin::Host for Ctx {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<Never>>> {
        Ok(None)
    }
}

impl terminal_stdout::Host for Ctx {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<Never>>> {
        Ok(None)
    }
}

impl terminal_stderr::Host for Ctx {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<Never>>> {
        Ok(None)
    }
}
