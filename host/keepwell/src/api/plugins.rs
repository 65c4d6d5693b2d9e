//! What may run here: installing and removing plugins.

use super::held::{Offer, hold, standing_of, versus};
use super::request::Answer;
use crate::error::{Error, Result};
use crate::node::Node;
use crate::plugins::{self, Add, Change, Shelf, What};
use keepwell_bundle::{Accepted, Against, Bundle, Lock, LockEntry, Standing, Trial, VERSIONS_MAX};
use keepwell_model::event::Event;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

/// Held by whoever changes the installed plugins: one change at a time, from its look to its end.
pub(crate) fn hold_plugins(node: &Node) -> MutexGuard<'_, ()> {
    node.plugins.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Journals that a bundle was turned away, and gives the error.
pub(super) fn refuse(node: &Node, source: &str, error: Error) -> Error {
    let event = Event::PluginRefused {
        source: source.to_owned(),
        reason: error.message.clone(),
    };
    match node.journal.commit(node.record(None, event)) {
        Ok(_) => error,
        Err(journal) => journal.into(),
    }
}

/// Installs a bundle beside what there is, or, to upgrade, in place of the active version. One that
/// asks for more than that one is held.
pub(super) fn install(
    node: &Node,
    source: &Path,
    bundle: &str,
    endorsement: Option<&str>,
    upgrade: bool,
) -> Result<Answer> {
    let _one_at_a_time = hold_plugins(node);
    let refuse = |error| refuse(node, &source.display().to_string(), error);
    let bytes = data_encoding::BASE64
        .decode(bundle.as_bytes())
        .map_err(|e| Error::usage(format!("the bundle is not base64: {e}")))?;
    let endorsement = endorsement
        .map(|text| data_encoding::BASE64.decode(text.as_bytes()))
        .transpose()
        .map_err(|e| Error::usage(format!("the endorsement is not base64: {e}")))?;
    let against = Against {
        trust: &node.trust,
        now_ms: node.latest_ms()?,
        endorsement: endorsement.as_deref(),
    };
    let bundle =
        keepwell_bundle::open(&bytes, against).map_err(|e| refuse(plugins::refused(source, &e)))?;
    let shelf = Shelf::of(node);
    shelf.settle()?;
    let lock = plugins::lock(&node.dir)?;
    let name = bundle.manifest.name.as_str();
    if upgrade && lock.versions(name).next().is_none() {
        return Err(Error::usage(format!("plugin `{name}` is not installed"))
            .hint("`keepwell plugin install` installs it"));
    }
    if lock.versions(name).count() >= VERSIONS_MAX && standing_of(&lock, &bundle).is_none() {
        let many = format!("plugin `{name}` has {VERSIONS_MAX} versions, as many as may be");
        return Err(Error::usage(many).hint("`keepwell plugin remove NAME@VERSION` removes one"));
    }
    let fresh = LockEntry::of(&bundle, shelf.now_ms);
    let add = Add {
        bundle: &bundle,
        bytes: Some(&bytes),
        endorsement: endorsement.as_deref(),
    };
    match versus(node, &lock, &bundle, upgrade).map_err(refuse)? {
        Offer::Switch => put(node, &shelf, lock, fresh, add, upgrade),
        Offer::Beside => beside(&shelf, lock, fresh, add),
        Offer::Hold(wider) => hold(&shelf, lock, fresh, add, wider),
    }
    .map_err(refuse)
}

/// The bundle becomes the active version.
fn put(
    node: &Node,
    shelf: &Shelf<'_>,
    mut lock: Lock,
    entry: LockEntry,
    add: Add<'_>,
    upgrade: bool,
) -> Result<Answer> {
    let known = lock.find(&pin(&entry)).cloned();
    let mut entry = LockEntry {
        trial: known.as_ref().and_then(|known| known.trial.clone()),
        ..entry
    };
    lock.insert(entry.clone());
    let mut events = vec![installed_event(add.bundle)];
    if let Some(switched) = activate(&mut lock, &entry, shelf.now_ms) {
        events.push(switched);
    }
    plugins::note_grants(&node.config, &mut lock, add.bundle);
    entry.standing = Standing::Active;
    let what = if upgrade {
        What::Upgrade
    } else {
        What::Install
    };
    made(shelf, what, lock, entry, add, events)
}

/// The bundle stands beside the active version, for tasks that name it; or it stands there already,
/// and its file is written anew.
fn beside(shelf: &Shelf<'_>, mut lock: Lock, entry: LockEntry, add: Add<'_>) -> Result<Answer> {
    let known = lock.find(&pin(&entry)).cloned();
    let entry = LockEntry {
        standing: known.as_ref().map_or(Standing::Beside, |e| e.standing),
        wider: known.as_ref().map_or(vec![], |e| e.wider.clone()),
        trial: known.as_ref().and_then(|e| e.trial.clone()),
        rolled_back: known.and_then(|e| e.rolled_back),
        ..entry
    };
    lock.insert(entry.clone());
    lock.accept(Accepted::of(&entry));
    let events = vec![installed_event(add.bundle)];
    made(shelf, What::Install, lock, entry, add, events)
}

