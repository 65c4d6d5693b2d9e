//! Apply: batch by batch, the intent durable before the first effect, the outcome after the last.
//! The guest is not asked again; what was sealed is what is done.

use super::parts::Parts;
use super::plan_file::PlanReader;
use super::run_log::{Halt, RunLog};
use super::{Applied, Approved, Brake};
use crate::node::Node;
use crate::pressure::Ease;
use keepwell_model::action::{Action, Change};
use keepwell_model::event::Event;
use keepwell_model::grant::{CleanGrant, ConfigWriteGrant, Grant};
use keepwell_model::id::{RootName, RunId};
use keepwell_model::param::{Param, ParamChange};
use keepwell_model::schedule::{Criticality, PressureTable};
use keepwell_model::state::RunState;
use keepwell_model::words::{Code, Progress, Refusal};
use keepwell_node::in_use::InUse;
use keepwell_node::params::ConfigWrite;
use keepwell_node::quarantine::{Quarantine, Settled};
use keepwell_node::root::Root;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Actions under one intent: large enough that two waits for the disk are shared by many, small
/// enough that a crash leaves little to look at again.
pub(super) const BATCH: usize = 16_384;
/// What is open is looked up again when it was last looked up longer ago than this.
const IN_USE_FRESH: Duration = Duration::from_secs(1);
/// Actions between two looks at the brake and the clock: together they take a few milliseconds.
const LOOK_EVERY: usize = 64;

/// Why applying ended before the plan did.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub state: RunState,
    pub why: String,
    pub hint: Option<String>,
}

pub(super) fn apply<'a>(
    node: &Node,
    approved: Approved<'a>,
    log: &mut RunLog<'_>,
    brake: &Brake,
) -> Result<Applied<'a>, Halt> {
    let planned = approved.planned;
    let plan = &planned.plan;
    if let Some(stop) = super::room::stop(&node.dir) {
        // Before the first action nothing of it is begun; what is open or next stays so.
        return Ok(Applied {
            stopped: Some(stop),
            planned,
        });
    }
    let mut reader = PlanReader::open(&plan.path, plan.digest).map_err(Halt::failed)?;
    let hands = Hands::begin(
        node,
        (
            planned.granted.due.task.name.as_str(),
            &planned.granted.grant,
        ),
        log.run(),
        &plan.path,
        plan.per_root.keys(),
    )?;
    // A run that goes on: the batch that was under way first, then from where it stopped.
    let open = log.report().applied.open;
    let next = log.report().applied.next;
    reader
        .skip_to(open.map_or(next, |(first, _)| first))
        .map_err(Halt::failed)?;
    if let Some((first, last)) = open {
        super::recover::settle(&hands, &mut reader, first, last, log)?;
    }
    let stopped = carry_out(hands, reader, plan.actions, log, brake)?;
    Ok(Applied { planned, stopped })
}

/// From where the reader stands to the end of the plan.
fn carry_out(
    mut hands: Hands,
    mut reader: PlanReader,
    total: u64,
    log: &mut RunLog<'_>,
    brake: &Brake,
) -> Result<Option<Stop>, Halt> {
    loop {
        let batch = reader.batch(BATCH).map_err(Halt::failed)?;
        let (Some(first), Some(last)) = (batch.first().map(|a| a.id), batch.last().map(|a| a.id))
        else {
            return Ok(None);
        };
        let stop = brake.reach(first).or_else(|| hands.must_stop(brake));
        if let Some(stop) = stop.or_else(|| super::room::stop(&hands.node.dir)) {
            log.tell(Event::Stopped {
                remaining: total - first,
                why: stop.why.clone(),
            })?;
            return Ok(Some(stop));
        }
        hands.refresh();
        log.tell(Event::Intended { first, last })?;
        let (parts, stop) = hands.batch(&batch, brake, total, log)?;
        hands.sync()?;
        let reached = parts.reached();
        for outcome in parts.outcomes() {
            log.tell(outcome)?;
        }
        if let Some(stop) = stop {
            let remaining = total - first - reached;
            log.tell(Event::Stopped {
                remaining,
                why: stop.why.clone(),
            })?;
            return Ok(Some(stop));
        }
    }
}

