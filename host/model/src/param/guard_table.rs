//! `guard = { … }` of a parameter as the operator writes it, and the checked guard it becomes.

use super::guard::{Bound, GUARD_EVERY_DEFAULT, GUARD_EVERY_FLOOR, Guard, Silent};
use super::literal::{Decimal, Literal};
use crate::grant::Denial;
use crate::id::TaskName;
use crate::measure::{LABEL_MAX_BYTES, LABELS_MAX, SERIES_WORD_MAX_BYTES};
use crate::units::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `guard = { metric = "NAME", most = 0.8, for = "2m" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GuardTable {
    pub metric: String,
    /// The task that reports the metric; without it, it is one that the host measures itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Labels that a series of the task must have. Of several that fit each must hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The metric must not exceed this. Exactly one of `most` and `least`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<Literal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<Literal>,
    /// How long without a pause makes a breach. Default: one measurement is enough.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<Span>,
    /// How often it is measured; what is not measured for so long has gone silent. Needed with
    /// `task`, else two minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// What it means that it has gone silent: `breach` (the default) takes the change back,
    /// `unknown` leaves it to the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<Silent>,
}

impl GuardTable {
    pub(super) fn resolve(
        &self,
        no: &dyn Fn(&str, String) -> Denial,
        revert_after: Span,
    ) -> Result<Guard, Denial> {
        let decimal = |key: &str, l: &Literal| {
            l.0.parse::<Decimal>()
                .map_err(|e| no(&format!("guard.{key}"), e.to_string()))
        };
        let bound = match (&self.most, &self.least) {
            (Some(most), None) => Bound::Most(decimal("most", most)?),
            (None, Some(least)) => Bound::Least(decimal("least", least)?),
            (Some(_), Some(_)) | (None, None) => {
                return Err(
                    no("guard", "expected exactly one of `most` and `least`".into()).hint(
                        "for example `guard = { metric = \"NAME\", most = 0.8, for = \"2m\" }`",
                    ),
                );
            }
        };
        if self.metric.is_empty() || self.metric.len() > SERIES_WORD_MAX_BYTES {
            let why = format!("expected 1 to {SERIES_WORD_MAX_BYTES} bytes");
            return Err(no("guard.metric", why));
        }
        let lasting = self.lasting.unwrap_or(Span::secs(0));
        if lasting >= revert_after {
            return Err(no(
                "guard.for",
                format!("`for` is {lasting}, and the change reverts after {revert_after} anyway"),
            )
            .hint("make `for` shorter than `revert-after`"));
        }
        let task = match &self.task {
            Some(name) => {
                let task = TaskName::new(name.as_str());
                Some(task.map_err(|e| no("guard.task", e.to_string()))?)
            }
            None => None,
        };
        Ok(Guard {
            metric: self.metric.clone(),
            labels: self.labels(no, task.is_some())?,
            every: self.every(no, task.is_some(), revert_after)?,
            task,
            bound,
            lasting,
            silent: self.silent.unwrap_or_default(),
        })
    }

    fn labels(
        &self,
        no: &dyn Fn(&str, String) -> Denial,
        of_task: bool,
    ) -> Result<BTreeMap<String, String>, Denial> {
        if !of_task && !self.labels.is_empty() {
            return Err(no(
                "guard.labels",
                "`labels` belong to a metric of a task".into(),
            )
            .hint("name the task that reports it: `task = \"disk-check\"`"));
        }
        let long = |text: &String| text.len() > LABEL_MAX_BYTES;
        if self.labels.len() > LABELS_MAX || self.labels.iter().any(|(k, v)| long(k) || long(v)) {
            return Err(no(
                "guard.labels",
                format!("expected at most {LABELS_MAX} labels of at most {LABEL_MAX_BYTES} bytes"),
            ));
        }
        Ok(self.labels.clone())
    }

    fn every(
        &self,
        no: &dyn Fn(&str, String) -> Denial,
        of_task: bool,
        revert_after: Span,
    ) -> Result<Span, Denial> {
        let Some(every) = self.every else {
            if of_task {
                let why = "how often the task measures it is not given";
                return Err(no("guard.every", why.into()).hint(
                    "for example `every = \"10m\"`, a little more than the task's own interval: \
                     what is not measured for so long has gone silent",
                ));
            }
            return Ok(GUARD_EVERY_DEFAULT);
        };
        if every < GUARD_EVERY_FLOOR {
            return Err(no(
                "guard.every",
                format!("`every` is {every}, and at least {GUARD_EVERY_FLOOR}"),
            ));
        }
        if every >= revert_after {
            return Err(no(
                "guard.every",
                format!(
                    "`every` is {every}, and the change reverts after {revert_after}, perhaps before \
                     anything was measured"
                ),
            )
            .hint("make `revert-after` longer than `every`"));
        }
        Ok(every)
    }
}
