//! Running commands: one plain line for each step, with the time it took.

use crate::error::{Error, Result};
use crate::figures::seconds;
use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The steps of a chore so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

/// A command to be started by a chore.
#[expect(
    clippy::disallowed_methods,
    reason = "the chores start the builds, the binary under test and the other side of a benchmark"
)]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// The cargo that started us, so that a chosen toolchain stays chosen.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A command line as a person would type it.
pub(crate) fn typed(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned();
    for word in command.get_args() {
        let word = word.to_string_lossy();
        line.push(' ');
        if word.is_empty() || word.contains([' ', '"', '\'', '$', '*', ';', '|']) {
            line.push('\'');
            line.push_str(&word);
            line.push('\'');
        } else {
            line.push_str(&word);
        }
    }
    line
}

/// Runs to the end with the output kept.
pub(crate) fn capture(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Start {
            program: command.get_program().to_string_lossy().into_owned(),
            source,
        })
}

/// Runs to the end with the output kept; anything but success is an error that shows the output.
pub(crate) fn expect_success(command: &mut Command) -> Result<String> {
    let output = capture(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Err(Error::Failed {
        command: typed(command),
        status: output.status,
    })
}

impl Steps {
    /// A step whose output matters only when it fails.
    pub(crate) fn quiet(&mut self, name: &str, command: &mut Command) -> Result<String> {
        self.timed(name, || expect_success(command))
    }

    /// A step that talks for itself: its output passes through.
    pub(crate) fn loud(&mut self, name: &str, command: &mut Command) -> Result<()> {
        println!("\n== {name}: {}", typed(command));
        let begun = Instant::now();
        let status = command
            .stdin(Stdio::null())
            .status()
            .map_err(|source| Error::Start {
                program: command.get_program().to_string_lossy().into_owned(),
                source,
            })?;
        if !status.success() {
            return Err(Error::Failed {
                command: typed(command),
                status,
            });
        }
        self.done.push((name.to_owned(), begun.elapsed()));
        Ok(())
    }

    /// Any work as a step: the name first, so that a long one does not look stuck.
    pub(crate) fn timed<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        print!("  {name:<46} ");
        // A broken pipe on our own stdout is the reader's choice.
        let _ = std::io::stdout().flush();
        let begun = Instant::now();
        let outcome = work();
        let took = begun.elapsed();
        match &outcome {
            Ok(_) => println!("{:>8}", seconds(took)),
            Err(_) => println!("  failed"),
        }
        self.done.push((name.to_owned(), took));
        outcome
    }

    /// Each step and its time, longest names aligned.
    pub(crate) fn summary(&self) {
        for (name, took) in &self.done {
            println!("  {name:<46} {:>8}", seconds(*took));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_as_typed() {
        let mut it = command("/some/where/keepwell");
        it.args(["run", "disk-check", "--set", "note=a b"]);
        assert_eq!(typed(&it), "keepwell run disk-check --set 'note=a b'");
    }

    #[test]
    fn a_failing_command_is_an_error_and_a_missing_one_too() {
        assert!(expect_success(&mut command("true")).is_ok());
        let failed = expect_success(&mut command("false")).unwrap_err();
        assert!(matches!(failed, Error::Failed { .. }));
        let absent = expect_success(&mut command("/no/such/program")).unwrap_err();
        assert!(matches!(absent, Error::Start { .. }));
    }
}
