//! Pushing a bundle, by `oci-client`: its own blobs and manifest, byte for byte.

use super::endorsement;
use super::pull::refused;
use super::registry::{Pass, Registry};
use crate::error::{Error, Result, chain};
use crate::web::Rules;
use keepwell_bundle::parts::{self, MANIFEST_TYPE};
use keepwell_model::id::Digest;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use std::time::Duration;

/// Silence in the middle of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Pushes, and reads back what the registry has now.
pub(crate) async fn push(
    registry: &Registry,
    rules: &Rules,
    at: &Reference,
    kwb: &[u8],
    endorsement: Option<&[u8]>,
) -> Result<Digest> {
    if at.tag().is_none() || at.digest().is_some() {
        return Err(Error::usage(format!("{at} does not say under which tag"))
            .hint("REGISTRY/REPOSITORY:TAG; the digest is what comes out"));
    }
    let parts = parts::parts(kwb).map_err(|e| refused(at, &e))?;
    let auth = match registry.for_push(at).await? {
        None => RegistryAuth::Anonymous,
        Some(Pass::Basic(name, password)) => RegistryAuth::Basic(name, password),
        Some(Pass::Bearer(token)) => RegistryAuth::Bearer(token),
    };
    let client = client(registry, rules, at)?;
    let digest = Digest::of(parts.manifest);
    let endorsed = endorsement.map(|bytes| {
        let (registry, repository) = (at.registry().to_owned(), at.repository().to_owned());
        let beside = Reference::with_tag(registry, repository, endorsement::tag(digest));
        let manifest = endorsement::manifest(bytes, parts.manifest)?;
        Ok::<_, Error>((bytes, manifest, beside))
    });
    let endorsed = endorsed.transpose()?;
    let send = async {
        client.auth(at, &auth, RegistryOperation::Push).await?;
        for (digest, content) in &parts.blobs {
            client
                .push_blob(at, content.to_vec(), &digest.to_string())
                .await?;
        }
        let kind = reqwest::header::HeaderValue::from_static(MANIFEST_TYPE);
        if let Some((bytes, manifest, beside)) = &endorsed {
            let digest = Digest::of(bytes).to_string();
            client.push_blob(beside, bytes.to_vec(), &digest).await?;
            client
                .push_manifest_raw(beside, manifest.clone(), kind.clone())
                .await?;
        }
        client
            .push_manifest_raw(at, parts.manifest.to_vec(), kind)
            .await
    };
    // Its bodies have no bound of their own; this process has.
    let sent = tokio::time::timeout(rules.within, send).await;
    sent.map_err(|_| {
        Error::failed(format!("{at} is not pushed in time")).hint("`--within SPAN` gives it more")
    })?
    .map_err(|e| Error::failed(format!("{at} cannot be pushed: {}", chain(&e))))?;
    let pinned = at.clone_with_digest(digest.to_string());
    registry.manifest(&pinned).await?;
    Ok(digest)
}

fn client(registry: &Registry, rules: &Rules, at: &Reference) -> Result<Client> {
    let protocol = match registry.plain(at) {
        true => ClientProtocol::HttpsExcept(vec![at.registry().to_owned()]),
        false => ClientProtocol::Https,
    };
    let pem = |data: &Vec<u8>| Certificate {
        encoding: CertificateEncoding::Pem,
        data: data.clone(),
    };
    let config = ClientConfig {
        protocol,
        tls_certs_only: rules.ca.iter().map(pem).collect(),
        read_timeout: Some(SILENCE_MAX),
        connect_timeout: Some(CONNECT_WITHIN),
        https_proxy: rules.proxy.clone(),
        http_proxy: rules.proxy.clone(),
        ..ClientConfig::default()
    };
    Client::try_from(config)
        .map_err(|e| Error::failed(format!("cannot prepare the network: {}", chain(&e))))
}
