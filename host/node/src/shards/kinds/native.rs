//! Our own stores: what signed manifests name must be there.

use super::super::layout::{Expected, Layout, LayoutError, Rule};
use super::super::{SHARDS_MAX, name};
use super::{Kind, Named, Names};
use keepwell_model::store::{DigestKind, State, Verdict};
use keepwell_model::words::Refusal;
use keepwell_store::{Error, Hash, Member, Store};
use rustix::fd::BorrowedFd;
use rustix::fs::FileType;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

#[derive(Debug)]
pub(super) struct Native;

impl Kind for Native {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        let rules = [
            Rule::hex("shards/{h:2}/{h:2..4}/{h}.blake3", DigestKind::Blake3),
            Rule::hex("shards/{h:2}/{h:2..4}/{h}.sha256", DigestKind::Sha256),
        ];
        let ignore = ["format.json", "marker", "groups/*/*.json", "quarantine/**"];
        Layout::new(&rules, &ignore, &["tmp/**"]).map(Some)
    }

    fn needed(&self) -> Vec<(&str, FileType)> {
        vec![
            ("format.json", FileType::RegularFile),
            ("marker", FileType::RegularFile),
            ("shards", FileType::Directory),
        ]
    }

    fn names(&self, root: BorrowedFd<'_>) -> Result<Names, Refusal> {
        let own = root.try_clone_to_owned();
        let own = own.map_err(|e| Refusal::io(format!("cannot open the store: {e}")))?;
        // It is named by whoever reports the refusal.
        let store = Store::within(own, Path::new("the store")).map_err(|e| refused(&e))?;
        let manifests = store.manifests().map_err(|e| refused(&e))?;
        let mut names = Names::default();
        for member in manifests.all.iter().flat_map(|group| &group.shards) {
            let place = name::escape(member.place().as_os_str().as_bytes());
            names.named.insert(place, named(member));
            if names.named.len() > SHARDS_MAX {
                return Err(Refusal::limit(format!(
                    "the store's manifests name more than {SHARDS_MAX} shards"
                )));
            }
        }
        let wrong = manifests.wrong.iter();
        names.troubles = wrong.map(|(place, e)| trouble(place, e)).collect();
        Ok(names)
    }
}

fn named(member: &Member) -> Named {
    let digest = match member.digest.hash {
        Hash::Blake3 => DigestKind::Blake3,
        Hash::Sha256 => DigestKind::Sha256,
    };
    Named {
        expected: Expected::plain(member.digest.bytes, digest),
        bytes: Some(member.len),
    }
}

/// A manifest that is none: what it named is not known.
fn trouble(place: &Path, why: &Error) -> Verdict {
    Verdict {
        shard: name::escape(place.as_os_str().as_bytes()),
        state: match why {
            Error::Io { .. } => State::Unreadable,
            _ => State::Corrupt,
        },
        bytes: 0,
        detail: Some(in_words(why)),
    }
}

fn refused(why: &Error) -> Refusal {
    match why {
        Error::NoStore { .. } => Refusal::gone(in_words(why))
            .hint("is the right file system mounted? check `path` of this store"),
        _ => Refusal::io(in_words(why)),
    }
}

fn in_words(why: &Error) -> String {
    match std::error::Error::source(why) {
        Some(source) => format!("{why}: {source}"),
        None => why.to_string(),
    }
}
