//! What people asked the daemon to start: a task now, or the slots of a schedule that were missed.
//! The journal keeps what was asked until its start, or its end, settles it.

use super::running::For;
use super::scheduler::{Board, told};
use super::shared::Shared;
use crate::config::Line;
use crate::error::Result;
use crate::node::Node;
use crate::pipeline::{self, Brake, Due, Silent};
use keepwell_journal::{Ask, Asked, PAUSED, Reader};
use keepwell_model::event::{Event, Mode};
use keepwell_model::report::Report;
use keepwell_model::role::Peer;
use keepwell_model::schedule::{Criticality, Running};
use keepwell_model::slot::{Handled, Slot, Via};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Board {
    /// Starts what was asked for and may begin. Each runs in a thread of its own; of a backfill one
    /// slot at a time, while its schedule runs nothing else.
    pub(super) fn serve(&mut self, shared: &Arc<Shared>, node: &Node, pressed: bool) -> Result<()> {
        let reader = node.reader()?;
        let mut all = reader.asked()?;
        all.sort_by_key(|asked| (Reverse(self.criticality(&asked.task)), asked.entry));
        for asked in all {
            if self.free(shared, node) == 0 || self.serving.contains_key(&asked.entry) {
                continue;
            }
            let started = match &asked.what {
                Ask::Run { settings } => {
                    start(shared, &asked, None, settings.clone());
                    true
                }
                Ask::Backfill { schedule, from, to } => {
                    let range = (*from, *to);
                    self.may_fill(shared, &reader, schedule, &asked, pressed)?
                        && self.fill(shared, node, &reader, &asked, schedule, range)?
                }
            };
            if started {
                let task = matches!(asked.what, Ask::Run { .. }).then(|| asked.task.clone());
                self.serving.insert(asked.entry, task);
            }
        }
        Ok(())
    }

    /// Of a task's schedules, what the most critical one says, or a person said of its slot.
    fn criticality(&self, task: &str) -> Criticality {
        let of_task = self.lines.iter().filter(|s| runs(&s.line, task));
        let all = of_task.map(|s| {
            let own = s.line.schedule.criticality;
            s.state.urgent.map_or(own, |urgent| urgent.criticality)
        });
        all.max().unwrap_or_default()
    }

    /// Whether its schedule, its group and the machine have room. One that is gone has: it is
    /// settled then.
    fn may_fill(
        &self,
        shared: &Shared,
        reader: &Reader,
        key: &str,
        asked: &Asked,
        pressed: bool,
    ) -> Result<bool> {
        let Some(standing) = self.lines.iter().find(|s| s.line.key == key) else {
            return Ok(true);
        };
        let schedule = &standing.line.schedule;
        let mut running = self.lines.iter().filter(|s| s.state.running.is_some());
        let held = self.busy(shared);
        let group = schedule.group.as_ref();
        let busy = group.is_some_and(|group| held.contains_key(group))
            || running.any(|s| {
                s.line.key == key || (group.is_some() && s.line.schedule.group.as_ref() == group)
            });
        let waits = pressed && schedule.criticality < Criticality::Critical;
        Ok(!busy && !waits && reader.flag(&asked.task, PAUSED)?.is_none())
    }

    /// Starts the first slot that nothing was started for, or says that none is left.
    fn fill(
        &mut self,
        shared: &Arc<Shared>,
        node: &Node,
        reader: &Reader,
        asked: &Asked,
        key: &str,
        range: (u64, u64),
    ) -> Result<bool> {
        let standing = self.lines.iter_mut().find(|s| s.line.key == key);
        let Some(standing) = standing.filter(|s| runs(&s.line, &asked.task)) else {
            settle(node, asked, "no such schedule runs it any more")?;
            return Ok(false);
        };
        let Some(slot) = missing(reader, &standing.line, &asked.task, range)? else {
            settle(node, asked, "every slot was run, or done by hand")?;
            return Ok(false);
        };
        standing.state.running = Some(Running {
            slot,
            since: node.clock.now_ms(),
            cancelling: false,
        });
        start(
            shared,
            asked,
            Some((Arc::clone(&standing.line), slot)),
            "{}".into(),
        );
        Ok(true)
    }
}

