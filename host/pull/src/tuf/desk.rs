//! The owner's side: a repository is made, added to, delegated from, refreshed, and given new keys.
//!
//! Each step writes new files beside the old ones and replaces `timestamp.json` last, so that a
//! crash, and a reader in the middle of it, see the old repository whole.

use super::keys::Keys;
use super::offering::Offered;
use super::reach::{Place, is_repository};
use super::reader::Reader;
use super::roles::{Lifetimes, Roles, SPEC, key_id, sign};
use super::target::{metafile, one_more, put_file, role_file, target_of};
use super::{METADATA, PUBLISHERS_MAX, Publisher, ROOT_MAX_BYTES, ROOTS_MAX, TARGETS};
use crate::endorsement;
use crate::error::{Error, Result};
use crate::files;
use crate::offer::Offer;
use jiff::Timestamp as Time;
use keepwell_bundle::{BUNDLE_MAX_BYTES, PublicKey};
use keepwell_model::glob;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use tough::TargetName;
use tough::schema::{
    DelegatedRole, Delegations, KeyHolder, PathPattern, PathSet, Role as _, Root, Signed, Snapshot,
    Target, Targets, Timestamp,
};

/// A repository in its owner's hands.
#[derive(Debug)]
pub(crate) struct Desk {
    dir: PathBuf,
    root: Signed<Root>,
    /// With the roles it delegates to.
    targets: Signed<Targets>,
    /// Versions that stand there; 0 when none does.
    snapshot: u64,
    timestamp: u64,
    /// When not one of its roles has changed, the list of bundles is not signed again.
    changed: bool,
}

impl Desk {
    /// A new one, with nothing in it.
    pub(crate) async fn init(
        dir: &Path,
        roles: Roles,
        keys: &Keys,
        lifetimes: Lifetimes,
        now: Time,
    ) -> Result<()> {
        if dir.join(METADATA).exists() {
            return Err(Error::usage(format!(
                "{} is a repository already",
                dir.display()
            )));
        }
        let expires = lifetimes.long(now)?;
        let root = roles.root(NonZeroU64::MIN, expires)?;
        let root = sign(root.clone(), KeyHolder::Root(root), keys).await?;
        let targets = Targets::new(SPEC.to_owned(), NonZeroU64::MIN, expires);
        for name in [METADATA, TARGETS] {
            files::make_dir(&dir.join(name))?;
        }
        let desk = Self {
            dir: dir.to_owned(),
            targets: Signed {
                signed: targets,
                signatures: vec![],
            },
            root: root.signed().clone(),
            snapshot: 0,
            timestamp: 0,
            changed: true,
        };
        files::write(
            &desk.metadata(&root.signed().signed.filename(true)),
            root.buffer(),
        )?;
        desk.publish(keys, lifetimes, now).await
    }

    /// One that is there. All of it must verify from its newest root; times do not count.
    pub(crate) async fn open(dir: &Path) -> Result<Self> {
        if !is_repository(dir) {
            return Err(Error::usage(format!("{} is no repository", dir.display()))
                .hint("`keepwell-pull repo init DIR` makes one"));
        }
        let reader = Reader {
            place: Place::Folder(dir.to_owned()),
            root: newest_root(dir)?,
            web: None,
        };
        let seen = reader.look_as_owner().await?;
        Ok(Self {
            dir: dir.to_owned(),
            root: seen.root().clone(),
            targets: seen.targets().clone(),
            snapshot: seen.snapshot().signed.version.get(),
            timestamp: seen.timestamp().signed.version.get(),
            changed: false,
        })
    }

    fn metadata(&self, name: &str) -> PathBuf {
        self.dir.join(METADATA).join(name)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.dir
    }

    /// All that is listed here, delegated roles included.
    pub(super) const fn listed(&self) -> &Targets {
        &self.targets.signed
    }

    /// Puts a file on the owner's own list.
    pub(super) fn list(&mut self, name: TargetName, target: Target) {
        self.targets.signed.targets.insert(name, target);
        self.changed = true;
    }

