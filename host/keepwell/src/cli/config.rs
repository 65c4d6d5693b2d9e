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
    Check,
    /// Print the configuration in force, defaults filled in.
    Show,
    /// Print the JSON Schema of keepwell.toml, or of a task's file.
    Schema {
        #[arg(long)]
        task: bool,
    },
}

pub(super) fn config(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Check => check(global),
        Verb::Show => show_config(global),
        Verb::Schema { task } => {
            let schema = if *task {
                config::task_schema()
            } else {
                config::node_schema()
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
    let tasks = config.tasks.len();
    let value = serde_json::json!({ "ok": true, "tasks": tasks, "roots": config.node.roots.len(), "stores": config.node.stores.len() });
    global.out().document(&value, || {
        format!(
            "configuration is good: {tasks} tasks, {} roots, {} stores",
            config.node.roots.len(),
            config.node.stores.len()
        )
    });
    Ok(Exit::Done)
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
    let value = serde_json::json!({ "file": config.path, "node": config.node, "tasks": tasks });
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    global.out().document(&value, || text);
    Ok(Exit::Done)
}
