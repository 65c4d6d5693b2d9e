//! Whom this node trusts: keys added, rotated, removed and revoked, and what follows from that for what
//! is installed.

use super::plugins::hold_plugins;
use super::request::{Answer, Target};
use crate::config::{Edited, read_text};
use crate::error::{Error, Result, chain};
use crate::node::Node;
use crate::node_dir::write_file;
use crate::plugins::{self, Shelf};
use keepwell_bundle::{
    Against, LockEntry, PublicKey, Revocable, Rule, Trust, TrustError, TrustedKey,
};
use keepwell_journal::PAUSED;
use keepwell_model::event::Event;

pub(super) fn trust(node: &Node, name: &str, change: Target) -> Result<Answer> {
    // Read again: the file may have changed since the node was opened.
    let mut trust = plugins::trust(&node.dir)?;
    let path = node.dir.trust_file();
    let text = if path.exists() {
        read_text(&path)?
    } else {
        String::new()
    };
    let mut file = Edited::of(&path, &text)?;
    let key_id = |trust: &Trust| trust.keys().get(name).map(|k| k.public.key_id());
    let before = key_id(&trust);
    let what = edit(&mut trust, &mut file, name, change)?;
    // Whose plugins run is decided by what is read, so that is what must be right.
    let text = file.text();
    if Trust::parse(&text).as_ref() != Ok(&trust) {
        return Err(Error::failed(format!(
            "{} would not say what was asked; nothing was changed",
            path.display()
        ))
        .hint("change it by hand; `keepwell trust show` reads it"));
    }
    let event = Event::TrustChanged {
        change: what.to_owned(),
        key_id: key_id(&trust).or(before).unwrap_or_default(),
        name: name.to_owned(),
    };
    // Journaled first: a change of trust that nobody can see would be worse than one that failed.
    node.journal.commit(node.record(None, event))?;
    write_file(&path, text.as_bytes(), 0o644)?;
    let put_aside = enforce(node, &trust)?;
    node.journal.checkpoint()?;
    let mut said = format!("`{name}` is {what}");
    for entry in put_aside {
        said.push_str(&format!(
            "; plugin {}@{} is in quarantine",
            entry.name, entry.version
        ));
    }
    Ok(Answer::Said(said))
}

