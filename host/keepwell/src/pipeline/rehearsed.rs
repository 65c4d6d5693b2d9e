//! What a rehearsal puts in place of the machine: readings that do not change, and a call that fails.

use keepwell_model::event::Call;
use keepwell_node::metrics::{Cpu, Memory};
use keepwell_node::mounts::Mount;
use keepwell_node::networks::Network;
use keepwell_node::pressure::{Contended, Pressure};
use keepwell_node::processes::{Order, Process};
use keepwell_sandbox::{Answer, Ask, Fail, Outcome};
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Made by `rehearsal` alone: nothing that is configured, asked for or installed leads here.
#[derive(Debug, Clone)]
pub(crate) struct Rehearsed {
    fail: Option<Fail>,
    pub(super) readings: Readings,
    /// Calls so far of those that `fail` counts. A review goes on where the look ended.
    counted: Arc<AtomicU64>,
    /// A guest did not come to an end of its own.
    crashed: Arc<AtomicBool>,
}

impl Rehearsed {
    pub(crate) fn new(readings: Readings, fail: Option<Fail>) -> Self {
        Self {
            fail,
            readings,
            counted: Arc::default(),
            crashed: Arc::default(),
        }
    }

    /// Whether a look or a review ended other than by the task's own word: by a panic, a limit, or with
    /// its worker.
    pub(crate) fn crashed(&self) -> bool {
        self.crashed.load(Ordering::Relaxed)
    }

    pub(super) fn ended(&self, outcome: &Outcome) {
        let crashed = match outcome {
            Outcome::Trapped { .. } | Outcome::Limited { .. } | Outcome::Died { .. } => true,
            Outcome::Described(_)
            | Outcome::Summarized(_)
            | Outcome::Failed(_)
            | Outcome::Cancelled
            | Outcome::Unwalled { .. } => false,
        };
        self.crashed.fetch_or(crashed, Ordering::Relaxed);
    }

    /// What of it is still to come, counted from here.
    pub(super) fn fail(&self) -> Option<Fail> {
        let fail = self.fail.clone()?;
        let at = fail.at.checked_sub(self.counted.load(Ordering::Relaxed))?;
        (at > 0).then_some(Fail { at, ..fail })
    }

    /// These calls were made; `more` are known by their number alone.
    pub(super) fn count(&self, calls: &[Call], more: u64) {
        let Some(fail) = &self.fail else { return };
        let these = calls.iter().filter(|call| fail.counts(&call.function));
        let all = fail.function.is_none();
        let made = these.count() as u64 + if all { more } else { 0 };
        self.counted.fetch_add(made, Ordering::Relaxed);
    }
}

/// What the sensors of the machine say.
#[derive(Debug, Clone)]
pub(crate) struct Readings {
    pub(crate) cpu: Cpu,
    pub(crate) memory: Memory,
    /// Of cpu, memory and io; `None`: the kernel has no such figures.
    pub(crate) pressure: Option<[Pressure; 3]>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) networks: Vec<Network>,
    pub(crate) processes: Vec<Process>,
}

impl Readings {
    /// `None` where it is not a sensor that was asked.
    pub(super) fn answer(&self, ask: &Ask) -> Option<Answer> {
        Some(match ask {
            Ask::Cpu => Answer::Cpu(Ok(self.cpu.clone())),
            Ask::Memory => Answer::Memory(Ok(self.memory.clone())),
            Ask::Pressure(of) => {
                let [cpu, memory, io] = match self.pressure {
                    Some(all) => all.map(Some),
                    None => [None; 3],
                };
                Answer::Pressure(Ok(match of {
                    Contended::Cpu => cpu,
                    Contended::Memory => memory,
                    Contended::Io => io,
                }))
            }
            Ask::Mounts => Answer::Mounts(Ok((self.mounts.clone(), vec![]))),
            Ask::Networks => Answer::Networks(Ok(self.networks.clone())),
            Ask::Processes { order, max } => {
                let mut all = self.processes.clone();
                all.sort_by_key(|p| match order {
                    Order::ByMemory => Reverse(p.resident_bytes),
                    Order::ByCpu => Reverse(p.cpu_ms),
                });
                all.truncate(*max);
                Answer::Processes(Ok(all))
            }
            Ask::Rest
            | Ask::InUse
            | Ask::Remembered { .. }
            | Ask::StoreFigures { .. }
            | Ask::Propose { .. }
            | Ask::ProposeTree { .. }
            | Ask::Param { .. }
            | Ask::ProposeConfig { .. }
            | Ask::State(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_model::words::Code;
    use keepwell_sandbox::FailEnd;

    fn calls(functions: &[&str]) -> Vec<Call> {
        let call = |function: &&str| Call {
            function: (*function).to_owned(),
            subject: String::new(),
            result: "ok".into(),
        };
        functions.iter().map(call).collect()
    }

    fn rehearsed(function: Option<&str>, at: u64) -> Rehearsed {
        let fail = Fail {
            function: function.map(str::to_owned),
            at,
            end: FailEnd::Refused(Code::Io),
        };
        Rehearsed::new(crate::rehearsal::quiet(), Some(fail))
    }

    /// A call that fails is counted over the look and the review after it, and fails once.
    #[test]
    fn a_review_goes_on_counting() {
        let of = rehearsed(Some("state.get"), 2);
        of.count(&calls(&["state.get", "state.set"]), 7);
        assert_eq!(of.fail().map(|fail| fail.at), Some(1));
        of.count(&calls(&["state.get"]), 0);
        assert_eq!(of.fail(), None);
        let all = rehearsed(None, 9);
        all.count(&calls(&["state.get", "state.set"]), 6);
        assert_eq!(all.fail().map(|fail| fail.at), Some(1));
        all.count(&calls(&["state.get", "state.set"]), 0);
        assert_eq!(all.fail(), None);
    }
}
