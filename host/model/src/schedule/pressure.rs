//! Pressure: when the machine is too busy for a run to begin, and when one that runs slows down.

use crate::units::Share;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What was pressed is so until it is this far below its limit, so that a run does not go back and
/// forth around it.
const EASED_AT: f64 = 0.8;
/// Under pressure a run rests for this many times as long as it worked: it leaves four fifths.
const RESTS: u32 = 4;
/// Shorter rests are all overhead; longer ones would say nothing for too long.
const REST_MIN: Duration = Duration::from_millis(20);
const REST_MAX: Duration = Duration::from_secs(2);

/// Above which the machine is too busy for a run to begin, and one that runs slows down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PressureTable {
    /// Share of time in which some task waited for the CPU, over the last 10 s (PSI `some`).
    pub cpu: Share,
    /// Share of time in which some task waited for disks (PSI `some`).
    pub io: Share,
    /// Share of time in which all tasks waited for memory (PSI `full`).
    pub memory: Share,
    /// Load average over one minute, in percent of the processors.
    pub load_percent: u32,
    /// Where the machine's `proc` is mounted. Inside a container that may be another place, such as
    /// `/host/proc`.
    pub proc: PathBuf,
}

impl Default for PressureTable {
    fn default() -> Self {
        Self {
            cpu: percent("80%"),
            io: percent("60%"),
            memory: percent("20%"),
            load_percent: 300,
            proc: PathBuf::from("/proc"),
        }
    }
}

fn percent(text: &str) -> Share {
    text.parse().unwrap_or(Share::ALL)
}

/// What was measured; `None` where the machine cannot tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PressureReading {
    /// Percent, 0 to 100.
    pub cpu_some: Option<f64>,
    pub io_some: Option<f64>,
    pub memory_full: Option<f64>,
    pub load_1m: Option<f64>,
    pub processors: u32,
}

/// Which measure is too high.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressed {
    pub what: String,
    pub value: String,
    pub limit: String,
}

impl fmt::Display for Pressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, limit } = self;
        write!(f, "{what} is at {value}, the limit is {limit}")
    }
}

impl PressureTable {
    /// The measure that is furthest above its limit. A value that is no number is not above any.
    pub fn pressed(&self, reading: &PressureReading) -> Option<Pressed> {
        self.above(reading, 1.0)
    }

    /// The same for a machine that was pressed before: it is until all is well below its limit.
    pub fn still_pressed(&self, reading: &PressureReading) -> Option<Pressed> {
        self.above(reading, EASED_AT)
    }

    fn above(&self, reading: &PressureReading, share: f64) -> Option<Pressed> {
        let load = reading
            .load_1m
            .map(|load| load * 100.0 / f64::from(reading.processors.max(1)));
        let measures = [
            (
                "waiting for the CPU",
                reading.cpu_some,
                self.cpu.ratio() * 100.0,
            ),
            (
                "waiting for disks",
                reading.io_some,
                self.io.ratio() * 100.0,
            ),
            (
                "waiting for memory",
                reading.memory_full,
                self.memory.ratio() * 100.0,
            ),
            ("load per processor", load, f64::from(self.load_percent)),
        ];
        measures
            .into_iter()
            .filter_map(|(what, value, limit)| Some((what, value?, limit)))
            .filter(|(_, value, limit)| *value > limit * share)
            .max_by(|a, b| (a.1 - a.2).total_cmp(&(b.1 - b.2)))
            .map(|(what, value, limit)| Pressed {
                what: what.to_owned(),
                value: format!("{value:.0}%"),
                limit: format!("{limit:.0}%"),
            })
    }
}

/// How long a run rests after it worked for so long on a machine that is pressed.
pub fn rest(worked: Duration) -> Duration {
    worked.saturating_mul(RESTS).clamp(REST_MIN, REST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pressed_stays_so_until_it_is_well_below_and_rests_are_bounded() {
        let limits = PressureTable::default();
        let io = |percent| PressureReading {
            io_some: Some(percent),
            ..Default::default()
        };
        assert_eq!(limits.pressed(&io(60.0)), None);
        assert!(limits.still_pressed(&io(60.0)).is_some());
        assert_eq!(limits.still_pressed(&io(48.0)), None);
        assert_eq!(rest(Duration::ZERO), REST_MIN);
        assert_eq!(
            rest(Duration::from_millis(50)),
            Duration::from_millis(50) * RESTS
        );
        assert_eq!(rest(Duration::MAX), REST_MAX);
    }

    #[test]
    fn pressure_names_what_is_too_high() {
        let limits = PressureTable::default();
        let calm = PressureReading {
            processors: 2,
            load_1m: Some(5.9),
            ..Default::default()
        };
        assert_eq!(limits.pressed(&calm), None);
        let busy = PressureReading {
            io_some: Some(75.0),
            cpu_some: Some(f64::NAN),
            ..calm
        };
        let pressed = limits.pressed(&busy).unwrap();
        assert_eq!(
            pressed.to_string(),
            "waiting for disks is at 75%, the limit is 60%"
        );
    }
}
