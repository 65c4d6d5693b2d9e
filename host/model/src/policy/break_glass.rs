//! `[policy.break-glass]`: who may apply a plan that lacks approval, and how far that goes.

use super::{WHO_MAX, Who};
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// Unless the table says otherwise: long enough to apply a plan and to go on with it after a crash.
pub const GLASS_WITHIN: Span = Span::secs(15 * 60);
/// What takes longer can be asked about.
pub const GLASS_WITHIN_MAX: Span = Span::secs(4 * 3_600);

/// Known by the socket's credentials, or by working on the node directory itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BreakGlass {
    /// Roles, users or groups. Root and the owner hold every role, and are no users named here.
    pub who: Who,
    /// Also what a rule or an approver has denied. Default: no.
    #[serde(default)]
    pub overrides_deny: bool,
    /// How long the plan may be gone on with. Default: 15 minutes; at most four hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
}

impl BreakGlass {
    pub fn within(&self) -> Span {
        self.within.unwrap_or(GLASS_WITHIN)
    }

    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if !self.who.keys.is_empty() {
            let what = "`keys` has no effect here: who breaks the glass is known by the socket";
            return Err(("who", what.to_owned()));
        }
        match self.who.len() {
            0 => {
                let what = "`who` names nobody; leave the table out if nobody may";
                return Err(("who", what.to_owned()));
            }
            n if n > WHO_MAX => {
                return Err(("who", format!("`who` names {n}, more than {WHO_MAX}")));
            }
            _ => {}
        }
        let within = self.within();
        if within.0.is_zero() || within > GLASS_WITHIN_MAX {
            let what = format!(
                "`within` is {within}; expected more than 0s and at most {GLASS_WITHIN_MAX}"
            );
            return Err(("within", what));
        }
        Ok(())
    }
}
