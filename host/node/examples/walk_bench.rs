//! What walking, counting and moving aside cost: `cargo run --release -p keepwell-node --example
//! walk_bench`. Lines of `name value unit`, so that chores can read them.

use keepwell_model::action::{Action, Change};
use keepwell_model::budget::CleanBudget;
use keepwell_model::id::{RootName, RunId};
use keepwell_node::in_use::InUse;
use keepwell_node::inventory;
use keepwell_node::quarantine::Quarantine;
use keepwell_node::root::Root;
use keepwell_node::walk::{Selector, Walk, usage};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// As many as the target for walks names.
const ENTRIES: usize = 100_000;
/// As many as the target for actions names.
const ACTIONS: usize = 50_000;
/// Files in a directory, as in stores that spread by the first two digits of a digest.
const IN_A_FOLDER: usize = 400;
/// Entries in an answer, as the contract has it.
const ANSWER: usize = 4_096;
/// Later than any file made here: the year 2100.
const LATER_MS: u64 = 4_102_444_800_000;
/// Actions that become durable together.
const BATCH: usize = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let top = dir.path().join("root");
    grow(&top)?;
    fs::write(dir.path().join("plan"), "{}\n")?;
    let root = Arc::new(Root::open(&RootName::new("tmp")?, &top)?);
    // Once to warm the kernel's caches, which is what all figures are about.
    inventory(&root)?;

    told("inventory", ENTRIES, || {
        inventory(&root).map(|i| i.entries).map_err(Into::into)
    })?;
    told("usage", ENTRIES, || {
        usage(&root, None).map(|u| u.files).map_err(Into::into)
    })?;
    told("walk-all", ENTRIES, || {
        walk(&root, &Selector::default()).map(|e| e.len() as u64)
    })?;
    let some = Selector {
        globs: vec!["**/*.tmp".into(), "**/7*".into()],
        except: vec!["keep/**".into()],
        min_age_ms: 3_600_000,
        ..Selector::default()
    };
    told("walk-globs", ENTRIES, || {
        walk(&root, &some).map(|e| e.len() as u64)
    })?;

    let plan = plan(&root)?;
    let run = RunId::new(1, [1; 10]);
    let quarantine = Quarantine::begin(&root, run, &dir.path().join("plan"))?;
    let in_use = InUse::none();
    let budget = CleanBudget::default();
    told("check", ACTIONS, || {
        for action in &plan {
            quarantine.check(action, &budget, LATER_MS, &in_use)?;
        }
        Ok(plan.len() as u64)
    })?;
    told("check-apply-sync", ACTIONS, || {
        for batch in plan.chunks(BATCH) {
            for action in batch {
                quarantine.check(action, &budget, LATER_MS, &in_use)?;
                quarantine.apply(action)?;
            }
            quarantine.sync()?;
        }
        Ok(plan.len() as u64)
    })?;
    told("undo", ACTIONS, || {
        for action in plan.iter().rev() {
            quarantine.undo(action)?;
        }
        Ok(plan.len() as u64)
    })?;
    quarantine.finish_undo()?;
    // What the kernel alone takes for as many moves, which is the least they can cost.
    let aside = dir.path().join("aside");
    fs::create_dir(&aside)?;
    told("bare-rename", ACTIONS, || {
        for action in &plan {
            let Some(path) = action.change.path() else {
                continue;
            };
            fs::rename(
                top.join(path.to_string()),
                aside.join(action.id.to_string()),
            )?;
        }
        Ok(plan.len() as u64)
    })?;
    Ok(())
}

fn told(
    name: &str,
    count: usize,
    act: impl FnOnce() -> Result<u64, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let (before, cpu_before) = (Instant::now(), cpu_ns());
    let found = act()?;
    let (took, cpu) = (before.elapsed(), cpu_ns() - cpu_before);
    println!("{name}-ms {}", took.as_millis());
    println!("{name}-ns-each {}", took.as_nanos() / count as u128);
    println!("{name}-cpu-ns-each {}", cpu / count as i64);
    println!("{name}-found {found}");
    Ok(())
}

/// What this process has used, the kernel's work for it included: steadier than the time that
/// passed where others use the machine too.
fn cpu_ns() -> i64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec * 1_000_000_000 + used.tv_nsec
}

fn grow(top: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir(top)?;
    let folders = ENTRIES / (IN_A_FOLDER + 1);
    for folder in 0..folders {
        let at = top.join(format!("{folder:04}"));
        fs::create_dir(&at)?;
        for file in 0..IN_A_FOLDER {
            fs::write(at.join(format!("{file:04}-some-longer-name.tmp")), "")?;
        }
    }
    Ok(())
}

fn walk(
    root: &Arc<Root>,
    selector: &Selector,
) -> Result<Vec<keepwell_node::walk::Entry>, Box<dyn Error>> {
    let in_use = Arc::new(InUse::none());
    let mut walk = Walk::new(Arc::clone(root), selector, LATER_MS, in_use)?;
    let mut all = Vec::new();
    loop {
        let mut more = walk.next(ANSWER)?;
        if more.is_empty() {
            return Ok(all);
        }
        all.append(&mut more);
    }
}

fn plan(root: &Arc<Root>) -> Result<Vec<Action>, Box<dyn Error>> {
    let files = Selector {
        globs: vec!["**/*.tmp".into()],
        ..Selector::default()
    };
    let entries = walk(root, &files)?.into_iter().take(ACTIONS);
    let action = |(id, e): (usize, keepwell_node::walk::Entry)| Action {
        id: id as u64,
        change: Change::Quarantine {
            root: root.name().clone(),
            path: e.path,
            kind: e.kind,
            identity: e.identity,
        },
        reason: "old".into(),
    };
    Ok(entries.enumerate().map(action).collect())
}
