//! `[params]`: what is declared, checked against the node it is declared on.

use super::shape::NodeFile;
use crate::node_dir::NodeDir;
use crate::pipeline::GUARD_METRICS;
use keepwell_model::grant::{Denial, nearest};
use keepwell_model::id::ParamName;
use keepwell_model::param::{Param, Place};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The parameters that are sound, and what is wrong with the others.
pub(super) fn resolve(dir: &NodeDir, node: &NodeFile) -> (BTreeMap<ParamName, Param>, Vec<Denial>) {
    let (mut params, mut flaws) = (BTreeMap::new(), vec![]);
    for (name, table) in &node.params {
        let sound = table
            .resolve(name)
            .and_then(|param| not_ours(dir, name, &param).map(|()| param))
            .and_then(|param| measurable(name, &param).map(|()| param));
        match sound {
            Ok(param) => {
                params.insert(name.clone(), param);
            }
            Err(flaw) => flaws.push(flaw),
        }
    }
    (params, flaws)
}

/// A task that could change the host's own files could grant itself anything.
fn not_ours(dir: &NodeDir, name: &ParamName, param: &Param) -> Result<(), Denial> {
    let Place::Key { file, .. } = &param.place else {
        return Ok(());
    };
    let inside = real(file).starts_with(real(dir.path())) || file.starts_with(dir.path());
    if inside {
        return Err(Denial::new(
            format!("params.{name}.file"),
            format!("`{}` lies in the node directory", file.display()),
        )
        .hint("the host's own configuration is changed by people alone"));
    }
    Ok(())
}

/// The path without links. A file that is not there yet is named by its directory.
fn real(path: &Path) -> PathBuf {
    let whole = std::fs::canonicalize(path);
    whole.unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent != path => real(parent).join(name),
        _ => path.to_owned(),
    })
}

/// Without a task, only what the host measures itself can guard a change.
fn measurable(name: &ParamName, param: &Param) -> Result<(), Denial> {
    match &param.guard {
        Some(guard) if guard.task.is_none() && !GUARD_METRICS.contains(&guard.metric.as_str()) => {
            Err(Denial::new(
                format!("params.{name}.guard.metric"),
                format!("the host does not measure `{}`", guard.metric),
            )
            .hint(format!(
                "one of {}; or name the task that reports it, `task = \"NAME\"`",
                GUARD_METRICS.join(", ")
            )))
        }
        Some(_) | None => Ok(()),
    }
}

/// Guards whose task is not there: nobody would ever measure them.
pub(super) fn unmeasured(params: &BTreeMap<ParamName, Param>, tasks: &[&str]) -> Vec<Denial> {
    let mut flaws = vec![];
    for (name, param) in params {
        let Some(task) = param.guard.as_ref().and_then(|g| g.task.as_ref()) else {
            continue;
        };
        if tasks.contains(&task.as_str()) {
            continue;
        }
        let flaw = Denial::new(
            format!("params.{name}.guard.task"),
            format!("there is no task `{task}` that could measure it"),
        );
        flaws.push(match nearest(task.as_str(), tasks) {
            Some(near) => flaw.hint(format!("did you mean `{near}`?")),
            None => flaw.hint("tasks are files in `tasks/` of the node directory"),
        });
    }
    flaws
}
