//! One resource: its value, its level, how much it weighs.

use keepwell_sdk::levels::{Averages, Level, Range};
use keepwell_sdk::prelude::*;
use serde_json::Value;

/// A judged resource. Without a value its level is unknown, never ok.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// What kind: `cpu`, `disk`.
    pub(crate) id: &'static str,
    /// Which one: `/var`, or the id itself where there is only one.
    pub(crate) subject: String,
    pub(crate) value: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) level: Level,
    /// A node whose essential part is unknown is itself unknown.
    pub(crate) essential: bool,
    /// Share in the score, among its equals.
    pub(crate) weight: f64,
    /// Why there is no value, or why its level is not that of the value.
    pub(crate) note: String,
    /// Nothing but this moment is known of it.
    pub(crate) momentary: bool,
}

impl Part {
    pub(crate) fn new(id: &'static str, unit: &'static str, weight: f64) -> Self {
        Self {
            id,
            subject: id.into(),
            value: None,
            unit,
            level: Level::Unknown,
            essential: false,
            weight,
            note: String::new(),
            momentary: false,
        }
    }

    pub(crate) fn of(mut self, subject: &str) -> Self {
        self.subject = subject.into();
        self
    }

    pub(crate) fn essential(mut self) -> Self {
        self.essential = true;
        self
    }

    pub(crate) fn unknown(mut self, why: &str) -> Self {
        self.note = why.into();
        self
    }

    pub(crate) fn now(mut self, value: f64, warn: &Range, crit: &Range) -> Self {
        self.value = Some(value);
        self.level = Level::of(value, warn, crit);
        self.momentary = true;
        self
    }

    /// Is told as this level, by what was read before. What cannot be read stays unknown.
    pub(crate) fn hold(&mut self, told: Level) {
        if self.level == Level::Unknown || self.level == told {
            return;
        }
        self.note = format!("this run {}", self.level.word());
        self.level = told;
    }

    /// Known over several times; `clear` in percent of the bound.
    pub(crate) fn over(
        mut self,
        averages: Averages,
        clear: f64,
        warn: &Range,
        crit: &Range,
    ) -> Self {
        self.value = Some(averages.short);
        self.level = averages.level(clear / 100.0, warn, crit);
        self
    }

    /// 1 when well, 0.5 at a warning, 0 when critical; nothing when unknown.
    pub(crate) fn score(&self) -> Option<f64> {
        match self.level {
            Level::Ok => Some(1.0),
            Level::Warning => Some(0.5),
            Level::Critical => Some(0.0),
            Level::Unknown => None,
        }
    }

    /// `disk /var: 91 percent, warning`.
    pub(crate) fn told(&self) -> String {
        let name = match self.subject.as_str() {
            subject if subject == self.id => self.id.to_owned(),
            subject => format!("{} {subject}", self.id),
        };
        match self.value {
            Some(value) if self.note.is_empty() => {
                format!("{name}: {value:.1} {}, {}", self.unit, self.level.word())
            }
            Some(value) => format!(
                "{name}: {value:.1} {}, {} ({})",
                self.unit,
                self.level.word(),
                self.note
            ),
            None => format!("{name}: unknown, {}", self.note),
        }
    }

    pub(crate) fn report(&self) {
        let Some(severity) = self.level.severity() else {
            return;
        };
        let found = finding(
            severity,
            &format!("resource-{}", self.id),
            &self.subject,
            self.told(),
        );
        match self.value {
            Some(value) => found.fact("value", value).fact("unit", self.unit).report(),
            None => found.report(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "part": self.id, "subject": self.subject, "value": self.value, "unit": self.unit,
            "level": self.level.word(), "weight": self.weight, "score": self.score(),
            "note": self.note })
    }
}
