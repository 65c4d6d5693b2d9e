//! What a grant of `state` comes to: the operator's quota, within the plugin's own request.

use super::most::{Bounds, wider};
use super::{Denial, Facts};
use crate::capability::Capability;
use crate::own_state::{StateGrant, StateRule};

/// What the operator does not say is the default, or what the plugin asks for where that is less.
pub(super) fn state(facts: Facts<'_>, rule: &StateRule) -> Result<StateGrant, Denial> {
    let bounds = Bounds::of(facts, Capability::State);
    let mut grant = rule.resolve().map_err(|e| {
        let place = format!("grant.state.{}", e.key);
        Denial::new(place, e.to_string())
    })?;
    if let Some(bound) = bounds.bytes.filter(|it| grant.max_bytes > it.most) {
        if rule.max_bytes.is_some() {
            return Err(wider(facts, "grant.state.max-bytes", "max-bytes", bound));
        }
        grant.max_bytes = bound.most;
    }
    if let Some(bound) = bounds.keys.filter(|it| grant.max_keys > it.most) {
        if rule.max_keys.is_some() {
            return Err(wider(facts, "grant.state.max-keys", "max-keys", bound));
        }
        grant.max_keys = bound.most;
    }
    Ok(grant)
}
