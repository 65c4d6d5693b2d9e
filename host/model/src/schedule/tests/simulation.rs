//! Whole days on a simulated clock: no slot is lost, none runs twice.

use super::{DAY, HOUR, MIN, at, schedule, windowed};
use crate::schedule::{Act, Entry, EntryState, Facts, Schedule, decide};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A daemon in small: decides, carries out, sleeps. Runs end `run_ms` after they began.
struct Node {
    schedules: Vec<(String, Schedule)>,
    states: Vec<EntryState>,
    asleep: Vec<u64>,
    run_ms: u64,
    /// How each slot ended; a second end is the failure these tests look for.
    ends: BTreeMap<(usize, u64), &'static str>,
    /// Slots told as a range, by entry: how many.
    told: Vec<u64>,
    wakes: u64,
}

impl Node {
    fn new(schedules: Vec<(String, Schedule)>, now: u64, run_ms: u64) -> Self {
        let n = schedules.len();
        Self {
            schedules,
            states: vec![EntryState::created(now); n],
            asleep: vec![0; n],
            run_ms,
            ends: BTreeMap::new(),
            told: vec![0; n],
            wakes: 0,
        }
    }

    /// One look at `now`; when to look again.
    fn tick(&mut self, now: u64) -> u64 {
        self.wakes += 1;
        let mut next_end = u64::MAX;
        for (n, state) in self.states.iter_mut().enumerate() {
            if let Some(running) = state.running {
                if now >= running.since + self.run_ms || now < running.since || running.cancelling {
                    *state = state.ended(false, None);
                    self.asleep[n] = 0;
                } else {
                    next_end = next_end.min(running.since + self.run_ms);
                }
            }
        }
        let entries: Vec<Entry<'_>> = (0..self.schedules.len())
            .map(|n| Entry {
                key: &self.schedules[n].0,
                schedule: &self.schedules[n].1,
                state: &self.states[n],
                p90_ms: None,
                asleep_until: self.asleep[n],
            })
            .collect();
        let busy = BTreeMap::new();
        let facts = Facts {
            now,
            node: "node-7",
            free: usize::MAX,
            busy: &busy,
            pressed: None,
        };
        let outlook = decide(&facts, &entries);
        drop(entries);
        self.asleep = outlook.wakes;
        for decision in outlook.decisions {
            let n = decision.entry;
            match &decision.act {
                Act::Start { slot, window, .. } => {
                    if let Some(w) = window {
                        assert!(
                            (w.opens..w.cutoff).contains(&now),
                            "{slot} starts outside {w:?}"
                        );
                    }
                    self.end(n, *slot, "started");
                    next_end = next_end.min(now + self.run_ms);
                }
                Act::Miss { slots, .. } => {
                    self.end(n, slots.to, "missed");
                    self.told[n] += slots.count - 1;
                }
                Act::Skip { slots, .. } => {
                    self.end(n, slots.to, "skipped");
                    self.told[n] += slots.count - 1;
                }
                Act::Fault { why } => panic!("{why}"),
                Act::Hold { .. }
                | Act::Buffer { .. }
                | Act::CancelOther { .. }
                | Act::NoRetry { .. } => {}
            }
            self.states[n] = self.states[n].after(&decision.act, now);
        }
        let holders = self
            .states
            .iter()
            .zip(&self.schedules)
            .filter_map(|(state, (_, s))| {
                state.running?;
                s.group.clone()
            });
        let holders: Vec<_> = holders.collect();
        assert!(
            holders.len() <= 1,
            "the simulated schedules have one group: {holders:?}"
        );
        outlook.wake.min(next_end)
    }

    fn end(&mut self, entry: usize, slot: u64, how: &'static str) {
        let before = self.ends.insert((entry, slot), how);
        assert_eq!(
            before, None,
            "slot {slot} of {entry} ends a second time, {how}"
        );
    }

    fn run(&mut self, from: u64, to: u64) {
        let mut now = from;
        while now <= to {
            now = self.tick(now);
        }
    }

    /// Slots that came to an end, one by one or in a range.
    fn ended(&self, entry: usize) -> u64 {
        let alone = self.ends.keys().filter(|(n, _)| *n == entry).count() as u64;
        alone + self.told[entry]
    }
}

