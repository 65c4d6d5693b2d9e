//! What came of a rehearsal: of a task's run as it is, and of its runs with a call failing.

use crate::rehearsal::Tried;
use keepwell_model::event::{Call, Mode};
use keepwell_model::state::RunState;
use keepwell_model::units::Bytes;
use keepwell_model::words::{Level, printable};
use keepwell_sandbox::Fail;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What is shown of a reason.
const REASON_MAX_BYTES: usize = 300;

#[derive(Debug, serde::Serialize)]
pub(crate) struct Ended {
    state: RunState,
    /// Other than by the task's own word: a panic, a limit.
    pub(crate) crashed: bool,
    /// As the scenario says, or well where it says nothing.
    #[serde(skip)]
    as_expected: bool,
    /// Its line, or why it has none.
    said: String,
}

impl Ended {
    pub(crate) fn of(tried: &Tried) -> Self {
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
            as_expected: tried.as_expected,
            said: printable(&said, REASON_MAX_BYTES),
        }
    }

    /// It came to what was expected.
    pub(crate) fn well(&self) -> bool {
        self.as_expected && !self.crashed
    }

    pub(crate) fn line(&self) -> String {
        let how = match self.crashed {
            true => "crashed",
            false => self.state.as_str(),
        };
        format!("{how}: {}", self.said)
    }
}

/// What it proposed, and how much of it was done.
#[derive(Debug, serde::Serialize)]
struct Plan {
    digest: String,
    actions: u64,
    bytes: u64,
    /// In words.
    first: Vec<String>,
    /// Only with `--apply`.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<u64>,
}

impl Plan {
    fn of(tried: &Tried) -> Option<Self> {
        let plan = tried.report.plan.as_ref()?;
        let applied = tried.report.mode == Mode::Apply;
        Some(Self {
            digest: plan.digest.to_string(),
            actions: plan.actions,
            bytes: plan.bytes,
            first: tried.actions.clone(),
            applied: applied.then_some(tried.report.applied.done),
        })
    }

    fn lines(&self) -> String {
        let mut text = format!(
            "  plan {}, {} actions, {}",
            self.digest,
            self.actions,
            Bytes(self.bytes)
        );
        if let Some(done) = self.applied {
            let _ = write!(text, ", {done} applied");
        }
        for action in &self.first {
            let _ = write!(text, "\n    {action}");
        }
        let more = self.actions - self.first.len() as u64;
        if more > 0 {
            let _ = write!(text, "\n    and {more} more");
        }
        text
    }
}

/// A task on the node as it is.
#[derive(Debug, serde::Serialize)]
pub(super) struct Task {
    pub(super) task: String,
    pub(super) calls: usize,
    /// How often each function was called.
    called: BTreeMap<String, u64>,
    #[serde(flatten)]
    pub(super) ended: Ended,
    plan: Option<Plan>,
    pub(super) fails: Vec<Failed>,
    /// Calls that a sweep did not come to.
    pub(super) not_tried: u64,
}

impl Task {
    pub(super) fn of(name: &str, tried: &Tried) -> Self {
        let mut called = BTreeMap::new();
        for call in &tried.calls {
            *called.entry(call.function.clone()).or_default() += 1;
        }
        Self {
            task: name.to_owned(),
            calls: tried.calls.len(),
            called,
            ended: Ended::of(tried),
            plan: Plan::of(tried),
            fails: vec![],
            not_tried: 0,
        }
    }

    pub(super) fn lines(&self) -> String {
        let mut text = format!("{}, {} calls, {}", self.task, self.calls, self.ended.line());
        if !self.ended.as_expected {
            text.push_str(" (that is not how it should end)");
        }
        if !self.called.is_empty() {
            let each = self.called.iter().map(|(name, n)| match n {
                1 => name.clone(),
                n => format!("{n} {name}"),
            });
            let _ = write!(text, "\n  called {}", each.collect::<Vec<_>>().join(", "));
        }
        if let Some(plan) = self.plan.as_ref().filter(|plan| plan.actions > 0) {
            let _ = write!(text, "\n{}", plan.lines());
        }
        text
    }
}

/// A run with a call failing.
#[derive(Debug, serde::Serialize)]
pub(super) struct Failed {
    pub(super) function: String,
    /// Which of all calls it was; what was asked for, when it was not made.
    call: u64,
    code: &'static str,
    /// The call was made at all.
    pub(super) reached: bool,
    #[serde(flatten)]
    pub(super) ended: Ended,
}

impl Failed {
    pub(super) fn of(fail: &Fail, tried: &Tried) -> Self {
        let hit = hit(&tried.calls, fail);
        let asked = || fail.function.clone().unwrap_or_default();
        Self {
            reached: hit.is_some(),
            call: hit.map_or(fail.at, |(at, _)| at as u64 + 1),
            function: hit.map_or_else(asked, |(_, call)| call.function.clone()),
            code: fail.end.as_str(),
            ended: Ended::of(tried),
        }
    }

    pub(super) fn line(&self) -> String {
        let (call, function, code) = (self.call, &self.function, self.code);
        match self.reached {
            true => {
                let ended = self.ended.line();
                format!("  call {call} {function} -> injected {code}: {ended}")
            }
            false => format!("  {function} was not called {call} times"),
        }
    }
}

/// The call that was made to fail, if it was made, and where among all calls it stands.
fn hit<'a>(calls: &'a [Call], fail: &Fail) -> Option<(usize, &'a Call)> {
    let result = fail.end.result();
    calls
        .iter()
        .enumerate()
        .find(|(_, call)| call.result == result)
}
