//! Guards: a metric that must stay on its side of a bound while a change waits to be confirmed.

use super::literal::Decimal;
use crate::id::TaskName;
use crate::units::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What must hold after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Guard {
    pub metric: String,
    /// The task that reports it; none for what the host measures itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskName>,
    /// What a series of the task must be labelled with. Of several that fit each must hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub bound: Bound,
    /// How long it must be on the wrong side, without a pause, to count as a breach.
    pub lasting: Span,
    /// How often it is measured; what was not measured for so long has gone silent.
    #[serde(default = "every_default")]
    pub every: Span,
    #[serde(default)]
    pub silent: Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    Most(Decimal),
    Least(Decimal),
}

/// What it means that the metric has gone silent.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Silent {
    /// The change may be what silenced it, so it goes back.
    #[default]
    Breach,
    /// Nothing is known: the change cannot be confirmed, and goes back at its deadline.
    Unknown,
}

/// One measurement of the guard's metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    pub at_ms: u64,
    pub value: f64,
}

/// What was measured of one series, in the order measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// Which series it is, for people; empty when there is but one.
    pub series: String,
    pub readings: Vec<Reading>,
}

/// What the measurements say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// There is no guard.
    None,
    /// The newest measurement of every series is on the right side.
    Holds,
    /// One is on the wrong side, and not yet for long enough.
    Wavers,
    Breached {
        value: f64,
        /// Which of the series.
        series: usize,
    },
    /// Nothing was measured for so long, and that counts as a breach.
    Silent { for_ms: u64 },
    /// Nothing was measured since the change, or nothing lately.
    Unknown,
}

/// How often the host measures by itself, at the least, with one measurement missed: what was
/// measured longer ago says nothing about now.
pub const GUARD_EVERY_DEFAULT: Span = Span::secs(120);
/// Whoever watches looks every five seconds: less would make silence of a look that came late.
pub const GUARD_EVERY_FLOOR: Span = Span::secs(10);

const fn every_default() -> Span {
    GUARD_EVERY_DEFAULT
}

impl Guard {
    pub fn holds(&self, value: f64) -> bool {
        match self.bound {
            Bound::Most(most) => value <= most.as_f64(),
            Bound::Least(least) => value >= least.as_f64(),
        }
    }

    /// The verdict over all series. What was measured before `since_ms`, or after `now_ms`, is not
    /// heard. A value that is no number is on the wrong side. One breach is enough; one series
    /// that is still measured keeps the others from being called silent.
    pub fn verdict(&self, all: &[Heard], since_ms: u64, now_ms: u64) -> Verdict {
        let mut verdict = Verdict::Unknown;
        let mut last = since_ms;
        for (series, heard) in all.iter().enumerate() {
            let times = heard.readings.iter().map(|r| r.at_ms);
            let newest = times.filter(|at| (since_ms..=now_ms).contains(at)).max();
            last = last.max(newest.unwrap_or(since_ms));
            verdict = match (self.of_one(series, heard, since_ms, now_ms), verdict) {
                (breach @ Verdict::Breached { .. }, _) => return breach,
                (Verdict::Wavers, _) | (_, Verdict::Wavers) => Verdict::Wavers,
                (Verdict::Holds, _) | (_, Verdict::Holds) => Verdict::Holds,
                (Verdict::None | Verdict::Silent { .. } | Verdict::Unknown, other) => other,
            };
        }
        let for_ms = now_ms.saturating_sub(last);
        match (verdict, self.silent) {
            (Verdict::Unknown, Silent::Breach) if for_ms > self.every.as_millis() => {
                Verdict::Silent { for_ms }
            }
            (verdict, Silent::Breach | Silent::Unknown) => verdict,
        }
    }

    fn of_one(&self, series: usize, heard: &Heard, since_ms: u64, now_ms: u64) -> Verdict {
        let known = |r: &&Reading| (since_ms..=now_ms).contains(&r.at_ms);
        let mut newest_first = heard.readings.iter().rev().filter(known);
        let Some(newest) = newest_first.next() else {
            return Verdict::Unknown;
        };
        if now_ms - newest.at_ms > self.every.as_millis() {
            return Verdict::Unknown;
        }
        if self.holds(newest.value) {
            return Verdict::Holds;
        }
        let began = newest_first
            .take_while(|r| !self.holds(r.value))
            .map(|r| r.at_ms)
            .last()
            .unwrap_or(newest.at_ms);
        if newest.at_ms.saturating_sub(began) >= self.lasting.as_millis() {
            Verdict::Breached {
                value: newest.value,
                series,
            }
        } else {
            Verdict::Wavers
        }
    }

    /// How far back measurements decide: what is older cannot change the verdict, as a breach
    /// shows in the first on the wrong side before `lasting`.
    pub fn reach_ms(&self) -> u64 {
        let every = self.every.as_millis();
        let twice = every.saturating_add(every);
        self.lasting.as_millis().saturating_add(twice)
    }

    /// The figures behind a breach, for people; none for other verdicts.
    pub fn figures(&self, all: &[Heard], verdict: Verdict) -> Option<String> {
        match verdict {
            Verdict::Breached { value, series } => {
                let which = all.get(series).map_or("", |heard| heard.series.as_str());
                let of = if which.is_empty() {
                    String::new()
                } else {
                    format!(" ({which})")
                };
                let lasting = if self.lasting.as_millis() == 0 {
                    String::new()
                } else {
                    format!(" for {}", self.lasting)
                };
                Some(format!("{self}{of}, and it was {value}{lasting}"))
            }
            Verdict::Silent { for_ms } => {
                // In whole seconds: nobody measures silence finer.
                let long = Span::secs(for_ms / 1_000);
                let every = self.every;
                Some(format!(
                    "`{}` is to be measured every {every}, and was not for {long}",
                    self.metric
                ))
            }
            Verdict::None | Verdict::Holds | Verdict::Wavers | Verdict::Unknown => None,
        }
    }
}

impl std::fmt::Display for Guard {
    /// What must hold: `cpu-pressure` at most 0.8.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.metric)?;
        if let Some(task) = &self.task {
            write!(f, " of task `{task}`")?;
        }
        match self.bound {
            Bound::Most(most) => write!(f, " may be at most {most}"),
            Bound::Least(least) => write!(f, " must be at least {least}"),
        }
    }
}
