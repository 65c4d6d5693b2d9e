//! `plugin test`: the author's own tests, then every task of the component in the real sandbox, and
//! again with its calls failing one after the other.

use super::{Built, make, report_build};
use crate::cli::{Global, parse_setting};
use crate::error::{Error, Result, chain};
use crate::rehearsal::{Rehearsal, Tried};
use crate::show::{self, Format};
use keepwell_model::event::Call;
use keepwell_model::manifest::Manifest;
use keepwell_model::state::{Exit, RunState};
use keepwell_model::words::{Code, Level, printable};
use keepwell_sandbox::Fail;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Runs of one task with a call failing; who makes more calls has the first of them tried.
const FAILS_MAX: u64 = 200;
/// What is shown of a reason.
const REASON_MAX_BYTES: usize = 300;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A plugin's folder, or a component that is built already.
    #[arg(value_name = "DIR|FILE.wasm")]
    what: PathBuf,
    /// Only this task.
    #[arg(long, value_name = "NAME")]
    pub(super) task: Option<String>,
    /// Set a setting for these runs.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub(super) set: Vec<(String, serde_json::Value)>,
    /// Once more with a call failing: the N-th of a function (the first), with a code (`io`).
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
    fail_each: Option<CodeArg>,
}

/// `storage.walk:2=gone`.
#[derive(Debug, Clone)]
struct FailArg {
    function: String,
    at: u64,
    code: Code,
}

impl FromStr for FailArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (call, code) = match text.split_once('=') {
            Some((call, code)) => (call, code.parse::<CodeArg>()?.0),
            None => (text, Code::Io),
        };
        let (function, at) = match call.split_once(':') {
            Some((function, at)) => {
                let at = at.parse().ok().filter(|at| *at > 0);
                let at = at.ok_or("calls are counted from 1, as in storage.walk:2")?;
                (function, at)
            }
            None => (call, 1),
        };
        Ok(Self {
            function: function.to_owned(),
            at,
            code,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct CodeArg(Code);

impl FromStr for CodeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Code::ALL.into_iter().find(|code| code.as_str() == text);
        found.map(Self).ok_or_else(|| {
            let all = Code::ALL.map(Code::as_str).join(", ");
            format!("`{text}` is no code of a refusal; those are {all}")
        })
    }
}

/// A run with a call failing.
#[derive(Debug, serde::Serialize)]
struct Failed {
    function: String,
    /// Of that function, or of all calls in a sweep.
    call: u64,
    code: &'static str,
    /// The call was made at all.
    reached: bool,
    #[serde(flatten)]
    ended: Ended,
}

#[derive(Debug, serde::Serialize)]
pub(super) struct Ended {
    state: RunState,
    /// Other than by the task's own word: a panic, a limit.
    pub(super) crashed: bool,
    /// Its line, or why it has none.
    said: String,
}

#[derive(Debug, serde::Serialize)]
struct Task {
    task: String,
    calls: usize,
    #[serde(flatten)]
    ended: Ended,
    fails: Vec<Failed>,
}

impl Ended {
    pub(super) fn of(tried: &Tried) -> Self {
        let report = &tried.report;
        let line = report.summary.as_ref().map(|summary| &summary.line);
        let mut said = line.or(report.reason.as_ref()).cloned().unwrap_or_default();
        // A trap says little, and the panic before it where and why.
        let last = report.log.last().filter(|_| tried.crashed);
        if let Some(last) = last.filter(|line| line.level == Level::Error) {
            said = format!("{}; {said}", last.message);
        }
        Self {
            state: report.state,
            crashed: tried.crashed,
            said: printable(&said, REASON_MAX_BYTES),
        }
    }

    /// It came to a summary.
    pub(super) fn well(&self) -> bool {
        matches!(self.state, RunState::Done | RunState::Warned)
    }

    pub(super) fn line(&self) -> String {
        let how = match self.crashed {
            true => "crashed",
            false => self.state.as_str(),
        };
        format!("{how}: {}", self.said)
    }
}