/// What slows a task. One that a schedule calls critical is not slowed, as it is not held up.
pub(super) fn eased(node: &Node, task: &str) -> Option<PressureTable> {
    let config = &node.config;
    let own = config
        .task(task)
        .ok()
        .and_then(|t| t.file.schedule.as_ref());
    let slots = config
        .schedules
        .values()
        .flat_map(|doc| doc.file.slots.values());
    let slots = slots.filter(|slot| slot.tasks.iter().any(|t| t.as_str() == task));
    let mut said = own
        .map(|schedule| schedule.criticality)
        .into_iter()
        .chain(slots.map(|slot| slot.criticality));
    let critical = said.any(|it| it == Criticality::Critical);
    (!critical).then(|| config.node.daemon.pressure.clone())
}

/// The actuators of one run, and what bounds them.
pub(super) struct Hands {
    /// What was granted to be moved aside, and to be set.
    clean: Option<CleanGrant>,
    config: Option<ConfigWriteGrant>,
    run: RunId,
    node: Node,
    roots: BTreeMap<RootName, (Root, Quarantine)>,
    in_use: InUse,
    looked: Instant,
    began: Instant,
    /// Actions since `rate` is what it is, and since when.
    done: u64,
    counted_from: Instant,
    rate: u32,
    ease: Ease,
}

