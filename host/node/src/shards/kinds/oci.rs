//! OCI image layouts: blobs by their SHA-256. Everything reached from `index.json` through nested indexes and
//! manifests must be there.

use super::super::digest::{self, Hasher, Sum};
use super::super::layout::{Expected, Layout, LayoutError, Rule};
use super::super::small::{self, SmallError};
use super::{Kind, Named, Names, Stranger};
use keepwell_model::store::{DigestKind, Encoding, State, Verdict};
use keepwell_model::words::Refusal;
use rustix::fd::BorrowedFd;
use rustix::fs::FileType;
use serde::Deserialize;
use std::collections::HashMap;

/// The bound registries put on a manifest.
const MANIFEST_MAX_BYTES: u64 = 4 << 20;
/// Indexes of indexes deeper than this serve no platform.
const DEPTH_MAX: u32 = 8;
/// A listing holds no more shards than this.
const DESCRIPTORS_MAX: usize = super::super::SHARDS_MAX;
/// Damaged manifests reported one by one.
const TROUBLES_MAX: usize = 1_000;

#[derive(Debug)]
pub(super) struct Oci;

impl Kind for Oci {
    /// The temporary names are those of umoci, containers/image and containerd.
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        let blob = Rule::hex("blobs/sha256/{h}", DigestKind::Sha256);
        let temporary = [
            "oci-put-blob*",
            ".umoci-*",
            ".umoci-*/**",
            "ingest/**",
            "blobs/sha256/tmp*",
        ];
        Layout::new(&[blob], &["oci-layout", "index.json"], &temporary).map(Some)
    }

    fn needed(&self) -> Vec<(&str, FileType)> {
        vec![
            ("oci-layout", FileType::RegularFile),
            ("index.json", FileType::RegularFile),
            ("blobs", FileType::Directory),
        ]
    }

    fn names(&self, root: BorrowedFd<'_>) -> Result<Names, Refusal> {
        let reached = reach(root)?;
        let named = |(sum, bytes)| {
            let expected = Expected::plain(sum, DigestKind::Sha256);
            let bytes = Some(bytes);
            (blob(&sum), Named { expected, bytes })
        };
        Ok(Names {
            named: reached.named.into_iter().map(named).collect(),
            troubles: reached.troubles,
        })
    }

    fn stranger(&self, name: &str) -> Stranger {
        match name.starts_with("blobs/") {
            true => Stranger::Unverifiable("its name is not a SHA-256, which alone is supported"),
            false => Stranger::Extra,
        }
    }
}

/// Of an index or a manifest, what leads on. Unknown fields are passed over, as the format asks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    /// Artifact manifests.
    blobs: Option<Vec<Descriptor>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    /// Where a layer may be fetched that may not be distributed: it need not be here.
    #[serde(default)]
    urls: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    #[serde(rename = "imageLayoutVersion")]
    _version: String,
}

/// What the layout names, and what could not be followed.
#[derive(Debug, Default)]
struct Reached {
    /// Sizes by digest.
    named: HashMap<Sum, u64>,
    troubles: Vec<Verdict>,
    /// Descriptors seen, so that repeating one does not defeat the bound.
    descriptors: usize,
}

/// The name of a blob.
fn blob(sum: &Sum) -> String {
    let hex = digest::text(sum, DigestKind::Sha256, Encoding::Hex);
    format!("blobs/sha256/{hex}")
}

/// Follows `index.json`. Damage is a trouble, not an error: the rest of the store can be checked.
fn reach(root: BorrowedFd<'_>) -> Result<Reached, Refusal> {
    let mut reached = Reached::default();
    match small::read(root, b"oci-layout", MANIFEST_MAX_BYTES) {
        Ok(text) if serde_json::from_slice::<LayoutFile>(&text).is_ok() => {}
        Ok(_) => reached.trouble(
            "oci-layout",
            State::Corrupt,
            "it has no `imageLayoutVersion`",
        ),
        Err(why) => reached.unreadable("oci-layout", why),
    }
    let mut next = match small::read(root, b"index.json", MANIFEST_MAX_BYTES) {
        Ok(text) => match serde_json::from_slice::<Document>(&text) {
            Ok(Document {
                manifests: Some(manifests),
                ..
            }) => manifests,
            Ok(_) => {
                reached.trouble("index.json", State::Corrupt, "it has no `manifests`");
                vec![]
            }
            Err(e) => {
                let detail = format!("it is not an image index: {e}");
                reached.trouble("index.json", State::Corrupt, &detail);
                vec![]
            }
        },
        Err(why) => {
            reached.unreadable("index.json", why);
            vec![]
        }
    };
    for _depth in 0..DEPTH_MAX {
        next = reached.level(root, next)?;
        if next.is_empty() {
            return Ok(reached);
        }
    }
    reached.trouble(
        "index.json",
        State::Unverifiable,
        &format!("indexes nest deeper than {DEPTH_MAX}; what lies below is not known"),
    );
    Ok(reached)
}

