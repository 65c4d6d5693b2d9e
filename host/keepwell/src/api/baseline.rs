//! Baselines: how a series was when all was well, made by a person and never by itself.

use super::request::{Answer, MakeBaseline};
use crate::clock::readable;
use crate::error::{Error, Result};
use crate::node::Node;
use keepwell_journal::measurements::{BaselineRequest, Proposed};

pub(super) fn baseline(node: &Node, name: &str, make: Option<MakeBaseline>) -> Result<Answer> {
    let measurements = node.measurements()?;
    let Some(make) = make else {
        return if measurements.forget_baseline(name)? {
            Ok(Answer::Said(format!("baseline `{name}` is forgotten")))
        } else {
            Err(Error::usage(format!("there is no baseline `{name}`")))
        };
    };
    let request = BaselineRequest {
        name: name.to_owned(),
        series: make.series,
        from_ms: make.from_ms,
        to_ms: make.to_ms,
        worse: make.worse,
        noise_floor: make.noise_floor,
        actor: node.actor.clone(),
    };
    match measurements.make_baseline(&request, node.clock.now_ms())? {
        Proposed::Made(made) => Ok(Answer::Said(format!(
            "baseline `{name}` version {} is made of {} points, {} to {}",
            made.version,
            made.samples.len(),
            readable(made.from_ms),
            readable(made.to_ms)
        ))),
        Proposed::NotEnough(why) => Err(Error::failed(format!(
            "there is not enough to make a baseline of: {why}"
        ))),
        Proposed::NotClean { task, id, subject } => Err(Error::denied(format!(
            "something was wrong then: `{task}` had found {id} of {subject}"
        ))
        .hint("choose a window in which all was well")),
        Proposed::Degraded(_) => Err(Error::denied(format!(
            "that is worse than the baseline `{name}` before it"
        ))
        .hint("a new normal that is meant gets a new name")),
        Proposed::Crowded => Err(Error::failed("there are as many baselines as are kept")
            .hint("`keepwell baseline forget NAME` makes room")),
        Proposed::Taken => Err(Error::usage(format!(
            "the baseline `{name}` is of another series"
        ))),
    }
}
