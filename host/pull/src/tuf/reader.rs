//! The reader's side: what a repository offers, and one bundle of it.

use super::endorsed;
use super::known::Known;
use super::reach::{Place, Reach};
use super::{ROLE_MAX_BYTES, ROOT_MAX_BYTES, ROOTS_MAX, SNAPSHOT_MAX_BYTES, TIMESTAMP_MAX_BYTES};
use crate::error::{Error, Result};
use crate::offer::{CUSTOM, Listed, Offer, Wanted};
use crate::web::Web;
use keepwell_bundle::BUNDLE_MAX_BYTES;
use keepwell_model::words::printable;
use std::collections::BTreeSet;
use tough::schema::{Target, Targets};
use tough::{
    ExpirationEnforcement, IntoVec as _, Limits, Repository, RepositoryLoader, TargetName,
};

/// What is quoted of a name that a repository tells.
const QUOTE_MAX_BYTES: usize = 120;

/// A repository, from where, and from which root it is trusted.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) place: Place,
    /// The pinned root: a copy that came another way than the repository.
    pub(crate) root: Vec<u8>,
    /// For places on the network.
    pub(crate) web: Option<Web>,
}

impl Reader {
    /// Looks at it. What it finds is remembered, and nothing older is accepted afterwards.
    pub(crate) async fn look(&self, known: &Known) -> Result<Repository> {
        let look = known.begin(&self.root)?;
        let loader = self.loader(&look.root)?.datastore(look.next());
        let repository = loader.load().await?;
        look.commit()?;
        Ok(repository)
    }

    /// The same for its owner: signatures count, times do not, since an expired repository must
    /// be refreshed; and its own folder is what it is.
    pub(super) async fn look_as_owner(&self) -> Result<Repository> {
        let loader = self.loader(&self.root)?;
        Ok(loader
            .expiration_enforcement(ExpirationEnforcement::Unsafe)
            .load()
            .await?)
    }

    fn loader<'a>(&self, root: &'a Vec<u8>) -> Result<RepositoryLoader<'a>> {
        let base = self.place.base()?;
        let below = |name: &str| {
            base.join(&format!("{name}/"))
                .map_err(|e| Error::usage(format!("{base} is no address of a repository: {e}")))
        };
        let (metadata, targets) = (below(super::METADATA)?, below(super::TARGETS)?);
        let limits = Limits {
            max_root_size: ROOT_MAX_BYTES,
            max_targets_size: ROLE_MAX_BYTES,
            max_timestamp_size: TIMESTAMP_MAX_BYTES,
            max_snapshot_size: SNAPSHOT_MAX_BYTES,
            max_root_updates: ROOTS_MAX,
        };
        let reach = Reach::new(base.clone(), self.web.clone());
        Ok(RepositoryLoader::new(root, metadata, targets)
            .transport(reach)
            .limits(limits))
    }
}

/// What is offered, by name and newest first; only what `words` all occur in the name of.
pub(crate) fn search(repository: &Repository, words: &[String]) -> Vec<Listed> {
    let targets = &repository.targets().signed;
    let mut names: BTreeSet<&TargetName> = BTreeSet::new();
    names.extend(targets.targets_iter().map(|(name, _)| name));
    let mut left_out = 0;
    let mut found: Vec<Listed> = vec![];
    for name in names.into_iter().filter(|name| !endorsed::is_one(name)) {
        // By name, since who lists a target need not be who may: delegations decide.
        let Ok(target) = targets.find_target(name, false) else {
            left_out += 1;
            continue;
        };
        match listed(targets, name, target) {
            Some(listed)
                if words
                    .iter()
                    .all(|w| listed.offer.plugin.as_str().contains(w.as_str())) =>
            {
                found.push(listed);
            }
            Some(_) => {}
            None => left_out += 1,
        }
    }
    if left_out > 0 {
        crate::show::say(&format!(
            "{left_out} files are left out: no bundles, or listed by somebody who may not"
        ));
    }
    found.sort_by(|a, b| {
        let by_name = a.offer.plugin.cmp(&b.offer.plugin);
        by_name.then_with(|| b.offer.age().cmp(&a.offer.age()))
    });
    found
}

/// What a target says of itself, if that and its name agree.
fn listed(targets: &Targets, name: &TargetName, target: &Target) -> Option<Listed> {
    let custom = target.custom.get(CUSTOM)?.clone();
    let offer: Offer = serde_json::from_value(custom).ok()?;
    (name.raw() == offer.target()).then(|| Listed {
        offer,
        bytes: target.length,
        publisher: publisher(targets, name, target),
    })
}

/// Whose role lists it.
fn publisher(targets: &Targets, name: &TargetName, target: &Target) -> Option<String> {
    let roles = targets.delegations.iter().flat_map(|d| &d.roles);
    let mut of = roles.filter_map(|role| {
        let below = &role.targets.as_ref()?.signed;
        let theirs = below
            .targets_iter()
            .any(|(n, t)| n == name && std::ptr::eq(t, target));
        theirs.then(|| printable(&role.name, QUOTE_MAX_BYTES))
    });
    of.next()
}

/// What was brought.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) listed: Listed,
    pub(crate) kwb: Vec<u8>,
    pub(crate) endorsement: Option<Vec<u8>>,
}

/// One bundle: its hash and length are what the signed metadata says, and it is the plugin,
/// version, release and id under which it was offered.
pub(crate) async fn fetch(repository: &Repository, wanted: &Wanted) -> Result<Came> {
    let all = search(repository, &[]);
    let mut fits = all.into_iter().filter(|l| {
        l.offer.plugin == wanted.plugin
            && wanted
                .version
                .as_ref()
                .is_none_or(|v| *v == l.offer.version)
    });
    let Some(listed) = fits.next() else {
        let version = wanted
            .version
            .as_ref()
            .map_or(String::new(), |v| format!("@{v}"));
        return Err(Error::failed(format!(
            "the repository does not offer {}{version}",
            wanted.plugin
        ))
        .hint("`keepwell-pull repo search` lists what it offers"));
    };
    if listed.bytes > BUNDLE_MAX_BYTES as u64 {
        return Err(Error::limited(format!(
            "{} has {} bytes, a bundle has {BUNDLE_MAX_BYTES} at most",
            listed.offer.target(),
            listed.bytes
        )));
    }
    let name = TargetName::new(listed.offer.target())?;
    let stream = repository.read_target(&name).await?;
    let stream = stream.ok_or_else(|| Error::failed(format!("{} is gone", name.raw())))?;
    let kwb = stream.into_vec().await?;
    let is = Offer::of(&kwb)?;
    if is != listed.offer {
        return Err(Error::denied(format!(
            "the repository offers {}, release {}, bundle {}; the file is {}, release {}, bundle {}",
            listed.offer.target(),
            listed.offer.release,
            listed.offer.bundle.short(),
            is.target(),
            is.release,
            is.bundle.short()
        ))
        .hint("whoever added it to the repository named another bundle; ask its owner"));
    }
    let endorsement = endorsed::fetch(repository, &is).await?;
    Ok(Came {
        listed,
        kwb,
        endorsement,
    })
}