impl Reached {
    /// Takes in one level of descriptors; gives those of the next.
    fn level(
        &mut self,
        root: BorrowedFd<'_>,
        descriptors: Vec<Descriptor>,
    ) -> Result<Vec<Descriptor>, Refusal> {
        let mut next = vec![];
        for descriptor in descriptors {
            self.descriptors += 1;
            if self.descriptors > DESCRIPTORS_MAX {
                return Err(Refusal::limit(format!(
                    "the layout's manifests name more than {DESCRIPTORS_MAX} blobs"
                )));
            }
            let hex = descriptor.digest.strip_prefix("sha256:");
            let sum =
                hex.and_then(|h| digest::parse(h.as_bytes(), DigestKind::Sha256, Encoding::Hex));
            let Some(sum) = sum else {
                let detail = "its digest is not a SHA-256, which alone is supported";
                let shown = keepwell_model::words::printable(&descriptor.digest, 200);
                self.trouble(&shown, State::Unverifiable, detail);
                continue;
            };
            if descriptor.urls.is_some_and(|urls| !urls.is_empty()) {
                continue;
            }
            if self.named.insert(sum, descriptor.size).is_none() && leads_on(&descriptor.media_type)
            {
                next.extend(self.follow(root, &sum));
            }
        }
        Ok(next)
    }

    /// What a manifest names. Its own damage is found when its bytes are verified; here it only
    /// says that nothing more is known.
    fn follow(&mut self, root: BorrowedFd<'_>, sum: &Sum) -> Vec<Descriptor> {
        let name = blob(sum);
        let text = match small::read(root, name.as_bytes(), MANIFEST_MAX_BYTES) {
            Ok(text) => text,
            // Reported as missing with the other blobs.
            Err(SmallError::Gone) => return vec![],
            Err(why) => {
                self.unreadable(&name, why);
                return vec![];
            }
        };
        let mut hasher = Hasher::new(DigestKind::Sha256);
        hasher.update(&text);
        let document = if hasher.finish() == *sum {
            serde_json::from_slice::<Document>(&text).map_err(|e| e.to_string())
        } else {
            Err("its bytes are not what its name says".to_owned())
        };
        match document {
            Ok(d) => [d.manifests, d.layers, d.blobs]
                .into_iter()
                .flatten()
                .flatten()
                .chain(d.config)
                .collect(),
            Err(why) => {
                let detail = format!("a manifest is damaged, so what it names is not known: {why}");
                self.trouble(&name, State::Unverifiable, &detail);
                vec![]
            }
        }
    }

    fn trouble(&mut self, name: &str, state: State, detail: &str) {
        if self.troubles.len() < TROUBLES_MAX {
            self.troubles.push(Verdict {
                shard: name.to_owned(),
                state,
                bytes: 0,
                detail: Some(detail.to_owned()),
            });
        }
    }

    fn unreadable(&mut self, name: &str, why: SmallError) {
        match why {
            SmallError::Gone => self.trouble(name, State::Missing, "it is not there"),
            SmallError::TooLarge { bytes } => self.trouble(
                name,
                State::Unverifiable,
                &format!(
                    "{bytes} bytes are more than a manifest may have ({MANIFEST_MAX_BYTES}); what \
                     it names is not known"
                ),
            ),
            SmallError::Unreadable(why) => self.trouble(name, State::Unreadable, &why),
        }
    }
}

/// Media types of documents that name other blobs.
fn leads_on(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.index.v1+json"
            | "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.oci.artifact.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json"
            | "application/vnd.docker.distribution.manifest.v2+json"
    )
}
