//! Parameters on the machine: the sensor that reads one, and the actuator that changes one.
//!
//! `check`, `apply`, `undo` and `settled` may be repeated, as those of quarantine. A change
//! replaces the bytes of one value in one file, or one sysctl; undoing it puts the old bytes back,
//! and only while the value there is still the one that was written.

mod file;
mod format;
mod leftover;
mod replace;
mod stand;
mod sysctl;
#[cfg(test)]
mod tests;

pub use stand::{Standing, read};

use crate::quarantine::{Fault, Settled, Undone};
use keepwell_model::action::{Action, Change};
use keepwell_model::id::{Digest, ParamName, RunId};
use keepwell_model::param::{Held, Param, ParamChange, ParamValue, Place, SysctlName};
use keepwell_model::words::Refusal;
use leftover::sweep;
use replace::{Names, asks, changed};
use stand::{Now, at, look, standing};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads and changes parameters for one run.
#[derive(Debug)]
pub struct ConfigWrite {
    run: RunId,
    /// What this run changed before, in that order.
    made: Vec<ParamChange>,
    /// `/proc/sys`.
    sysctls: PathBuf,
    fault: Option<Arc<dyn Fault>>,
}

impl ConfigWrite {
    pub fn new(run: RunId) -> Self {
        Self {
            run,
            made: Vec::new(),
            sysctls: PathBuf::from(sysctl::SYSCTLS),
            fault: None,
        }
    }

    /// With what this run changed before, in that order: several values may stand in one file, and
    /// what the run itself did to it is nobody else's edit.
    #[must_use]
    pub fn after(mut self, made: Vec<ParamChange>) -> Self {
        self.made = made;
        self
    }

    /// Injects errors, for tests.
    #[must_use]
    pub fn with_fault(mut self, fault: Arc<dyn Fault>) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Another directory in place of `/proc/sys`, for tests.
    #[must_use]
    pub fn with_sysctls(mut self, at: &Path) -> Self {
        self.sysctls = at.to_owned();
        self
    }

    /// What stands there now.
    pub fn read(&self, param: &Param) -> Result<Standing, Refusal> {
        let now = look(&param.place, &self.sysctls)?;
        standing(param, &now)
    }

    /// The change to `new`, with everything that a later check compares. Refusals: `limit` (outside
    /// the bounds, off the step), `invalid` (of another type, already so, cannot be written there).
    pub fn plan(
        &self,
        name: &ParamName,
        param: &Param,
        new: &ParamValue,
    ) -> Result<ParamChange, Refusal> {
        param.shape.admits(new)?;
        let now = look(&param.place, &self.sysctls)?;
        let Standing { held: old, seen } = standing(param, &now)?;
        if old.value == *new {
            return Err(Refusal::invalid(format!("`{name}` is `{new}` already")));
        }
        let spelling = match (&param.place, &now) {
            (Place::Key { format, key, .. }, Now::Key(opened, found)) => {
                let text = param.shape.spell(new, &found.raw)?;
                let spelling = format::quote(*format, &text, found.raw.kind, &old.spelling);
                // Tried now, so that a value that cannot stand there never enters a plan.
                format::replace(*format, &opened.text, key, &spelling, Some(&text))?;
                spelling
            }
            (Place::Sysctl(_), Now::Key(..)) => return Err(moved()),
            (Place::Key { .. } | Place::Sysctl(_), Now::Sysctl(raw)) => {
                param.shape.spell(new, raw)?
            }
        };
        Ok(ParamChange {
            param: name.clone(),
            place: param.place.clone(),
            seen,
            old,
            new: Held {
                value: new.clone(),
                spelling,
            },
            revert_after: param.revert_after,
        })
    }

    /// Whether the change may still be made: the parameter is declared as it was, the new value
    /// within its bounds, the file and the value what the plan saw. Refusals: `gone`, `denied`.
    pub fn check(&self, action: &Action, param: &Param) -> Result<(), Refusal> {
        let change = own(action)?;
        if param.place != change.place {
            return Err(moved());
        }
        param.shape.admits(&change.new.value)?;
        self.fit(change).map(drop)
    }

    /// Makes the change. Making again what was made changes nothing.
    pub fn apply(&self, action: &Action) -> Result<(), Refusal> {
        let change = own(action)?;
        let names = Names::new(self.run, action.id, false);
        sweep(change, &names)?;
        let now = look(&change.place, &self.sysctls)?;
        if now.spelling() == change.new.spelling {
            return Ok(());
        }
        let now = self.fit(change)?;
        self.put(change, &now, &change.old, &change.new, &names)
    }

