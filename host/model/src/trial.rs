//! The first runs of a new version of a plugin: it has proven itself, or goes back to the one before.

use crate::report::Report;
use crate::state::RunState;
use serde::{Deserialize, Serialize};

/// Most runs of a trial: as many are read of each task at the end of each of its runs.
pub const RUNS_MAX: u32 = 100;

/// `[plugins]` in keepwell.toml.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PluginsTable {
    /// A new version has proven itself after so many runs of all its tasks together.
    pub trial_runs: u32,
    /// With so many of them failed by its own doing it goes back to the version before. 0: never.
    pub trial_faults: u32,
}

impl Default for PluginsTable {
    fn default() -> Self {
        Self {
            trial_runs: 10,
            trial_faults: 3,
        }
    }
}

impl PluginsTable {
    /// The key that is wrong, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if self.trial_runs == 0 || self.trial_runs > RUNS_MAX {
            let what = format!("`trial-runs` must lie between 1 and {RUNS_MAX}");
            return Err(("trial-runs", what));
        }
        if self.trial_faults > self.trial_runs {
            let what = "`trial-faults` is more than `trial-runs`: it would never go back";
            return Err(("trial-faults", what.to_owned()));
        }
        Ok(())
    }
}

/// What one run says of the version that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    Sound,
    /// It failed, or crossed a limit, by its own doing.
    Fault,
    /// It was denied, skipped, stopped, or failed for a reason of the host's.
    Nothing,
}

impl Says {
    pub fn of(report: &Report) -> Self {
        match report.state {
            RunState::Done | RunState::Warned => Self::Sound,
            RunState::Failed | RunState::Limited if report.fault => Self::Fault,
            RunState::Failed
            | RunState::Limited
            | RunState::Running
            | RunState::Waiting
            | RunState::Denied
            | RunState::Skipped
            | RunState::Missed
            | RunState::Cancelled
            | RunState::Interrupted => Self::Nothing,
        }
    }
}

/// What the runs of a trial come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    GoesOn { runs: u32, faults: u32 },
    Proven { runs: u32 },
    Back { runs: u32, faults: u32 },
}

/// Judges by the runs of the version in the order in which they ended.
pub fn judge(table: &PluginsTable, runs: impl IntoIterator<Item = Says>) -> Verdict {
    let (mut count, mut faults) = (0, 0);
    for says in runs {
        match says {
            Says::Nothing => continue,
            Says::Sound => {}
            Says::Fault => faults += 1,
        }
        count += 1;
        if table.trial_faults > 0 && faults >= table.trial_faults {
            return Verdict::Back {
                runs: count,
                faults,
            };
        }
        if count >= table.trial_runs {
            return Verdict::Proven { runs: count };
        }
    }
    Verdict::GoesOn {
        runs: count,
        faults,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_faults_in_the_first_runs_go_back() {
        use Says::{Fault, Nothing, Sound};
        let table = PluginsTable {
            trial_runs: 4,
            trial_faults: 2,
        };
        let is = |runs: &[Says]| judge(&table, runs.iter().copied());
        let (runs, faults) = (2, 1);
        assert_eq!(
            is(&[Sound, Nothing, Fault]),
            Verdict::GoesOn { runs, faults }
        );
        let (runs, faults) = (3, 2);
        assert_eq!(is(&[Fault, Sound, Fault]), Verdict::Back { runs, faults });
        let runs = 4;
        assert_eq!(
            is(&[Fault, Sound, Sound, Sound, Fault]),
            Verdict::Proven { runs }
        );
        // The last of the first runs still counts.
        let (runs, faults) = (4, 2);
        assert_eq!(
            is(&[Fault, Sound, Sound, Fault]),
            Verdict::Back { runs, faults }
        );
    }

    proptest::proptest! {
        /// It never goes back by fewer faults than were allowed, nor after more runs, nor when told
        /// never to.
        #[test]
        fn a_verdict_keeps_to_its_numbers(
            trial_runs in 1u32..20, trial_faults in 0u32..20, runs in proptest::collection::vec(0u8..3, 0..60),
        ) {
            let table = PluginsTable { trial_runs, trial_faults };
            let each = runs.iter().map(|n| [Says::Sound, Says::Fault, Says::Nothing][usize::from(*n)]);
            match judge(&table, each) {
                Verdict::Back { runs, faults } => {
                    proptest::prop_assert!(faults == trial_faults && trial_faults > 0 && runs <= trial_runs);
                }
                Verdict::Proven { runs } => proptest::prop_assert_eq!(runs, trial_runs),
                Verdict::GoesOn { runs, faults } => {
                    proptest::prop_assert!(runs < trial_runs && (trial_faults == 0 || faults < trial_faults));
                }
            }
        }
    }

    #[test]
    fn odd_tables_are_refused() {
        let check = |trial_runs, trial_faults| {
            let table = PluginsTable {
                trial_runs,
                trial_faults,
            };
            table.check().err().map(|(key, _)| key)
        };
        assert_eq!(check(10, 3), None);
        assert_eq!(check(10, 0), None);
        assert_eq!(check(0, 0), Some("trial-runs"));
        assert_eq!(check(RUNS_MAX + 1, 1), Some("trial-runs"));
        assert_eq!(check(3, 4), Some("trial-faults"));
    }
}