impl Hands {
    pub(super) fn begin<'r>(
        node: &Node,
        (task, grant): (&str, &Grant),
        run: RunId,
        plan: &Path,
        roots: impl Iterator<Item = &'r RootName>,
    ) -> Result<Self, Halt> {
        let clean = &grant.clean;
        let stores: Vec<_> = node
            .config
            .stores()
            .values()
            .map(|s| s.path.clone())
            .collect();
        let mut opened = BTreeMap::new();
        for name in roots {
            let granted = clean.as_ref().and_then(|c| c.roots.get(name));
            let path = granted.ok_or_else(|| {
                Halt::end(
                    RunState::Denied,
                    format!("root `{name}` is not granted any more"),
                    None,
                )
            })?;
            let root = Root::open(name, path)?;
            keepwell_node::check_cleanable(path, root.fd(), &stores, node.dir.path())?;
            let quarantine = Quarantine::begin(&root, run, plan)?;
            opened.insert(name.clone(), (root, quarantine));
        }
        let now = Instant::now();
        let mut hands = Self {
            clean: clean.clone(),
            config: grant.config_write.clone(),
            run,
            node: node.clone(),
            roots: opened,
            in_use: InUse::none(),
            looked: now,
            began: now,
            done: 0,
            counted_from: now,
            rate: 0,
            ease: Ease::new(eased(node, task)),
        };
        hands.look_again();
        Ok(hands)
    }

    fn look_again(&mut self) {
        let devices: Vec<u64> = self
            .roots
            .values()
            .map(|(root, _)| root.identity().0)
            .collect();
        self.in_use = keepwell_node::in_use::in_use(&devices);
        self.looked = Instant::now();
    }

    fn refresh(&mut self) {
        if self.looked.elapsed() > IN_USE_FRESH {
            self.look_again();
        }
    }

    fn quarantine(&self, action: &Action) -> Result<&Quarantine, Refusal> {
        let root = action.change.root();
        root.and_then(|root| self.roots.get(root))
            .map(|(_, q)| q)
            .ok_or_else(|| Refusal::denied("its root is not granted"))
    }

    /// What a crash left of an action: one actuator for each kind.
    pub(super) fn settled(&self, action: &Action) -> Result<Settled, Refusal> {
        match &action.change {
            Change::Quarantine { .. } | Change::QuarantineTree { .. } => {
                self.quarantine(action).map(|q| q.settled(action))
            }
            Change::ConfigWrite(_) => Ok(ConfigWrite::new(self.run).settled(action)),
        }
    }

    /// Carries out one action, or says why not.
    pub(super) fn one(
        &self,
        action: &Action,
        log: &mut RunLog<'_>,
    ) -> Result<Result<(), Refusal>, Halt> {
        match &action.change {
            Change::Quarantine { .. } | Change::QuarantineTree { .. } => {
                Ok(self.move_aside(action))
            }
            Change::ConfigWrite(change) => match self.param(change) {
                Ok(param) => super::changes::set(&self.node, self.run, action, param, log),
                Err(no) => Ok(Err(no)),
            },
        }
    }

    fn move_aside(&self, action: &Action) -> Result<(), Refusal> {
        let clean = self
            .clean
            .as_ref()
            .ok_or_else(|| Refusal::denied("`storage-clean` is not granted any more"))?;
        let quarantine = self.quarantine(action)?;
        let now_ms = self.node.clock.now_ms();
        quarantine.check(action, &clean.budget, now_ms, &self.in_use)?;
        quarantine.apply(action)
    }

    fn param(&self, change: &ParamChange) -> Result<&Param, Refusal> {
        let config = self
            .config
            .as_ref()
            .ok_or_else(|| Refusal::denied("`config-write` is not granted any more"))?;
        config.param(change.param.as_str()).map(|(_, param)| param)
    }

    /// What became of each action that was reached, and why it was not all of them.
    fn batch(
        &mut self,
        batch: &[Action],
        brake: &Brake,
        total: u64,
        log: &mut RunLog<'_>,
    ) -> Result<(Parts, Option<Stop>), Halt> {
        let mut parts = Parts::default();
        let mut stop = None;
        let mut slow = false;
        for (i, action) in batch.iter().enumerate() {
            // What is paced is looked after at each action: sixty-four may take a minute.
            if slow || brake.is_pulled() || i % LOOK_EVERY == 0 {
                self.ease.rest(brake);
                log.progress(&Progress {
                    done: action.id,
                    total,
                    unit: "actions".into(),
                    note: self.note(),
                });
                self.refresh();
                stop = stop.or_else(|| self.must_stop(brake));
            }
            stop = stop.or_else(|| brake.reach(action.id));
            if stop.is_some() {
                break;
            }
            let one = self.one(action, log)?;
            if let Err(refusal) = &one
                && refusal.code == Code::Io
            {
                // A machine that fails once (a full disk, a dying one) is not tried thousands of times.
                let (why, hint) = (refusal.message.clone(), refusal.hint.clone());
                stop = Some(Stop {
                    state: RunState::Failed,
                    why,
                    hint,
                });
            }
            parts.add(action, one);
            slow = self.pace(brake);
        }
        Ok((parts, stop))
    }

    /// Stopped from outside, or out of time. Checked between actions, never within one.
    fn must_stop(&self, brake: &Brake) -> Option<Stop> {
        if let Some(stop) = brake.stop("applying") {
            let goes_on =
                "`keepwell runs resume` goes on; `keepwell undo` takes back what was done";
            return Some(Stop {
                hint: stop.hint.or_else(|| Some(goes_on.into())),
                ..stop
            });
        }
        let most = self.clean.as_ref()?.budget.max_time;
        (self.began.elapsed() > most.0).then(|| Stop {
            state: RunState::Limited,
            why: format!("applying took longer than {most}"),
            hint: Some("`keepwell runs resume` goes on, or raise `storage-clean.max-time`".into()),
        })
    }

    /// What it does, and what slows it.
    fn note(&self) -> String {
        match self.ease.pressed() {
            None => "applying".into(),
            Some(pressed) => format!("applying, slowed: {pressed}"),
        }
    }

    /// No more than the granted rate of actions a second, or the lower one that a person said. Says
    /// whether it had to wait.
    fn pace(&mut self, brake: &Brake) -> bool {
        let granted = self.clean.as_ref().map_or(0, |c| c.budget.max_rate);
        let rate = match (granted, brake.bound().rate) {
            (granted, None) => granted,
            (0, Some(said)) => said,
            (granted, Some(said)) => granted.min(said),
        };
        if rate != self.rate {
            (self.rate, self.done, self.counted_from) = (rate, 0, Instant::now());
        }
        self.done += 1;
        if rate == 0 {
            return false;
        }
        let due = Duration::from_secs_f64(self.done as f64 / f64::from(rate));
        let early = due.checked_sub(self.counted_from.elapsed());
        if let Some(early) = early {
            std::thread::sleep(early.min(Duration::from_secs(1)));
        }
        early.is_some()
    }

    pub(super) fn sync(&self) -> Result<(), Halt> {
        for (_, quarantine) in self.roots.values() {
            quarantine.sync()?;
        }
        Ok(())
    }
}
