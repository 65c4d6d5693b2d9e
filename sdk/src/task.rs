//! What an author writes: a type whose fields are the settings, and what `run` makes of them.

use crate::json::{self, Value};
use crate::manifest::{Need, SettingHelp};
use crate::settings;
use crate::wit::exports::keepwell::task::task as exported;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::wit::keepwell::task::types::{ActionId, Refusal};
pub use exported::{Applied, Failure, Request, Status, Summary};

/// One task of a plugin. Its fields are its settings, read by serde.
pub trait Task: DeserializeOwned {
    /// As operators write it: `temp-clean`.
    const NAME: &str;
    /// One line.
    const ABOUT: &str;
    /// What it asks for. `core` need not be asked for.
    const NEEDS: &[Need] = &[];
    /// Every setting it understands; any other key fails the run by name.
    const SETTINGS: &[SettingHelp] = &[];

    /// Looks and proposes.
    fn run(self, request: &Request) -> Result<Summary, Failure>;

    /// Sees what became of the proposals. Without one of its own a task gives its summary again,
    /// with the numbers, and warned when some were not done.
    fn review(
        self,
        _request: &Request,
        before: Summary,
        applied: &Reviewed,
    ) -> Result<Summary, Failure> {
        Ok(applied.told(before))
    }
}

/// What was applied of a run's plan.
#[derive(Debug, Clone)]
pub struct Reviewed {
    /// Actions done, all of them.
    pub done: u64,
    /// Actions not done, all of them.
    pub not_done: u64,
    /// One by one, at most 4,096 of each kind.
    pub actions: Vec<Applied>,
}

impl Reviewed {
    /// The summary with the numbers added to its line and its data.
    pub fn told(&self, mut before: Summary) -> Summary {
        let (done, not_done) = (self.done.to_string(), self.not_done.to_string());
        before.line = [&before.line, "; ", &done, " applied"].concat();
        if self.not_done > 0 {
            before.line = [&before.line, ", ", &not_done, " not"].concat();
            before.status = Status::Warned;
        }
        if let Ok(Value::Map(mut data)) = json::parse(&before.data) {
            data.retain(|(key, _)| key != "applied" && key != "not-applied");
            data.push(("applied".into(), Value::Number(done)));
            data.push(("not-applied".into(), Value::Number(not_done)));
            before.data.clear();
            json::write(&Value::Map(data), &mut before.data);
        }
        before
    }
}

impl Summary {
    /// All is well: one line for people.
    pub fn done(line: impl Into<String>) -> Self {
        Self {
            status: Status::Done,
            line: line.into(),
            data: "{}".into(),
        }
    }

    /// It ran, and somebody should look.
    pub fn warned(line: impl Into<String>) -> Self {
        Self {
            status: Status::Warned,
            ..Self::done(line)
        }
    }

    /// Done when all is well, warned otherwise.
    pub fn judged(well: bool, line: impl Into<String>) -> Self {
        if well {
            Self::done(line)
        } else {
            Self::warned(line)
        }
    }

    /// With facts for programs: something that serde writes as a JSON object.
    pub fn with(mut self, data: &impl Serialize) -> Self {
        match serde_json::to_string(data) {
            Ok(text) => self.data = text,
            Err(error) => crate::log::warn!("the summary's data cannot be written: {error}"),
        }
        self
    }
}

impl Refusal {
    /// Whether the code is this one: `denied`, `limit`, `gone`, `busy`, `io` or `invalid`.
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(crate) fn run<T: Task>(request: &Request) -> Result<Summary, Failure> {
    settings::read::<T>()?.run(request)
}

pub(crate) fn review<T: Task>(
    request: &Request,
    before: Summary,
    applied: &Reviewed,
) -> Result<Summary, Failure> {
    settings::read::<T>()?.review(request, before, applied)
}
