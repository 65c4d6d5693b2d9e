//! Names and passwords of registries, from a file as `docker login` writes it. Each is for its own
//! registry and goes to nobody else.

use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A file of some registries.
pub(crate) const CREDENTIALS_MAX_BYTES: u64 = 64 << 10;

/// By registry, as references name it.
#[derive(Default, Clone)]
pub(crate) struct Credentials(BTreeMap<String, (String, String)>);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Other fields are of other programs.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    auth: Option<String>,
}

impl Credentials {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        // What is wrong in it is not quoted: it holds passwords.
        let wrong = || {
            Error::config("the credentials are not a file as `docker login` writes it").hint(
                "expected {\"auths\": {\"REGISTRY\": {\"auth\": \"BASE64 OF NAME:PASSWORD\"}}}",
            )
        };
        let file: File = serde_json::from_slice(bytes).map_err(|_| wrong())?;
        let mut all = BTreeMap::new();
        for (registry, auth) in file.auths {
            // Kept elsewhere, by a program that this one does not start.
            let Some(auth) = auth.auth else { continue };
            let text = data_encoding::BASE64
                .decode(auth.as_bytes())
                .map_err(|_| wrong())?;
            let text = String::from_utf8(text).map_err(|_| wrong())?;
            let (name, password) = text.split_once(':').ok_or_else(wrong)?;
            let host = registry.trim_start_matches("https://").split('/').next();
            all.insert(
                host.unwrap_or_default().to_owned(),
                (name.to_owned(), password.to_owned()),
            );
        }
        Ok(Self(all))
    }

    /// Name and password for exactly this registry.
    pub(super) fn of(&self, registry: &str) -> Option<(&str, &str)> {
        let (name, password) = self.0.get(registry)?;
        Some((name, password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_has_its_own() {
        let text = br#"{"auths":{"oci.lan:5000":{"auth":"bWU6c2VjcmV0"},"https://b.lan/v1/":{"auth":"YTpi"},"c":{}},"x":1}"#;
        let all = Credentials::parse(text).unwrap();
        assert_eq!(all.of("oci.lan:5000"), Some(("me", "secret")));
        assert_eq!(all.of("b.lan"), Some(("a", "b")));
        assert!(all.of("oci.lan").is_none() && all.of("c").is_none());
        assert!(!format!("{all:?}").contains("secret"));
        for bad in [
            &b"{"[..],
            br#"{"auths":{"a":{"auth":"?"}}}"#,
            br#"{"auths":{"a":{"auth":"bWU="}}}"#,
        ] {
            assert!(Credentials::parse(bad).is_err());
        }
    }
}
