//! Who signs what, and for how long it holds.

use super::keys::Keys;
use crate::error::{Error, Result};
use aws_lc_rs::rand::SystemRandom;
use jiff::{SignedDuration, Timestamp as Time};
use keepwell_model::units::Span;
use serde::Serialize;
use std::collections::HashMap;
use std::num::NonZeroU64;
use tough::editor::signed::SignedRole;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::key::Key;
use tough::schema::{KeyHolder, Role, RoleKeys, RoleType, Root};

/// The version of the specification that `tough` writes and reads.
pub(super) const SPEC: &str = "1.0.0";
/// Roles that are signed by people: who holds a key can be away for a while.
const LONG: Span = Span::secs(365 * 86_400);
/// Snapshot and timestamp: how long a reader can be kept from what is newer without noticing.
const SHORT: Span = Span::secs(30 * 86_400);
/// A root that expires after more than ten years was mistyped.
const LIFETIME_MAX: Span = Span::secs(10 * 366 * 86_400);

/// How long what is signed now holds.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Lifetimes {
    /// How long root and the lists of bundles hold.
    #[arg(long, default_value_t = LONG, value_name = "SPAN")]
    valid: Span,
    /// How long snapshot and timestamp hold: run `refresh` more often than that.
    #[arg(long, default_value_t = SHORT, value_name = "SPAN")]
    fresh: Span,
}

impl Lifetimes {
    pub(super) fn long(&self, now: Time) -> Result<Time> {
        after(now, self.valid)
    }
    pub(super) fn short(&self, now: Time) -> Result<Time> {
        after(now, self.fresh)
    }
}

fn after(now: Time, span: Span) -> Result<Time> {
    if span > LIFETIME_MAX {
        return Err(Error::usage(format!(
            "nothing is signed for longer than {LIFETIME_MAX}"
        )));
    }
    let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    now.checked_add(SignedDuration::from_millis(ms))
        .map_err(|e| Error::usage(format!("{span} leads out of the calendar: {e}")))
}

/// Public keys by role, for a root.
#[derive(Debug, Clone)]
pub(crate) struct Roles {
    pub(crate) root: Vec<Key>,
    pub(crate) threshold: NonZeroU64,
    pub(crate) targets: Vec<Key>,
    pub(crate) online: Vec<Key>,
}

impl Roles {
    pub(super) fn root(self, version: NonZeroU64, expires: Time) -> Result<Root> {
        if self.root.len() < usize::try_from(self.threshold.get()).unwrap_or(usize::MAX) {
            return Err(Error::usage("there are fewer root keys than must sign")
                .hint("name each with a `--root-key` of its own"));
        }
        let mut keys = HashMap::new();
        let mut ids = |of: Vec<Key>| -> Result<Vec<Decoded<Hex>>> {
            let mut ids = vec![];
            for key in of {
                let id = key_id(&key)?;
                if !ids.contains(&id) {
                    ids.push(id.clone());
                }
                keys.insert(id, key);
            }
            Ok(ids)
        };
        let role = |keyids, threshold| RoleKeys {
            keyids,
            threshold,
            _extra: HashMap::new(),
        };
        let online = ids(self.online)?;
        let roles = HashMap::from([
            (RoleType::Root, role(ids(self.root)?, self.threshold)),
            (RoleType::Targets, role(ids(self.targets)?, NonZeroU64::MIN)),
            (RoleType::Snapshot, role(online.clone(), NonZeroU64::MIN)),
            (RoleType::Timestamp, role(online, NonZeroU64::MIN)),
        ]);
        Ok(Root {
            spec_version: SPEC.to_owned(),
            consistent_snapshot: true,
            version,
            expires,
            keys,
            roles,
            _extra: HashMap::new(),
        })
    }
}

pub(super) fn key_id(key: &Key) -> Result<Decoded<Hex>> {
    key.key_id()
        .map_err(|e| Error::failed(format!("a key has no id: {e}")))
}

pub(super) async fn sign<T: Role + Serialize>(
    role: T,
    holder: KeyHolder,
    keys: &Keys,
) -> Result<SignedRole<T>> {
    SignedRole::new(role, &holder, &keys.sources(), &SystemRandom::new())
        .await
        .map_err(|e| {
            let what = T::TYPE;
            Error::denied(format!(
                "the {what} role cannot be signed: {}",
                crate::error::chain(&e)
            ))
            .hint("`--key FILE` names the key that its root, or its delegation, has for this role")
        })
}
