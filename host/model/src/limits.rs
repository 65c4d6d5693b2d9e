//! What a run may use. Every limit has a default, a ceiling, and a hostile guest that crosses it.

use crate::units::{Bytes, Span};
use serde::{Deserialize, Serialize};

/// The limits of one run, all of them set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// All linear memories and tables of the guest together.
    pub memory: Bytes,
    /// Wasm instructions, roughly: a count that is the same on every machine.
    pub fuel: u64,
    /// CPU time of guest code. The host's own reading and hashing is not charged.
    pub cpu: Span,
    /// From start to end of the look, host work included.
    pub wall: Span,
    /// All log lines together, and 64 bytes for each: a line without text is a record too.
    pub log: Bytes,
    /// The summary's line and data together.
    pub output: Bytes,
    /// Resources (walkers, listers, scrubs) open at a time.
    pub handles: u32,
    pub findings: u32,
    pub metrics: u32,
    /// Actions one plan may hold.
    pub actions: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: Bytes(64 << 20),
            fuel: 20_000_000_000,
            cpu: Span::secs(60),
            wall: Span::secs(600),
            log: Bytes(1 << 20),
            output: Bytes(256 << 10),
            handles: 64,
            findings: 1_000,
            metrics: 1_000,
            actions: 1_000_000,
        }
    }
}

/// Limits as an operator writes them: what is absent takes its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LimitsTable {
    pub memory: Option<Bytes>,
    pub fuel: Option<u64>,
    pub cpu: Option<Span>,
    pub wall: Option<Span>,
    pub log: Option<Bytes>,
    pub output: Option<Bytes>,
    pub handles: Option<u32>,
    pub findings: Option<u32>,
    pub metrics: Option<u32>,
    pub actions: Option<u64>,
}

/// More memory than this for one guest would endanger the node it maintains.
pub const MEMORY_CEILING: Bytes = Bytes(1 << 30);
/// A look longer than a day is two looks.
pub const WALL_CEILING: Span = Span::secs(86_400);
/// A log larger than this is not read by anyone, and lives in the journal.
pub const LOG_CEILING: Bytes = Bytes(16 << 20);
/// The summary travels in one message between worker and host.
pub const OUTPUT_CEILING: Bytes = Bytes(1 << 20);
/// Each open handle may hold a file descriptor; the worker has few.
pub const HANDLES_CEILING: u32 = 1_000;
/// Findings and metrics are kept in memory until the run ends.
pub const REPORTED_CEILING: u32 = 100_000;
/// A plan with more actions than this is not something a person can approve.
pub const ACTIONS_CEILING: u64 = 10_000_000;

/// A limit above its ceiling, or zero.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limit `{limit}` is {given}, but must lie between {least} and {most}")]
pub struct LimitOutOfRange {
    pub limit: &'static str,
    pub given: String,
    pub least: String,
    pub most: String,
}

impl LimitsTable {
    /// Defaults filled in, ceilings checked.
    pub fn resolve(&self) -> Result<Limits, LimitOutOfRange> {
        fn pick<T: PartialOrd + Copy + std::fmt::Display>(
            limit: &'static str,
            given: Option<T>,
            default: T,
            least: T,
            most: T,
        ) -> Result<T, LimitOutOfRange> {
            let value = given.unwrap_or(default);
            if value < least || value > most {
                return Err(LimitOutOfRange {
                    limit,
                    given: value.to_string(),
                    least: least.to_string(),
                    most: most.to_string(),
                });
            }
            Ok(value)
        }
        let d = Limits::default();
        let ms = Span(std::time::Duration::from_millis(1));
        let kib = Bytes(1 << 10);
        Ok(Limits {
            memory: pick(
                "memory",
                self.memory,
                d.memory,
                Bytes(1 << 20),
                MEMORY_CEILING,
            )?,
            fuel: pick("fuel", self.fuel, d.fuel, 1, u64::MAX / 2)?,
            cpu: pick("cpu", self.cpu, d.cpu, ms, WALL_CEILING)?,
            wall: pick("wall", self.wall, d.wall, ms, WALL_CEILING)?,
            log: pick("log", self.log, d.log, kib, LOG_CEILING)?,
            output: pick("output", self.output, d.output, kib, OUTPUT_CEILING)?,
            handles: pick("handles", self.handles, d.handles, 1, HANDLES_CEILING)?,
            findings: pick("findings", self.findings, d.findings, 1, REPORTED_CEILING)?,
            metrics: pick("metrics", self.metrics, d.metrics, 1, REPORTED_CEILING)?,
            actions: pick("actions", self.actions, d.actions, 1, ACTIONS_CEILING)?,
        })
    }
}

/// Which limit ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitName {
    Memory,
    Fuel,
    Cpu,
    Wall,
    Stack,
    Log,
    Output,
    Handles,
    Findings,
    Metrics,
    Actions,
    /// One call moved more between guest and host than a call may.
    Call,
}

impl LimitName {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Fuel => "fuel",
            Self::Cpu => "cpu",
            Self::Wall => "wall",
            Self::Stack => "stack",
            Self::Log => "log",
            Self::Output => "output",
            Self::Handles => "handles",
            Self::Findings => "findings",
            Self::Metrics => "metrics",
            Self::Actions => "actions",
            Self::Call => "call",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_limits_take_their_default_and_absurd_ones_are_refused() {
        assert_eq!(LimitsTable::default().resolve().unwrap(), Limits::default());
        let absurd = LimitsTable {
            memory: Some(Bytes(1 << 50)),
            ..LimitsTable::default()
        };
        assert_eq!(absurd.resolve().unwrap_err().limit, "memory");
        let nothing = LimitsTable {
            handles: Some(0),
            ..LimitsTable::default()
        };
        assert_eq!(nothing.resolve().unwrap_err().limit, "handles");
    }
}
