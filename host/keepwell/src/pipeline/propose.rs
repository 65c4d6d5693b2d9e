//! Proposals: each is checked against the grant here, whatever the worker thought of it, and taken
//! into the plan or refused with its reason.

use super::plan_file::PlanWriter;
use super::run_log::Halt;
use globset::{Glob, GlobSet, GlobSetBuilder};
use keepwell_model::action::{Action, Change, EntryKind, Price, RelPath};
use keepwell_model::budget::{AgeBy, Spent};
use keepwell_model::grant::{CleanGrant, ConfigWriteGrant, Grant};
use keepwell_model::id::{ParamName, RootName};
use keepwell_model::param::{Commit, may_write};
use keepwell_model::state::RunState;
use keepwell_model::units::{Bytes, Share};
use keepwell_model::words::{Refusal, printable};
use keepwell_node::in_use::InUse;
use keepwell_node::params::ConfigWrite;
use keepwell_node::root::Root;
use keepwell_sandbox::Proposal;
use std::collections::{BTreeMap, BTreeSet};

/// A reason is a few words; the plan is not a place to store things.
const REASON_MAX_BYTES: usize = 256;

/// Takes proposals into the plan, or refuses them one by one.
pub(super) struct Proposals {
    clean: Option<CleanGrant>,
    config: Option<ConfigWriteGrant>,
    /// Parameters proposed in this run.
    params: BTreeSet<ParamName>,
    roots: BTreeMap<RootName, Root>,
    protected: BTreeMap<RootName, GlobSet>,
    spent: Spent,
    changed: u64,
    pub(super) writer: PlanWriter,
    actions_max: u64,
    over_limit: bool,
    now_ms: u64,
}

impl Proposals {
    /// `scope` is the share of the budget that there is time for.
    pub(super) fn open(
        grant: &Grant,
        writer: PlanWriter,
        now_ms: u64,
        scope: Share,
    ) -> Result<Self, Halt> {
        let mut roots = BTreeMap::new();
        let mut protected = BTreeMap::new();
        if let Some(clean) = &grant.clean {
            for (name, path) in &clean.roots {
                roots.insert(name.clone(), Root::open(name, path)?);
            }
            for (name, globs) in &clean.protect {
                protected.insert(name.clone(), glob_set(globs)?);
            }
        }
        Ok(Self {
            clean: grant.clean.clone().map(|clean| shrunk(clean, scope)),
            config: grant.config_write.clone(),
            params: BTreeSet::new(),
            roots,
            protected,
            spent: Spent::default(),
            changed: 0,
            writer,
            actions_max: grant.limits.actions,
            over_limit: false,
            now_ms,
        })
    }

    pub(super) fn root(&self, name: &str) -> Result<RootName, Refusal> {
        let found = self.roots.keys().find(|k| k.as_str() == name).cloned();
        found.ok_or_else(|| {
            let name = printable(name, 64);
            Refusal::denied(format!("root `{name}` is not granted for cleaning")).hint(format!(
                "add `storage-clean.roots = [\"{name}\"]` to [grant] of this task"
            ))
        })
    }

    fn clean(&self) -> Result<&CleanGrant, Refusal> {
        self.clean
            .as_ref()
            .ok_or_else(|| Refusal::denied("`storage-clean` is not granted"))
    }

    pub(super) fn take_entry(
        &mut self,
        root: &RootName,
        proposal: Proposal,
        in_use: &InUse,
    ) -> Result<u64, Refusal> {
        let Proposal {
            path,
            kind,
            identity,
            touched_ms,
            reason,
            ..
        } = proposal;
        if kind == EntryKind::Other {
            return Err(Refusal::denied(
                "only files, links and empty directories can be moved",
            ));
        }
        let device = self.roots.get(root).map(|r| r.identity().0);
        if device != Some(identity.device) {
            return Err(Refusal::denied(
                "the entry lies on another file system than its root",
            ));
        }
        if in_use.contains(identity.device, identity.inode) {
            return Err(Refusal::busy("it is open, mapped or locked"));
        }
        let told_ms = match self.clean()?.budget.age_by {
            AgeBy::Newest => touched_ms,
            AgeBy::Modified => u64::try_from(identity.mtime_ns / 1_000_000).unwrap_or(0),
        };
        self.check_age(told_ms)?;
        self.take(
            Change::Quarantine {
                root: root.clone(),
                path,
                kind,
                identity,
            },
            &reason,
        )
    }

