//! `config`: everything that can be said about the configuration without starting anything.

use super::Global;
use crate::config;
use crate::error::Result;
use crate::plugins;
use crate::show;
use keepwell_model::state::Exit;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Find every mistake, with file, line and a suggestion; exits 78 when there is one.
    #[command(after_help = "Example:\n  keepwell config check && kill -HUP $(pidof keepwell)")]
    Check,
    /// Print the configuration in force, defaults filled in.
    #[command(after_help = "Example:\n  keepwell config show --json")]
    Show,
    /// Print the JSON Schema of keepwell.toml, or of another file.
    #[command(after_help = "Example:\n  keepwell config schema --task > task.schema.json")]
    Schema {
        /// Of a file in tasks/.
        #[arg(long)]
        task: bool,
        /// Of a file in schedules/.
        #[arg(long, conflicts_with = "task")]
        schedule: bool,
    },
}

pub(super) fn config(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Check => check(global),
        Verb::Show => show_config(global),
        Verb::Schema { task, schedule } => {
            let schema = match (task, schedule) {
                (true, _) => config::task_schema(),
                (false, true) => config::schedule_schema(),
                (false, false) => config::node_schema(),
            };
            show::line(&serde_json::to_string_pretty(&schema).unwrap_or_default());
            Ok(Exit::Done)
        }
    }
}

fn check(global: &Global) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let trust = plugins::trust(&dir)?;
    let problems = config::check_all(&dir, &config, &trust);
    if !problems.is_empty() {
        return Err(config::bad(problems));
    }
    let counts = [
        ("tasks", config.tasks.len()),
        ("schedules", config.schedules.len()),
        ("roots", config.node.roots.len()),
        ("stores", config.node.stores.len()),
        ("params", config.params.len()),
    ];
    let mut value = serde_json::json!({ "ok": true });
    for (what, count) in counts {
        value[what] = count.into();
    }
    global.out().document(&value, || {
        let there = counts
            .iter()
            .filter(|(what, count)| *count > 0 || *what == "tasks");
        let words: Vec<String> = there.map(|(what, count)| counted(*count, what)).collect();
        format!("configuration is good: {}", words.join(", "))
    });
    Ok(Exit::Done)
}

/// `1 root`, `2 roots`.
pub(super) fn counted(count: usize, plural: &str) -> String {
    let word = match count {
        1 => plural.strip_suffix('s').unwrap_or(plural),
        _ => plural,
    };
    format!("{count} {word}")
}

fn show_config(global: &Global) -> Result<Exit> {
    let config = config::load(&global.dir())?;
    let tasks: serde_json::Map<String, serde_json::Value> = config
        .tasks
        .values()
        .map(|t| {
            let value = serde_json::json!({
                "plugin": t.file.plugin, "task": t.plugin_task(), "settings": t.file.settings,
                "grant": t.file.grant, "limits": t.limits, "schedule": t.file.schedule,
                "window": t.file.window, "file": t.path,
            });
            (t.name.to_string(), value)
        })
        .collect();
    let schedules: serde_json::Map<String, serde_json::Value> = config
        .schedules
        .values()
        .map(|doc| {
            let value = serde_json::json!({ "file": doc.path, "schedule": doc.file });
            (doc.name.to_string(), value)
        })
        .collect();
    let value = serde_json::json!({
        "file": config.path, "node": config.node, "tasks": tasks, "schedules": schedules,
    });
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    global.out().document(&value, || text);
    Ok(Exit::Done)
}
