//! `plugin inspect`: of each task and capability what is asked, allowed to the signer, granted, and
//! used so far.

use super::{Global, import_lines};
use crate::clock;
use crate::config;
use crate::error::Result;
use crate::node;
use crate::plugins;
use keepwell_bundle::{Against, Bundle, Lock};
use keepwell_journal::Reader;
use keepwell_model::capability::Capability;
use keepwell_model::grant::GrantTable;
use keepwell_model::manifest::Request;
use keepwell_model::setting::{self, Setting};
use keepwell_model::state::Exit;
use keepwell_model::units::Bytes;
use keepwell_model::upgrade::tier_word;
use keepwell_model::used::{Use, Used};
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Serialize)]
struct TaskRow {
    task: String,
    description: String,
    asks: Vec<Asked>,
    #[serde(skip)]
    settings: Vec<Setting>,
    /// JSON Schema of the task's settings.
    settings_schema: serde_json::Value,
}

#[derive(Debug, Serialize)]
struct Asked {
    #[serde(flatten)]
    request: Request,
    /// To the signer, by the trust file.
    allowed: bool,
    /// By the files of tasks that run it.
    granted: Vec<Granted>,
}

#[derive(Debug, Serialize)]
struct Granted {
    task: String,
    /// The line of the task's file.
    rule: serde_json::Value,
    /// Whole runs that were looked at.
    runs: u64,
    used: Use,
}

pub(super) fn inspect(global: &Global, wanted: &str) -> Result<Exit> {
    let dir = global.dir();
    let trust = plugins::trust(&dir)?;
    let file = Path::new(wanted);
    // A name has neither ending nor slash, so nothing is mistaken for the other.
    let offered = file.extension().is_some_and(|e| e == "kwb") || wanted.contains('/');
    let lock = plugins::lock(&dir)?;
    let bundle = if offered {
        let bytes = plugins::read_bundle(file)?;
        let endorsement = plugins::endorsement_of(file, None)?;
        let against = Against {
            trust: &trust,
            now_ms: plugins::latest_ms(&dir),
            endorsement: endorsement.as_deref(),
        };
        keepwell_bundle::open(&bytes, against).map_err(|e| plugins::refused(file, &e))?
    } else {
        let entry = lock
            .find(wanted)
            .ok_or_else(|| plugins::unknown(&lock, wanted))?;
        plugins::open_entry(&dir, &trust, plugins::latest_ms(&dir), entry)?.bundle
    };
    let tasks = rows(global, &lock, &bundle)?;
    let value = serde_json::json!({
        "manifest": bundle.manifest, "bundle": bundle.id, "component": bundle.component_digest,
        "signer": bundle.signer, "imports": import_lines(&bundle), "wasi": bundle.scan.wasi, "tasks": tasks,
    });
    global.out().document(&value, || text(&bundle, &tasks));
    Ok(Exit::Done)
}

fn rows(global: &Global, lock: &Lock, bundle: &Bundle) -> Result<Vec<TaskRow>> {
    let config = config::load(&global.dir())?;
    let reader = node::reader(&global.dir())?;
    let mut rows = vec![];
    for info in &bundle.manifest.tasks {
        let mut users = vec![];
        for task in plugins::users(&config, lock, bundle, &info.name) {
            let used = used(&reader, task.name.as_str(), bundle)?;
            users.push((task, used));
        }
        let asks = info.needs.iter().map(|request| Asked {
            request: request.clone(),
            allowed: bundle.signer.capabilities.contains(&request.capability),
            granted: users
                .iter()
                .filter(|(task, _)| task.file.grant.holds(request.capability))
                .map(|(task, used)| Granted {
                    task: task.name.to_string(),
                    rule: rule(&task.file.grant, request.capability),
                    runs: used.runs,
                    used: used.of(request.capability),
                })
                .collect(),
        });
        rows.push(TaskRow {
            task: info.name.clone(),
            description: info.description.clone(),
            asks: asks.collect(),
            settings: info.settings.clone(),
            settings_schema: setting::document(&info.name, &info.settings),
        });
    }
    Ok(rows)
}

fn used(reader: &Reader, task: &str, bundle: &Bundle) -> Result<Used> {
    plugins::used(reader, task, bundle.component_digest)
}

/// As the task's file has it.
fn rule(table: &GrantTable, capability: Capability) -> serde_json::Value {
    let table = serde_json::to_value(table).unwrap_or_default();
    table[capability.name()].clone()
}

fn text(bundle: &Bundle, tasks: &[TaskRow]) -> String {
    let (manifest, signer) = (&bundle.manifest, &bundle.signer);
    let mut text = format!(
        "{}@{}: {}\nsigned by `{}` (tier {}), key {}\n",
        manifest.name,
        manifest.version,
        manifest.description,
        signer.name,
        tier_word(signer.tier),
        signer.key_id.get(..16).unwrap_or(&signer.key_id)
    );
    if bundle.scan.wasi {
        text.push_str("imports the inert part of WASI: no files, network or environment\n");
    }
    for task in tasks {
        text.push_str(&format!("\n{}: {}\n", task.task, task.description));
        for asked in &task.asks {
            text.push_str(&line(asked));
        }
        for setting in &task.settings {
            text.push_str(&format!(
                "  setting {} = {}: {}\n",
                setting.name, setting.default, setting.help
            ));
        }
    }
    text
}

fn line(asked: &Asked) -> String {
    let need = &asked.request;
    let names: Vec<&str> = asked.granted.iter().map(|g| g.task.as_str()).collect();
    let by = match (names.as_slice(), need.optional) {
        ([], true) => "not granted; it does without".to_owned(),
        ([], false) => "not granted".to_owned(),
        (names, _) => format!("granted to task {}", names.join(", ")),
    };
    let allowed = if asked.allowed {
        ""
    } else {
        "; NOT allowed to this signer"
    };
    let mut text = format!(
        "  asks {}{}: {} ({by}{allowed})\n",
        need.capability,
        bounds(need),
        need.reason
    );
    for granted in &asked.granted {
        text.push_str(&format!("    {}: {}\n", granted.task, so_far(granted)));
    }
    text
}

/// The most that the plugin itself asks for.
fn bounds(need: &Request) -> String {
    let mut all = vec![];
    all.extend(need.max_files.map(|n| format!("max-files {n}")));
    all.extend(need.max_bytes.map(|n| format!("max-bytes {n}")));
    all.extend(need.max_keys.map(|n| format!("max-keys {n}")));
    if all.is_empty() {
        return String::new();
    }
    format!(" ({})", all.join(", "))
}

fn so_far(granted: &Granted) -> String {
    let Granted { runs, used, .. } = granted;
    if used.runs == 0 {
        return format!("not used in {runs} runs");
    }
    let mut text = format!("used in {} of {runs} runs, {} calls", used.runs, used.calls);
    if used.files_most > 0 {
        text.push_str(&format!(
            ", {} files and {} changed, {} files and {} at most in one run",
            used.files,
            Bytes(used.bytes),
            used.files_most,
            Bytes(used.bytes_most)
        ));
    }
    if let Some(last) = used.last {
        text.push_str(&format!(", last {}", clock::readable(last)));
    }
    text
}
