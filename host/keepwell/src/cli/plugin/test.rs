//! `plugin test`: the author's own tests, then every task of the component in the real sandbox, and
//! again with its calls failing one after the other.

mod fails;
mod tried;

pub(super) use tried::Ended;

use super::{Built, make, report_build};
use crate::cli::{Global, parse_setting};
use crate::error::{Error, Result, chain};
use crate::rehearsal::{Rehearsal, Scenario};
use crate::show::{self, Format};
use fails::{EndArg, FailArg};
use keepwell_model::event::Mode;
use keepwell_model::manifest::Manifest;
use keepwell_model::state::Exit;
use keepwell_sandbox::{Fail, FailEnd};
use std::path::{Path, PathBuf};
use tried::{Failed, Task};

/// Runs of one task with a call failing; who makes more calls has the first of them tried. Each takes
/// some hundred milliseconds.
const FAILS_MAX: u64 = 200;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A plugin's folder, or a component that is built already.
    #[arg(value_name = "DIR|FILE.wasm", default_value = ".")]
    what: PathBuf,
    #[command(flatten)]
    chosen: Chosen,
    /// Apply what is planned, too: only to the folders of that node.
    #[arg(long)]
    apply: bool,
    /// Once more with a call failing: the N-th of a function (the first), with a code (`io`), or with
    /// the end of the run: `out-of-fuel`, `out-of-time`, `cancelled`.
    #[arg(long, value_name = "CALL[:N][=CODE]")]
    fail: Vec<FailArg>,
    /// Once more for each call that was made, with that call failing.
    #[arg(
        long,
        value_name = "CODE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "io"
    )]
    fail_each: Option<EndArg>,
}

/// What is tried, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// Only this task.
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Set a setting for these runs.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub(super) set: Vec<(String, serde_json::Value)>,
    /// What there is on the node. Default: `tests/node.toml` in DIR, if it is there.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
}

impl Chosen {
    pub(super) fn scenario(&self, plugin: &Path) -> Result<Scenario> {
        Scenario::find(self.scenario.as_deref(), plugin)
    }

    pub(super) fn tasks(&self, rehearsal: &Rehearsal) -> Result<Vec<String>> {
        let all = rehearsal.tasks();
        match &self.task {
            None => Ok(all),
            Some(name) if all.contains(name) => Ok(vec![name.clone()]),
            Some(name) => Err(Error::usage(format!("the plugin has no task `{name}`"))
                .hint(format!("it has: {}", all.join(", ")))),
        }
    }
}

impl Args {
    const fn mode(&self) -> Mode {
        if self.apply { Mode::Apply } else { Mode::Plan }
    }
}

pub(super) fn test(global: &Global, args: &Args) -> Result<Exit> {
    let scenario = args.chosen.scenario(&args.what)?;
    let (component, manifest) = component(global, &args.what)?;
    let known = functions(&component)?;
    let mut named = args.fail.iter().filter_map(|fail| fail.0.function.as_ref());
    if let Some(odd) = named.find(|name| !known.contains(name)) {
        let hint = match known.is_empty() {
            true => "it calls no capability at all".to_owned(),
            false => format!("it calls: {}", known.join(", ")),
        };
        return Err(Error::usage(format!("the plugin does not call `{odd}`")).hint(hint));
    }
    let rehearsal = Rehearsal::new(&component, &manifest, scenario)?;
    let mut tasks = vec![];
    for name in args.chosen.tasks(&rehearsal)? {
        tasks.push(try_task(global, &rehearsal, &name, args)?);
    }
    let crashed = |task: &Task| task.fails.iter().any(|fail| fail.ended.crashed);
    let bad = tasks.iter().any(|task| !task.ended.well() || crashed(task));
    // Of several tasks one may make the call that is named.
    let never = |i: usize| !tasks.iter().any(|task| task.fails[i].reached);
    let unreached = (0..args.fail.len()).any(never);
    if global.out().format != Format::Table {
        global.out().document(&tasks, String::new);
    }
    Ok(match (bad, unreached) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Warned,
        (false, false) => Exit::Done,
    })
}

/// Tests and builds a folder; a file is taken as it is.
fn component(global: &Global, what: &Path) -> Result<(Vec<u8>, Manifest)> {
    let read = |path: &Path| std::fs::read(path).map_err(|e| Error::io("read", path, &e));
    if what.is_file() {
        let component = read(what)?;
        let manifest = crate::cli::bundle::describe(&component)?;
        return Ok((component, manifest));
    }
    if !what.join("Cargo.toml").is_file() {
        return Err(Error::usage(format!(
            "{} is no plugin: it has no Cargo.toml",
            what.display()
        ))
        .hint("name a plugin's folder, or the file of a component"));
    }
    crate::cargo::test(what)?;
    let built: Built = make(what, None, None)?;
    if global.out().format == Format::Table {
        report_build(global, &built);
    }
    Ok((read(&built.out)?, built.manifest))
}

/// What it calls of capabilities, as the journal names calls.
fn functions(component: &[u8]) -> Result<Vec<String>> {
    let scan = keepwell_bundle::scan(component).map_err(|e| Error::denied(chain(&e)))?;
    let mut all = vec![];
    for import in &scan.imports {
        let interface = import
            .interface
            .split(['/', '@'])
            .nth(1)
            .unwrap_or_default();
        let ours = import.interface.starts_with("keepwell:task/");
        if !ours || ["core", "types"].contains(&interface) {
            continue;
        }
        for function in &import.functions {
            let plain = function.rsplit(']').next().unwrap_or(function);
            if !function.starts_with("[resource-drop]") && !function.contains(' ') {
                all.push(format!("{interface}.{plain}"));
            }
        }
    }
    Ok(all)
}

fn try_task(global: &Global, rehearsal: &Rehearsal, name: &str, args: &Args) -> Result<Task> {
    let told = global.out().format == Format::Table;
    let mode = args.mode();
    let mut task = Task::of(name, &rehearsal.run(name, &args.chosen.set, None, mode)?);
    let mut fails: Vec<Fail> = args.fail.iter().map(|fail| fail.0.clone()).collect();
    if let Some(EndArg(end)) = args.fail_each {
        let (each, rest) = sweep(task.calls as u64, end);
        fails.extend(each);
        task.not_tried = rest;
    }
    if told {
        show::line(&task.lines());
        if task.not_tried > 0 {
            let calls = task.calls;
            show::line(&format!(
                "  of its {calls} calls the first {FAILS_MAX} fail"
            ));
        }
    }
    for fail in fails {
        let tried = rehearsal.run(name, &args.chosen.set, Some(fail.clone()), mode)?;
        let failed = Failed::of(&fail, &tried);
        if told {
            show::line(&failed.line());
        }
        task.fails.push(failed);
    }
    Ok(task)
}

/// Each of so many calls ending so, and how many are too many for that.
fn sweep(calls: u64, end: FailEnd) -> (impl Iterator<Item = Fail>, u64) {
    let each = (1..=calls.min(FAILS_MAX)).map(move |at| Fail {
        function: None,
        at,
        end,
    });
    (each, calls.saturating_sub(FAILS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_ends_where_nobody_would_wait_for_it() {
        for (calls, tried, rest) in [(0, 0, 0), (200, 200, 0), (203, 200, 3)] {
            let (each, not_tried) = sweep(calls, FailEnd::OutOfFuel);
            let at: Vec<u64> = each.map(|fail| fail.at).collect();
            assert_eq!(at, (1..=tried).collect::<Vec<_>>());
            assert_eq!(not_tried, rest);
        }
    }
}
