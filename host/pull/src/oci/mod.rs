//! Registries, after the OCI distribution specification. A bundle is pushed as the manifest and
//! blobs it consists of, and put together from them again to the same bytes.
//!
//! Pushing goes by the `oci-client` crate, and so do references. Reading does not: that crate takes
//! bodies of any length, follows redirects wherever they lead, and sends a password to whatever
//! realm a registry names. Whoever reads talks to strangers, so it goes by `web`.

mod challenge;
mod credentials;
mod endorsement;
mod folder;
mod pull;
mod push;
mod registry;

pub(crate) use credentials::{CREDENTIALS_MAX_BYTES, Credentials};
pub(crate) use folder::Folder;
pub(crate) use pull::{Mirror, fetch, fetch_from_folder};
pub(crate) use push::push;
pub(crate) use registry::Registry;

use oci_client::Reference;

/// Tags of one repository: a version each, for years.
pub(crate) const TAGS_MAX_BYTES: u64 = 256 << 10;
/// What an authorization service answers.
pub(crate) const TOKEN_MAX_BYTES: u64 = 64 << 10;

/// A reference that says which registry is meant.
pub(crate) fn reference(text: &str) -> Result<Reference, String> {
    let told: Reference = text.parse().map_err(|e| format!("{e}"))?;
    let first = text.split('/').next().unwrap_or_default();
    match first == told.registry() && text.contains('/') {
        true => Ok(told),
        false => Err("name the registry too: REGISTRY/REPOSITORY:TAG or …@sha256:DIGEST".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_registry_is_assumed() {
        assert!(reference("127.0.0.1:5000/plugins/clean:1.0.0").is_ok());
        assert!(reference("oci.site.lan/clean").is_ok());
        for bad in [
            "clean",
            "acme/clean:1",
            "docker.io",
            "Oci.lan/CLEAN",
            "oci.lan/a b",
            "",
        ] {
            assert!(reference(bad).is_err(), "{bad}");
        }
    }
}
