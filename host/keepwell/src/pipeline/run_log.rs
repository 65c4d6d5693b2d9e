//! The one line of events of a run: each goes to the journal, into the report, and to whoever
//! watches, in this order.

use super::progress::ProgressFile;
use crate::clock::Clock;
use crate::config::Problem;
use crate::error::{Error, Result};
use crate::node::Node;
use keepwell_journal::Journal;
use keepwell_model::event::{Event, Record};
use keepwell_model::id::RunId;
use keepwell_model::limits::LimitName;
use keepwell_model::report::Report;
use keepwell_model::state::{Exit, RunState};
use keepwell_model::words::{Progress, Refusal};
use std::sync::{Mutex, PoisonError};

/// Sees a run while it happens.
pub trait Observer {
    fn record(&mut self, record: &Record);
    /// Progress is shown, never journaled.
    fn progress(&mut self, progress: &Progress);
}

/// Watches nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn record(&mut self, _: &Record) {}
    fn progress(&mut self, _: &Progress) {}
}

/// Why a stage did not hand on to the next.
#[derive(Debug)]
pub enum Halt {
    /// The run ends here, in this state.
    End {
        state: RunState,
        reason: String,
        hint: Option<String>,
        limit: Option<LimitName>,
        /// The task itself says that trying again may help.
        again: bool,
        /// By the plugin's own doing.
        fault: bool,
    },
    /// The plan waits for approvals; the run goes on when they are there.
    Waiting { have: u32, need: u32 },
    /// The journal cannot be written: nothing may change any more, and nothing more can be said.
    Journal(Error),
}

impl Halt {
    pub fn end(state: RunState, reason: impl Into<String>, hint: Option<String>) -> Self {
        Self::End {
            state,
            reason: reason.into(),
            hint,
            limit: None,
            again: false,
            fault: false,
        }
    }

    /// The task failed by its own doing.
    pub fn fault(reason: impl Into<String>) -> Self {
        Self::End {
            state: RunState::Failed,
            reason: reason.into(),
            hint: None,
            limit: None,
            again: false,
            fault: true,
        }
    }

    /// The task failed and says that trying again may help.
    pub fn transient(reason: impl Into<String>) -> Self {
        Self::End {
            state: RunState::Failed,
            reason: reason.into(),
            hint: Some("the task says that trying again may help".into()),
            limit: None,
            again: true,
            fault: true,
        }
    }

    pub fn limited(limit: LimitName, reason: impl Into<String>) -> Self {
        let hint = format!(
            "if it is meant to use that much, raise `limits.{}`",
            limit.as_str()
        );
        Self::End {
            state: RunState::Limited,
            reason: reason.into(),
            hint: Some(hint),
            limit: Some(limit),
            again: false,
            fault: true,
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "used as the argument of map_err"
    )]
    pub fn denied(problems: Vec<Problem>) -> Self {
        let all: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
        let hint = problems.first().and_then(|p| p.hint.clone());
        Self::end(RunState::Denied, all.join("; "), hint)
    }

    /// An error of the host's own, as a run's end.
    pub fn failed(error: Error) -> Self {
        let state = match error.exit {
            Exit::Denied => RunState::Denied,
            Exit::NotNow => RunState::Skipped,
            Exit::Limited => RunState::Limited,
            Exit::Interrupted => RunState::Interrupted,
            Exit::Done
            | Exit::Failed
            | Exit::Usage
            | Exit::Warned
            | Exit::Internal
            | Exit::Config => RunState::Failed,
        };
        Self::end(state, error.message, error.hint)
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::failed(refusal.into())
    }
}

/// Events of one run.
pub struct RunLog<'a> {
    journal: &'a Journal,
    clock: Clock,
    actor: String,
    observer: &'a mut dyn Observer,
    report: Report,
    far: ProgressFile,
    /// Where this run is noted when its end cannot be journaled.
    cut_off: &'a Mutex<Vec<RunId>>,
}

impl std::fmt::Debug for RunLog<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunLog")
            .field("run", &self.report.run)
            .finish_non_exhaustive()
    }
}