    pub(super) fn take_tree(
        &mut self,
        root: &RootName,
        path: RelPath,
        reason: &str,
        in_use: &InUse,
    ) -> Result<u64, Refusal> {
        let opened = self
            .roots
            .get(root)
            .ok_or_else(|| Refusal::denied("the root is not granted"))?;
        let entry = keepwell_node::walk::stat(opened, &path, in_use)?;
        if entry.kind != EntryKind::Directory {
            return Err(Refusal::invalid("only a directory can be moved as a tree"));
        }
        let age_by = self.clean()?.budget.age_by;
        // What is protected may not move with the tree that holds it either.
        let forbids = |inner: &[u8]| self.protects(root, inner);
        let (survey, told_ms) =
            keepwell_node::survey_unless(opened, &path, in_use, age_by, &forbids)?;
        self.check_age(told_ms)?;
        let change = Change::QuarantineTree {
            root: root.clone(),
            path,
            identity: entry.identity,
            survey,
        };
        self.take(change, reason)
    }

    /// Why this path may not move, if the operator protects it.
    fn protects(&self, root: &RootName, path: &[u8]) -> Option<Refusal> {
        use std::os::unix::ffi::OsStrExt as _;
        let globs = self.protected.get(root)?;
        globs.is_match(std::ffi::OsStr::from_bytes(path)).then(|| {
            let shown = path.escape_ascii();
            Refusal::denied(format!("`{shown}` is protected by `roots.{root}.protect`"))
        })
    }

    /// `history`: every change of a parameter this node knows of.
    pub(super) fn take_param(
        &mut self,
        hand: &ConfigWrite,
        history: &[Commit],
        name: &str,
        value: &str,
        reason: &str,
    ) -> Result<u64, Refusal> {
        let config = self
            .config
            .as_ref()
            .ok_or_else(|| Refusal::denied("`config-write` is not granted"))?;
        let (name, param) = config.param(name)?;
        let value = param.shape.parse(value)?;
        if self.params.contains(name) {
            return Err(Refusal::busy(format!(
                "a change of `{name}` is in the plan of this run already"
            )));
        }
        let change = hand.plan(name, param, &value)?;
        may_write(name, param, history, &change.old.value, self.now_ms)?;
        let name = name.clone();
        let id = self.take(Change::ConfigWrite(change), reason)?;
        self.params.insert(name);
        Ok(id)
    }

    fn check_age(&self, told_ms: u64) -> Result<(), Refusal> {
        let least = self.clean()?.budget.min_age;
        if told_ms.saturating_add(least.as_millis()) > self.now_ms {
            return Err(Refusal::denied(format!("it is younger than {least}"))
                .hint("lower `storage-clean.min-age` of this task if that is meant"));
        }
        Ok(())
    }

    fn take(&mut self, change: Change, reason: &str) -> Result<u64, Refusal> {
        if reason.len() > REASON_MAX_BYTES {
            return Err(Refusal::invalid(format!(
                "a reason is at most {REASON_MAX_BYTES} bytes"
            )));
        }
        if let (Some(root), Some(path)) = (change.root(), change.path())
            && let Some(refusal) = self.protects(root, path.as_bytes())
        {
            return Err(refusal);
        }
        if self.writer.actions() >= self.actions_max {
            self.over_limit = true;
            return Err(Refusal::limit("the plan is full"));
        }
        let price: Price = change.price();
        match &change {
            Change::Quarantine { .. } | Change::QuarantineTree { .. } => {
                let budget = self.clean()?.budget.clone();
                budget.charge(&mut self.spent, price)?;
            }
            Change::ConfigWrite(_) => {
                let config = self
                    .config
                    .as_ref()
                    .ok_or_else(|| Refusal::denied("`config-write` is not granted"))?;
                config.charge(&mut self.changed, price)?;
            }
        }
        let id = self.writer.actions();
        let action = Action {
            id,
            change,
            reason: printable(reason, REASON_MAX_BYTES),
        };
        self.writer
            .push(&action)
            .map_err(|e| Refusal::io(e.message))?;
        Ok(id)
    }

    /// The budget refuses single proposals; the limit on actions ends the run.
    pub(super) fn check_actions_limit(
        &self,
        answers: &[Result<u64, Refusal>],
    ) -> Result<(), Refusal> {
        if self.over_limit && answers.iter().any(Result::is_err) {
            return Err(Refusal::limit(format!(
                "a plan holds at most {} actions",
                self.actions_max
            )));
        }
        Ok(())
    }
}

/// A window that is nearly over leaves time for less.
fn shrunk(mut clean: CleanGrant, scope: Share) -> CleanGrant {
    let budget = &mut clean.budget;
    budget.max_files = scope.of(budget.max_files);
    budget.max_bytes = Bytes(scope.of(budget.max_bytes.0));
    clean
}

fn glob_set(globs: &[String]) -> Result<GlobSet, Halt> {
    let bad = |e: globset::Error| {
        Halt::end(
            RunState::Denied,
            format!("bad glob in `protect`: {e}"),
            None,
        )
    };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(Glob::new(glob).map_err(bad)?);
    }
    set.build().map_err(bad)
}