    /// Adds bundles to the owner's own list, each with the endorsement that lies beside it.
    pub(crate) fn add(&mut self, paths: &[PathBuf]) -> Result<Vec<Offer>> {
        let mut added = vec![];
        for path in paths {
            let kwb = files::read_told(path, BUNDLE_MAX_BYTES as u64)?;
            let (offer, name, target) = target_of(path, &kwb)?;
            let there = self.targets.signed.find_target(&name, true);
            if there.is_ok_and(|there| there.hashes != target.hashes) {
                return Err(Error::usage(format!(
                    "{} is offered already, as another file",
                    name.raw()
                ))
                .hint("a version is published once; give the plugin a new one"));
            }
            let endorsement = endorsement::beside(path, offer.bundle)?;
            put_file(&self.dir, &name, &target, &kwb)?;
            self.list(name, target);
            if let Some(endorsement) = endorsement {
                self.put_endorsement(&offer, &endorsement)?;
            }
            added.push(offer);
        }
        Ok(added)
    }

    /// Hands names over to a publisher, whose first list is `offered`.
    pub(crate) fn delegate(
        &mut self,
        publisher: &Publisher,
        globs: &[String],
        public: &PublicKey,
        offered: &Path,
    ) -> Result<usize> {
        let patterns = patterns(globs)?;
        let key = super::public_key(public)?;
        let id = key_id(&key)?;
        let delegations = self
            .targets
            .signed
            .delegations
            .get_or_insert_with(Delegations::new);
        if delegations.roles.len() >= PUBLISHERS_MAX {
            return Err(Error::limited(format!(
                "there are {PUBLISHERS_MAX} publishers already"
            )));
        }
        if delegations
            .roles
            .iter()
            .any(|role| role.name == publisher.as_str())
        {
            return Err(
                Error::usage(format!("`{publisher}` has a delegation already"))
                    .hint("`keepwell-pull repo accept` takes over what it offers now"),
            );
        }
        delegations.keys.insert(id.clone(), key);
        // Terminating: for these names nobody listed after it is asked.
        delegations.roles.push(DelegatedRole {
            name: publisher.to_string(),
            keyids: vec![id],
            threshold: NonZeroU64::MIN,
            paths: PathSet::Paths(patterns),
            terminating: true,
            targets: None,
        });
        self.changed = true;
        self.accept(publisher, offered)
    }

    /// Takes over what a publisher offers now: verified with the delegated key, within its names,
    /// and not older than what stands there. Gives how many bundles it lists.
    pub(crate) fn accept(&mut self, publisher: &Publisher, from: &Path) -> Result<usize> {
        let dir = self.dir.clone();
        let delegations = self.targets.signed.delegations.as_mut();
        let delegations =
            delegations.filter(|d| d.roles.iter().any(|r| r.name == publisher.as_str()));
        let Some(delegations) = delegations else {
            return Err(
                Error::usage(format!("`{publisher}` has no delegation here"))
                    .hint("`keepwell-pull repo delegate` gives it one"),
            );
        };
        let offered = Offered::read(from, publisher)?;
        delegations
            .verify_role(&offered.role, publisher.as_str())
            .map_err(|e| {
                Error::denied(format!("what {publisher} offers is refused: {e}"))
                    .hint("was it signed with the key that the delegation names?")
            })?;
        for role in delegations
            .roles
            .iter_mut()
            .filter(|r| r.name == publisher.as_str())
        {
            let before = role.targets.as_ref().map(|t| t.signed.version);
            if before.is_some_and(|before| offered.role.signed.version < before) {
                return Err(Error::denied(format!(
                    "{publisher} offers an older list than stands here"
                )));
            }
            offered.check_names(&role.paths)?;
            role.targets = Some(offered.role.clone());
        }
        for (name, target) in &offered.role.signed.targets {
            let kwb = offered.bundle(name, target)?;
            put_file(&dir, name, target, &kwb)?;
        }
        files::write(&self.metadata(&offered.file_name()), &offered.bytes)?;
        Ok(offered.role.signed.targets.len())
    }