impl<'a> RunLog<'a> {
    /// The run exists from here on: its first event is durable.
    pub fn begin(
        node: &'a Node,
        due: &super::Due<'_>,
        observer: &'a mut dyn Observer,
    ) -> Result<Self> {
        let record = Record {
            at: due.now_ms,
            run: Some(due.run),
            task: Some(due.task.name.to_string()),
            actor: node.actor.clone(),
            event: Event::RunDue {
                trigger: due.trigger.clone(),
                mode: due.mode,
                settings: due.settings.clone(),
                set: due.set.clone(),
                slot: due.slot.clone(),
                asked: due.asked,
            },
        };
        let report = Report::begin(&record)
            .ok_or_else(|| Error::failed("a run began without its first event"))?;
        node.journal.commit(record.clone()).inspect_err(|e| {
            // A disk that hangs may take it after all, when nobody is there to run it any more.
            if e.kind() == keepwell_journal::ErrorKind::Unavailable {
                note_cut_off(&node.cut_off, due.run);
            }
        })?;
        observer.record(&record);
        Ok(Self {
            far: ProgressFile::of(&node.dir.run(due.run), due.now_ms),
            cut_off: &node.cut_off,
            journal: &node.journal,
            clock: node.clock.clone(),
            actor: node.actor.clone(),
            observer,
            report,
        })
    }

    /// Goes on with a run that is in the journal already.
    pub fn reopen(node: &'a Node, report: Report, observer: &'a mut dyn Observer) -> Self {
        Self {
            far: ProgressFile::of(&node.dir.run(report.run), node.clock.now_ms()),
            cut_off: &node.cut_off,
            journal: &node.journal,
            clock: node.clock.clone(),
            actor: node.actor.clone(),
            observer,
            report,
        }
    }

    pub fn run(&self) -> RunId {
        self.report.run
    }

    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Journals an event; durably when the world must not change before it is on disk.
    pub fn tell(&mut self, event: Event) -> Result<(), Halt> {
        let record = Record {
            at: self.clock.now_ms(),
            run: Some(self.report.run),
            task: Some(self.report.task.clone()),
            actor: self.actor.clone(),
            event,
        };
        let written = if record.event.durable_first() {
            self.journal.commit(record.clone()).map(|_| ())
        } else {
            self.journal.append(record.clone())
        };
        written.map_err(|e| Halt::Journal(e.into()))?;
        self.report.add(&record);
        self.observer.record(&record);
        Ok(())
    }

    pub fn progress(&mut self, progress: &Progress) {
        self.far.tell(progress, self.clock.now_ms());
        self.observer.progress(progress);
    }

    /// The last event. The journal keeps the signed head that covers it in the same transaction.
    pub fn end(mut self, ended: Result<RunState, Halt>) -> Result<Report> {
        let event = match ended {
            Ok(state) => Event::RunEnded {
                state,
                reason: None,
                hint: None,
                limit: None,
                again: false,
                fault: false,
            },
            Err(Halt::End {
                state,
                reason,
                hint,
                limit,
                again,
                fault,
            }) => Event::RunEnded {
                state,
                reason: Some(reason),
                hint,
                limit,
                again,
                fault,
            },
            Err(Halt::Waiting { .. }) => {
                self.journal.checkpoint()?;
                return Ok(self.report);
            }
            Err(Halt::Journal(error)) => return Err(self.cut_off(error)),
        };
        self.tell(event).map_err(|halt| match halt {
            Halt::Journal(error) => self.cut_off(error),
            Halt::End { reason, .. } => Error::failed(reason),
            Halt::Waiting { .. } => Error::failed("a run cannot end and wait"),
        })?;
        Ok(self.report)
    }

    /// Nothing can be said of it any more; it ends as interrupted when the journal is well.
    fn cut_off(&self, error: Error) -> Error {
        note_cut_off(self.cut_off, self.report.run);
        error
    }
}

fn note_cut_off(runs: &Mutex<Vec<RunId>>, run: RunId) {
    let mut runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
    runs.push(run);
}
