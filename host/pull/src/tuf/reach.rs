//! How `tough` reaches the files of a repository: in a folder, or over the network, and never
//! more than is bounded here.

use super::{METADATA_MAX_BYTES, REQUESTS_MAX, ROLE_MAX_BYTES, TARGETS};
use crate::error::{Error, Result};
use crate::files;
use crate::web::{Unreached as NoAnswer, Web, body};
use futures_util::StreamExt as _;
use keepwell_bundle::BUNDLE_MAX_BYTES;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tough::{Bytes, Transport, TransportError, TransportErrorKind, TransportStream, async_trait};
use url::Url;

/// Where a repository lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder, of this machine or on a medium.
    Folder(PathBuf),
    Web(Url),
}

impl std::str::FromStr for Place {
    type Err = String;

    /// An address, `file:` and a path, or a path.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") || text.starts_with("http://") {
            let mut url: Url = text.parse().map_err(|e| format!("it is no address: {e}"))?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err("an address of a repository has neither `?` nor `#`".into());
            }
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            return Ok(Self::Web(url));
        }
        let path = text
            .strip_prefix("file://")
            .or_else(|| text.strip_prefix("file:"));
        let path = path.unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            return Err("expected https://…, file:/… or a folder".into());
        }
        Ok(Self::Folder(path.into()))
    }
}

impl Place {
    /// The address below which all of its files are.
    pub(super) fn base(&self) -> Result<Url> {
        match self {
            Self::Web(url) => Ok(url.clone()),
            Self::Folder(path) => {
                let whole = std::path::absolute(path).map_err(|e| Error::io("find", path, &e))?;
                Url::from_directory_path(&whole)
                    .map_err(|()| Error::usage(format!("{} is no folder", whole.display())))
            }
        }
    }
}

/// Why a file of a repository is not had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    #[error("{0}")]
    Web(#[from] NoAnswer),
    #[error("cannot read {path}: {source}")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the repository has more than {REQUESTS_MAX} files of metadata")]
    TooMany,
    #[error("the repository's metadata has more than {METADATA_MAX_BYTES} bytes together")]
    TooMuch,
}

impl Unreached {
    pub(super) fn told(&self) -> Error {
        match self {
            Self::Web(e) => e.told(),
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::FileTooLarge => {
                Error::limited(self.to_string())
            }
            Self::File { .. } => Error::failed(self.to_string())
                .hint("is the repository there, and may this user read it?"),
            Self::TooMany | Self::TooMuch => Error::limited(self.to_string()),
        }
    }

    fn kind(&self) -> TransportErrorKind {
        match self {
            Self::Web(NoAnswer::NotThere { .. }) => TransportErrorKind::FileNotFound,
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                TransportErrorKind::FileNotFound
            }
            Self::Web(_) | Self::File { .. } | Self::TooMany | Self::TooMuch => {
                TransportErrorKind::Other
            }
        }
    }
}

/// One look at one repository, with what it has taken so far.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    base: Url,
    web: Option<Web>,
    requests: Arc<AtomicUsize>,
    metadata: Arc<AtomicU64>,
}

impl Reach {
    pub(super) fn new(base: Url, web: Option<Web>) -> Self {
        Self {
            base,
            web,
            requests: Arc::default(),
            metadata: Arc::default(),
        }
    }

    async fn open(&self, url: &Url) -> Result<TransportStream, Unreached> {
        if self.requests.fetch_add(1, Ordering::Relaxed) >= REQUESTS_MAX {
            return Err(Unreached::TooMany);
        }
        let bundle = url
            .path()
            .starts_with(&format!("{}{TARGETS}/", self.base.path()));
        let most = match bundle {
            true => BUNDLE_MAX_BYTES as u64,
            false => ROLE_MAX_BYTES,
        };
        let stream: TransportStream = match &self.web {
            Some(web) => {
                let answer = web.get(url, "*/*", None).await?;
                let failed = in_transport(url);
                Box::pin(body(answer, most).map(move |c| c.map_err(|e| failed(e.into()))))
            }
            None => {
                let path = inside(&self.base, url)?;
                let bytes = files::read(&path, most);
                let bytes = bytes.map_err(|source| Unreached::File { path, source })?;
                Box::pin(futures_util::stream::once(std::future::ready(Ok(
                    Bytes::from(bytes),
                ))))
            }
        };
        Ok(if bundle {
            stream
        } else {
            self.counted(url, stream)
        })
    }

