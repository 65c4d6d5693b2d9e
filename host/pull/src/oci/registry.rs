//! One registry as a reader sees it: manifests, blobs and tags, each bounded and each compared
//! with the digest it was asked for.

use super::challenge::Challenge;
use super::credentials::Credentials;
use super::{TAGS_MAX_BYTES, TOKEN_MAX_BYTES};
use crate::error::{Error, Result};
use crate::web::{Unreached, Web, body, listed};
use futures_util::StreamExt as _;
use keepwell_bundle::parts::{Listed, MANIFEST_MAX_BYTES, MANIFEST_TYPE};
use keepwell_model::id::Digest;
use oci_client::Reference;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::cell::RefCell;
use std::collections::BTreeMap;
use url::Url;

/// The header in which registries say what they send.
const DIGEST_HEADER: &str = "docker-content-digest";

/// What may be done with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// How the registries of this process are asked.
#[derive(Debug)]
pub(crate) struct Registry {
    web: Web,
    plain: Vec<String>,
    credentials: Credentials,
    /// Hosts that may be sent a registry's password for a token, beside that registry.
    realms: Vec<String>,
    /// What was granted, by registry and repository.
    granted: RefCell<BTreeMap<String, HeaderValue>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Registry {
    pub(crate) fn new(
        web: Web,
        plain: Vec<String>,
        credentials: Credentials,
        realms: Vec<String>,
    ) -> Self {
        Self {
            web,
            plain,
            credentials,
            realms,
            granted: RefCell::default(),
        }
    }

    /// A manifest and its digest. One that was asked for by digest has that digest; one that was
    /// asked for by tag is what the registry says it is, this once.
    pub(crate) async fn manifest(&self, at: &Reference) -> Result<(Digest, Vec<u8>)> {
        let pinned = pinned(at)?;
        let name = pinned.map_or_else(
            || at.tag().unwrap_or("latest").to_owned(),
            |d| d.to_string(),
        );
        let url = self.url(at, &format!("manifests/{name}"))?;
        let answer = self.ask(at, &url, MANIFEST_TYPE).await?;
        let told = answer.headers().get(DIGEST_HEADER).cloned();
        let bytes = whole(body(answer, MANIFEST_MAX_BYTES as u64)).await?;
        let digest = Digest::of(&bytes);
        if let Some(pinned) = pinned.filter(|pinned| *pinned != digest) {
            return Err(Error::denied(format!(
                "{at} is pinned to {pinned}, and what came is {digest}"
            ))
            .hint("the registry gives another bundle than was asked for; ask another"));
        }
        let told = told
            .as_ref()
            .and_then(|told| told.to_str().ok()?.parse::<Digest>().ok());
        if told.is_some_and(|told| told != digest) {
            return Err(Error::denied(format!(
                "{at}: the registry says it sends another manifest than it sends"
            )));
        }
        Ok((digest, bytes))
    }

    /// A blob, hashed while it comes. A body that goes on after its size is not read further.
    pub(crate) async fn blob(&self, at: &Reference, blob: &Listed) -> Result<Vec<u8>> {
        let url = self.url(at, &format!("blobs/{}", blob.digest))?;
        let answer = self.ask(at, &url, "*/*").await?;
        let mut stream = std::pin::pin!(body(answer, blob.bytes as u64));
        let (mut hash, mut bytes) = (Sha256::new(), Vec::with_capacity(blob.bytes));
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| e.told())?;
            hash.update(&chunk);
            bytes.extend_from_slice(&chunk);
        }
        if bytes.len() != blob.bytes || hash.finalize()[..] != blob.digest.as_bytes()[..] {
            return Err(Error::denied(format!(
                "{at}: blob {} is not what its digest says",
                blob.digest.short()
            ))
            .hint("the registry gives another file than was asked for; ask another"));
        }
        Ok(bytes)
    }

    /// The tags of a repository.
    pub(crate) async fn tags(&self, at: &Reference) -> Result<Vec<String>> {
        let url = self.url(at, "tags/list")?;
        let answer = match self.ask(at, &url, "application/json").await {
            Err(e) if e.not_there => return Ok(vec![]),
            answer => answer?,
        };
        let bytes = whole(body(answer, TAGS_MAX_BYTES)).await?;
        let tags: Tags = serde_json::from_slice(&bytes)
            .map_err(|e| Error::denied(format!("{at}: the list of tags is none: {e}")))?;
        Ok(tags.tags.unwrap_or_default())
    }

    fn url(&self, at: &Reference, rest: &str) -> Result<Url> {
        let (registry, repository) = (at.registry(), at.repository());
        let address =
            |scheme: &str| format!("{scheme}://{registry}/v2/{repository}/{rest}").parse();
        let bad = |e: url::ParseError| Error::usage(format!("{at} makes no address: {e}"));
        let plain: Url = address("http").map_err(bad)?;
        match listed(&self.plain, &plain) {
            true => Ok(plain),
            false => address("https").map_err(bad),
        }
    }

    /// Asks as what was granted before, or as nobody; when that is not enough, as whom there are
    /// credentials for.
    async fn ask(&self, at: &Reference, url: &Url, accept: &str) -> Result<reqwest::Response> {
        let place = format!("{}/{}", at.registry(), at.repository());
        let before = self.granted.borrow().get(&place).cloned();
        let first = self.web.get(url, accept, before.as_ref()).await;
        let headers = match first {
            Err(Unreached::Unauthorized { ref headers, .. }) if before.is_none() => headers.clone(),
            answer => return answer.map_err(|e| e.told()),
        };
        let Some(granted) = self.authorize(at, url, &headers, Access::Pull).await? else {
            return first.map_err(|e| e.told());
        };
        self.granted.borrow_mut().insert(place, granted.clone());
        self.web
            .get(url, accept, Some(&granted))
            .await
            .map_err(|e| e.told())
    }

    /// The header that answers a challenge; `None` when there is nothing to answer with.
    async fn authorize(
        &self,
        at: &Reference,
        url: &Url,
        headers: &HeaderMap,
        access: Access,
    ) -> Result<Option<HeaderValue>> {
        let own = self.credentials.of(at.registry());
        let challenge = headers
            .get(WWW_AUTHENTICATE)
            .and_then(|h| Challenge::parse(h.to_str().ok()?));
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => own.map(basic).transpose(),
            Some(Challenge::Bearer { realm, service }) => {
                let token = self
                    .token(at, url, &realm, service.as_deref(), own, access)
                    .await?;
                secret(&format!("Bearer {token}")).map(Some)
            }
        }
    }

    /// A token from the realm that the registry names. The password goes along only when that is
    /// the registry itself, or a host the operator listed.
    async fn token(
        &self,
        at: &Reference,
        url: &Url,
        realm: &str,
        service: Option<&str>,
        own: Option<(&str, &str)>,
        access: Access,
    ) -> Result<String> {
        let mut realm: Url = realm.parse().map_err(|e| {
            Error::denied(format!(
                "{at}: the registry names a realm that is no address: {e}"
            ))
        })?;
        let may = realm.origin() == url.origin() || listed(&self.realms, &realm);
        if own.is_some() && !may {
            let host = realm.host_str().unwrap_or_default().to_owned();
            return Err(Error::denied(format!(
                "{at}: the registry would have its password sent to {host}"
            ))
            .hint("when that is right, list the host with `--auth-host HOST`"));
        }
        let actions = match access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let scope = format!("repository:{}:{actions}", at.repository());
        realm.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = service {
            realm.query_pairs_mut().append_pair("service", service);
        }
        let password = own.map(basic).transpose()?;
        let answer = self
            .web
            .get(&realm, "application/json", password.as_ref())
            .await;
        let bytes = whole(body(answer.map_err(|e| e.told())?, TOKEN_MAX_BYTES)).await?;
        // Not quoted: it is a secret, or what stands in its place.
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        token
            .and_then(|token| token.token.or(token.access_token))
            .ok_or_else(|| Error::denied(format!("{at}: the authorization service sends no token")))
    }

    /// What a push needs to say who it is; `None` when the registry asks nobody.
    pub(super) async fn for_push(&self, at: &Reference) -> Result<Option<Pass>> {
        let mut url = self.url(at, "")?;
        url.set_path("/v2/");
        match self.web.get(&url, "*/*", None).await {
            Ok(_) => Ok(None),
            Err(Unreached::Unauthorized { headers, .. }) => {
                let own = self.credentials.of(at.registry());
                let challenge = headers
                    .get(WWW_AUTHENTICATE)
                    .and_then(|h| Challenge::parse(h.to_str().ok()?));
                match (challenge, own) {
                    (Some(Challenge::Basic), Some((name, password))) => {
                        Ok(Some(Pass::Basic(name.to_owned(), password.to_owned())))
                    }
                    (Some(Challenge::Bearer { realm, service }), _) => {
                        let token =
                            self.token(at, &url, &realm, service.as_deref(), own, Access::Push);
                        Ok(Some(Pass::Bearer(token.await?)))
                    }
                    (Some(Challenge::Basic) | None, _) => Ok(None),
                }
            }
            Err(e) => Err(e.told()),
        }
    }

    pub(super) fn plain(&self, at: &Reference) -> bool {
        self.url(at, "").is_ok_and(|url| url.scheme() == "http")
    }
}

/// Who pushes.
#[derive(Debug, Clone)]
pub(super) enum Pass {
    Basic(String, String),
    Bearer(String),
}

/// The digest a reference is pinned to.
pub(super) fn pinned(at: &Reference) -> Result<Option<Digest>> {
    let digest = at.digest().map(|text| {
        text.parse::<Digest>()
            .map_err(|e| Error::usage(format!("{at} is pinned to what is no digest: {e}")))
    });
    digest.transpose()
}

async fn whole(
    stream: impl futures_util::Stream<Item = Result<tough::Bytes, Unreached>>,
) -> Result<Vec<u8>> {
    let mut stream = std::pin::pin!(stream);
    let mut bytes = vec![];
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.map_err(|e| e.told())?);
    }
    Ok(bytes)
}

fn basic((name, password): (&str, &str)) -> Result<HeaderValue> {
    let pair = data_encoding::BASE64.encode(format!("{name}:{password}").as_bytes());
    secret(&format!("Basic {pair}"))
}

/// A header that is not shown by `Debug`, and holds nothing that would end a line.
fn secret(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::denied("a token or password holds what no header can"))?;
    value.set_sensitive(true);
    Ok(value)
}
