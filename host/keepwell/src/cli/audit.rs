//! `audit`: the journal for whoever must prove afterwards what happened.

use super::Global;
use crate::api::{Request, find_run};
use crate::clock;
use crate::error::{Error, Result, chain};
use crate::node;
use crate::show::{self, Format};
use indicatif::ProgressBar;
use keepwell_journal::{Filter, VerifierKey, VerifyError};
use keepwell_model::capability::Capability;
use keepwell_model::event::{Event, Record};
use keepwell_model::state::Exit;
use keepwell_model::words::printable;
use std::io::{IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Entries, oldest first.
    #[command(
        after_help = "Example:\n  keepwell audit show --task temp-clean --since 2d --kind intended --kind outcome"
    )]
    Show(Select),
    /// Recompute everything; names the first bad entry and exits 1 when there is one.
    #[command(
        after_help = "Example:\n  keepwell audit verify\n  keepwell audit verify --checkpoint kept-elsewhere"
    )]
    Verify {
        /// A directory with a copy of journal.db. Default: the node's own.
        #[arg(long, value_name = "DIR")]
        journal: Option<PathBuf>,
        /// The verifier key of the node that wrote it. Default: the node's own.
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// A checkpoint kept elsewhere, which the journal must still contain.
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// A proof that one entry is in the journal, checkable without it.
    #[command(after_help = "Example:\n  keepwell audit prove 17 > proof")]
    Prove { index: u64 },
    /// All entries as JSON lines.
    #[command(after_help = "Example:\n  keepwell audit export --since 30d > entries.jsonl")]
    Export(Select),
    /// Print a signed checkpoint to keep elsewhere.
    #[command(after_help = "Example:\n  keepwell audit checkpoint > kept-elsewhere")]
    Checkpoint {
        /// Print the key that verifies it instead.
        #[arg(long)]
        key: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Select {
    #[arg(long)]
    run: Option<String>,
    #[arg(long)]
    task: Option<String>,
    /// Entries about this capability, for example storage-clean.
    #[arg(long, value_parser = super::trust::parse_capability)]
    capability: Option<Capability>,
    /// Entries of this kind, for example `intended`; may be given several times.
    #[arg(long, value_parser = kind)]
    kind: Vec<String>,
    /// A time (RFC 3339), a date, or a span ago (`2h`).
    #[arg(long)]
    since: Option<String>,
    #[arg(long)]
    until: Option<String>,
    #[arg(long)]
    limit: Option<u64>,
}

/// A kind of event that there is. One that is not would find nothing and look like an answer.
fn kind(text: &str) -> Result<String, String> {
    let event = serde_json::json!({ "kind": text });
    let Err(e) = serde_json::from_value::<Event>(event) else {
        return Ok(text.to_owned());
    };
    let message = e.to_string();
    // Known, and only its fields are not there.
    if !message.starts_with("unknown variant") {
        return Ok(text.to_owned());
    }
    Err(crate::config::suggestion(&message).unwrap_or(message))
}

pub(super) fn audit(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Show(select) => entries(global, select, global.out().format),
        Verb::Export(select) => entries(global, select, Format::Jsonl),
        Verb::Verify {
            journal,
            key,
            checkpoint,
        } => verify(
            global,
            journal.as_deref(),
            key.as_deref(),
            checkpoint.as_deref(),
        ),
        Verb::Prove { index } => prove(global, *index),
        Verb::Checkpoint { key } => checkpoint(global, *key),
    }
}

fn filter(reader: &keepwell_journal::Reader, select: &Select) -> Result<Filter> {
    let now = clock::now_ms();
    let time = |text: &Option<String>| -> Result<Option<u64>> {
        text.as_ref()
            .map(|t| {
                clock::parse_time(t, now).ok_or_else(|| {
                    Error::usage(format!("`{t}` is not a time")).hint(
                        "give RFC 3339 (2026-01-31T02:00:00Z), a date, or a span ago such as 2h",
                    )
                })
            })
            .transpose()
    };
    Ok(Filter {
        run: select
            .run
            .as_ref()
            .map(|text| find_run(reader, text))
            .transpose()?,
        task: select.task.clone(),
        capability: select.capability.map(|c| c.name().to_owned()),
        kinds: select.kind.clone(),
        since_ms: time(&select.since)?,
        until_ms: time(&select.until)?,
        limit: select.limit,
        after_index: None,
    })
}

/// Streams; a reader that goes away ends it.
fn entries(global: &Global, select: &Select, format: Format) -> Result<Exit> {
    let reader = node::reader(&global.dir())?;
    let filter = filter(&reader, select)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut first = true;
    if format == Format::Json {
        let _ = write!(out, "[");
    }
    reader.records(&filter, &mut |index, record| {
        let written = match format {
            Format::Table => writeln!(out, "{}", table_line(index, &record)),
            Format::Jsonl => writeln!(out, "{}", indexed(index, &record)),
            Format::Json => {
                let comma = if std::mem::take(&mut first) {
                    "\n"
                } else {
                    ",\n"
                };
                write!(out, "{comma}{}", indexed(index, &record))
            }
        };
        if show::delivered(&written) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    if format == Format::Json {
        show::delivered(&writeln!(out, "\n]"));
    }
    show::delivered(&out.flush());
    Ok(Exit::Done)
}

fn indexed(index: u64, record: &Record) -> String {
    serde_json::json!({ "index": index, "record": record }).to_string()
}

fn table_line(index: u64, record: &Record) -> String {
    let run = record.run.map_or_else(|| "-".into(), |r| r.short());
    let task = record.task.as_deref().unwrap_or("-");
    let mut event = serde_json::to_value(&record.event).unwrap_or_default();
    if let Some(fields) = event.as_object_mut() {
        fields.remove("kind");
    }
    let kind = record.event.kind();
    let at = clock::readable(record.at);
    format!(
        "{index:>7}  {at}  {run:<8}  {task:<16}  {kind:<16}  {}",
        printable(&event.to_string(), 160)
    )
}

fn verifier(global: &Global, given: Option<&str>) -> Result<VerifierKey> {
    match given {
        Some(text) => text.parse().map_err(|e| Error::usage(chain(&e))),
        None => {
            let dir = global.dir();
            dir.must_exist()?;
            let key = node::read_key(&dir.node_key())?;
            let origin = node::reader(&dir)?.origin()?;
            key.verifier(&origin).map_err(|e| Error::failed(chain(&e)))
        }
    }
}

fn verify(
    global: &Global,
    journal: Option<&Path>,
    key: Option<&str>,
    expected: Option<&Path>,
) -> Result<Exit> {
    let dir = journal.map_or_else(|| global.dir().state(), Path::to_owned);
    let key = verifier(global, key)?;
    let note = expected
        .map(|path| std::fs::read_to_string(path).map_err(|e| Error::io("read", path, &e)))
        .transpose()?;
    let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(0));
    let result = keepwell_journal::verify(&dir, &key, note.as_deref(), &mut |done, total| {
        if let Some(bar) = &bar {
            bar.set_length(total);
            bar.set_position(done);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    match result {
        Ok(verified) => {
            let value = serde_json::json!({
                "ok": true, "entries": verified.size, "checkpoints": verified.checkpoints,
                "pruned": verified.pruned, "root": verified.root.to_string(),
            });
            global.out().document(&value, || {
                let pruned = match verified.pruned {
                    0 => String::new(),
                    some => format!(" ({some} of them pruned)"),
                };
                format!(
                    "journal is whole: {} entries{pruned}, {} signed checkpoints, root {}",
                    verified.size, verified.checkpoints, verified.root
                )
            });
            Ok(Exit::Done)
        }
        Err(e) => Err(tampered(&e)),
    }
}

fn tampered(e: &VerifyError) -> Error {
    Error::failed(format!("the journal is not what was written: {}", chain(e)))
        .hint("keep this copy as it is; compare it with an export or a checkpoint kept elsewhere")
}

fn prove(global: &Global, index: u64) -> Result<Exit> {
    let reader = node::reader(&global.dir())?;
    let proof = reader.proof(index)?;
    global.out().document(&proof, || proof.to_string());
    Ok(Exit::Done)
}

fn checkpoint(global: &Global, key: bool) -> Result<Exit> {
    if key {
        show::line(&verifier(global, None)?.to_string());
        return Ok(Exit::Done);
    }
    global.show(&global.ask(Request::Checkpoint)?);
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn kinds_that_are_none_are_refused() {
        for known in [
            "intended",
            "outcome",
            "daemon-started",
            "commit-armed",
            "pruned",
        ] {
            assert_eq!(kind(known).as_deref(), Ok(known));
        }
        assert_eq!(kind("intnded").unwrap_err(), "did you mean `intended`?");
        assert!(kind("xyz").unwrap_err().contains("run-due"));
    }
}
