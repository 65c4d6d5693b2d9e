//! A parameter as a task sees it: what it may be, what it is, and what was tried.

use super::changes::KNOWN_MAX;
use keepwell_model::id::ParamName;
use keepwell_model::param::{Commit, Guard, Number, Param, ParamValue, Shape};
use keepwell_sandbox::{ParamSheet, Tried};

pub(super) fn sheet(
    name: &ParamName,
    param: &Param,
    current: &ParamValue,
    history: &[Commit],
) -> ParamSheet {
    let (least, most, step) = match &param.shape {
        Shape::Number {
            number,
            min,
            max,
            step,
            ..
        } => (
            Some(spelled(*number, *min)),
            Some(spelled(*number, *max)),
            step.map(|step| spelled(*number, step)),
        ),
        Shape::Boolean | Shape::Text | Shape::OneOf(_) => (None, None, None),
    };
    let values = match &param.shape {
        Shape::OneOf(values) => values.clone(),
        Shape::Number { .. } | Shape::Boolean | Shape::Text => vec![],
    };
    let own: Vec<&Commit> = history.iter().filter(|c| c.param == *name).collect();
    let newest = own.len().saturating_sub(KNOWN_MAX);
    ParamSheet {
        kind: param.shape.name().to_owned(),
        current: current.to_string(),
        least,
        most,
        step,
        values,
        unit: param.unit.clone(),
        guard: param.guard.as_ref().map(Guard::to_string),
        soak_ms: param.soak.as_millis(),
        revert_after_ms: param.revert_after.as_millis(),
        tried: own[newest..].iter().map(|c| tried(c)).collect(),
    }
}

fn spelled(number: Number, count: i64) -> String {
    number.value(count).to_string()
}

fn tried(commit: &Commit) -> Tried {
    Tried {
        at_ms: commit.armed_at_ms,
        old: commit.old.to_string(),
        new: commit.new.to_string(),
        state: commit.state.as_str().to_owned(),
    }
}