pub(super) fn test(global: &Global, args: &Args) -> Result<Exit> {
    let (component, manifest) = component(global, &args.what)?;
    let known = functions(&component)?;
    for fail in &args.fail {
        if !known.contains(&fail.function) {
            return Err(
                Error::usage(format!("the plugin does not call `{}`", fail.function)).hint(
                    match known.is_empty() {
                        true => "it calls no capability at all".to_owned(),
                        false => format!("it calls: {}", known.join(", ")),
                    },
                ),
            );
        }
    }
    let mut rehearsal = Rehearsal::new(&component, &manifest)?;
    let mut tasks = vec![];
    for name in chosen(&rehearsal, args.task.as_deref())? {
        tasks.push(try_task(global, &mut rehearsal, &name, args)?);
    }
    let fails = || tasks.iter().flat_map(|task| &task.fails);
    let bad = tasks.iter().any(|task| !task.ended.well()) || fails().any(|f| f.ended.crashed);
    let unreached = fails().any(|fail| !fail.reached);
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

pub(super) fn chosen(rehearsal: &Rehearsal, only: Option<&str>) -> Result<Vec<String>> {
    let all = rehearsal.tasks();
    match only {
        None => Ok(all.to_vec()),
        Some(name) if all.iter().any(|task| task == name) => Ok(vec![name.to_owned()]),
        Some(name) => Err(Error::usage(format!("the plugin has no task `{name}`"))
            .hint(format!("it has: {}", all.join(", ")))),
    }
}

fn try_task(global: &Global, rehearsal: &mut Rehearsal, name: &str, args: &Args) -> Result<Task> {
    let told = global.out().format == Format::Table;
    let plain = rehearsal.run(name, &args.set, None)?;
    let mut task = Task {
        task: name.to_owned(),
        calls: plain.calls.len(),
        ended: Ended::of(&plain),
        fails: vec![],
    };
    if told {
        let calls = task.calls;
        show::line(&format!("{name}, {calls} calls, {}", task.ended.line()));
    }
    let one = |arg: &FailArg| Fail {
        function: Some(arg.function.clone()),
        at: arg.at,
        code: arg.code,
    };
    let mut fails: Vec<Fail> = args.fail.iter().map(one).collect();
    if let Some(CodeArg(code)) = args.fail_each {
        let calls = plain.calls.len() as u64;
        fails.extend((1..=calls.min(FAILS_MAX)).map(|at| Fail {
            function: None,
            at,
            code,
        }));
        if calls > FAILS_MAX && told {
            show::say(&format!(
                "  of its {calls} calls the first {FAILS_MAX} fail"
            ));
        }
    }
    for fail in fails {
        let tried = rehearsal.run(name, &args.set, Some(fail.clone()))?;
        let hit = hit(&tried.calls, &fail);
        let function = hit.map(|call| call.function.clone());
        let failed = Failed {
            reached: hit.is_some(),
            function: function.or(fail.function).unwrap_or_default(),
            call: fail.at,
            code: fail.code.as_str(),
            ended: Ended::of(&tried),
        };
        if told {
            let ended = match failed.reached {
                true => failed.ended.line(),
                false => "was not called so often".to_owned(),
            };
            let (call, code) = (failed.call, failed.code);
            show::line(&format!("  {} {call} = {code}: {ended}", failed.function));
        }
        task.fails.push(failed);
    }
    Ok(task)
}

/// The call that was made to fail, if it was made.
fn hit<'a>(calls: &'a [Call], fail: &Fail) -> Option<&'a Call> {
    let at = usize::try_from(fail.at).ok()?.checked_sub(1)?;
    let counts = |call: &&Call| fail.function.as_ref().is_none_or(|it| *it == call.function);
    let call = calls.iter().filter(counts).nth(at)?;
    (call.result == fail.code.as_str()).then_some(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_call_fails_and_how() {
        let fail: FailArg = "storage.walk:2=gone".parse().unwrap();
        assert_eq!(
            (fail.function.as_str(), fail.at, fail.code),
            ("storage.walk", 2, Code::Gone)
        );
        let fail: FailArg = "storage.walker.next".parse().unwrap();
        assert_eq!((fail.at, fail.code), (1, Code::Io));
        for bad in ["a:0", "a:x", "a=bad", "a:"] {
            assert!(bad.parse::<FailArg>().is_err(), "{bad}");
        }
    }
}
