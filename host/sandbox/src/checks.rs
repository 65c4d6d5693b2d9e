//! How long a permission check takes: what the bench cannot see from outside of a worker.

use crate::ctx::{Ctx, Opened};
use crate::interface::param_granted;
use crate::protocol::Assignment;
use crate::wire::Wire;
use keepwell_model::capability::Capability;
use keepwell_model::id::{ParamName, RootName};
use keepwell_model::words::Refusal;
use keepwell_node::root::Root;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A task that holds as many roots and parameters as was asked, made to check each of them.
#[doc(hidden)]
pub struct Checks {
    ctx: Ctx,
    roots: Vec<String>,
    params: Vec<String>,
}

impl Checks {
    /// All roots are the folder `at`; nothing of it is read.
    pub fn new(assignment: Assignment, at: &Path, grants: usize) -> Result<Self, String> {
        let names = |kind: &str| (0..grants).map(|n| format!("{kind}-{n:03}")).collect();
        let (roots, params): (Vec<String>, Vec<String>) = (names("root"), names("param"));
        let mut opened = Opened::new();
        let mut assignment = assignment;
        for name in &roots {
            let valid = RootName::new(name.as_str()).map_err(|e| e.to_string())?;
            let root = Root::open(&valid, at).map_err(|e| e.to_string())?;
            let path = at.to_owned();
            let identity = Some(root.identity());
            let place = crate::protocol::RootAt { path, identity };
            assignment.storage.insert(valid, place);
            opened.insert(name.clone(), Ok(Arc::new(root)));
        }
        for name in &params {
            let valid = ParamName::new(name.as_str()).map_err(|e| e.to_string())?;
            assignment.readable.push(valid);
        }
        let ctx = Ctx::new(assignment, Wire::new(), opened, Opened::new());
        Ok(Self { ctx, roots, params })
    }

    /// Checks each root and each parameter, as a call does before anything else.
    pub fn once(&self) -> Result<(), Refusal> {
        for name in &self.roots {
            black_box(self.ctx.root(black_box(name)).map_err(|no| match no {
                crate::ctx::No::Refused(refusal) => refusal,
                crate::ctx::No::Ended(e) => Refusal::invalid(e.to_string()),
            })?);
        }
        for name in &self.params {
            let held = &self.ctx.assignment.readable;
            param_granted(held, black_box(name), Capability::ConfigRead)?;
        }
        Ok(())
    }

    /// The mean of one check.
    pub fn time(&self, rounds: u32) -> Result<Duration, Refusal> {
        let began = Instant::now();
        for _ in 0..rounds {
            self.once()?;
        }
        let checks = u32::try_from(self.roots.len() + self.params.len()).unwrap_or(u32::MAX);
        Ok(began.elapsed() / rounds.max(1) / checks.max(1))
    }
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checks({} roots)", self.roots.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_model::limits::Limits;

    #[test]
    fn a_check_among_64_grants_allocates_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let assignment = Assignment::describe(Limits::default(), true);
        let checks = Checks::new(assignment, dir.path(), 64).unwrap();
        let counted = allocation_counter::measure(|| checks.once().unwrap());
        assert_eq!(counted.count_total, 0);
        // And the counter does count: a refusal has words.
        let refused = allocation_counter::measure(|| {
            assert!(checks.ctx.root("other").is_err());
        });
        assert!(refused.count_total > 0);
    }
}
