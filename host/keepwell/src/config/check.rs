//! What can be found wrong without starting anything: names, globs, layouts, grants.

use super::load::{Config, Task};
use super::place::Problem;
use crate::config::{SourceKind, SourceTable};
use crate::node_dir::NodeDir;
use crate::plugins::Installed;
use keepwell_bundle::Trust;
use keepwell_model::grant::{Facts, Grant, decide, nearest};
use keepwell_model::id::TaskName;
use keepwell_model::schedule::check as schedule;
use keepwell_model::words::{Severity, printable};

/// What is quoted of a setting.
const SHOWN_MAX_BYTES: usize = 200;

/// Problems of `keepwell.toml`.
pub fn check_node(config: &Config) -> Vec<Problem> {
    let problem = |message: String| Problem::new(&config.path, &config.text, message);
    let mut problems = vec![];
    for (name, root) in &config.node.roots {
        if !root.path.is_absolute() {
            let message = format!("the path of root `{name}` is not absolute");
            problems.push(problem(message).at(&format!("roots.{name}.path")));
        }
        for glob in &root.protect {
            if let Err(e) = globset::Glob::new(glob) {
                let message = format!("bad glob in root `{name}`: {e}");
                problems.push(problem(message).at(&format!("roots.{name}.protect")));
            }
        }
    }
    if let Err(e) = config.node.retention.measurements.check() {
        problems.push(problem(e.to_string()).at("retention.measurements"));
    }
    if let Some(socket) = config
        .node
        .daemon
        .socket
        .as_ref()
        .filter(|s| !s.is_absolute())
    {
        let message = format!("`{}` is not absolute", socket.display());
        problems.push(problem(message).at("daemon.socket"));
    }
    if config.node.daemon.runs == 0 {
        let message = "no run of a schedule could ever begin".to_owned();
        problems.push(problem(message).at("daemon.runs"));
    }
    if let Err((key, what)) = config.node.plugins.check() {
        problems.push(problem(what).at(&format!("plugins.{key}")));
    }
    if let Err(bad) = config.node.policy.check() {
        problems.push(problem(bad.what.clone()).at(&bad.place));
    }
    if let Err(e) = config
        .node
        .roles
        .resolve(0, &keepwell_node::accounts::System)
    {
        problems.push(problem(e.to_string()).at("roles"));
    }
    for (name, store) in &config.node.stores {
        if !store.path.is_absolute() {
            let message = format!("the path of store `{name}` is not absolute");
            problems.push(problem(message).at(&format!("stores.{name}.path")));
        }
        if let Err(e) = keepwell_node::shards::check_layout(store) {
            let message = format!("store `{name}`: {e}");
            problems.push(problem(message).at(&format!("stores.{name}.layout")));
        }
    }
    for (name, source) in &config.node.sources {
        let wrong = source_flaws(source);
        problems.extend(wrong.into_iter().map(|(key, why)| {
            problem(format!("source `{name}`: {why}")).at(&format!("sources.{name}.{key}"))
        }));
    }
    problems
}

/// What is wrong with a source, by key.
fn source_flaws(source: &SourceTable) -> Vec<(&'static str, String)> {
    let mut flaws = vec![];
    match source.kind {
        SourceKind::Tuf => {
            if source.url.is_some() == source.path.is_some() {
                flaws.push(("kind", "a repository has either `url` or `path`".to_owned()));
            }
            if source.root.is_none() {
                let why = "a repository is trusted from a `root`, the path of a file";
                flaws.push(("kind", why.to_owned()));
            }
        }
        SourceKind::Oci => {
            let url = source.url.as_deref().unwrap_or_default();
            if !url.contains('/') || url.contains("://") || url.ends_with('/') {
                let why = "a registry has a `url` without a scheme: `oci.site.lan/plugins`";
                flaws.push(("kind", why.to_owned()));
            }
            let others = [
                ("path", source.path.is_some()),
                ("root", source.root.is_some()),
            ];
            for (key, _) in others.into_iter().filter(|(_, given)| *given) {
                flaws.push((key, "a registry has none".to_owned()));
            }
        }
    }
    let paths = [
        ("path", &source.path),
        ("root", &source.root),
        ("ca", &source.ca),
        ("credentials", &source.credentials),
    ];
    for (key, path) in paths {
        if path.as_ref().is_some_and(|path| !path.is_absolute()) {
            flaws.push((key, "the path is not absolute".to_owned()));
        }
    }
    flaws
}