/// The same change in what is trusted and in the text that says so; gives the word for it.
fn edit(trust: &mut Trust, file: &mut Edited, name: &str, change: Target) -> Result<&'static str> {
    let public = |text: &str| {
        text.parse::<PublicKey>()
            .map_err(|e| Error::usage(chain(&e)))
    };
    let digest = || {
        name.parse()
            .map_err(|_| Error::usage(format!("{name:?} is not `sha256:` and 64 hex digits")))
    };
    match change {
        Target::Add {
            public: text,
            tier,
            names,
            capabilities,
        } => {
            let key = TrustedKey {
                public: public(&text)?,
                not_after_ms: None,
                rule: Some(Rule {
                    tier,
                    names,
                    capabilities,
                    max: std::collections::BTreeMap::new(),
                    require: vec![],
                }),
            };
            trust.add(name, key.clone()).map_err(wrong)?;
            write_key(file, name, &key)?;
            Ok("added")
        }
        Target::Remove => {
            trust.remove(name).map_err(wrong)?;
            file.remove(&["keys", name])?;
            Ok("removed")
        }
        Target::Revoke { reason } => {
            let id = trust.keys().get(name).map(|key| key.public.key_id());
            let id = id.ok_or_else(|| {
                Error::usage(format!("there is no key named {name:?}")).hint(
                    "`keepwell trust show` lists them; --key-id revokes one that is not there",
                )
            })?;
            revoke(trust, file, "keys", Revocable::Key(id), &reason)
        }
        Target::RevokeKeyId { reason } => {
            let what = Revocable::Key(name.to_owned());
            revoke(trust, file, "keys", what, &reason)
        }
        Target::RevokeBundle { reason } => revoke(
            trust,
            file,
            "bundles",
            Revocable::Bundle(digest()?),
            &reason,
        ),
        Target::RevokeComponent { reason } => {
            let what = Revocable::Component(digest()?);
            revoke(trust, file, "components", what, &reason)
        }
        Target::Rotate { public: text } => {
            let public = public(&text)?;
            trust.rotate(name, public).map_err(wrong)?;
            file.set(&["keys", name, "public"], public.to_string())?;
            file.remove(&["keys", name, "not-after"])?;
            Ok("rotated")
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn wrong(e: TrustError) -> Error {
    Error::usage(chain(&e))
}

/// A key that was revoked stays where it stands, and counts for nothing: publishers may name it.
fn revoke(
    trust: &mut Trust,
    file: &mut Edited,
    list: &str,
    what: Revocable,
    reason: &str,
) -> Result<&'static str> {
    let before = trust.clone();
    let id = match &what {
        Revocable::Key(id) => id.clone(),
        Revocable::Bundle(id) | Revocable::Component(id) => id.to_string(),
    };
    trust.revoke(what, reason).map_err(wrong)?;
    if *trust == before {
        return Err(Error::usage("it is revoked already").hint("`keepwell trust show` lists it"));
    }
    file.append(
        &["revoked", list],
        &[("id", &id), ("reason", reason.trim())],
    )?;
    Ok("revoked")
}

/// The table of a key, in the order in which the formats show it.
fn write_key(file: &mut Edited, name: &str, key: &TrustedKey) -> Result<()> {
    let list = |words: Vec<&str>| words.into_iter().collect::<toml_edit::Array>();
    file.set(&["keys", name, "public"], key.public.to_string())?;
    let Some(rule) = &key.rule else {
        return Ok(());
    };
    let tier = serde_json::to_value(rule.tier).unwrap_or_default();
    let names = rule.names.iter().map(String::as_str).collect();
    let capabilities = rule.capabilities.iter().map(|c| c.name()).collect();
    file.set(&["keys", name, "tier"], tier.as_str().unwrap_or_default())?;
    file.set(&["keys", name, "names"], list(names))?;
    file.set(&["keys", name, "capabilities"], list(capabilities))
}

/// Whatever of the installed plugins is revoked goes into quarantine, and the tasks that use it are
/// paused until a person has looked. Gives what was put aside now.
pub fn enforce(node: &Node, trust: &Trust) -> Result<Vec<LockEntry>> {
    let _one_at_a_time = hold_plugins(node);
    Shelf::of(node).settle()?;
    let lock = plugins::lock(&node.dir)?;
    let mut put_aside = vec![];
    for entry in lock.entries() {
        if entry.quarantined.is_some() || !trust.may_revoke(entry) {
            continue;
        }
        let Some(why) = revoked(node, trust, entry)? else {
            continue;
        };
        // Journaled first: what cannot be told is still refused whenever it would run.
        let event = Event::PluginQuarantined {
            plugin: entry.name.to_string(),
            version: entry.version.clone(),
            bundle: entry.bundle,
            why: why.clone(),
        };
        node.journal.commit(node.record(None, event))?;
        plugins::quarantine(&node.dir, &node.key, entry, &why)?;
        pause_users(node, &lock, entry, &why)?;
        put_aside.push(entry.clone());
    }
    Ok(put_aside)
}

fn revoked(node: &Node, trust: &Trust, entry: &LockEntry) -> Result<Option<String>> {
    // One that cannot be read does not run either; it is told of where it would.
    let Ok(bytes) = plugins::read_bundle(&plugins::bundle_path(&node.dir, entry)) else {
        return Ok(None);
    };
    let endorsement = plugins::read_endorsement(&plugins::endorsement_path(&node.dir, entry))?;
    let against = Against {
        trust,
        now_ms: node.latest_ms()?,
        endorsement: endorsement.as_deref(),
    };
    match keepwell_bundle::open(&bytes, against) {
        Err(e) if e.is_revocation() => Ok(Some(e.to_string())),
        Ok(_) | Err(_) => Ok(None),
    }
}

fn pause_users(
    node: &Node,
    lock: &keepwell_bundle::Lock,
    entry: &LockEntry,
    why: &str,
) -> Result<()> {
    let reader = node.reader()?;
    for task in node.config.tasks.values() {
        let name = task.name.as_str();
        let uses = lock.find(&task.file.plugin) == Some(entry);
        if !uses || reader.flag(name, PAUSED)?.is_some() {
            continue;
        }
        let reason = format!("plugin {}@{}: {why}", entry.name, entry.version);
        let event = Event::TaskPaused { reason };
        node.journal.commit(node.record(Some(name), event))?;
    }
    Ok(())
}