    /// All metadata of a look has one bound, since each file's length is told by another.
    fn counted(&self, url: &Url, stream: TransportStream) -> TransportStream {
        let (all, failed) = (Arc::clone(&self.metadata), in_transport(url));
        Box::pin(stream.map(move |chunk| {
            let chunk = chunk?;
            let bytes = chunk.len() as u64;
            match all.fetch_add(bytes, Ordering::Relaxed) + bytes > METADATA_MAX_BYTES {
                true => Err(failed(Unreached::TooMuch)),
                false => Ok(chunk),
            }
        }))
    }
}

fn in_transport(url: &Url) -> impl Fn(Unreached) -> TransportError + Send + Sync + 'static {
    let url = url.clone();
    move |e| TransportError::new_with_cause(e.kind(), &url, e)
}

#[async_trait]
impl Transport for Reach {
    /// Every failure comes in the stream: `tough` takes one of the call itself for "no newer root
    /// is there" and would go on.
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        Ok(self.open(&url).await.unwrap_or_else(|e| {
            let failed = in_transport(&url)(e);
            Box::pin(futures_util::stream::once(std::future::ready(Err(failed))))
        }))
    }
}

/// The file of a `file:` address, which must lie right in a folder of the repository: names of
/// roles come from outside, and an escaped `/` in one would lead elsewhere.
fn inside(base: &Url, url: &Url) -> Result<PathBuf, Unreached> {
    let outside = || Unreached::File {
        path: url.path().into(),
        source: std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "it leads out of the repository",
        ),
    };
    let (Ok(base), Ok(path)) = (base.to_file_path(), url.to_file_path()) else {
        return Err(outside());
    };
    let below = path.strip_prefix(&base).map_err(|_| outside())?;
    let plain = below
        .components()
        .all(|c| matches!(c, Component::Normal(_)));
    let levels = below.components().count();
    let known = below.starts_with(TARGETS) || below.starts_with(super::METADATA);
    if plain && levels == 2 && known {
        return Ok(base.join(below));
    }
    // The directory itself, when the repository is none.
    Err(outside())
}

/// Whether a folder looks like a repository, told before anything is signed or read.
pub(super) fn is_repository(dir: &Path) -> bool {
    dir.join(super::METADATA).join("timestamp.json").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let place = |text: &str| text.parse::<Place>();
        assert_eq!(
            place("file:/media/repo"),
            Ok(Place::Folder("/media/repo".into()))
        );
        assert_eq!(place("repo"), Ok(Place::Folder("repo".into())));
        let Ok(Place::Web(url)) = place("https://host/repo") else {
            panic!("an address is no folder")
        };
        assert_eq!(url.as_str(), "https://host/repo/");
        for bad in [
            "",
            "ftp://host/",
            "https://host/?x",
            "https://host/#x",
            "https://",
        ] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_name_of_a_role_leads_out_of_the_folder() {
        let base: Url = "file:///srv/repo/".parse().unwrap();
        let at = |rest: &str| inside(&base, &base.join(rest).unwrap());
        assert_eq!(
            at("metadata/1.root.json").unwrap(),
            Path::new("/srv/repo/metadata/1.root.json")
        );
        for bad in [
            "metadata/1.%2E%2E%2F%2E%2E%2F%2E%2E%2Fetc%2Fpasswd",
            "metadata/..%2F..%2Fetc/passwd",
            "../etc/passwd",
            "metadata/a/b",
            "metadata/",
            "other/file",
            "http://host/metadata/x",
        ] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }
}
