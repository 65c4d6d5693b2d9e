//! What a grant of `state` comes to: the operator's quota, within the plugin's own request.

use super::{Denial, wider};
use crate::capability::Capability;
use crate::manifest::TaskInfo;
use crate::own_state::{StateGrant, StateRule};

/// What the operator does not say is the default, or what the plugin asks for where that is less.
pub(super) fn state(rule: &StateRule, info: &TaskInfo) -> Result<StateGrant, Denial> {
    let request = info.asks(Capability::State);
    let most_bytes = request.and_then(|r| r.max_bytes);
    let most_keys = request.and_then(|r| r.max_keys);
    let mut grant = rule.resolve().map_err(|e| {
        let place = format!("grant.state.{}", e.key);
        Denial::new(place, e.to_string())
    })?;
    if let Some(most) = most_bytes.filter(|most| grant.max_bytes > *most) {
        if rule.max_bytes.is_some() {
            return Err(wider("grant.state.max-bytes", "max-bytes", most));
        }
        grant.max_bytes = most;
    }
    if let Some(most) = most_keys.filter(|most| grant.max_keys > *most) {
        if rule.max_keys.is_some() {
            return Err(wider("grant.state.max-keys", "max-keys", most));
        }
        grant.max_keys = most;
    }
    Ok(grant)
}
