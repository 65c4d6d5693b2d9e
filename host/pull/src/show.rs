//! The one place that prints: data on stdout, talk on stderr.

use crate::error::Error;
use keepwell_model::state::Exit;
use keepwell_model::words::printable;
use serde::Serialize;
use std::io::Write as _;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Jsonl,
}

/// Version of every JSON document this program prints.
const JSON_VERSION: u32 = 1;
/// Longest line of talk: what the other side says in it is cut.
const LINE_MAX_BYTES: usize = 2_000;

/// One line of talk. Nobody listening is no reason to stop.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// One document: as JSON, or by `table` as lines for people.
pub(crate) fn document(
    format: Format,
    value: &impl Serialize,
    table: impl FnOnce() -> String,
) -> Exit {
    print(&match format {
        Format::Table => table(),
        Format::Json => serde_json::to_string_pretty(value).unwrap_or_default(),
        Format::Jsonl => serde_json::to_string(value).unwrap_or_default(),
    })
}

/// Rows: as a JSON array, one JSON line each, or as lines for people.
pub(crate) fn rows<T: Serialize>(format: Format, rows: &[T], line: impl Fn(&T) -> String) -> Exit {
    let lines = |of: &dyn Fn(&T) -> String| rows.iter().map(of).collect::<Vec<_>>().join("\n");
    print(&match format {
        Format::Json => serde_json::to_string_pretty(rows).unwrap_or_default(),
        Format::Jsonl => lines(&|row| serde_json::to_string(row).unwrap_or_default()),
        Format::Table => lines(&line),
    })
}

/// A reader that went away is no error of ours; a full disk under it is one.
fn print(text: &str) -> Exit {
    let mut out = std::io::stdout().lock();
    let written = match text.is_empty() {
        true => Ok(()),
        false => writeln!(out, "{text}").and_then(|()| out.flush()),
    };
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            say(&format!("error: cannot write to stdout: {e}"));
            Exit::Failed
        }
        Ok(()) | Err(_) => Exit::Done,
    }
}

/// Why a verb failed: a sentence and a hint for people, one JSON object for programs.
pub(crate) fn error(format: Format, error: &Error) {
    let message = printable(&error.message, LINE_MAX_BYTES);
    match format {
        Format::Table => {
            say(&format!("error: {message}"));
            if let Some(hint) = &error.hint {
                say(&format!("hint: {hint}"));
            }
        }
        Format::Json | Format::Jsonl => {
            let value = serde_json::json!({
                "version": JSON_VERSION,
                "error": { "message": message, "hint": error.hint, "exit": error.exit.code() },
            });
            say(&value.to_string());
        }
    }
}
