//! Why the trust file admits a bundle or not, step by step, for a person. What decides is `open`; this
//! only tells, from the same parts.

use super::{Counted, Trust};
use crate::bundle::{self, Against};
use crate::endorsement;
use crate::envelope::{Envelope, PAYLOAD_TYPE};
use crate::layout;
use crate::statement::Statement;
use keepwell_model::capability::Capability;
use keepwell_model::glob;
use keepwell_model::id::Digest;
use serde::Serialize;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `signature`, `publisher`, `revocation`, `release`, `endorsement` or `verdict`.
    pub step: &'static str,
    /// Whether it speaks for the bundle.
    pub holds: bool,
    pub says: String,
}

/// Every step, the verdict last. A file that cannot be read has the verdict alone.
pub fn explain(kwb: &[u8], against: Against<'_>) -> Vec<Step> {
    let mut steps = steps(kwb, against).unwrap_or_default();
    let (holds, says) = match bundle::open(kwb, against) {
        Ok(bundle) => (
            true,
            format!("admitted, as a plugin of `{}`", bundle.signer.name),
        ),
        Err(e) => (false, e.to_string()),
    };
    steps.push(step("verdict", holds, says));
    steps
}

const fn step(step: &'static str, holds: bool, says: String) -> Step {
    Step { step, holds, says }
}

fn steps(kwb: &[u8], against: Against<'_>) -> Option<Vec<Step>> {
    let Against { trust, now_ms, .. } = against;
    let layers = layout::read(kwb).ok()?;
    let envelope = Envelope::parse(PAYLOAD_TYPE, layers.envelope).ok()?;
    let mut all = signatures(trust, &envelope, now_ms);
    let counted = trust.counted(&envelope, now_ms).unwrap_or_default();
    if counted.is_empty() {
        // Nothing vouches for what it says of itself: no more of it is looked at.
        return Some(all);
    }
    let statement = Statement::parse(&envelope.payload).ok()?;
    let predicate = &statement.predicate;
    let id = Digest::of(&envelope.payload);
    for (what, reason) in [
        ("bundle", trust.revoked().bundles.get(&id)),
        (
            "component",
            trust.revoked().components.get(&predicate.component.digest),
        ),
    ] {
        let says = match reason {
            Some(reason) => format!("the {what} is revoked: {reason}"),
            None => format!("the {what} is not revoked"),
        };
        all.push(step("revocation", reason.is_none(), says));
    }
    if let Some(least) = trust.min_release().get(&predicate.manifest.name) {
        let release = predicate.release;
        let says = format!("it is release {release}; the least is {least}");
        all.push(step("release", release >= *least, says));
    }
    all.extend(publishers(trust, &counted, &statement));
    if let Some(wanted) = trust.endorsement() {
        let file = against.endorsement.map(|file| endorsement::of(file, id));
        let (have, why) = match file {
            None => (Counted::new(), "there is no endorsement".to_owned()),
            Some(Err(e)) => (Counted::new(), e.to_string()),
            Some(Ok(envelope)) => match trust.counted(&envelope, now_ms) {
                Ok(counted) => (counted, String::new()),
                Err(e) => (Counted::new(), e.to_string()),
            },
        };
        let have = wanted
            .keys
            .iter()
            .filter(|key| have.contains_key(key.as_str()));
        let (have, need) = (have.count(), wanted.threshold);
        let tiers: Vec<String> = wanted
            .tiers
            .iter()
            .map(|t| format!("{t:?}").to_lowercase())
            .collect();
        let says = format!(
            "{have} of {need} endorsers, wanted of tier {}",
            tiers.join(", ")
        );
        let says = if why.is_empty() {
            says
        } else {
            format!("{says}; {why}")
        };
        all.push(step("endorsement", have >= need, says));
    }
    Some(all)
}

fn signatures(trust: &Trust, envelope: &Envelope, now_ms: u64) -> Vec<Step> {
    let pae = envelope.pae();
    let mut all = vec![];
    for signed in &envelope.signatures {
        let short = signed.key_id.get(..16).unwrap_or(&signed.key_id);
        let (holds, says) = match (
            trust.revoked().keys.get(&signed.key_id),
            trust.find(&signed.key_id),
        ) {
            (Some(reason), _) => (false, format!("key {short} is revoked: {reason}")),
            (None, None) => (false, format!("key {short} is not in the trust file")),
            (None, Some((name, key))) if !signed.verifies(&key.public, &pae) => (
                false,
                format!("it is not what key `{name}` ({short}) signed"),
            ),
            (None, Some((name, key))) => {
                let over = key.not_after_ms.is_some_and(|end| now_ms >= end);
                let what = if over {
                    "is past its `not-after`"
                } else {
                    "counts"
                };
                (!over, format!("key `{name}` ({short}) {what}"))
            }
        };
        all.push(step("signature", holds, says));
    }
    all
}

/// Every publisher one of whose keys counts.
fn publishers(trust: &Trust, counted: &Counted<'_>, statement: &Statement) -> Vec<Step> {
    let manifest = &statement.predicate.manifest;
    let mut all = vec![];
    for (name, rule, keys, threshold) in trust.all_publishers() {
        let have = keys
            .iter()
            .filter(|key| counted.contains_key(**key))
            .count();
        if have == 0 {
            continue;
        }
        let named = rule
            .names
            .iter()
            .any(|g| glob::matches(g, manifest.name.as_str()));
        let lacks: Vec<&str> = manifest
            .capabilities()
            .into_iter()
            .filter(|c| !rule.capabilities.contains(c))
            .map(Capability::name)
            .collect();
        let mut says = vec![format!("`{name}`: {have} of {threshold} keys")];
        says.push(match named {
            true => format!("may be named `{}`", manifest.name),
            false => format!("may not be named `{}`", manifest.name),
        });
        says.push(match lacks.is_empty() {
            true => "may ask for all it asks for".to_owned(),
            false => format!("may not ask for {}", lacks.join(", ")),
        });
        let holds = have >= threshold && named && lacks.is_empty();
        all.push(step("publisher", holds, says.join("; ")));
    }
    all
}
