//! The simulated `config-read` and `config-write`: the checks a proposal meets before it is in the
//! plan. Bounds are held for whole numbers, and for the values of `one-of`.

use super::outcome::Change;
use super::{Run, call, refusal};
use crate::config::Param;
use crate::task::{ActionId, Refusal};

/// Longest value and reason, from the contract.
const VALUE_MAX_BYTES: usize = 1_024;
const REASON_MAX_BYTES: usize = 256;

pub(crate) fn list_params() -> Result<Vec<String>, Refusal> {
    call("config-read", |run| {
        Ok(run.node.params.keys().cloned().collect())
    })
}

pub(crate) fn get_param(name: &str) -> Result<Param, Refusal> {
    call("config-read", |run| find(run, name).cloned())
}

pub(crate) fn propose(name: &str, value: &str, reason: &str) -> Result<ActionId, Refusal> {
    call("config-write", |run| {
        let param = find(run, name)?;
        if value.len() > VALUE_MAX_BYTES || reason.len() > REASON_MAX_BYTES {
            return Err(refusal("invalid", "the value or the reason is too long"));
        }
        admits(param, value)?;
        if param.current == value {
            return Err(refusal("invalid", "it is that already"));
        }
        let now = run.node.now;
        let last = |p: &Param| p.tried.last().map(|t| t.at + p.soak_ms);
        if run
            .node
            .params
            .values()
            .any(|p| p.tried.iter().any(crate::config::Tried::waits))
        {
            return Err(refusal("busy", "a change waits to be confirmed"));
        }
        if run
            .node
            .params
            .values()
            .filter_map(last)
            .any(|until| now < until)
        {
            return Err(refusal("busy", "within the soak of the last change"));
        }
        if !run.outcome.changes.is_empty() {
            return Err(refusal("limit", "one change in a run"));
        }
        run.outcome.changes.push(Change {
            param: name.into(),
            value: value.into(),
            reason: reason.into(),
        });
        Ok((run.outcome.proposals.len() + run.outcome.changes.len()) as u64 - 1)
    })
}

fn find<'a>(run: &'a Run, name: &str) -> Result<&'a Param, Refusal> {
    let found = run.node.params.get(name);
    found.ok_or_else(|| refusal("denied", "the parameter is not granted"))
}

fn admits(param: &Param, value: &str) -> Result<(), Refusal> {
    let number = |text: &str| text.parse::<i64>();
    match param.kind.as_str() {
        "integer" => {
            let value = number(value).map_err(|_| refusal("invalid", "not a whole number"))?;
            let bound = |text: &Option<String>| text.as_deref().and_then(|t| number(t).ok());
            let least = bound(&param.least).unwrap_or(i64::MIN);
            let most = bound(&param.most).unwrap_or(i64::MAX);
            let step = bound(&param.step).unwrap_or(1).max(1);
            if value < least || value > most || value.wrapping_sub(least) % step != 0 {
                return Err(refusal("limit", "outside the bounds, or off the step"));
            }
            Ok(())
        }
        "one-of" if !param.values.iter().any(|v| v == value) => {
            Err(refusal("limit", "none of the declared values"))
        }
        _ => Ok(()),
    }
}
