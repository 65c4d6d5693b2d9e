//! What was read before, for readings the kernel keeps no average of: another level is told once the
//! last runs all were at least there, and taken back once the last runs all were away from it.
//! Where `state` is not granted, and in the first run of all, a reading is told as it stands.

use crate::judge::Part;
use keepwell_sdk::levels::Level;
use keepwell_sdk::prelude::*;
use keepwell_sdk::state::VALUE_MAX_BYTES;
use serde::{Deserializer, Serialize, de::Error};
use std::collections::BTreeMap;

/// Everything lies under this key, so that a run reads once and writes at most once.
const KEY: &str = "seen";
/// More runs than this are no passing state any more.
const RUNS_MAX: usize = 20;

/// How many runs in a row, 1 to [`RUNS_MAX`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runs(usize);

impl<'de> Deserialize<'de> for Runs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let runs = usize::deserialize(from)?;
        if (1..=RUNS_MAX).contains(&runs) {
            return Ok(Self(runs));
        }
        Err(D::Error::custom(format!("expected 1 to {RUNS_MAX} runs")))
    }
}

/// A level that was read; what cannot be read says nothing about the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Known {
    Ok,
    Warning,
    Critical,
}

/// One reading's past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Past {
    told: Known,
    /// The last runs', oldest first.
    read: Vec<Known>,
}

/// All that is remembered. What was well for long is not in it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    parts: BTreeMap<String, Past>,
    /// There were too many to remember: nothing is known of any.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    crowded: bool,
}

/// Tells each momentary reading by what was read before, and remembers it for the next run.
pub(crate) fn steady(parts: &mut [Part], fire_after: Runs, clear_after: Runs) {
    let before = match state::read::<Seen>(KEY) {
        Ok(before) => before,
        Err(no) if no.is("denied") => return,
        // Written by another version of this plugin: it begins anew.
        Err(no) if no.is("invalid") => None,
        Err(no) => return log::warn!("judged without a past: {}", no.message),
    };
    let known = before.as_ref().filter(|seen| !seen.crowded);
    let mut after = Seen::default();
    let mut levels = Vec::new();
    for part in parts.iter().filter(|part| part.momentary) {
        let name = format!("{} {}", part.id, part.subject);
        let past = known.map(|seen| seen.parts.get(&name).cloned().unwrap_or_else(Past::well));
        let past = match (read(part.level), past) {
            (Some(read), Some(past)) => past.then(read, fire_after, clear_after),
            (Some(read), None) => Past::beginning(read),
            (None, Some(past)) => past,
            (None, None) => Past::well(),
        };
        levels.push(past.told);
        if past.is_worth_keeping() {
            after.parts.insert(name, past);
        }
    }
    if let Err(why) = remember(before.as_ref(), after) {
        return log::warn!("judged without a past: {why}");
    }
    let momentary = parts.iter_mut().filter(|part| part.momentary);
    for (part, told) in momentary.zip(levels) {
        part.hold(level(told));
    }
}

/// Writes what has changed. An error means that the next run will know no more than this one.
fn remember(before: Option<&Seen>, mut after: Seen) -> Result<(), String> {
    let bytes = serde_json::to_vec(&after).map_or(usize::MAX, |json| json.len());
    let crowded = bytes > VALUE_MAX_BYTES;
    if crowded {
        after = Seen {
            parts: BTreeMap::new(),
            crowded,
        };
    }
    if before != Some(&after) {
        state::write(KEY, &after).map_err(|no| no.message)?;
    }
    if crowded {
        return Err("more is amiss than can be remembered".into());
    }
    Ok(())
}

impl Past {
    fn well() -> Self {
        Self::beginning(Known::Ok)
    }

    fn beginning(read: Known) -> Self {
        Self {
            told: read,
            read: vec![read],
        }
    }

    fn then(mut self, read: Known, fire_after: Runs, clear_after: Runs) -> Self {
        self.read.push(read);
        let kept = fire_after.0.max(clear_after.0);
        self.read.drain(..self.read.len().saturating_sub(kept));
        let last = |runs: Runs| self.read.iter().rev().take(runs.0);
        let enough = |runs: Runs| self.read.len() >= runs.0;
        let least = last(fire_after).min().filter(|_| enough(fire_after));
        let most = last(clear_after).max().filter(|_| enough(clear_after));
        let risen = least.map_or(self.told, |least| self.told.max(*least));
        self.told = most.map_or(risen, |most| risen.min(*most));
        self
    }

    fn is_worth_keeping(&self) -> bool {
        self.told != Known::Ok || self.read.iter().any(|read| *read != Known::Ok)
    }
}

fn read(level: Level) -> Option<Known> {
    match level {
        Level::Ok => Some(Known::Ok),
        Level::Unknown => None,
        Level::Warning => Some(Known::Warning),
        Level::Critical => Some(Known::Critical),
    }
}

fn level(known: Known) -> Level {
    match known {
        Known::Ok => Level::Ok,
        Known::Warning => Level::Warning,
        Known::Critical => Level::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Known; 3] = [Known::Ok, Known::Warning, Known::Critical];
    const LONG: usize = 7;

    /// Every course of seven runs: nothing is told sooner or later than it must be.
    #[test]
    fn told_when_the_last_runs_agree_and_not_before() {
        for course in 0..3_usize.pow(LONG as u32) {
            let read: Vec<Known> = (0..LONG)
                .map(|i| ALL[course / 3_usize.pow(i as u32) % 3])
                .collect();
            for (fire, clear) in [(1, 1), (1, 3), (2, 2), (3, 1), (3, 2), (2, 4)] {
                follows(&read, fire, clear);
            }
        }
    }

    /// What came before the first run was well.
    fn follows(read: &[Known], fire: usize, clear: usize) {
        let mut past = Past::well();
        for now in 0..read.len() {
            let before = past.told;
            past = past.then(read[now], Runs(fire), Runs(clear));
            let last = |runs: usize| (0..runs).map(move |back| now.checked_sub(back));
            let was = |at: Option<usize>| at.map_or(Known::Ok, |at| read[at]);
            for level in ALL {
                let held = last(fire).all(|at| was(at) >= level);
                let away = last(clear).all(|at| was(at) <= level);
                let why = format!("{read:?} at {now}, {fire} and {clear}: {:?}", past.told);
                assert!(!held || past.told >= level, "too late: {why}");
                // Before there were that many runs, what was well stays so.
                assert!(
                    !away || now + 1 < clear || past.told <= level,
                    "told too long: {why}"
                );
            }
            if past.told > before {
                assert!(last(fire).all(|at| was(at) >= past.told), "too soon");
            }
            if past.told < before {
                assert!(last(clear).all(|at| was(at) <= past.told), "back too soon");
            }
        }
    }
}