fn runs(line: &Line, task: &str) -> bool {
    line.tasks.iter().any(|t| t.as_str() == task)
}

/// The first slot in the range that no run was started for and no person has done.
fn missing(
    reader: &Reader,
    line: &Line,
    task: &str,
    (from, to): (u64, u64),
) -> Result<Option<u64>> {
    let mut after = from.saturating_sub(1);
    // A pattern that ends has no slot that could be missing.
    while let Ok(slot) = line.schedule.pattern.next_after(after) {
        if slot > to {
            break;
        }
        let rows = reader.slot(task, slot)?;
        let is_done = rows
            .iter()
            .any(|row| matches!(row.how, Handled::Started | Handled::ByHand));
        if !is_done {
            return Ok(Some(slot));
        }
        after = slot;
    }
    Ok(None)
}

fn start(shared: &Arc<Shared>, asked: &Asked, slot: Option<(Arc<Line>, u64)>, settings: String) {
    let (shared, asked) = (Arc::clone(shared), asked.clone());
    std::thread::spawn(move || {
        let host = shared.node();
        let brake = Brake::default();
        let key = slot.as_ref().map(|(line, _)| line.key.clone());
        let name = key.clone().unwrap_or_else(|| asked.task.clone());
        let what = For {
            schedule: Some(name),
            task: Some(asked.task.clone()),
            ..For::default()
        };
        // It cannot begin while the daemon ends: the next one reads what was asked again.
        if let Ok(_under_way) = shared.running.begin(what, &brake) {
            match run(&host, &asked, slot.as_ref(), &settings, &brake) {
                Ok(report) => tracing::info!(
                    run = report.run.short(),
                    "{} was asked for, ended {}",
                    asked.task,
                    report.state
                ),
                // Somebody else began this slot; the next look finds the one after it.
                Err(e) if e.taken => {}
                Err(e) => {
                    tracing::error!("{} was asked for and cannot start: {e}", asked.task);
                    if let Err(e) = settle(&host, &asked, &e.message) {
                        tracing::error!("{}: {e}", asked.task);
                        // It is still asked for. The journal recovers by itself, in its own time.
                        std::thread::sleep(super::LOOK_AGAIN);
                    }
                }
            }
        }
        if let Err(e) = shared.scheduler.served(&host, asked.entry, key.as_deref()) {
            tracing::error!("{}: {e}", asked.task);
        }
        shared.wake.notify_one();
    });
}

/// Runs it for who asked, so that they cannot approve what they asked for.
fn run(
    host: &Node,
    asked: &Asked,
    slot: Option<&(Arc<Line>, u64)>,
    settings: &str,
    brake: &Brake,
) -> Result<Report> {
    let uid = asked
        .actor
        .strip_prefix("uid:")
        .and_then(|uid| uid.parse().ok());
    let node = match uid {
        Some(uid) => host.acting_for(Peer {
            uid,
            gids: BTreeSet::new(),
        }),
        None => host.acting_alone(),
    };
    let task = node.config.task(&asked.task)?;
    let words: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(settings).unwrap_or_default();
    let words: Vec<_> = words.into_iter().collect();
    let trigger = if slot.is_some() { "backfill" } else { "asked" };
    let mut due = Due::now(&node, task, trigger, Mode::Apply, false, &words)?;
    match slot {
        // Of a backfill each start has its slot, and its end settles the whole.
        Some((line, at)) => {
            due.slot = Some(Slot {
                schedule: line.key.clone(),
                due: *at,
                attempt: 1,
                via: Via::Backfill,
                reason: Some(asked.reason.clone()),
            });
            due.window = line.schedule.window.clone();
        }
        None => due.asked = Some(asked.entry),
    }
    pipeline::run(&node, due, &mut Silent, brake)
}

fn settle(node: &Node, asked: &Asked, why: &str) -> Result<()> {
    let event = Event::AskSettled {
        asked: asked.entry,
        why: why.to_owned(),
    };
    told(node, &asked.task, event)
}
