//! The one place that prints: data on stdout, talk on stderr.

mod live;
mod report;

pub use crate::talk::say;
pub use live::Live;
pub use report::{duration, print_report, report_lines, state_word};

use crate::error::Error;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    Json,
    Jsonl,
}

/// Version of every JSON document this program prints.
pub const JSON_VERSION: u32 = 1;

/// Stdout in the chosen format.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    pub format: Format,
}

impl Out {
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    /// One document: as JSON, or by `table` as lines for people.
    pub fn document(&self, value: &impl Serialize, table: impl FnOnce() -> String) {
        match self.format {
            Format::Table => line(&table()),
            Format::Json => line(&serde_json::to_string_pretty(value).unwrap_or_default()),
            Format::Jsonl => line(&serde_json::to_string(value).unwrap_or_default()),
        }
    }

    /// Rows: as a JSON array, one JSON line each, or a table with these columns.
    pub fn rows<T: Serialize>(
        &self,
        rows: &[T],
        columns: &[&str],
        cells: impl Fn(&T) -> Vec<String>,
    ) {
        match self.format {
            Format::Json => line(&serde_json::to_string_pretty(rows).unwrap_or_default()),
            Format::Jsonl => {
                for row in rows {
                    line(&serde_json::to_string(row).unwrap_or_default());
                }
            }
            Format::Table => line(&table(columns, rows.iter().map(cells))),
        }
    }

    /// Why a verb failed: for people with place and hint, for programs as one JSON object.
    pub fn error(&self, error: &Error) {
        match self.format {
            Format::Table => {
                for problem in &error.places {
                    say(&format!("{:?}", miette::Report::new(problem.clone())));
                }
                say(&format!("{} {}", paint("error:", RED), error.message));
                if let Some(hint) = &error.hint {
                    say(&format!("{} {hint}", paint("hint:", CYAN)));
                }
            }
            Format::Json | Format::Jsonl => {
                let places: Vec<_> = error
                    .places
                    .iter()
                    .map(|p| {
                        let at = p.line_and_column();
                        serde_json::json!({
                            "file": p.file, "message": p.message, "hint": p.hint,
                            "line": at.map(|a| a.0), "column": at.map(|a| a.1),
                        })
                    })
                    .collect();
                let value = serde_json::json!({
                    "version": JSON_VERSION,
                    "error": { "message": error.message, "hint": error.hint,
                               "exit": error.exit.code(), "places": places },
                });
                say(&value.to_string());
            }
        }
    }
}

/// Why data did not reach stdout, the first time it did not.
static LOST: OnceLock<String> = OnceLock::new();

/// Data.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}", text.trim_end_matches('\n'));
    delivered(&written);
}

/// Whether a write to stdout worked. A reader that went away (`| head`) is not an error of ours; a
/// full disk under it is one, told by [`lost`] at the end.
pub fn delivered(written: &std::io::Result<()>) -> bool {
    let Err(e) = written else { return true };
    if e.kind() != std::io::ErrorKind::BrokenPipe {
        LOST.get_or_init(|| e.to_string());
    }
    false
}

/// The error of a verb whose data is not complete on stdout.
pub fn lost() -> Option<Error> {
    let why = LOST.get()?;
    Some(
        Error::failed(format!("cannot write to stdout: {why}"))
            .hint("what was printed is not complete"),
    )
}

/// A table without frames: columns line up, text keeps its words.
pub fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(columns.iter().map(|c| c.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    let last = columns.len().saturating_sub(1);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if i == last { 0 } else { 2 }));
    }
    let text = table.to_string();
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

pub const RED: AnsiColor = AnsiColor::Red;
pub const GREEN: AnsiColor = AnsiColor::Green;
pub const YELLOW: AnsiColor = AnsiColor::Yellow;
pub const CYAN: AnsiColor = AnsiColor::Cyan;

/// Coloured where talk goes to a terminal that wants colour. Colour never carries meaning alone.
pub fn paint(text: &str, colour: AnsiColor) -> String {
    if !colourful() {
        return text.to_owned();
    }
    let style = Style::new().bold().fg_color(Some(colour.into()));
    format!("{style}{text}{style:#}")
}

fn colourful() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}
