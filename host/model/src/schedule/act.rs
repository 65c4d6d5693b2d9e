//! What can be decided about a schedule, each with its reason.

use super::pattern::NoSlot;
use super::pressure::Pressed;
use crate::id::GroupName;
use crate::units::{Share, Span};
use crate::window::Occurrence;
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Index of the entry.
    pub entry: usize,
    pub act: Act,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Start {
        slot: u64,
        /// 1, or the number of the repetition.
        attempt: u32,
        /// How long after it was due.
        late_ms: u64,
        /// How much of its scope there is time for.
        scope: Share,
        window: Option<Occurrence>,
    },
    /// Slots that nobody can run any more.
    Miss { slots: Slots, why: MissWhy },
    /// Slots that were left out on purpose.
    Skip { slots: Slots, why: SkipWhy },
    /// It waits for the run before it.
    Buffer { slot: u64 },
    /// It is due and does not start yet.
    Hold {
        slot: u64,
        why: HoldWhy,
        /// When that can change; `None`: when a run ends or a person acts.
        until: Option<u64>,
    },
    /// Cancel the run of `running`, so that `slot` can start.
    CancelOther { slot: u64, running: u64 },
    /// A repetition that has no time left; the slot stays as it ended.
    NoRetry { slot: u64, attempt: u32 },
    /// Its slots cannot be told. It is tried again, and somebody must be told.
    Fault { why: NoSlot },
}

/// Slots from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    pub from: u64,
    pub to: u64,
    pub count: u64,
    /// False: at least so many.
    pub exact: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissWhy {
    /// A newer slot was due as well; only the newest is caught up with.
    Superseded,
    TooOld {
        late_ms: u64,
        catch_up_ms: u64,
    },
    WindowClosed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipWhy {
    Paused,
    /// Put aside by the watchdog.
    Aside {
        until: u64,
    },
    /// A person said so.
    SkipNext,
    StillRunning {
        since: u64,
    },
    /// It waited, and a newer slot came.
    Superseded,
    TooLong {
        p90_ms: u64,
        left_ms: u64,
    },
    /// It was due and held up, until it was too late for it.
    Held {
        why: HoldWhy,
        end: TooLate,
    },
}

/// What came first: the end of waiting, or this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLate {
    /// A newer slot was due.
    Superseded,
    /// Catch-up does not reach back so far.
    TooOld,
    /// The window was past its cutoff.
    WindowClosed,
}

impl SkipWhy {
    pub(super) const fn uses_up_skip_next(&self) -> bool {
        match self {
            Self::SkipNext => true,
            Self::Paused
            | Self::Aside { .. }
            | Self::StillRunning { .. }
            | Self::Superseded
            | Self::TooLong { .. }
            | Self::Held { .. } => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldWhy {
    /// The clock is behind the newest slot that was handled.
    ClockBehind,
    Paused,
    Cancelling,
    WindowNotOpen,
    Group {
        group: GroupName,
        by: String,
    },
    /// All places are taken.
    Full,
    Pressure(Pressed),
}

impl HoldWhy {
    /// Whether the machine, and nothing about the slot itself, is what it waits for.
    pub(super) const fn is_for_room(&self) -> bool {
        match self {
            Self::Group { .. } | Self::Full | Self::Pressure(_) => true,
            Self::ClockBehind | Self::Paused | Self::Cancelling | Self::WindowNotOpen => false,
        }
    }
}

impl Slots {
    pub const fn one(slot: u64) -> Self {
        Self {
            from: slot,
            to: slot,
            count: 1,
            exact: true,
        }
    }
}

impl fmt::Display for MissWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superseded => f.write_str("a newer slot was due as well; only the newest is run"),
            Self::TooOld {
                late_ms,
                catch_up_ms,
            } => write!(
                f,
                "it was due {} ago, and catch-up reaches back {}",
                span(*late_ms),
                span(*catch_up_ms)
            ),
            Self::WindowClosed => f.write_str("its window was past the cutoff"),
        }
    }
}

impl fmt::Display for SkipWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused => f.write_str("the schedule is paused"),
            Self::Aside { .. } => {
                f.write_str("the task is put aside, because its limits killed it again and again")
            }
            Self::SkipNext => f.write_str("a person asked to skip it"),
            Self::StillRunning { .. } => f.write_str("the run before it was still going on"),
            Self::Superseded => f.write_str("it waited, and a newer slot came"),
            Self::TooLong { p90_ms, left_ms } => write!(
                f,
                "nine of ten runs take up to {}, and the window has {} left",
                span(*p90_ms),
                span(*left_ms)
            ),
            Self::Held { why, end } => write!(f, "{why}, {end}"),
        }
    }
}

impl fmt::Display for TooLate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superseded => "until a newer slot was due",
            Self::TooOld => "for longer than catch-up reaches back",
            Self::WindowClosed => "until its window was past the cutoff",
        })
    }
}

impl fmt::Display for HoldWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockBehind => f.write_str("the clock is behind the newest slot it has run"),
            Self::Paused => f.write_str("the schedule is paused"),
            Self::Cancelling => f.write_str("the run before it is being cancelled"),
            Self::WindowNotOpen => f.write_str("its window is not open yet"),
            Self::Group { group, by } => write!(f, "`{by}` holds group `{group}`"),
            Self::Full => f.write_str("as many runs as may are going on"),
            Self::Pressure(pressed) => write!(f, "the machine is busy: {pressed}"),
        }
    }
}

/// Whole seconds: nobody reads the rest.
fn span(ms: u64) -> Span {
    Span::secs(ms / 1_000)
}
