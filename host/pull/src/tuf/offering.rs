//! The publisher's side: a signed list of bundles in a folder, which the owner of a repository
//! takes over. The publisher's key never leaves the publisher.

use super::keys::Keys;
use super::roles::{Lifetimes, SPEC, key_id, sign};
use super::target::{put_file, role_file, target_file, target_of};
use super::{Publisher, ROLE_MAX_BYTES, TARGETS};
use crate::error::{Error, Result, chain};
use crate::files;
use crate::offer::{CUSTOM, Offer};
use jiff::Timestamp as Time;
use keepwell_bundle::BUNDLE_MAX_BYTES;
use keepwell_model::id::Digest;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use tough::TargetName;
use tough::schema::{
    DelegatedRole, DelegatedTargets, Delegations, KeyHolder, PathPattern, PathSet, Signed, Target,
    Targets,
};

/// Adds bundles to a publisher's list in `dir`, which is made when it is not there.
pub(crate) async fn offer(
    dir: &Path,
    publisher: &Publisher,
    paths: &[PathBuf],
    keys: &Keys,
    lifetimes: Lifetimes,
    now: Time,
) -> Result<Vec<Offer>> {
    let mut list = match list_path(dir, publisher).is_file() {
        true => {
            let mut list = Offered::read(dir, publisher)?.role.signed;
            let next = list.version.checked_add(1);
            list.version =
                next.ok_or_else(|| Error::failed("there is no version after the last one"))?;
            list
        }
        false => Targets::new(SPEC.to_owned(), NonZeroU64::MIN, lifetimes.long(now)?),
    };
    // Who is delegated to does not delegate further.
    list.delegations = None;
    list.expires = lifetimes.long(now)?;
    files::make_dir(&dir.join(TARGETS))?;
    let mut offers = vec![];
    for path in paths {
        let kwb = files::read_told(path, BUNDLE_MAX_BYTES as u64)?;
        let (offer, name, target) = target_of(path, &kwb)?;
        if list
            .targets
            .get(&name)
            .is_some_and(|there| there.hashes != target.hashes)
        {
            return Err(Error::usage(format!(
                "{} is offered already, as another file",
                name.raw()
            ))
            .hint("a version is published once; give the plugin a new one"));
        }
        put_file(dir, &name, &target, &kwb)?;
        list.targets.insert(name, target);
        offers.push(offer);
    }
    let role = DelegatedTargets {
        name: publisher.to_string(),
        targets: list,
    };
    let signed = sign(role, KeyHolder::Delegations(to(publisher, keys)?), keys).await?;
    files::write(&list_path(dir, publisher), signed.buffer())?;
    Ok(offers)
}

fn list_path(dir: &Path, publisher: &Publisher) -> PathBuf {
    dir.join(format!("{publisher}.json"))
}

/// A delegation to these keys, so that the list is signed as its reader will verify it.
fn to(publisher: &Publisher, keys: &Keys) -> Result<Delegations> {
    let mut delegations = Delegations::new();
    for key in keys.public()? {
        delegations.keys.insert(key_id(&key)?, key);
    }
    let any = PathPattern::new("*").map_err(|e| Error::failed(e.to_string()))?;
    delegations.roles.push(DelegatedRole {
        name: publisher.to_string(),
        keyids: delegations.keys.keys().cloned().collect(),
        threshold: NonZeroU64::MIN,
        paths: PathSet::Paths(vec![any]),
        terminating: true,
        targets: None,
    });
    Ok(delegations)
}

/// What a publisher handed over. Nothing of it is trusted before it is verified.
#[derive(Debug)]
pub(super) struct Offered {
    dir: PathBuf,
    publisher: Publisher,
    pub(super) role: Signed<Targets>,
    pub(super) bytes: Vec<u8>,
}

impl Offered {
    pub(super) fn read(dir: &Path, publisher: &Publisher) -> Result<Self> {
        let path = list_path(dir, publisher);
        let bytes = files::read_told(&path, ROLE_MAX_BYTES)?;
        let role: Signed<Targets> = serde_json::from_slice(&bytes)
            .map_err(|e| Error::denied(format!("{} is no list of bundles: {e}", path.display())))?;
        if role.signed.delegations.is_some() {
            return Err(
                Error::denied(format!("{} delegates further", path.display()))
                    .hint("only the owner of a repository delegates"),
            );
        }
        Ok(Self {
            dir: dir.to_owned(),
            publisher: publisher.clone(),
            role,
            bytes,
        })
    }

    /// What it is called in the repository.
    pub(super) fn file_name(&self) -> String {
        role_file(self.role.signed.version, self.publisher.as_str())
    }

    /// Every name must be within what was delegated. One that is not would have every reader
    /// refuse the whole repository.
    pub(super) fn check_names(&self, paths: &PathSet) -> Result<()> {
        let mut delegations = Delegations::new();
        delegations.roles.push(DelegatedRole {
            name: self.publisher.to_string(),
            keyids: vec![],
            threshold: NonZeroU64::MIN,
            paths: paths.clone(),
            terminating: true,
            targets: None,
        });
        let names = self.role.signed.targets.keys();
        match names
            .into_iter()
            .find(|name| !delegations.target_is_delegated(name))
        {
            None => Ok(()),
            Some(name) => Err(Error::denied(format!(
                "{} offers {:?}, which is not among the names it was given",
                self.publisher,
                name.raw()
            ))),
        }
    }

    /// The bundle of a target, which must be the file and the plugin that the list says.
    pub(super) fn bundle(&self, name: &TargetName, target: &Target) -> Result<Vec<u8>> {
        let path = self.dir.join(TARGETS).join(target_file(name, target));
        let kwb = files::read_told(&path, BUNDLE_MAX_BYTES as u64)?;
        let refused = |why: &str| Error::denied(format!("{} is refused: {why}", path.display()));
        if kwb.len() as u64 != target.length
            || Digest::of(&kwb).as_bytes()[..] != target.hashes.sha256[..]
        {
            return Err(refused("it is not the file that the list names"));
        }
        let is = Offer::of(&kwb).map_err(|e| refused(&e.message))?;
        let said = target.custom.get(CUSTOM).cloned().unwrap_or_default();
        let said: Offer = serde_json::from_value(said)
            .map_err(|e| refused(&format!("the list does not say what it is: {}", chain(&e))))?;
        match said == is && name.raw() == is.target() {
            true => Ok(kwb),
            false => Err(refused(
                "it is another plugin, version or release than the list says",
            )),
        }
    }
}