fn made(
    shelf: &Shelf<'_>,
    what: What,
    lock: Lock,
    entry: LockEntry,
    add: Add<'_>,
    events: Vec<Event>,
) -> Result<Answer> {
    let answer = Answer::Installed {
        name: entry.name.to_string(),
        version: entry.version.clone(),
        bundle: entry.bundle.to_string(),
        signer: entry.signer_name.clone(),
        active: entry.standing == Standing::Active,
    };
    shelf.change(&Change {
        what,
        entry,
        lock,
        add: Some(add),
        events,
    })?;
    Ok(answer)
}

/// Makes an entry of the lock the active one, on trial when there was another. Gives the event.
pub(crate) fn activate(lock: &mut Lock, entry: &LockEntry, now_ms: u64) -> Option<Event> {
    let from = lock.activate(&entry.name, &entry.version);
    let from = from?;
    // What is revoked is nothing to go back to.
    let sound = lock.find(&format!("{}@{from}", entry.name));
    let sound = sound.is_some_and(|before| before.quarantined.is_none());
    if sound && let Some(active) = lock.entry_mut(&entry.name, &entry.version) {
        active.trial = Some(Trial {
            since_ms: now_ms,
            from: from.clone(),
        });
    }
    Some(Event::PluginSwitched {
        plugin: entry.name.to_string(),
        from,
        version: entry.version.clone(),
        bundle: entry.bundle,
    })
}

/// How a task names exactly this version.
pub(crate) fn pin(entry: &LockEntry) -> String {
    format!("{}@{}", entry.name, entry.version)
}

/// What the journal says of an installed bundle.
pub fn installed_event(bundle: &Bundle) -> Event {
    Event::PluginInstalled {
        plugin: bundle.manifest.name.to_string(),
        version: bundle.manifest.version.clone(),
        bundle: bundle.id,
        component: bundle.component_digest,
        signer: bundle.signer.name.clone(),
        imports: bundle
            .scan
            .imports
            .iter()
            .flat_map(keepwell_bundle::Import::lines)
            .collect(),
    }
}

/// Removes all versions of a plugin, or the one that is named by its version or digest.
pub(super) fn remove(node: &Node, wanted: &str) -> Result<Answer> {
    let _one_at_a_time = hold_plugins(node);
    let shelf = Shelf::of(node);
    shelf.settle()?;
    let mut lock = plugins::lock(&node.dir)?;
    let gone: Vec<LockEntry> = if lock.versions(wanted).next().is_some() {
        lock.versions(wanted).cloned().collect()
    } else {
        lock.find(wanted).cloned().into_iter().collect()
    };
    let Some(last) = gone.last().cloned() else {
        let unknown = plugins::unknown(&lock, wanted);
        return Err(Error {
            hint: unknown.hint,
            ..Error::usage(unknown.message)
        });
    };
    for entry in &gone {
        unused(node, &lock, entry)?;
        if gone.len() < lock.versions(last.name.as_str()).count() {
            needless(&lock, entry)?;
        }
    }
    let mut events = vec![];
    for entry in &gone {
        lock.remove(&entry.name, &entry.version);
        events.push(Event::PluginRemoved {
            plugin: entry.name.to_string(),
            version: entry.version.clone(),
        });
    }
    let names: Vec<String> = gone.iter().map(pin).collect();
    shelf.change(&Change {
        what: What::Remove,
        entry: last,
        lock,
        add: None,
        events,
    })?;
    Ok(Answer::Said(format!("removed {}", names.join(", "))))
}

/// No task runs it.
fn unused(node: &Node, lock: &Lock, entry: &LockEntry) -> Result<()> {
    let users: Vec<&str> = node
        .config
        .tasks
        .values()
        .filter(|t| lock.find(&t.file.plugin).is_some_and(|e| e == entry))
        .map(|t| t.name.as_str())
        .collect();
    if users.is_empty() {
        return Ok(());
    }
    let message = format!("plugin `{}` is used by: {}", entry.name, users.join(", "));
    Err(Error::denied(message).hint("remove these tasks' files first"))
}

/// The plugin's other versions do without it.
fn needless(lock: &Lock, entry: &LockEntry) -> Result<()> {
    let pin = pin(entry);
    if entry.standing == Standing::Active {
        return Err(Error::denied(format!("{pin} is the active version")).hint(format!(
            "`keepwell plugin upgrade FILE` makes another the active one, `keepwell plugin remove {}` removes all",
            entry.name
        )));
    }
    let trial = lock.active(entry.name.as_str()).filter(|active| {
        let trial = active.trial.as_ref();
        trial.is_some_and(|trial| trial.from == entry.version)
    });
    match trial {
        None => Ok(()),
        Some(active) => Err(Error::denied(format!(
            "{pin} is what {} would go back to while it is on trial",
            active.version
        ))
        .hint("it goes by itself when the newer version has proven itself")),
    }
}