/// All that is wrong with a configuration that could be read: every name, glob, layout and grant.
pub fn check_all(dir: &NodeDir, config: &Config, trust: &Trust) -> Vec<Problem> {
    let mut problems = check_node(config);
    let now_ms = crate::plugins::latest_ms(dir);
    for task in config.tasks.values() {
        match crate::plugins::open(dir, trust, now_ms, &task.file.plugin) {
            Ok(plugin) => {
                problems.extend(check_task(config, task, &plugin).err().unwrap_or_default());
            }
            Err(e) => problems.push(task.problem(e.message).at("plugin").hint(e.hint)),
        }
    }
    problems.extend(check_schedules(config));
    problems
}

/// What cannot be obeyed in the schedules; what is merely doubtful, `schedule validate` tells.
pub fn check_schedules(config: &Config) -> Vec<Problem> {
    let mut problems = vec![];
    for task in config.tasks.values() {
        let Some(table) = &task.file.schedule else {
            if task.file.window.is_some() {
                let message = "a window without a schedule is never open";
                problems.push(task.problem(message).at("window"));
            }
            continue;
        };
        if let Err(flaw) = schedule::task(&task.name, table, task.file.window.as_ref()) {
            let problem = task.problem(flaw.message).at(&flaw.place);
            problems.push(problem.hint(flaw.hint));
        }
    }
    for doc in config.schedules.values() {
        let knows = |task: &TaskName| config.tasks.contains_key(task);
        let (_, flaws) = schedule::file(doc.name.as_str(), &doc.file, knows);
        for flaw in flaws
            .into_iter()
            .filter(|f| f.severity == Severity::Critical)
        {
            problems.push(doc.problem(flaw.message).at(&flaw.place).hint(flaw.hint));
        }
    }
    problems
}

/// The grant this task would hold, or what stands in the way.
pub fn check_task(config: &Config, task: &Task, plugin: &Installed) -> Result<Grant, Vec<Problem>> {
    let manifest = &plugin.bundle.manifest;
    let Some(info) = manifest.task(task.plugin_task()) else {
        let known: Vec<&str> = manifest.tasks.iter().map(|t| t.name.as_str()).collect();
        let place = if task.file.task.is_some() {
            "task"
        } else {
            "plugin"
        };
        let hint = nearest(task.plugin_task(), &known).map_or_else(
            || {
                format!(
                    "its tasks are: {}; name one with `task = \"…\"`",
                    known.join(", ")
                )
            },
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!(
            "plugin `{}` has no task `{}`",
            manifest.name,
            task.plugin_task()
        );
        return Err(vec![task.problem(message).at(place).hint(Some(hint))]);
    };
    let mut problems = vec![];
    let known: Vec<&str> = info.settings.iter().map(|s| s.name.as_str()).collect();
    for key in task
        .file
        .settings
        .keys()
        .filter(|k| !known.contains(&k.as_str()))
    {
        let hint = nearest(key, &known).map_or_else(
            || format!("known settings: {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("task `{}` has no setting `{key}`", info.name);
        problems.push(
            task.problem(message)
                .at(&format!("settings.{key}"))
                .hint(Some(hint)),
        );
    }
    for setting in &info.settings {
        let Some(value) = task.file.settings.get(&setting.name) else {
            continue;
        };
        if let Err(expected) = setting.fits(value) {
            let shown = printable(&value.to_string(), SHOWN_MAX_BYTES);
            let message = format!("setting `{}` is {shown}: expected {expected}", setting.name);
            let place = format!("settings.{}", setting.name);
            problems.push(task.problem(message).at(&place));
        }
    }
    let grant = decide(Facts {
        task: task.name.as_str(),
        plugin: manifest.name.as_str(),
        version: &manifest.version,
        component: plugin.bundle.component_digest,
        info,
        signer: &plugin.bundle.signer,
        rule: &task.file.grant,
        limits: &task.limits,
        roots: &config.roots(),
        protect: &config.protected(),
        stores: &config.stores(),
        params: &config.params,
    });
    match grant {
        Ok(grant) if problems.is_empty() => Ok(grant),
        Ok(_) => Err(problems),
        Err(denial) => {
            let place = if denial.place.is_empty() {
                "plugin"
            } else {
                denial.place.as_str()
            };
            problems.push(task.problem(denial.message).at(place).hint(denial.hint));
            Err(problems)
        }
    }
}
