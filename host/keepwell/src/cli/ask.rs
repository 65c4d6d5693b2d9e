//! How a verb has something done and shows what came back.

use super::Global;
use crate::api::{self, Answer, Request};
use crate::error::{Error, Result};
use crate::pipeline::{Brake, Silent};
use crate::show::{self, Format, Live};
use keepwell_model::report::Report;
use keepwell_model::units::Bytes;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;

impl Global {
    /// For what is done in a moment.
    pub(super) fn ask(&self, request: Request) -> Result<Answer> {
        api::ask(&self.dir(), request, &mut Silent, &Brake::default())
    }

    /// For runs: shows their events while they happen; a signal stops them between two actions.
    pub(super) fn ask_live(&self, request: Request) -> Result<Report> {
        let brake = Brake::default();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(brake.flag()))
                .map_err(|e| Error::failed(format!("cannot listen for signals: {e}")))?;
        }
        let mut live = Live::new(self.out().format);
        let answer = api::ask(&self.dir(), request, &mut live, &brake);
        live.finish();
        match answer? {
            Answer::Report(report) => Ok(*report),
            other => Err(not_a_report(&other)),
        }
    }

    pub(super) fn show(&self, answer: &Answer) {
        let out = self.out();
        match answer {
            Answer::Report(report) => super::run::print_result(self, report),
            // A sentence is talk; to a program it is the answer.
            Answer::Said(text) if out.format == Format::Table => show::say(text),
            Answer::Said(text) => out.document(&serde_json::json!({ "said": text }), String::new),
            Answer::Note(note) => {
                out.document(&serde_json::json!({ "checkpoint": note }), || note.clone());
            }
            Answer::Forgotten(it) => out.document(it, || {
                format!(
                    "forgot {} runs ({}), {} points, {} findings; deleted {} entries of quarantine",
                    it.runs,
                    Bytes(it.bytes),
                    it.points,
                    it.findings,
                    it.quarantined
                )
            }),
            Answer::Expired { entries, bytes } => {
                let value =
                    serde_json::json!({ "deleted_entries": entries, "deleted_bytes": bytes });
                out.document(&value, || {
                    format!("deleted {entries} entries, {}", Bytes(*bytes))
                });
            }
            Answer::Looked { out, err, .. } => {
                if !out.is_empty() {
                    show::line(out);
                }
                if !err.is_empty() {
                    show::say(err.trim_end());
                }
            }
            Answer::Installed {
                name,
                version,
                bundle,
                signer,
                active,
            } => {
                let value = serde_json::json!({ "installed": name, "version": version, "bundle": bundle, "signer": signer, "active": active });
                let how = if *active {
                    ""
                } else {
                    ", beside the active version"
                };
                out.document(&value, || {
                    format!("installed {name}@{version} signed by `{signer}`{how}")
                });
            }
            Answer::Held {
                name,
                version,
                bundle,
                signer,
                wider,
            } => {
                let value = serde_json::json!({ "held": name, "version": version, "bundle": bundle, "signer": signer, "wider": wider });
                out.document(&value, || {
                    let lines: String = wider.iter().map(|l| format!("\n  + {l}")).collect();
                    format!("{name}@{version} signed by `{signer}` is held; nothing of it runs:{lines}\nbundle {bundle}")
                });
                if out.format == Format::Table {
                    show::say(&format!(
                        "hint: `keepwell plugin accept {name}@{version}` lets it run, `keepwell plugin reject {name}@{version}` removes it"
                    ));
                }
            }
        }
    }
}

/// A daemon of another version, or a bug.
pub(super) fn not_a_report(answer: &Answer) -> Error {
    Error::new(
        keepwell_model::state::Exit::Internal,
        format!("expected the report of a run, got {answer:?}"),
    )
}
