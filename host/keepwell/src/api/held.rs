//! Versions that wait: held because they ask for more than the active one, or are older, until
//! somebody accepts or rejects them.

use super::plugins::{activate, hold_plugins, installed_event, pin, refuse};
use super::request::Answer;
use crate::error::{Error, Result};
use crate::node::Node;
use crate::plugins::{self, Add, Change, Installed, Shelf, What};
use keepwell_bundle::{Bundle, Import, Lock, LockEntry, Standing};
use keepwell_model::event::Event;
use keepwell_model::glass::DIGITS_MIN;
use keepwell_model::grant::{Signer, Tier};
use keepwell_model::upgrade::{self, Version};

/// What becomes of a bundle that is offered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It is the active version from here on.
    Switch,
    Beside,
    /// It waits, for these reasons.
    Hold(Vec<String>),
}

/// The same version as it is installed, if it is.
pub(super) fn standing_of<'a>(lock: &'a Lock, bundle: &Bundle) -> Option<&'a LockEntry> {
    let manifest = &bundle.manifest;
    lock.find(&format!("{}@{}", manifest.name, manifest.version))
}

/// Holds a bundle against what is installed. What was never accepted and is older is refused.
pub(super) fn versus(node: &Node, lock: &Lock, bundle: &Bundle, upgrade: bool) -> Result<Offer> {
    let name = bundle.manifest.name.as_str();
    let version = bundle.manifest.version.as_str();
    let known = standing_of(lock, bundle);
    if known.is_some_and(|known| known.bundle != bundle.id) {
        let message = format!("{name}@{version} is installed with other content");
        return Err(Error::denied(message)
            .hint("a release needs a version of its own; remove the installed one to replace it"));
    }
    match known.map(|known| known.standing) {
        Some(Standing::Active) if upgrade => {
            return Err(Error::denied(format!(
                "version {version} is not newer than the installed {version}"
            )));
        }
        Some(Standing::Active) => return Ok(Offer::Switch),
        Some(Standing::Beside | Standing::RolledBack) if !upgrade => return Ok(Offer::Beside),
        Some(Standing::Beside | Standing::RolledBack | Standing::Held) | None => {}
    }
    let mut why = step_back(lock, bundle)?;
    if let Some(failed) = known.and_then(|known| known.rolled_back.as_ref()) {
        why.push(format!(
            "it was rolled back after {} faults in {} runs",
            failed.faults, failed.runs
        ));
    }
    let active = lock.active(name);
    if let Some(active) = active {
        why.extend(wider(node, active, bundle));
    }
    if !why.is_empty() || known.is_some_and(|known| known.standing == Standing::Held) {
        return Ok(Offer::Hold(why));
    }
    Ok(if upgrade || active.is_none() {
        Offer::Switch
    } else {
        Offer::Beside
    })
}

/// Whether it is older than the newest release that was accepted, be that removed since.
fn step_back(lock: &Lock, bundle: &Bundle) -> Result<Vec<String>> {
    let manifest = &bundle.manifest;
    let Some(highest) = lock.highest(manifest.name.as_str()) else {
        return Ok(vec![]);
    };
    let old = (highest.version.as_str(), highest.release);
    let new = (
        manifest.version.as_str(),
        bundle.statement.predicate.release,
    );
    match upgrade::older(old, new) {
        None => Ok(vec![]),
        Some(why) if lock.was_accepted(bundle.id) => Ok(vec![why]),
        Some(why) => Err(Error::denied(format!(
            "version {} is not newer than the installed {}: {why}",
            manifest.version, highest.version
        ))
        .hint("only a release that was accepted here before can be gone back to")),
    }
}

/// What it asks for beyond the active version. That one need not be trusted any more to be held
/// against: its content is the one that was installed.
fn wider(node: &Node, active: &LockEntry, bundle: &Bundle) -> Vec<String> {
    let old = match plugins::look_into(&node.dir, active) {
        Ok(old) => old,
        Err(e) => {
            return vec![format!(
                "the active version {} cannot be read, so all that this one asks for is new: {e}",
                active.version
            )];
        }
    };
    let same = active.signer_name == bundle.signer.name;
    // Where the trust file has one name for both, it has one tier for both.
    let signer = Signer {
        name: active.signer_name.clone(),
        key_id: active.signer.clone(),
        tier: if same { bundle.signer.tier } else { Tier::Own },
        ..bundle.signer.clone()
    };
    let old = Version {
        manifest: &old.manifest,
        release: active.release,
        imports: &active.imports,
        signer: &signer,
    };
    upgrade::wider(old, version(bundle, &imports(bundle)))
}

fn imports(bundle: &Bundle) -> Vec<String> {
    let imports = bundle.scan.imports.iter();
    imports.flat_map(Import::lines).collect()
}

fn version<'a>(bundle: &'a Bundle, imports: &'a [String]) -> Version<'a> {
    Version {
        manifest: &bundle.manifest,
        release: bundle.statement.predicate.release,
        imports,
        signer: &bundle.signer,
    }
}

