//! Confirmed commits: a change reverts by itself unless it is confirmed, and only while the value
//! is still ours.

use super::change::ParamChange;
use super::guard::Verdict;
use super::table::Param;
use super::value::ParamValue;
use crate::id::{ParamName, RunId};
use crate::units::Span;
use crate::words::Refusal;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One applied change of a parameter, and what became of it. Times are milliseconds since the
/// Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Commit {
    pub run: RunId,
    /// The action's number in the run's plan.
    pub action: u64,
    pub param: ParamName,
    pub old: ParamValue,
    pub new: ParamValue,
    pub armed_at_ms: u64,
    pub deadline_ms: u64,
    pub state: CommitState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitState {
    /// Applied, and waiting to be confirmed.
    Armed,
    /// It stays.
    Confirmed,
    /// The old value is back.
    Reverted,
    /// Somebody else set another value in the meantime; it is theirs.
    Overtaken,
}

impl CommitState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Confirmed => "confirmed",
            Self::Reverted => "reverted",
            Self::Overtaken => "overtaken",
        }
    }
}

/// What to do about a commit now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhatNow {
    Keep,
    Revert(Why),
    Overtaken,
}

/// Why a change is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nobody confirmed it in time.
    Deadline,
    /// The guard's metric was on the wrong side for long enough.
    Guard,
    /// The guard's metric was not measured any more.
    Silence,
    /// The host started again while it waited: what watched over it was gone for a while.
    Restart,
    /// The clock stands before the arming, so the deadline cannot be trusted.
    Clock,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deadline => "it was not confirmed before its deadline",
            Self::Guard => "its guard was breached",
            Self::Silence => "its guard's metric has gone silent",
            Self::Restart => "the host started again while it waited",
            Self::Clock => "the clock went back behind its start",
        })
    }
}

/// What to do about a commit, given the value that stands in its place now (`None` when the key
/// is not there), the time and the guard. A revert may be due more than once after a crash, so a
/// value that is back already is reverted again, which changes nothing.
pub fn what_now(
    commit: &Commit,
    current: Option<&ParamValue>,
    now_ms: u64,
    guard: Verdict,
) -> WhatNow {
    let why = match guard {
        _ if now_ms < commit.armed_at_ms => Some(Why::Clock),
        _ if now_ms >= commit.deadline_ms => Some(Why::Deadline),
        Verdict::Breached { .. } => Some(Why::Guard),
        Verdict::Silent { .. } => Some(Why::Silence),
        Verdict::None | Verdict::Holds | Verdict::Wavers | Verdict::Unknown => None,
    };
    decide(commit, current, why)
}

/// What to do about a commit that waited when the host stopped.
pub fn after_restart(commit: &Commit, current: Option<&ParamValue>) -> WhatNow {
    decide(commit, current, Some(Why::Restart))
}

fn decide(commit: &Commit, current: Option<&ParamValue>, why: Option<Why>) -> WhatNow {
    match commit.state {
        CommitState::Confirmed | CommitState::Reverted | CommitState::Overtaken => {
            return WhatNow::Keep;
        }
        CommitState::Armed => {}
    }
    let ours = current == Some(&commit.new);
    match why {
        Some(why) if ours || current == Some(&commit.old) => WhatNow::Revert(why),
        None if ours => WhatNow::Keep,
        Some(_) | None => WhatNow::Overtaken,
    }
}

impl Commit {
    /// Arms the change that was just applied.
    pub fn arm(run: RunId, action: u64, change: &ParamChange, now_ms: u64) -> Self {
        Self {
            run,
            action,
            param: change.param.clone(),
            old: change.old.value.clone(),
            new: change.new.value.clone(),
            armed_at_ms: now_ms,
            deadline_ms: now_ms.saturating_add(change.revert_after.as_millis()),
            state: CommitState::Armed,
        }
    }

    /// Confirms it, so that it stays; or says why that cannot be. A guard that cannot be read
    /// confirms nothing.
    pub fn confirm(
        &self,
        current: Option<&ParamValue>,
        now_ms: u64,
        guard: Verdict,
    ) -> Result<Self, Refusal> {
        let told = |what: &str| format!("the change of `{}` {what}", self.param);
        match self.state {
            CommitState::Armed => {}
            CommitState::Confirmed => return Ok(self.clone()),
            CommitState::Reverted => return Err(Refusal::gone(told("was reverted"))),
            CommitState::Overtaken => {
                return Err(Refusal::gone(told("was overtaken by another value")));
            }
        }
        match what_now(self, current, now_ms, guard) {
            WhatNow::Revert(why) => Err(Refusal::gone(told(&format!("must revert: {why}")))),
            WhatNow::Overtaken => Err(Refusal::gone(told("was overtaken by another value"))),
            WhatNow::Keep => match guard {
                Verdict::None | Verdict::Holds => Ok(Self {
                    state: CommitState::Confirmed,
                    ..self.clone()
                }),
                Verdict::Wavers | Verdict::Breached { .. } | Verdict::Silent { .. } => {
                    Err(Refusal::busy(told(
                        "cannot be confirmed while its guard is on the wrong side",
                    )))
                }
                Verdict::Unknown => Err(Refusal::busy(told(
                    "cannot be confirmed before its guard was measured",
                ))
                .hint("wait for the next measurement of the guard's metric")),
            },
        }
    }

    /// The values that this commit leaves as the host's own.
    fn left_by_us(&self, value: &ParamValue) -> bool {
        match self.state {
            CommitState::Armed | CommitState::Confirmed => *value == self.new,
            CommitState::Reverted => *value == self.old,
            // Whoever puts one of the two back hands the parameter back.
            CommitState::Overtaken => *value == self.old || *value == self.new,
        }
    }
}

/// Whether parameter `name` may be changed now, given all earlier commits of this node. One change
/// at a time, each with its soak; and what an administrator set after the host did is read-only
/// until the host's value stands there again.
pub fn may_write(
    name: &ParamName,
    param: &Param,
    history: &[Commit],
    current: &ParamValue,
    now_ms: u64,
) -> Result<(), Refusal> {
    if let Some(waits) = history.iter().find(|c| c.state == CommitState::Armed) {
        return Err(Refusal::busy(format!(
            "the change of `{}` still waits to be confirmed",
            waits.param
        ))
        .hint("one change at a time, or nobody can tell which one helped"));
    }
    if let Some(last) = history.iter().max_by_key(|c| c.armed_at_ms) {
        let since = now_ms.saturating_sub(last.armed_at_ms);
        let soak = param.soak.as_millis();
        if since < soak {
            let left = Span(std::time::Duration::from_millis(soak - since));
            return Err(Refusal::busy(format!(
                "`{}` was changed within the soak of {}",
                last.param, param.soak
            ))
            .hint(format!("propose again in {left}")));
        }
    }
    let own = history.iter().filter(|c| c.param == *name);
    match own.max_by_key(|c| c.armed_at_ms) {
        Some(last) if !last.left_by_us(current) => Err(Refusal::denied(format!(
            "`{name}` was set to `{current}` by somebody else, so it is read-only to tasks"
        ))
        .hint(format!(
            "to hand it back, set it to the value the host left: `{}`",
            match last.state {
                CommitState::Armed | CommitState::Confirmed => &last.new,
                CommitState::Reverted | CommitState::Overtaken => &last.old,
            }
        ))),
        Some(_) | None => Ok(()),
    }
}
