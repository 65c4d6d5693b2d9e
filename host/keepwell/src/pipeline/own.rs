//! What a task keeps for itself, as one run sees it: opened when the task first asks, committed when
//! the run ended well and applied, journaled before and after. While a plan is still to be approved
//! or applied, what the look wanted to keep lies in the run's folder, as the plan does.

use super::run_log::{Halt, RunLog};
use crate::error::{Error, chain};
use crate::node::Node;
use crate::node_dir::write_file;
use keepwell_journal::measurements::{DbError, TaskStates};
use keepwell_model::event::{Event, Record};
use keepwell_model::grant::Grant;
use keepwell_model::id::{Digest, RunId};
use keepwell_model::own_state::{Changes, Figures, OwnState, STATE_CEILING};
use keepwell_model::report::Report;
use keepwell_model::words::Refusal;
use keepwell_sandbox::{StateAnswer, StateAsk};
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::PoisonError;

/// In a run's folder.
pub(super) const HELD: &str = "state.jsonl";
/// The file holds at most the ceiling in Base64, and what JSON adds to each key.
const HELD_MAX_BYTES: u64 = STATE_CEILING.0 * 2;

impl Node {
    /// What tasks keep, opened when first asked for.
    pub fn task_states(&self) -> Result<TaskStates, DbError> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*states {
            return Ok(open.clone());
        }
        let opened = TaskStates::open(&self.dir.state())?;
        Ok(states.insert(opened).clone())
    }
}

/// The state of a run's task, as the run sees it.
#[derive(Debug, Default)]
pub(super) struct Own {
    view: Option<Result<OwnState, Refusal>>,
    /// What the look wanted to keep cannot be any more, and neither can what follows from it.
    lost: Option<(Figures, String)>,
}

impl Own {
    /// Answers a task that holds `state`.
    pub(super) fn answer(
        &mut self,
        node: &Node,
        grant: &Grant,
        task: &str,
        ask: StateAsk,
    ) -> Result<StateAnswer, Refusal> {
        let quota = grant
            .state
            .ok_or_else(|| Refusal::denied("`state` is not granted"))?;
        let open = || {
            let view = node
                .task_states()
                .and_then(|states| states.view(task, quota));
            view.map_err(|e| Refusal::io(chain(&e)))
        };
        let view = self.view.get_or_insert_with(open);
        let view = view.as_mut().map_err(|e| e.clone())?;
        Ok(match ask {
            StateAsk::Get { key } => StateAnswer::Got(view.get(&key)?.map(<[u8]>::to_vec)),
            StateAsk::Set { key, value } => {
                view.set(&key, value)?;
                StateAnswer::Set
            }
            StateAsk::Delete { key } => StateAnswer::Deleted(view.delete(&key)?),
            StateAsk::List { prefix, after, max } => {
                let max = usize::try_from(max).unwrap_or(usize::MAX);
                StateAnswer::Listed(view.list(&prefix, after.as_deref(), max)?)
            }
            StateAsk::Usage => {
                let (bytes, keys) = view.used();
                StateAnswer::Usage {
                    bytes,
                    keys,
                    max_bytes: quota.max_bytes.0,
                    max_keys: quota.max_keys.into(),
                }
            }
        })
    }

    fn wanted(&self) -> Option<Changes> {
        let view = self.view.as_ref()?.as_ref().ok()?;
        view.is_changed().then(|| view.changes())
    }

    /// Writes down what the look wants to keep, for a run whose plan is still to be carried out:
    /// that may be after somebody's approval, or after a crash.
    pub(super) fn hold(&self, node: &Node, log: &mut RunLog<'_>) -> Result<(), Halt> {
        let Some(changes) = self.wanted() else {
            return Ok(());
        };
        let text: String = changes.lines().collect();
        write_file(&held(node, log.run()), text.as_bytes(), 0o600).map_err(Halt::failed)?;
        log.tell(Event::StateHeld {
            changes: changes.figures(),
        })
    }

    /// The same again, for a run that goes on.
    pub(super) fn held_by(node: &Node, grant: &Grant, report: &Report, records: &[Record]) -> Self {
        let figures = records.iter().find_map(|r| match &r.event {
            Event::StateHeld { changes } => Some(changes.clone()),
            _ => None,
        });
        let Some(figures) = figures else {
            return Self::default();
        };
        match reopen(node, grant, report, &figures) {
            Ok(view) => Self {
                view: Some(Ok(view)),
                lost: None,
            },
            Err(why) => Self {
                view: None,
                lost: Some((figures, why)),
            },
        }
    }

    /// Commits what the run wanted to keep, now that it ended well. False when it is not kept,
    /// which the report tells.
    pub(super) fn keep(&self, node: &Node, log: &mut RunLog<'_>) -> Result<bool, Halt> {
        if let Some((changes, why)) = &self.lost {
            let changes = changes.clone();
            log.tell(Event::StateIntended { changes })?;
            log.tell(not_kept(why.clone()))?;
            return Ok(false);
        }
        let Some(changes) = self.wanted() else {
            return Ok(true);
        };
        log.tell(Event::StateIntended {
            changes: changes.figures(),
        })?;
        let task = log.report().task.clone();
        let kept = node
            .task_states()
            .and_then(|states| states.commit(&task, log.run(), &changes));
        let is_kept = kept.is_ok();
        log.tell(match kept {
            Ok(version) => Event::StateOutcome {
                version: Some(version),
                why: None,
            },
            Err(DbError::Changed { .. }) => not_kept(MOVED_ON.to_owned()),
            Err(e) => not_kept(chain(&e)),
        })?;
        Ok(is_kept)
    }
}

const MOVED_ON: &str = "another run of the task changed its state in between";

fn not_kept(why: String) -> Event {
    Event::StateOutcome {
        version: None,
        why: Some(why),
    }
}

fn held(node: &Node, run: RunId) -> PathBuf {
    node.dir.run(run).join(HELD)
}

fn reopen(
    node: &Node,
    grant: &Grant,
    report: &Report,
    figures: &Figures,
) -> Result<OwnState, String> {
    let quota = grant.state.ok_or("`state` is not granted any more")?;
    let path = held(node, report.run);
    let mut text = String::new();
    let read = File::open(&path).and_then(|f| f.take(HELD_MAX_BYTES).read_to_string(&mut text));
    read.map_err(|e| Error::io("read", &path, &e).message)?;
    if Digest::of(text.as_bytes()) != figures.digest {
        return Err("its file is not as the journal has it".to_owned());
    }
    let changes = Changes::parse(&text).map_err(|e| e.to_string())?;
    let stored = node
        .task_states()
        .and_then(|states| states.stored(&report.task))
        .map_err(|e| chain(&e))?;
    OwnState::again(stored, quota, changes).ok_or_else(|| MOVED_ON.to_owned())
}

/// What became of an intent that a crash left without its outcome; `None` when there is none.
pub(super) fn settle(node: &Node, report: &Report) -> Option<Event> {
    let open = report.state_kept.as_ref()?;
    if open.version.is_some() || open.why.is_some() {
        return None;
    }
    let last = node
        .task_states()
        .and_then(|states| states.last(&report.task));
    Some(match last {
        Ok(Some((version, run))) if run == report.run => Event::StateOutcome {
            version: Some(version),
            why: None,
        },
        Ok(_) => not_kept("the host stopped before it was kept".to_owned()),
        Err(e) => not_kept(format!("whether it was kept cannot be read: {}", chain(&e))),
    })
}
