//! The one door to the network: GET, over TLS unless the host is listed, without following
//! anybody blindly, up to a bound of bytes and of time.

use crate::error::{Error, Result, chain};
use futures_util::{Stream, StreamExt as _};
use keepwell_model::words::printable;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Response, StatusCode};
use std::time::Duration;
use tough::Bytes;
use url::{Origin, Url};

/// A server that does not even greet is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Silence in the middle of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// From a registry to its storage, and perhaps once more.
const REDIRECTS_MAX: usize = 4;
/// What is quoted of an address.
const QUOTE_MAX_BYTES: usize = 300;

const AGENT: &str = concat!("keepwell-pull/", env!("CARGO_PKG_VERSION"));

/// How the network may be used.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Hosts, or hosts with a port, that may be asked without TLS.
    pub(crate) plain: Vec<String>,
    /// Certificates (PEM) that count instead of the system's.
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) proxy: Option<String>,
    /// For one whole answer.
    pub(crate) within: Duration,
}

/// A client that keeps to the rules.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    client: reqwest::Client,
    plain: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    #[error("{url} is not there")]
    NotThere { url: String },
    #[error("{url} wants credentials, or others than it was given")]
    Unauthorized { url: String, headers: HeaderMap },
    #[error("{url} answers {status}")]
    Status { url: String, status: StatusCode },
    #[error("{url} would be asked in the clear")]
    Plain { url: String },
    #[error("{url} leads on to {to}, which is not followed")]
    Astray { url: String, to: String },
    #[error("{url} leads on for more than {REDIRECTS_MAX} times")]
    Endless { url: String },
    #[error("{url} sends more than {most} bytes")]
    TooLarge { url: String, most: u64 },
    #[error("{url}: {why}")]
    Network { url: String, why: String },
}

impl Unreached {
    /// As it is told at the edge.
    pub(crate) fn told(&self) -> Error {
        let message = self.to_string();
        match self {
            Self::NotThere { .. } => Error {
                not_there: true,
                ..Error::failed(message)
            },
            Self::Status { .. } => Error::failed(message),
            Self::Network { .. } => {
                Error::failed(message).hint("is the network there, and the address right?")
            }
            Self::Unauthorized { .. } => Error::denied(message)
                .hint("`--credentials FILE` names a file as `docker login` writes it"),
            Self::Plain { .. } => Error::denied(message).hint(
                "use https, or list the host with `--allow-http HOST` (`allow-http` of the source)",
            ),
            Self::Astray { .. } => {
                Error::denied(message).hint("an answer over TLS is not continued in the clear")
            }
            Self::Endless { .. } | Self::TooLarge { .. } => Error::limited(message),
        }
    }
}

impl Web {
    pub(crate) fn new(rules: &Rules) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .user_agent(AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENCE_MAX)
            .timeout(rules.within);
        if let Some(pem) = &rules.ca {
            let only = reqwest::Certificate::from_pem_bundle(pem).map_err(|e| {
                Error::config(format!("the certificates are refused: {}", chain(&e)))
            })?;
            builder = builder.tls_certs_only(only);
        }
        // Never from the environment: what is used stands in the configuration.
        builder = match &rules.proxy {
            None => builder.no_proxy(),
            Some(proxy) => builder.proxy(
                reqwest::Proxy::all(proxy)
                    .map_err(|e| Error::config(format!("the proxy is refused: {}", chain(&e))))?,
            ),
        };
        let client = builder
            .build()
            .map_err(|e| Error::failed(format!("cannot prepare the network: {}", chain(&e))))?;
        Ok(Self {
            client,
            plain: rules.plain.clone(),
        })
    }

    /// Asks, and follows to where the answer lies. The authorization goes to the host it is for
    /// and to no other.
    pub(crate) async fn get(
        &self,
        url: &Url,
        accept: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Unreached> {
        let mut at = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            self.check(&at)?;
            let mut request = self.client.get(at.clone()).header(ACCEPT, accept);
            if let Some(value) = authorization.filter(|_| same(&at.origin(), &url.origin())) {
                request = request.header(AUTHORIZATION, value.clone());
            }
            let answer = request.send().await.map_err(|e| network(&at, &e))?;
            match answer.status() {
                StatusCode::OK => return Ok(answer),
                StatusCode::NOT_FOUND | StatusCode::GONE => {
                    return Err(Unreached::NotThere { url: shown(&at) });
                }
                StatusCode::UNAUTHORIZED => {
                    return Err(Unreached::Unauthorized {
                        url: shown(&at),
                        headers: answer.headers().clone(),
                    });
                }
                status if status.is_redirection() => at = next(&at, answer.headers(), status)?,
                status => {
                    return Err(Unreached::Status {
                        url: shown(&at),
                        status,
                    });
                }
            }
        }
        Err(Unreached::Endless { url: shown(url) })
    }

    /// Only http and https, without a name and password in the address, and in the clear only
    /// where that is said.
    fn check(&self, url: &Url) -> Result<(), Unreached> {
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            other => {
                let why = format!(
                    "`{}` is no scheme for this",
                    printable(other, QUOTE_MAX_BYTES)
                );
                return Err(Unreached::Network {
                    url: shown(url),
                    why,
                });
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            let why = "a name and password do not belong into an address".to_owned();
            return Err(Unreached::Network {
                url: shown(url),
                why,
            });
        }
        if plain && !listed(&self.plain, url) {
            return Err(Unreached::Plain { url: shown(url) });
        }
        Ok(())
    }
}

