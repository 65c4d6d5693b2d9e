//! The three tasks: the same parts, told at length, as a score, in a word.

use crate::parts;
use crate::score::{Health, weigh};
use crate::thresholds::{SETTINGS, Thresholds};
use keepwell_sdk::levels::Level;
use keepwell_sdk::prelude::*;
use serde_json::Value;

const NEEDS: &[Need] = &[
    need(METRICS, "to read processor, memory, disks and pressure"),
    need(STATE, "to tell what lasts from what passes")
        .max_bytes("128KiB")
        .max_keys(1)
        .optional(),
];

/// Judges every resource; one finding for each that is not well.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct ResourceCheck(Thresholds);

/// Weighs the resources into a score from 0 to 1.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct HealthScore(Thresholds);

/// Says one word.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct QuickCheck(Thresholds);

impl Task for ResourceCheck {
    const NAME: &str = "resource-check";
    const ABOUT: &str = "Checks every resource of the node against its thresholds";
    const NEEDS: &[Need] = NEEDS;
    const SETTINGS: &[SettingHelp] = SETTINGS;

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let parts = parts::read(&self.0);
        for part in &parts {
            part.report();
            if let Some(value) = part.value {
                let name = format!("resource_{}", part.id.replace('-', "_"));
                let (value, unit) = match part.unit {
                    "files" => (value, "count"),
                    "per core" => (value, "ratio"),
                    _ => (value / 100.0, "ratio"),
                };
                labelled_metric(&name, unit, value, "subject", &part.subject);
            }
        }
        let health = weigh(&parts);
        let summary = by_word(&health, told(&parts, health.word));
        let rows: Vec<Value> = parts.iter().map(crate::judge::Part::json).collect();
        Ok(summary.with(&json!({ "parts": rows })))
    }
}

impl Task for HealthScore {
    const NAME: &str = "health-score";
    const ABOUT: &str = "Weighs the node's resources into a score from 0 to 1";
    const NEEDS: &[Need] = NEEDS;
    const SETTINGS: &[SettingHelp] = SETTINGS;

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let parts = parts::read(&self.0);
        let health = weigh(&parts);
        // No metric when nothing is known: a 0 would say the node is down.
        if let Some(score) = health.score {
            metric("health_score", "ratio", score);
        }
        metric("health_confidence", "ratio", health.confidence);
        let score = health
            .score
            .map_or("none".to_owned(), |score| format!("{score:.2}"));
        let line = format!(
            "{}: score {score}, confidence {:.2}",
            health.word, health.confidence
        );
        let rows: Vec<Value> = parts.iter().map(crate::judge::Part::json).collect();
        report_critical(&parts);
        Ok(by_word(&health, line).with(&json!({
            "state": health.word, "score": health.score, "confidence": health.confidence,
            "parts": rows,
        })))
    }
}

impl Task for QuickCheck {
    const NAME: &str = "quick-check";
    const ABOUT: &str = "Says healthy, degraded, critical or unknown";
    const NEEDS: &[Need] = NEEDS;
    const SETTINGS: &[SettingHelp] = SETTINGS;

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let parts = parts::read(&self.0);
        let health = weigh(&parts);
        report_critical(&parts);
        let bad: Vec<_> = parts
            .iter()
            .filter(|p| p.level != Level::Ok)
            .map(crate::judge::Part::told)
            .collect();
        Ok(by_word(&health, health.word.to_owned())
            .with(&json!({ "state": health.word, "score": health.score, "not-well": bad })))
    }
}

/// What is bad, then what is not known: neither stands in the way of the other.
fn told(parts: &[crate::judge::Part], word: &str) -> String {
    let bad = parts.iter().filter(|p| p.level > Level::Unknown);
    let mut told: Vec<_> = bad.map(crate::judge::Part::told).collect();
    let blind = parts.iter().filter(|p| p.level == Level::Unknown).count();
    if word == "unknown" {
        told.insert(0, format!("unknown: {blind} resources cannot be read"));
    } else if told.is_empty() {
        told.push(format!(
            "{} resources well, {blind} unknown",
            parts.len() - blind
        ));
    } else if blind > 0 {
        told.push(format!("{blind} unknown"));
    }
    told.join("; ")
}

/// The host gives a check with a critical finding its own exit code.
fn report_critical(parts: &[crate::judge::Part]) {
    for part in parts.iter().filter(|part| part.level == Level::Critical) {
        part.report();
    }
}

fn by_word(health: &Health, line: String) -> Summary {
    Summary::judged(health.word == "healthy", line)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
