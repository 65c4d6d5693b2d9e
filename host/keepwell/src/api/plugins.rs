//! What may run here: installing and removing plugins.

use super::request::Answer;
use crate::error::{Error, Result};
use crate::node::Node;
use crate::plugins;
use keepwell_bundle::{Against, Bundle};
use keepwell_model::event::Event;
use keepwell_model::manifest::parse_version;
use std::path::Path;

pub(super) fn install(
    node: &Node,
    source: &Path,
    bundle: &str,
    endorsement: Option<&str>,
    upgrade: bool,
) -> Result<Answer> {
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
    let entry = plugins::install(
        &node.dir,
        &node.key,
        (&bytes, endorsement.as_deref()),
        &bundle,
        node.clock.now_ms(),
    )
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
