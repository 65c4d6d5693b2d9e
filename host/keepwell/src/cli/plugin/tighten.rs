//! `plugin tighten`: the smallest grant that would have been enough for what a task used. It proposes;
//! only `--write` changes the task's file, and then with all that stands around it kept.

use super::Global;
use crate::clock;
use crate::config::{self, Edited, Task};
use crate::error::{Error, Result};
use crate::node;
use crate::node_dir::write_file;
use crate::plugins;
use crate::show;
use keepwell_model::state::Exit;
use keepwell_model::used::{Proposal, RUNS_LEAST, Used, Value, tighten as judge};

pub(super) fn tighten(global: &Global, name: &str, write: bool) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let task = config.task(name)?;
    let trust = plugins::trust(&dir)?;
    let installed = plugins::open(&dir, &trust, plugins::latest_ms(&dir), &task.file.plugin)?;
    config::check_task(&config, task, &installed).map_err(config::bad)?;
    let manifest = &installed.bundle.manifest;
    let info = manifest
        .task(task.plugin_task())
        .ok_or_else(|| Error::config(format!("plugin `{}` has no such task", manifest.name)))?;
    let reader = node::reader(&dir)?;
    let used = plugins::used(&reader, name, installed.bundle.component_digest)?;
    if used.runs < RUNS_LEAST {
        let (name, version, runs) = (&manifest.name, &manifest.version, used.runs);
        let few = format!(
            "{name}@{version} had {runs} whole runs as this task, of {RUNS_LEAST} that say enough"
        );
        return Err(Error::not_now(few).hint("ask again when it has run for a while"));
    }
    let proposals = judge(&task.file.grant, info, &used);
    let edited = edited(task, &proposals)?;
    let value = serde_json::json!({
        "task": name, "runs": used.runs, "since": used.since, "incomplete": used.incomplete,
        "proposals": proposals, "written": write && !proposals.is_empty(),
    });
    global
        .out()
        .document(&value, || text(task, &used, &proposals));
    if proposals.is_empty() {
        show::say("nothing of its grant is wider than what it used");
        return Ok(Exit::Done);
    }
    if !write {
        show::say("hint: `--write` edits the task's file so; nothing was changed");
        return Ok(Exit::Done);
    }
    // What is written must be a grant, and one that this plugin can hold.
    let next = config::parse_task(&task.path, edited.clone())?;
    config::check_task(&config, &next, &installed).map_err(config::bad)?;
    write_file(&task.path, edited.as_bytes(), 0o644)?;
    show::say(&format!(
        "{} is written; a daemon reads it with `keepwell daemon reload` or SIGHUP",
        task.path.display()
    ));
    Ok(Exit::Done)
}

/// The text of the task's file with all proposals in it.
fn edited(task: &Task, proposals: &[Proposal]) -> Result<String> {
    let mut file = Edited::of(&task.path, &task.text)?;
    for proposal in proposals {
        let place: Vec<&str> = proposal.place.iter().map(String::as_str).collect();
        match &proposal.then {
            Value::Nothing => {
                file.remove(&place)?;
            }
            Value::Without(words) => {
                for word in words {
                    file.take(&place, word)?;
                }
            }
            Value::Number(number) => {
                file.set(&place, i64::try_from(*number).unwrap_or(i64::MAX))?;
            }
            Value::Bytes(bytes) => file.set(&place, mebibytes(bytes.0))?,
        }
    }
    Ok(file.text())
}

/// As a task's file spells it; what is proposed is whole MiB.
fn mebibytes(bytes: u64) -> String {
    format!("{}MiB", bytes >> 20)
}

fn text(task: &Task, used: &Used, proposals: &[Proposal]) -> String {
    let since = used.since.map_or_else(String::new, clock::readable);
    let mut text = format!(
        "# task {}, from {} runs since {since}\n",
        task.name, used.runs
    );
    if used.incomplete > 0 {
        text.push_str(&format!(
            "# {} of them made more calls than the journal keeps, so only budgets are judged\n",
            used.incomplete
        ));
    }
    for proposal in proposals {
        let (place, now, why) = (proposal.place.join("."), &proposal.now, &proposal.reason);
        let line = match &proposal.then {
            Value::Nothing => format!("# {place} is taken out: {why}"),
            Value::Without(words) => {
                let kept = now
                    .split(", ")
                    .filter(|w| !words.iter().any(|gone| gone == w));
                let kept: Vec<String> = kept.map(|w| format!("\"{w}\"")).collect();
                format!("{place} = [{}]  # now {now}: {why}", kept.join(", "))
            }
            Value::Number(number) => format!("{place} = {number}  # now {now}: {why}"),
            Value::Bytes(bytes) => {
                format!("{place} = \"{}\"  # now {now}: {why}", mebibytes(bytes.0))
            }
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}
