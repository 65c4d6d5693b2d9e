//! What may run here: installing and removing plugins, trusting keys.

use super::request::{Answer, Target};
use crate::config::{Edited, read_text};
use crate::error::{Error, Result, chain};
use crate::node::Node;
use crate::node_dir::write_file;
use crate::plugins;
use keepwell_bundle::{Bundle, PublicKey, Trust, TrustedKey};
use keepwell_model::event::Event;
use keepwell_model::manifest::parse_version;
use std::path::Path;

pub(super) fn install(node: &Node, source: &Path, bundle: &str, upgrade: bool) -> Result<Answer> {
    let refuse = |error: Error| -> Error {
        let event = Event::PluginRefused {
            source: source.display().to_string(),
            reason: error.message.clone(),
        };
        match node.journal.commit(node.record(None, event)) {
            Ok(_) => error,
            Err(journal) => journal.into(),
        }
    };
    let bytes = data_encoding::BASE64
        .decode(bundle.as_bytes())
        .map_err(|e| Error::usage(format!("the bundle is not base64: {e}")))?;
    let bundle = keepwell_bundle::open(&bytes, &node.trust)
        .map_err(|e| refuse(plugins::refused(source, &e)))?;
    let name = bundle.manifest.name.to_string();
    let before = plugins::lock(&node.dir)?.find(&name).cloned();
    match (&before, upgrade) {
        (None, true) => {
            return Err(Error::usage(format!("plugin `{name}` is not installed"))
                .hint("`keepwell plugin install` installs it"));
        }
        (Some(old), true)
            if parse_version(&bundle.manifest.version) <= parse_version(&old.version) =>
        {
            return Err(refuse(Error::denied(format!(
                "version {} is not newer than the installed {}",
                bundle.manifest.version, old.version
            ))));
        }
        (Some(old), false) if old.bundle != bundle.id => {
            return Err(Error::usage(format!("plugin `{name}` is installed as {}", old.version))
                .hint("`keepwell plugin upgrade FILE` replaces it, `keepwell plugin remove` removes it"));
        }
        (None, false) | (Some(_), _) => {}
    }
    let entry = plugins::install(&node.dir, &node.key, &bytes, &bundle, node.clock.now_ms())
        .map_err(refuse)?;
    if let Some(old) = before.filter(|old| old.version != entry.version) {
        plugins::remove(&node.dir, &old)?;
    }
    node.journal
        .commit(node.record(None, installed_event(&bundle)))?;
    node.journal.checkpoint()?;
    Ok(Answer::Installed {
        name,
        version: bundle.manifest.version.clone(),
        bundle: bundle.id.to_string(),
        signer: bundle.signer.name.clone(),
    })
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

pub(super) fn remove(node: &Node, wanted: &str) -> Result<Answer> {
    let lock = plugins::lock(&node.dir)?;
    let entry = lock
        .find(wanted)
        .ok_or_else(|| Error::usage(format!("plugin `{wanted}` is not installed")))?;
    let users: Vec<&str> = node
        .config
        .tasks
        .values()
        .filter(|t| lock.find(&t.file.plugin).is_some_and(|e| e == entry))
        .map(|t| t.name.as_str())
        .collect();
    if !users.is_empty() {
        return Err(Error::denied(format!(
            "plugin `{}` is used by: {}",
            entry.name,
            users.join(", ")
        ))
        .hint("remove these tasks' files first"));
    }
    plugins::remove(&node.dir, entry)?;
    let event = Event::PluginRemoved {
        plugin: entry.name.to_string(),
        version: entry.version.clone(),
    };
    node.journal.commit(node.record(None, event))?;
    node.journal.checkpoint()?;
    Ok(Answer::Said(format!(
        "removed {}@{}",
        entry.name, entry.version
    )))
}

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
    let public = |text: &str| {
        text.parse::<PublicKey>()
            .map_err(|e| Error::usage(chain(&e)))
    };
    let wrong = |e: keepwell_bundle::TrustError| Error::usage(chain(&e));
    let what = match change {
        Target::Add {
            public: text,
            tier,
            names,
            capabilities,
        } => {
            let key = TrustedKey {
                public: public(&text)?,
                tier,
                names,
                capabilities,
            };
            trust.add(name, key.clone()).map_err(wrong)?;
            write_key(&mut file, name, &key)?;
            "added"
        }
        Target::Revoke => {
            trust.remove(name).map_err(wrong)?;
            file.remove(&["keys", name])?;
            "revoked"
        }
        Target::Rotate { public: text } => {
            let public = public(&text)?;
            let old = trust.remove(name).map_err(wrong)?;
            file.set(&["keys", name, "public"], public.to_string())?;
            trust
                .add(name, TrustedKey { public, ..old })
                .map_err(wrong)?;
            "rotated"
        }
    };
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
    node.journal.checkpoint()?;
    Ok(Answer::Said(format!("key `{name}` is {what}")))
}

/// The table of a key, in the order in which the formats show it.
fn write_key(file: &mut Edited, name: &str, key: &TrustedKey) -> Result<()> {
    let list = |words: Vec<&str>| words.into_iter().collect::<toml_edit::Array>();
    let tier = serde_json::to_value(key.tier).unwrap_or_default();
    let names = key.names.iter().map(String::as_str).collect();
    let capabilities = key.capabilities.iter().map(|c| c.name()).collect();
    file.set(&["keys", name, "public"], key.public.to_string())?;
    file.set(&["keys", name, "tier"], tier.as_str().unwrap_or_default())?;
    file.set(&["keys", name, "names"], list(names))?;
    file.set(&["keys", name, "capabilities"], list(capabilities))
}
