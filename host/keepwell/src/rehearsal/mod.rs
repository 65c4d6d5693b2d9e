//! A plugin tried out in the real sandbox, on a node that is made for each run and thrown away. What is
//! looked after there is what the author's scenario says.

mod furnish;
mod readings;
mod scenario;

#[cfg(test)]
pub(crate) use readings::quiet;
pub(crate) use scenario::Scenario;

use crate::clock;
use crate::error::{Error, Result, chain};
use crate::new_node;
use crate::node_dir::{NodeDir, make_private_dir, write_file};
use crate::pipeline::{self, Brake, Due, Observer, PlanReader, Rehearsed};
use keepwell_bundle::{Against, Draft, SecretKey};
use keepwell_model::event::{Call, Event, Mode, Record};
use keepwell_model::manifest::Manifest;
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use keepwell_model::words::Progress;
use keepwell_sandbox::{Fail, FailEnd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tempfile::TempDir;

/// How the node is called, and everything on it that the scenario does not name.
const NAME: &str = "rehearsal";
/// Actions of a plan that are shown; who proposes more has the first of them shown.
const ACTIONS_SHOWN: usize = 20;

/// A node with the plugin on it, of which each run gets a copy: none sees what another left.
pub(crate) struct Rehearsal {
    model: TempDir,
    manifest: Manifest,
    scenario: Scenario,
}

/// One run there.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) report: Report,
    /// Calls of capabilities, in order, as many as the journal keeps.
    pub(crate) calls: Vec<Call>,
    /// The first actions of its plan, in words.
    pub(crate) actions: Vec<String>,
    /// It ended other than by its own word, and not because the test wanted that.
    pub(crate) crashed: bool,
    /// It ended as the scenario says that it does.
    pub(crate) as_expected: bool,
}

impl Rehearsal {
    /// Makes the model and installs the component there, signed by a key that nobody else has.
    pub(crate) fn new(component: &[u8], manifest: &Manifest, scenario: Scenario) -> Result<Self> {
        scenario.check(manifest)?;
        let key = SecretKey::generate(clock::random()?);
        // Its author's machine: both walls stand where the kernel has them.
        let trust = new_node::trusting(NAME, key.public())?;
        let bytes = signed(component, manifest, &key)?;
        let against = Against {
            trust: &trust,
            now_ms: clock::now_ms(),
            endorsement: None,
        };
        let bundle =
            keepwell_bundle::open(&bytes, against).map_err(|e| Error::denied(chain(&e)))?;
        let model = scratch()?;
        let dir = NodeDir::new(model.path().join("node"));
        new_node::create(&dir, NAME, "[node]\n", &trust, &[(bytes, bundle)])?;
        Ok(Self {
            model,
            manifest: manifest.clone(),
            scenario,
        })
    }

    pub(crate) fn tasks(&self) -> Vec<String> {
        let tasks = self.manifest.tasks.iter();
        tasks.map(|task| task.name.clone()).collect()
    }

    /// Looks and plans, and applies what was planned if `mode` says so.
    pub(crate) fn run(
        &self,
        task: &str,
        set: &[(String, serde_json::Value)],
        fail: Option<Fail>,
        mode: Mode,
    ) -> Result<Tried> {
        let scratch = scratch()?;
        let home = std::fs::canonicalize(scratch.path())
            .map_err(|e| Error::io("find", scratch.path(), &e))?;
        let dir = NodeDir::new(home.join("node"));
        copy(&self.model.path().join("node"), dir.path())?;
        let now_ms = self.scenario.now_ms();
        let config = furnish::furnish(&self.scenario, &home, now_ms)?;
        write_file(&dir.config_file(), config.as_bytes(), 0o644)?;
        for info in &self.manifest.tasks {
            let path = dir.tasks().join(format!("{}.toml", info.name));
            let text = self.scenario.task_file(&self.manifest, info);
            write_file(&path, text.as_bytes(), 0o644)?;
        }
        let mut node = pipeline::open(dir)?;
        node.clock = clock::Clock::set_by(&Arc::new(AtomicU64::new(now_ms)));
        let readings = self.scenario.readings(now_ms);
        let rehearsed = Rehearsed::new(readings, fail.clone());
        node.rehearsed = Some(rehearsed.clone());
        let due = Due::now(&node, node.config.task(task)?, NAME, mode, false, set)?;
        let mut watch = Watch::default();
        let brake = watch.brake.clone();
        let report = pipeline::run(&node, due, &mut watch, &brake)?;
        let ended_it = fail.is_some_and(|fail| {
            let result = fail.end.result();
            !fail.end.goes_on() && watch.calls.iter().any(|call| call.result == result)
        });
        Ok(Tried {
            crashed: rehearsed.crashed() && !ended_it,
            as_expected: self.scenario.expects(task, report.state),
            actions: actions(&node.dir, &report)?,
            calls: watch.calls,
            report,
        })
    }
}

/// Keeps the calls, and cancels the run at the one that is to be cancelled.
#[derive(Default)]
struct Watch {
    calls: Vec<Call>,
    brake: Brake,
}

impl Observer for Watch {
    fn record(&mut self, record: &Record) {
        let Event::Called { calls, .. } = &record.event else {
            return;
        };
        let cancelled = FailEnd::Cancelled.result();
        if calls.iter().any(|call| call.result == cancelled) {
            self.brake.pull(RunState::Cancelled, Fail::MESSAGE, None);
        }
        self.calls.extend(calls.iter().cloned());
    }

    fn progress(&mut self, _: &Progress) {}
}

/// What it proposed, from the plan that was sealed.
fn actions(dir: &NodeDir, report: &Report) -> Result<Vec<String>> {
    let Some(plan) = report.plan.as_ref().filter(|plan| plan.actions > 0) else {
        return Ok(vec![]);
    };
    let mut reader = PlanReader::open(&dir.run(report.run).join("plan.jsonl"), plan.digest)?;
    let mut shown = vec![];
    while shown.len() < ACTIONS_SHOWN {
        let Some(action) = reader.next_action()? else {
            break;
        };
        let (kind, subject) = (action.change.kind_name(), action.change.subject());
        shown.push(format!("{kind} {subject} ({})", action.reason));
    }
    Ok(shown)
}

fn scratch() -> Result<TempDir> {
    let made = tempfile::Builder::new()
        .prefix("keepwell-rehearsal-")
        .tempdir();
    made.map_err(|e| Error::io("create", &std::env::temp_dir(), &e))
}

/// Folders and files, with their modes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    make_private_dir(to)?;
    let failed = |e: std::io::Error| Error::io("copy", from, &e);
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).map_err(failed)?;
        let to = to.join(name);
        if path.is_dir() {
            copy(&path, &to)?;
        } else {
            std::fs::copy(&path, &to).map_err(|e| Error::io("copy", &path, &e))?;
        }
    }
    Ok(())
}

fn signed(component: &[u8], manifest: &Manifest, key: &SecretKey) -> Result<Vec<u8>> {
    let draft = Draft {
        manifest: manifest.clone(),
        component: component.to_vec(),
        publisher: NAME.to_owned(),
        release: 1,
        issued_ms: None,
    };
    let built = keepwell_bundle::build(&draft).and_then(|bundle| bundle.unsigned());
    let bytes = built.and_then(|bytes| keepwell_bundle::add_signature(&bytes, key));
    bytes.map_err(|e| Error::denied(chain(&e)))
}
