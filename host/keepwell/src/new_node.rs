//! A node directory from nothing: configuration, trust, key, journal, and its first plugins.

use crate::clock;
use crate::error::{Error, Result};
use crate::node_dir::{NodeDir, write_file};
use crate::plugins::Shelf;
use keepwell_bundle::{Bundle, PublicKey, Rule, Trust, TrustedKey};
use keepwell_journal::{Journal, NodeKey};
use keepwell_model::capability::Capability;
use keepwell_model::event::{Event, Record};
use keepwell_model::grant::Tier;
use std::collections::BTreeMap;

/// The key of whoever owns the node: tier own, whatever the plugin's name, and every capability.
pub(crate) fn trusting(name: &str, public: PublicKey) -> Result<Trust> {
    let key = TrustedKey {
        public,
        not_after_ms: None,
        rule: Some(Rule {
            tier: Tier::Own,
            names: vec!["*".into()],
            capabilities: Capability::ALL.to_vec(),
            max: BTreeMap::new(),
            require: vec![],
        }),
    };
    let mut trust = Trust::default();
    trust
        .add(name, key)
        .map_err(|e| Error::config(e.to_string()))?;
    Ok(trust)
}

/// Makes it. What may be refused of a configuration or a bundle was before.
pub(crate) fn create(
    dir: &NodeDir,
    name: &str,
    config: &str,
    trust: &Trust,
    bundles: &[(Vec<u8>, Bundle)],
) -> Result<()> {
    let trusted = trust
        .to_toml()
        .map_err(|e| Error::failed(format!("cannot write the trust file: {e}")))?;
    dir.create()?;
    write_file(&dir.config_file(), config.as_bytes(), 0o644)?;
    write_file(&dir.trust_file(), trusted.as_bytes(), 0o644)?;
    let key = NodeKey::generate(clock::random()?);
    let hex = data_encoding::HEXLOWER.encode(&key.to_bytes());
    write_file(&dir.node_key(), format!("{hex}\n").as_bytes(), 0o600)?;
    let journal = Journal::create(&dir.state(), &origin(name)?, &key)?;
    let event = Event::NodeCreated {
        node: name.to_owned(),
    };
    journal.commit(Record {
        at: clock::now_ms(),
        run: None,
        task: None,
        actor: crate::node::actor(),
        event,
    })?;
    for (bytes, bundle) in bundles {
        let shelf = Shelf {
            dir,
            key: &key,
            journal: &journal,
            actor: crate::node::actor(),
            now_ms: clock::now_ms(),
        };
        shelf.first(bundle, bytes)?;
    }
    journal.checkpoint()?;
    Ok(())
}

/// The journal's origin: unique, so that the checkpoints of two nodes are never mistaken.
fn origin(name: &str) -> Result<String> {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let unique = data_encoding::HEXLOWER.encode(&clock::random::<8>()?);
    Ok(format!("keepwell.local/{plain}/{unique}"))
}