    /// Puts the old value back, only while the value there is the one this change wrote. Other
    /// changes of the file since then stay. Refusals: `gone` when the value is somebody else's.
    pub fn undo(&self, action: &Action) -> Result<Undone, Refusal> {
        let change = own(action)?;
        sweep(change, &Names::new(self.run, action.id, false))?;
        let names = Names::new(self.run, action.id, true);
        sweep(change, &names)?;
        let now = look(&change.place, &self.sysctls)?;
        let there = now.spelling();
        if there == change.old.spelling {
            return Ok(Undone::WasThere);
        }
        if there != change.new.spelling {
            return Err(Refusal::gone(format!(
                "{} was set to `{}` by somebody else, and stays so",
                change.place,
                keepwell_model::words::printable(there, 80)
            ))
            .hint("set it by hand if the old value is wanted"));
        }
        self.put(change, &now, &change.new, &change.old, &names)?;
        Ok(Undone::Restored)
    }

    /// What stands there now: after a crash this decides what the outcome was. What a change left
    /// unfinished beside the file is removed, unless it holds something that is not ours.
    pub fn settled(&self, action: &Action) -> Settled {
        let Ok(change) = own(action) else {
            return Settled::Unknown;
        };
        let swept = [false, true]
            .iter()
            .try_for_each(|undo| sweep(change, &Names::new(self.run, action.id, *undo)));
        match (swept, look(&change.place, &self.sysctls)) {
            (Ok(()), Ok(now)) if now.spelling() == change.new.spelling => Settled::Applied,
            (Ok(()), Ok(now)) if now.spelling() == change.old.spelling => Settled::NotApplied,
            (Ok(()) | Err(_), Ok(_) | Err(_)) => Settled::Unknown,
        }
    }

    /// Whether neither the old nor the new value stands there. Refusals: `gone` when nothing does,
    /// and those of reading it.
    pub fn holds_another(&self, action: &Action) -> Result<bool, Refusal> {
        let change = own(action)?;
        let now = look(&change.place, &self.sysctls)?;
        Ok(![&change.old.spelling, &change.new.spelling].contains(&&now.spelling().to_owned()))
    }

    /// What stands there, if it is what the plan saw.
    fn fit(&self, change: &ParamChange) -> Result<Now, Refusal> {
        let now = look(&change.place, &self.sysctls)?;
        if now.spelling() != change.old.spelling {
            return Err(at(&change.place, changed("another value stands there")));
        }
        if now.seen() != change.seen && !self.changed_by_us_alone(change, &now) {
            return Err(at(&change.place, changed("somebody wrote to it")));
        }
        Ok(now)
    }

    /// Whether the file is the one the plan saw, but for values that this run changed in it.
    fn changed_by_us_alone(&self, change: &ParamChange, now: &Now) -> bool {
        let (Some(seen), Place::Key { file, .. }, Now::Key(opened, _)) =
            (change.seen, &change.place, now)
        else {
            return false;
        };
        let mut text = opened.text.clone();
        let mut any = false;
        for made in self.made.iter().rev() {
            let Place::Key {
                file: other,
                format,
                key,
            } = &made.place
            else {
                continue;
            };
            if other != file {
                continue;
            }
            match format::find(*format, &text, key) {
                Ok(found) if text[found.span.clone()] == made.new.spelling => {
                    text.replace_range(found.span, &made.old.spelling);
                    any = true;
                }
                Ok(_) | Err(_) => return false,
            }
        }
        any && Digest::of(text.as_bytes()) == seen.digest
    }

    /// Writes `to` in place of `from`.
    fn put(
        &self,
        change: &ParamChange,
        now: &Now,
        from: &Held,
        to: &Held,
        names: &Names,
    ) -> Result<(), Refusal> {
        let fault = |step: &'static str| asks(self.fault.as_deref(), step);
        let done = match (&change.place, now) {
            (Place::Key { format, key, .. }, Now::Key(opened, _)) => {
                format::replace(*format, &opened.text, key, &to.spelling, None)
                    .and_then(|text| replace::replace(opened, &text, names, &fault))
            }
            (Place::Sysctl(name), Now::Sysctl(_)) => self.put_sysctl(name, from, to),
            (Place::Key { .. }, Now::Sysctl(_)) | (Place::Sysctl(_), Now::Key(..)) => Err(moved()),
        };
        done.map_err(|no| at(&change.place, no))
    }

    fn put_sysctl(&self, name: &SysctlName, from: &Held, to: &Held) -> Result<(), Refusal> {
        asks(self.fault.as_deref(), "sysctl")
            .map_err(|e| crate::at::refused(e, format!("cannot write sysctl `{name}`")))?;
        sysctl::write(&self.sysctls, name, &to.spelling, &from.spelling)
    }
}

fn own(action: &Action) -> Result<&ParamChange, Refusal> {
    match &action.change {
        Change::ConfigWrite(change) => Ok(change),
        Change::Quarantine { .. } | Change::QuarantineTree { .. } => Err(Refusal::invalid(
            format!("action {} changes no parameter", action.id),
        )),
    }
}

fn moved() -> Refusal {
    Refusal::gone("the parameter is declared in another place than when it was planned")
        .hint("plan again")
}