    /// A new root, signed by the keys of the old one and of itself.
    pub(crate) async fn rotate(
        &mut self,
        roles: Roles,
        keys: &Keys,
        lifetimes: Lifetimes,
        now: Time,
    ) -> Result<u64> {
        let version = one_more(self.root.signed.version.get())?;
        let root = roles.root(version, lifetimes.long(now)?)?;
        let new = sign(root.clone(), KeyHolder::Root(root.clone()), keys).await?;
        let old = sign(root, KeyHolder::Root(self.root.signed.clone()), keys).await?;
        let signed = new
            .add_old_signatures(old.signed().signatures.clone())
            .map_err(Error::from)?;
        for by in [&self.root.signed, &signed.signed().signed] {
            by.verify_role(signed.signed()).map_err(|e| {
                Error::denied(format!("the new root is not signed by enough keys: {e}"))
                    .hint("give `--key` of each old root key that must sign, and of the new ones")
            })?;
        }
        files::write(
            &self.metadata(&signed.signed().signed.filename(true)),
            signed.buffer(),
        )?;
        self.root = signed.signed().clone();
        // A new key signs the list anew, whatever else has changed.
        self.changed = true;
        Ok(version.get())
    }

    /// Signs what has changed, then snapshot and timestamp.
    pub(crate) async fn publish(
        mut self,
        keys: &Keys,
        lifetimes: Lifetimes,
        now: Time,
    ) -> Result<()> {
        let holder = KeyHolder::Root(self.root.signed.clone());
        let due = self.targets.signed.expires < lifetimes.short(now)?;
        let targets_file = |targets: &Targets| targets.filename(true);
        if self.changed || due {
            if self.snapshot > 0 {
                self.targets.signed.version = one_more(self.targets.signed.version.get())?;
            }
            self.targets.signed.expires = lifetimes.long(now)?;
            let signed = sign(self.targets.signed.clone(), holder.clone(), keys).await?;
            files::write(
                &self.metadata(&targets_file(&self.targets.signed)),
                signed.buffer(),
            )?;
        }
        let mut snapshot = Snapshot::new(
            SPEC.to_owned(),
            one_more(self.snapshot)?,
            lifetimes.short(now)?,
        );
        let mut list = |file: &str, at: &str, version| -> Result<()> {
            let bytes = files::read_told(&self.metadata(file), super::ROLE_MAX_BYTES)?;
            snapshot
                .meta
                .insert(at.to_owned(), metafile(&bytes, version));
            Ok(())
        };
        let own = &self.targets.signed;
        list(&targets_file(own), "targets.json", own.version)?;
        for role in own.delegations.iter().flat_map(|d| &d.roles) {
            if let Some(version) = role.targets.as_ref().map(|t| t.signed.version) {
                list(
                    &role_file(version, &role.name),
                    &format!("{}.json", role.name),
                    version,
                )?;
            }
        }
        let snapshot = sign(snapshot, holder.clone(), keys).await?;
        files::write(
            &self.metadata(&snapshot.signed().signed.filename(true)),
            snapshot.buffer(),
        )?;
        let mut timestamp = Timestamp::new(
            SPEC.to_owned(),
            one_more(self.timestamp)?,
            lifetimes.short(now)?,
        );
        let of = metafile(snapshot.buffer(), snapshot.signed().signed.version);
        timestamp.meta.insert("snapshot.json".to_owned(), of);
        let timestamp = sign(timestamp, holder, keys).await?;
        files::write(&self.metadata("timestamp.json"), timestamp.buffer())
    }
}

/// Globs on plugin names as patterns on targets.
fn patterns(globs: &[String]) -> Result<Vec<PathPattern>> {
    let pattern = |name: &String| {
        if !glob::is_valid(name) {
            return Err(Error::usage(format!(
                "{name:?} is no plugin name with `*`: expected lower-case letters, digits, `-`, `*`"
            )));
        }
        PathPattern::new(format!("{name}@*.kwb")).map_err(|e| Error::usage(e.to_string()))
    };
    globs.iter().map(pattern).collect()
}

/// The root with the highest number, from which the owner's own folder is verified.
fn newest_root(dir: &Path) -> Result<Vec<u8>> {
    let path = |n: u64| dir.join(METADATA).join(format!("{n}.root.json"));
    let newest = (1..=ROOTS_MAX).take_while(|n| path(*n).is_file()).last();
    let newest = newest.ok_or_else(|| {
        Error::usage(format!("{} is not there", path(1).display()))
            .hint("a repository keeps every root it ever had")
    })?;
    files::read_told(&path(newest), ROOT_MAX_BYTES)
}
