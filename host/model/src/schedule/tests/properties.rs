//! What holds for every pattern, zone and time.

use super::{HOUR, MIN, schedule, seen};
use crate::schedule::{
    Act, Criticality, Entry, EntryState, Facts, HoldWhy, Pattern, Urgent, Zone, decide,
};
use crate::units::Span;
use proptest::prelude::*;
use std::time::Duration;

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Santiago",
    "Africa/Casablanca",
    "Asia/Kathmandu",
];

fn field(most: u32, least: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => (least..=most).prop_map(|n| n.to_string()),
        1 => (2u32..=most).prop_map(|n| format!("*/{n}")),
        1 => (least..=most, least..=most).prop_map(|(a, b)| format!("{},{}", a.min(b), a.max(b))),
        1 => (least..=most, least..=most).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
    ]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let cron = (
        field(59, 0),
        field(23, 0),
        field(28, 1),
        field(12, 1),
        field(6, 0),
    )
        .prop_map(|(minute, hour, day, month, weekday)| {
            format!("{minute} {hour} {day} {month} {weekday}")
        });
    let zone = prop::sample::select(&ZONES[..]).prop_map(|z| z.parse::<Zone>().unwrap());
    prop_oneof![
        8 => (cron, zone).prop_map(|(text, zone)| Pattern::cron(&text, zone).unwrap()),
        1 => (1_000u64..400_000_000, 0u64..2_000_000_000_000).prop_map(|(ms, anchor)| {
            Pattern::every(Span(Duration::from_millis(ms)), Some(anchor), Zone::UTC).unwrap()
        }),
    ]
}

/// 2010 to 2030, often close to an edge: the last days of March, October and December.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        1_262_304_000_000u64..1_893_456_000_000,
        (1_325_030_400_000u64..1_325_376_000_000),
        (1_774_396_800_000u64..1_774_915_200_000),
        (1_761_177_600_000u64..1_762_214_400_000),
        (1_775_088_000_000u64..1_775_433_600_000),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn next_is_later_last_is_not_and_each_finds_the_other(pattern in pattern(), t in time()) {
        let next = pattern.next_after(t).unwrap();
        prop_assert!(next > t);
        prop_assert_eq!(pattern.last_at_or_before(next).unwrap(), Some(next));
        let before = pattern.last_at_or_before(next - 1).unwrap();
        prop_assert_eq!(pattern.last_at_or_before(t).unwrap(), before, "no slot lies between");
        if let Some(last) = before {
            prop_assert!(last <= t);
            prop_assert_eq!(pattern.next_after(last).unwrap(), next);
            prop_assert_eq!(pattern.next_after(last - 1).unwrap(), last);
        }
    }

    #[test]
    fn counting_agrees_with_visiting(pattern in pattern(), t in time(), minutes in 0u64..6_000) {
        let upto = t + minutes * MIN;
        let mut visited = 0;
        let mut slot = pattern.next_after(t).unwrap();
        while slot <= upto {
            visited += 1;
            slot = pattern.next_after(slot).unwrap();
        }
        let counted = pattern.count(t, upto).unwrap();
        prop_assert!(counted.exact);
        prop_assert_eq!(counted.slots, visited, "{}", pattern);
    }

    /// The slow oracle: every minute of a stretch, by the wall clock alone.
    #[test]
    fn a_wildcard_slot_is_a_minute_whose_wall_clock_matches(
        minute in 2u32..30,
        zone in prop::sample::select(&ZONES[..]),
        t in time(),
    ) {
        let zone: Zone = zone.parse().unwrap();
        let pattern = Pattern::cron(&format!("*/{minute} * * * *"), zone).unwrap();
        let start = t - t % MIN;
        let next = pattern.next_after(start).unwrap();
        let oracle = (1..).map(|n| start + n * MIN).find(|at| {
            let shown = zone.show(*at).unwrap();
            shown[14..16].parse::<u32>().unwrap().is_multiple_of(minute)
        });
        prop_assert_eq!(Some(next), oracle);
    }

    /// Nobody who waits for a place is more critical than one who got it, or as critical and due for
    /// longer; and every place is used.
    #[test]
    fn places_go_to_the_most_critical_and_then_to_who_is_due_longest(
        due in prop::collection::vec((0usize..4, prop::option::of(0usize..4), 1u64..9), 1..12),
        free in 0usize..6,
    ) {
        let word = |n: usize| Criticality::ALL[n];
        let schedules: Vec<_> = due
            .iter()
            .map(|(own, _, hours)| {
                schedule(&format!(
                    r#"{{"every":"{}s","catch-up":"12h","criticality":"{}"}}"#,
                    hours * 3_600,
                    word(*own)
                ))
            })
            .collect();
        let now = 150 * 2_520 * HOUR + 7 * HOUR;
        let states: Vec<_> = due
            .iter()
            .zip(&schedules)
            .map(|((_, said, _), schedule)| {
                let slot = schedule.pattern.last_at_or_before(now).unwrap().unwrap();
                let urgent = said.map(|n| Urgent { slot, criticality: word(n) });
                EntryState { urgent, ..seen(slot - 1) }
            })
            .collect();
        let entries: Vec<_> = schedules
            .iter()
            .zip(&states)
            .map(|(schedule, state)| Entry { key: "k", schedule, state, p90_ms: None, asleep_until: 0 })
            .collect();
        let busy = std::collections::BTreeMap::new();
        let facts = Facts { now, node: "n", free, busy: &busy, pressed: None };
        let outlook = decide(&facts, &entries);
        let rank = |entry: usize, slot: u64| (entries[entry].criticality(slot), std::cmp::Reverse(slot));
        let (mut started, mut held) = (vec![], vec![]);
        for decision in &outlook.decisions {
            match &decision.act {
                Act::Start { slot, .. } => started.push(rank(decision.entry, *slot)),
                Act::Hold { slot, why: HoldWhy::Full, .. } => held.push(rank(decision.entry, *slot)),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(started.len(), free.min(due.len()));
        prop_assert!(started.is_sorted_by(|a, b| a >= b));
        if let (Some(last), Some(first)) = (started.last(), held.iter().max()) {
            prop_assert!(last >= first);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ -~]{0,40}", fields in prop::collection::vec("[0-9*,/LW#a-z-]{1,6}", 5)) {
        let _ = Pattern::cron(&text, Zone::UTC);
        let _ = Pattern::cron(&fields.join(" "), Zone::UTC);
    }
}