/// Whether the host of `url`, alone or with its port, is in the list.
pub(crate) fn listed(hosts: &[String], url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let with_port = url
        .port_or_known_default()
        .map(|port| format!("{host}:{port}"));
    hosts
        .iter()
        .any(|h| h == host || Some(h) == with_port.as_ref())
}

/// Opaque origins are equal to nothing, themselves included.
fn same(a: &Origin, b: &Origin) -> bool {
    a.is_tuple() && a == b
}

/// The answer's bytes; one too many ends it.
pub(crate) fn body(
    answer: Response,
    most: u64,
) -> impl Stream<Item = Result<Bytes, Unreached>> + Send + Sync + 'static {
    let url = answer.url().clone();
    let mut seen: u64 = 0;
    answer.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|e| network(&url, &e))?;
        seen = seen.saturating_add(chunk.len() as u64);
        if seen > most {
            return Err(Unreached::TooLarge {
                url: shown(&url),
                most,
            });
        }
        Ok(chunk)
    })
}

/// Where a redirect leads, if it may.
fn next(at: &Url, headers: &HeaderMap, status: StatusCode) -> Result<Url, Unreached> {
    let lost = || Unreached::Status {
        url: shown(at),
        status,
    };
    let to = headers.get(LOCATION).ok_or_else(lost)?;
    let to = at
        .join(to.to_str().map_err(|_| lost())?)
        .map_err(|_| lost())?;
    if at.scheme() == "https" && to.scheme() != "https" {
        return Err(Unreached::Astray {
            url: shown(at),
            to: shown(&to),
        });
    }
    Ok(to)
}

fn network(url: &Url, e: &reqwest::Error) -> Unreached {
    let why = match e.is_timeout() {
        true => "it does not answer in time".to_owned(),
        false => printable(&chain(e), QUOTE_MAX_BYTES),
    };
    Unreached::Network {
        url: shown(url),
        why,
    }
}

/// An address without what may be secret in it, short enough for a line.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // Fails for addresses that hold none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    printable(url.as_str(), QUOTE_MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_listed_alone_or_with_its_port() {
        let hosts = ["127.0.0.1:5000".to_owned(), "repo.site.lan".to_owned()];
        let is = |url: &str| listed(&hosts, &url.parse().unwrap());
        assert!(is("http://127.0.0.1:5000/x") && is("http://repo.site.lan:81/"));
        assert!(!is("http://127.0.0.1:5001/") && !is("http://127.0.0.1/"));
        assert!(!is("http://repo.site.lan.evil.example/") && !is("data:,x"));
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let url = "https://me:secret@host/path?token=secret".parse().unwrap();
        assert_eq!(shown(&url), "https://host/path");
    }
}
