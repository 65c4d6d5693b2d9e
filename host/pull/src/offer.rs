//! What a repository offers: one version of one plugin, as its signed metadata tells it.

use crate::error::{Error, Result, chain};
use keepwell_bundle::UnverifiedInspection;
use keepwell_model::id::{Digest, PluginName};
use keepwell_model::manifest::parse_version;
use serde::{Deserialize, Serialize};

/// Under which name the fields below stand in a target's `custom`.
pub(crate) const CUSTOM: &str = "keepwell";

/// The fields that travel in a target's `custom`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Offer {
    pub(crate) plugin: PluginName,
    pub(crate) version: String,
    pub(crate) release: u64,
    /// The bundle's id: what endorsements, locks and revocations name.
    pub(crate) bundle: Digest,
}

/// An offer with what is known of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Listed {
    #[serde(flatten)]
    pub(crate) offer: Offer,
    pub(crate) bytes: u64,
    /// Whose delegation it stands in; `None` when the repository's owner put it there.
    pub(crate) publisher: Option<String>,
}

impl Offer {
    /// What a bundle says of itself. Its signatures are not looked at: whoever installs it does.
    pub(crate) fn of(kwb: &[u8]) -> Result<Self> {
        let seen: UnverifiedInspection = keepwell_bundle::inspect(kwb)
            .map_err(|e| Error::denied(format!("it is no sound bundle: {}", chain(&e))))?;
        Ok(Self {
            plugin: seen.manifest.name.clone(),
            version: seen.manifest.version.clone(),
            release: seen.statement.predicate.release,
            bundle: seen.id,
        })
    }

    /// The target's name. `@` cannot stand in a plugin's name, so that a glob on names ends there.
    pub(crate) fn target(&self) -> String {
        target(self.plugin.as_str(), &self.version)
    }

    /// In the order of versions; `release` decides between two of the same.
    pub(crate) fn age(&self) -> (Option<(u64, u64, u64)>, u64) {
        (parse_version(&self.version), self.release)
    }
}

pub(crate) fn target(plugin: &str, version: &str) -> String {
    format!("{plugin}@{version}.kwb")
}

/// What was asked for: `NAME` or `NAME@VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) plugin: PluginName,
    pub(crate) version: Option<String>,
}

impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        if version.is_some_and(|v| parse_version(v).is_none()) {
            return Err("a version is three numbers: NAME@1.2.3".into());
        }
        Ok(Self {
            plugin: PluginName::new(name).map_err(|e| e.to_string())?,
            version: version.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_a_name_and_a_version_is_wanted() {
        let wanted: Wanted = "acme-clean@1.2.3".parse().unwrap();
        assert_eq!(wanted.version.as_deref(), Some("1.2.3"));
        assert_eq!("acme-clean".parse::<Wanted>().unwrap().version, None);
        for bad in [
            "",
            "Acme",
            "a@1",
            "a@1.2.3.4",
            "a@1.2.3@4",
            "a@../b",
            "@1.2.3",
        ] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }
}
