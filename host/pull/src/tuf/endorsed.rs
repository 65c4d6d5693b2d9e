//! Endorsements in a repository: files of the owner's own list, `NAME@VERSION.kwe` beside the
//! `NAME@VERSION.kwb` that whoever has that name lists.

use super::desk::Desk;
use super::target::{put_file, target};
use crate::endorsement;
use crate::error::{Error, Result};
use crate::files;
use crate::offer::{CUSTOM, Offer};
use keepwell_bundle::ENDORSEMENT_MAX_BYTES;
use keepwell_model::id::Digest;
use std::path::PathBuf;
use tough::schema::Targets;
use tough::{IntoVec as _, Repository, TargetName};

/// What the endorsement of an offered bundle is called.
pub(super) fn name_of(offer: &Offer) -> Result<TargetName> {
    let bundle = offer.target();
    let stem = bundle.strip_suffix("kwb").unwrap_or(&bundle);
    Ok(TargetName::new(format!("{stem}{}", endorsement::ENDING))?)
}

/// Whether a target is one, by its name.
pub(super) fn is_one(name: &TargetName) -> bool {
    let ending = name.raw().rsplit_once('.');
    ending.is_some_and(|(_, ending)| ending == endorsement::ENDING)
}

/// What is offered under that bundle id.
fn offered(targets: &Targets, bundle: Digest) -> Option<Offer> {
    let offers = targets.targets_iter().filter_map(|(_, target)| {
        serde_json::from_value::<Offer>(target.custom.get(CUSTOM)?.clone()).ok()
    });
    offers.into_iter().find(|offer| offer.bundle == bundle)
}

impl Desk {
    /// Adds endorsements of bundles that are offered here. A newer one takes the place of the old.
    pub(crate) fn endorse(&mut self, paths: &[PathBuf]) -> Result<Vec<Offer>> {
        let mut endorsed = vec![];
        for path in paths {
            let bytes = files::read_told(path, ENDORSEMENT_MAX_BYTES as u64)?;
            let bundle = endorsement::bundle_of(&bytes)?;
            let Some(offer) = offered(self.listed(), bundle) else {
                return Err(Error::usage(format!(
                    "{} endorses bundle {}, which is not offered here",
                    path.display(),
                    bundle.short()
                ))
                .hint("`keepwell-pull repo add` adds the bundle first"));
            };
            self.put_endorsement(&offer, &bytes)?;
            endorsed.push(offer);
        }
        Ok(endorsed)
    }

    pub(super) fn put_endorsement(&mut self, offer: &Offer, bytes: &[u8]) -> Result<()> {
        let (name, target) = (name_of(offer)?, target(bytes));
        put_file(self.folder(), &name, &target, bytes)?;
        self.list(name, target);
        Ok(())
    }
}

/// The endorsement of an offered bundle, if the repository has one.
pub(super) async fn fetch(repository: &Repository, offer: &Offer) -> Result<Option<Vec<u8>>> {
    let name = name_of(offer)?;
    let Ok(target) = repository.targets().signed.find_target(&name, false) else {
        return Ok(None);
    };
    if target.length > ENDORSEMENT_MAX_BYTES as u64 {
        return Err(Error::limited(format!(
            "{} has {} bytes, an endorsement has {ENDORSEMENT_MAX_BYTES} at most",
            name.raw(),
            target.length
        )));
    }
    let Some(stream) = repository.read_target(&name).await? else {
        return Ok(None);
    };
    let bytes = stream.into_vec().await?;
    endorsement::check(&bytes, offer.bundle)?;
    Ok(Some(bytes))
}