#[test]
fn ten_thousand_slots_of_a_day_none_lost_none_doubled() {
    let begun = std::time::Instant::now();
    let from = at("2026-10-25T00:00:00Z");
    let mut schedules = vec![];
    for n in 0..60 {
        let (a, b) = (n % 60, (n * 7) % 60);
        schedules.push((
            format!("q{n}"),
            schedule(&format!(
                r#"{{"cron":"{a} * * * *","zone":"Europe/Berlin"}}"#
            )),
        ));
        schedules.push((
            format!("e{n}"),
            schedule(&format!(
                r#"{{"every":"15m","from":"2026-01-01T00:{b:02}:30Z","jitter":"5m"}}"#
            )),
        ));
        schedules.push((
            format!("s{n}"),
            schedule(&format!(
                r#"{{"cron":"*/30 * * * *","zone":"Australia/Lord_Howe","jitter":"{n}s"}}"#
            )),
        ));
    }
    let mut expected = 0;
    let mut node = Node::new(schedules, from, 20_000);
    node.run(from, from + DAY);
    for (n, (key, schedule)) in node.schedules.iter().enumerate() {
        let offset = schedule.offset_ms("node-7", key);
        let due = schedule.pattern.count(from, from + DAY - offset).unwrap();
        assert_eq!(node.ended(n), due.slots, "{key}");
        expected += due.slots;
    }
    assert!(expected >= 10_000, "{expected}");
    assert!(node.ends.values().all(|how| *how == "started"));
    assert!(
        begun.elapsed().as_secs() < 30,
        "{:?} for {} wakes",
        begun.elapsed(),
        node.wakes
    );
}

#[test]
fn every_start_is_a_slot_of_its_pattern_across_an_edge() {
    let from = at("2026-03-28T12:00:00Z");
    let schedules: Vec<_> = ["30 2 * * *", "*/10 * * * *", "0 3 * * *", "15 1-4 * * *"]
        .iter()
        .map(|text| {
            let json =
                format!(r#"{{"cron":"{text}","zone":"Europe/Berlin","overlap":"buffer-one"}}"#);
            ((*text).to_owned(), schedule(&json))
        })
        .collect();
    let mut node = Node::new(schedules, from, 5 * MIN);
    node.run(from, from + DAY);
    for (n, slot) in node.ends.keys() {
        let pattern = &node.schedules[*n].1.pattern;
        assert_eq!(pattern.last_at_or_before(*slot).unwrap(), Some(*slot));
    }
    let of = |entry: usize| node.ends.keys().filter(|(n, _)| *n == entry).count();
    assert_eq!((of(0), of(1), of(2), of(3)), (1, 144, 1, 4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the clock does, whatever ends when, whatever people do: every slot up to the newest
    /// one seen has exactly one end, or waits.
    #[test]
    fn steps_sleeps_and_overlaps_never_double(
        moves in prop::collection::vec(
            (-2 * 3_600_000i64..=2 * 3_600_000, 0u64..5, 0u8..6, 0usize..3), 1..60),
        suspend in 0u64..3 * DAY,
        run_ms in 0u64..2 * HOUR,
        overlap in prop::sample::select(&["skip", "buffer-one", "cancel-other"][..]),
    ) {
        let from = at("2026-03-28T00:00:00Z");
        let of = |cron: &str, more: &str, window: &str| {
            let json = format!(
                r#"{{"cron":"{cron}","zone":"America/New_York","overlap":"{overlap}","jitter":"3m"{more}}}"#);
            (cron.to_owned(), windowed(&json, window))
        };
        let grouped = r#","group":"disk","catch-up":"6h""#;
        let schedules = vec![
            of("*/7 * * * *", "", r#"{"duration":"5m","cutoff":"1m"}"#),
            of("30 2 * * *", grouped, r#"{"start":"01:00","duration":"4h","cutoff":"1h"}"#),
            of("0 * * * *", grouped, r#"{"duration":"3h"}"#),
        ];
        let mut node = Node::new(schedules, from, run_ms);
        let mut now = from + suspend;
        for (step, ticks, deed, entry) in moves {
            now = now.saturating_add_signed(step);
            node.asleep.fill(0);
            let state = &mut node.states[entry];
            match deed {
                0 => state.paused = Some("a person".into()),
                1 => state.skip_next = true,
                2 => state.aside_until = Some(now + HOUR),
                _ => state.paused = None,
            }
            for _ in 0..=ticks {
                now = node.tick(now);
            }
        }
        for (n, state) in node.states.iter().enumerate() {
            let pattern = &node.schedules[n].1.pattern;
            let seen = pattern.count(from, state.seen_to()).unwrap();
            let waits = u64::from(state.buffered.is_some());
            prop_assert_eq!(node.ended(n) + waits, seen.slots, "{}", pattern);
        }
    }
}

/// What a minute of an idle node costs: each schedule is looked at a few times at most.
#[test]
fn a_thousand_idle_schedules_cost_next_to_nothing() {
    let from = at("2026-11-24T00:30:00Z");
    let schedules = (0..1_000)
        .map(|n| {
            (
                format!("t{n}"),
                schedule(&format!(r#"{{"cron":"0 {} * * 1","jitter":"1h"}}"#, n % 24)),
            )
        })
        .collect();
    let mut node = Node::new(schedules, from, MIN);
    node.tick(from);
    let begun = std::time::Instant::now();
    node.run(from, from + HOUR);
    assert!(node.wakes < 70, "{}", node.wakes);
    // 0.2 % of an hour would be 7.2 s; the decision is to take a small part of that.
    assert!(begun.elapsed().as_millis() < 1_000, "{:?}", begun.elapsed());
}