/// Keeps a bundle that waits. One that runs already where a task names it goes on doing so.
pub(super) fn hold(
    shelf: &Shelf<'_>,
    mut lock: Lock,
    entry: LockEntry,
    add: Add<'_>,
    wider: Vec<String>,
) -> Result<Answer> {
    let known = lock.find(&pin(&entry)).cloned();
    let wider = match known.as_ref().filter(|_| wider.is_empty()) {
        Some(known) => known.wider.clone(),
        None => wider,
    };
    let entry = LockEntry {
        standing: known.as_ref().map_or(Standing::Held, |e| e.standing),
        rolled_back: known.and_then(|e| e.rolled_back),
        wider: wider.clone(),
        ..entry
    };
    lock.insert(entry.clone());
    let event = Event::PluginHeld {
        plugin: entry.name.to_string(),
        version: entry.version.clone(),
        bundle: entry.bundle,
        component: entry.component,
        signer: entry.signer_name.clone(),
        wider: wider.clone(),
    };
    let answer = Answer::Held {
        name: entry.name.to_string(),
        version: entry.version.clone(),
        bundle: entry.bundle.to_string(),
        signer: entry.signer_name.clone(),
        wider,
    };
    shelf.change(&Change {
        what: What::Hold,
        entry,
        lock,
        add: Some(add),
        events: vec![event],
    })?;
    Ok(answer)
}

/// The one version that waits and that `wanted` means.
pub fn waiting<'a>(lock: &'a Lock, wanted: &str) -> Result<&'a LockEntry> {
    let waits = |e: &&LockEntry| e.waits();
    let found: Vec<&LockEntry> = if wanted.contains(['@', ':']) {
        lock.find(wanted).into_iter().filter(waits).collect()
    } else {
        lock.versions(wanted).filter(waits).collect()
    };
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Error::usage(format!("no version of `{wanted}` waits"))
            .hint("`keepwell plugin list` shows which do")),
        many => {
            let names: Vec<String> = many.iter().map(|e| pin(e)).collect();
            Err(
                Error::usage(format!("{} versions of `{wanted}` wait", many.len()))
                    .hint(format!("name one of {}", names.join(", "))),
            )
        }
    }
}

/// Lets a version run that waits, as the active one. The digits say that it is the one that was
/// looked at.
pub(super) fn accept(node: &Node, wanted: &str, digits: &str) -> Result<Answer> {
    let _one_at_a_time = hold_plugins(node);
    let shelf = Shelf::of(node);
    shelf.settle()?;
    let mut lock = plugins::lock(&node.dir)?;
    let entry = waiting(&lock, wanted)?.clone();
    let refuse = |error| refuse(node, &format!("accept {}", pin(&entry)), error);
    check_digits(&entry, digits).map_err(refuse)?;
    let Installed { bundle, .. } =
        plugins::open_entry(&node.dir, &node.trust, node.latest_ms()?, &entry).map_err(refuse)?;
    let mut events = vec![Event::PluginAccepted {
        plugin: entry.name.to_string(),
        version: entry.version.clone(),
        bundle: entry.bundle,
    }];
    if entry.standing == Standing::Held {
        events.push(installed_event(&bundle));
    }
    events.extend(activate(&mut lock, &entry, shelf.now_ms));
    plugins::note_grants(&node.config, &mut lock, &bundle);
    let answer = Answer::Installed {
        name: entry.name.to_string(),
        version: entry.version.clone(),
        bundle: entry.bundle.to_string(),
        signer: entry.signer_name.clone(),
        active: true,
    };
    shelf
        .change(&Change {
            what: What::Accept,
            entry: entry.clone(),
            lock,
            add: Some(Add::compiled(&bundle)),
            events,
        })
        .map_err(refuse)?;
    Ok(answer)
}

fn check_digits(entry: &LockEntry, digits: &str) -> Result<()> {
    let hex = entry.bundle.hex();
    let digits = digits.trim().to_lowercase();
    let digits = digits.strip_prefix("sha256:").unwrap_or(&digits);
    if digits.len() >= DIGITS_MIN && hex.starts_with(digits) {
        return Ok(());
    }
    Err(Error::denied(format!(
        "`{}` is not how the bundle's id begins, or is less than {DIGITS_MIN} digits",
        keepwell_model::words::printable(digits, 80)
    ))
    .hint("`keepwell plugin list -o json` shows the id of what waits: look at that bundle again"))
}

/// Turns a version away that waits. One that runs already where a task names it goes on doing so.
pub(super) fn reject(node: &Node, wanted: &str) -> Result<Answer> {
    let _one_at_a_time = hold_plugins(node);
    let shelf = Shelf::of(node);
    shelf.settle()?;
    let mut lock = plugins::lock(&node.dir)?;
    let entry = waiting(&lock, wanted)?.clone();
    if entry.standing == Standing::Held {
        lock.remove(&entry.name, &entry.version);
    } else if let Some(stays) = lock.entry_mut(&entry.name, &entry.version) {
        stays.wider.clear();
    }
    let event = Event::PluginRejected {
        plugin: entry.name.to_string(),
        version: entry.version.clone(),
        bundle: entry.bundle,
    };
    let said = format!("rejected {}", pin(&entry));
    shelf.change(&Change {
        what: What::Reject,
        entry,
        lock,
        add: None,
        events: vec![event],
    })?;
    Ok(Answer::Said(said))
}
