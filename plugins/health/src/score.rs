//! From parts to one score, one confidence, one word. Pure.

use crate::judge::Part;
use keepwell_sdk::levels::Level;
use std::collections::BTreeMap;

/// Below this the runbook's alert `SystemHealthDegraded` fires.
const DEGRADED_BELOW: f64 = 0.8;
/// With less than this share of the weight known, nobody can call a node healthy.
const CONFIDENT_FROM: f64 = 0.5;

/// What the parts come to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    /// 0 to 1 over what is known; `None` when nothing is.
    pub(crate) score: Option<f64>,
    /// Share of the weight that is known, 0 to 1.
    pub(crate) confidence: f64,
    /// `healthy`, `degraded`, `critical` or `unknown`.
    pub(crate) word: &'static str,
}

pub(crate) fn weigh(parts: &[Part]) -> Health {
    // Of several of one kind (mounts) the worst counts, once: ten good disks do not hide a full
    // one, and a node with many disks is not judged by its disks alone.
    let mut worst: BTreeMap<(&str, &str), &Part> = BTreeMap::new();
    for part in parts {
        let key = (
            part.id,
            if part.id == "pressure" {
                part.subject.as_str()
            } else {
                ""
            },
        );
        let kept = worst.entry(key).or_insert(part);
        if part.level > kept.level {
            *kept = part;
        }
    }
    let all: f64 = worst.values().map(|p| p.weight).sum();
    let known: f64 = worst
        .values()
        .filter(|p| p.score().is_some())
        .map(|p| p.weight)
        .sum();
    let sum: f64 = worst
        .values()
        .filter_map(|p| Some(p.weight * p.score()?))
        .sum();
    let score = (known > 0.0).then(|| sum / known);
    let confidence = if all > 0.0 { known / all } else { 0.0 };

    let any = |level| parts.iter().any(|p| p.level == level);
    let blind = parts
        .iter()
        .any(|p| p.essential && p.level == Level::Unknown);
    let word = if any(Level::Critical) {
        "critical"
    } else if blind || confidence < CONFIDENT_FROM {
        "unknown"
    } else if any(Level::Warning) || score.is_none_or(|score| score < DEGRADED_BELOW) {
        "degraded"
    } else {
        "healthy"
    };
    Health {
        score,
        confidence,
        word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(id: &'static str, level: Level) -> Part {
        let mut part = Part::new(id, "percent", 1.0);
        part.level = level;
        part
    }

    #[test]
    fn nothing_known_is_unknown() {
        let nothing = Health {
            score: None,
            confidence: 0.0,
            word: "unknown",
        };
        assert_eq!(weigh(&[]), nothing);
        assert_eq!(weigh(&[part("cpu", Level::Unknown)]), nothing);
    }

    #[test]
    fn an_essential_blind_spot_is_never_healthy() {
        let mut parts = vec![
            part("a", Level::Ok),
            part("b", Level::Ok),
            part("c", Level::Ok),
        ];
        assert_eq!(weigh(&parts).word, "healthy");
        parts.push(part("cpu", Level::Unknown).essential());
        let health = weigh(&parts);
        assert_eq!((health.word, health.confidence), ("unknown", 0.75));
        parts.push(part("disk", Level::Critical));
        assert_eq!(
            weigh(&parts).word,
            "critical",
            "a known problem outranks the unknown"
        );
    }

    #[test]
    fn the_worst_of_a_kind_counts_once() {
        let mut parts = vec![part("cpu", Level::Ok)];
        parts.extend((0..9).map(|_| part("disk", Level::Ok)));
        parts.push(part("disk", Level::Warning));
        let health = weigh(&parts);
        assert_eq!((health.score, health.word), (Some(0.75), "degraded"));
    }
}
