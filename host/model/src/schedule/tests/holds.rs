//! What holds a start up, or makes it impossible: groups, places, pressure, windows, waits.

use super::decisions::{NOON, look, one, start};
use super::{HOUR, MIN, at, schedule, seen, windowed};
use crate::schedule::{
    Act, Again, Criticality, Decision, Entry, EntryState, Extension, Facts, HoldWhy, MissWhy,
    Outlook, Pressed, SkipWhy, Slots, TooLate, Urgent, decide,
};
use std::collections::BTreeMap;

#[test]
fn groups_places_and_pressure_hold_in_order_of_criticality() {
    let now = at(NOON);
    let of = |more: &str| schedule(&format!(r#"{{"cron":"0 * * * *"{more}}}"#));
    let (low, high) = (
        of(r#","group":"disk","criticality":"low""#),
        of(r#","group":"disk","criticality":"high""#),
    );
    let critical = of(r#","criticality":"critical""#);
    let plain = of("");
    let state = seen(now - 1);
    let entries = [
        ("a", &low, &state),
        ("b", &high, &state),
        ("c", &plain, &state),
        ("d", &critical, &state),
    ];
    let outlook = look(now, &entries, 2, None);
    let started: Vec<usize> = starts(&outlook);
    assert_eq!(started, [3, 1]);
    let held: Vec<_> = outlook.decisions[2..].iter().map(|d| &d.act).collect();
    assert!(matches!(
        held[0],
        Act::Hold {
            why: HoldWhy::Full,
            ..
        }
    ));
    assert!(matches!(held[1], Act::Hold { why: HoldWhy::Group { by, .. }, .. } if by == "b"));
    let pressed = Pressed {
        what: "load".into(),
        value: "400%".into(),
        limit: "300%".into(),
    };
    let outlook = look(now, &entries, 8, Some(&pressed));
    assert_eq!(starts(&outlook), [3], "only the critical one starts");
    assert_eq!(outlook.wake, now + 30_000);
}

#[test]
fn what_a_person_says_of_one_slot_goes_before_its_schedule_and_for_that_slot_alone() {
    let now = at(NOON);
    let of = |more: &str| schedule(&format!(r#"{{"cron":"0 * * * *"{more}}}"#));
    let (low, high) = (
        of(r#","criticality":"low""#),
        of(r#","criticality":"high""#),
    );
    let state = seen(now - 1);
    let raised = |slot, criticality| EntryState {
        urgent: Some(Urgent { slot, criticality }),
        ..state.clone()
    };
    let first = |state: &EntryState| {
        starts(&look(
            now,
            &[("a", &low, state), ("b", &high, &seen(now - 1))],
            1,
            None,
        ))
    };
    assert_eq!(first(&state), [1]);
    assert_eq!(first(&raised(now, Criticality::Critical)), [0]);
    assert_eq!(first(&raised(now - HOUR, Criticality::Critical)), [1]);
    let pressed = Pressed {
        what: "load".into(),
        value: "400%".into(),
        limit: "300%".into(),
    };
    let raised = raised(now, Criticality::Critical);
    let outlook = look(now, &[("a", &low, &raised)], 1, Some(&pressed));
    assert_eq!(starts(&outlook), [0]);
}

#[test]
fn a_slot_that_found_no_room_is_told_with_what_held_it() {
    let now = at(NOON);
    let hourly = schedule(r#"{"cron":"0 * * * *"}"#);
    let pressed = Pressed {
        what: "waiting for disks".into(),
        value: "75%".into(),
        limit: "60%".into(),
    };
    let first = look(now, &[("a", &hourly, &seen(now - 1))], 1, Some(&pressed));
    let held = seen(now - 1).after(&first.decisions[0].act, now);
    // Three hours later it was never looked at again, and a newer slot finds room.
    let later = now + 3 * HOUR;
    let acts = one(later, &hourly, &held);
    let Act::Skip { slots, why } = &acts[0] else {
        panic!("{acts:?}");
    };
    assert_eq!(*slots, Slots::one(now));
    assert_eq!(
        why.to_string(),
        "the machine is busy: waiting for disks is at 75%, the limit is 60%, until a newer slot was due"
    );
    let between = Slots {
        from: now + HOUR,
        to: now + 2 * HOUR,
        count: 2,
        exact: true,
    };
    let why = MissWhy::Superseded;
    let slots = between;
    assert_eq!(acts[1], Act::Miss { slots, why });
    assert!(matches!(acts[2], Act::Start { slot, .. } if slot == later));
    // Too late for catch-up, with no newer one.
    let acts = one(now + 45 * MIN, &hourly, &held);
    assert!(
        matches!(
            &acts[0],
            Act::Skip {
                why: SkipWhy::Held {
                    end: TooLate::TooOld,
                    ..
                },
                ..
            }
        ),
        "{acts:?}"
    );
    let after = acts
        .iter()
        .fold(held, |state, act| state.after(act, now + 45 * MIN));
    assert_eq!((after.held, after.handled), (None, Some(now)));
}

fn starts(outlook: &Outlook) -> Vec<usize> {
    let started = outlook
        .decisions
        .iter()
        .filter(|d| matches!(d.act, Act::Start { .. }));
    started.map(|d: &Decision| d.entry).collect()
}

#[test]
fn a_run_outside_its_window_is_held_missed_or_given_up() {
    let now = at("2026-11-24T02:00:00Z");
    let nightly = windowed(
        r#"{"cron":"0 2 * * *","catch-up":"12h"}"#,
        r#"{"duration":"30m","cutoff":"5m"}"#,
    );
    let mut state = seen(now - 1);
    let acts = one(now + 25 * MIN, &nightly, &state);
    assert_eq!(
        acts,
        [Act::Miss {
            slots: Slots::one(now),
            why: MissWhy::WindowClosed
        }]
    );
    state.extended = Some(Extension {
        opens: now,
        by_ms: 10 * MIN,
    });
    assert!(matches!(
        one(now + 25 * MIN, &nightly, &state)[..],
        [Act::Start { .. }]
    ));
    let again = Some(Again {
        slot: now,
        attempt: 2,
        not_before: now + 26 * MIN,
    });
    let failed = EntryState {
        handled: Some(now),
        again,
        ..seen(now - 1)
    };
    assert_eq!(one(now + 25 * MIN, &nightly, &failed), []);
    assert_eq!(
        one(now + 26 * MIN, &nightly, &failed),
        [Act::NoRetry {
            slot: now,
            attempt: 2
        }]
    );
    // A window that opens long after the slot: waiting for it is not being late.
    let evening = windowed(
        r#"{"cron":"0 2 * * *","catch-up":"1h"}"#,
        r#"{"start":"22:00","duration":"2h"}"#,
    );
    let opens = now + 20 * HOUR;
    let held = Act::Hold {
        slot: now,
        why: HoldWhy::WindowNotOpen,
        until: Some(opens),
    };
    assert_eq!(one(now + 10 * HOUR, &evening, &seen(now - 1)), [held]);
    assert!(
        matches!(one(opens, &evening, &seen(now - 1))[..], [Act::Start { slot, .. }] if slot == now)
    );
}

#[test]
fn what_usually_takes_too_long_is_skipped_with_both_figures() {
    let now = at("2026-11-24T02:00:00Z");
    let nightly = windowed(r#"{"cron":"0 2 * * *"}"#, r#"{"duration":"30m"}"#);
    let state = seen(now - 1);
    let entry = Entry {
        key: "t",
        schedule: &nightly,
        state: &state,
        p90_ms: Some(HOUR),
        asleep_until: 0,
    };
    let busy = BTreeMap::new();
    let facts = Facts {
        now,
        node: "n",
        free: 1,
        busy: &busy,
        pressed: None,
    };
    let why = SkipWhy::TooLong {
        p90_ms: HOUR,
        left_ms: 30 * MIN,
    };
    let act = Act::Skip {
        slots: Slots::one(now),
        why,
    };
    assert_eq!(
        decide(&facts, &[entry]).decisions,
        [Decision { entry: 0, act }]
    );
}

#[test]
fn a_repetition_starts_when_its_wait_is_over_unless_a_newer_slot_came() {
    let hourly = schedule(r#"{"cron":"0 * * * *"}"#);
    let now = at(NOON);
    let again = Some(Again {
        slot: now,
        attempt: 2,
        not_before: now + 5 * MIN,
    });
    let state = EntryState {
        handled: Some(now),
        again,
        ..seen(now - 1)
    };
    assert_eq!(one(now + 4 * MIN, &hourly, &state), []);
    assert!(
        matches!(one(now + 5 * MIN, &hourly, &state)[..], [Act::Start { attempt: 2, slot, .. }] if slot == now)
    );
    assert_eq!(one(now + HOUR, &hourly, &state), [start(now + HOUR, 0)]);
}

#[test]
fn jitter_is_a_node_s_own_and_stays() {
    let spread = schedule(r#"{"cron":"0 2 * * *","jitter":"30m"}"#);
    let offsets: Vec<u64> = (0..200)
        .map(|n| spread.offset_ms(&format!("node-{n}"), "t"))
        .collect();
    assert!(offsets.iter().all(|o| *o <= 30 * MIN));
    assert!(offsets.iter().any(|o| *o < 5 * MIN) && offsets.iter().any(|o| *o > 25 * MIN));
    let offset = spread.offset_ms("node-7", "t");
    let slot = at("2026-11-24T02:00:00Z");
    assert_eq!(one(slot + offset - 1, &spread, &seen(slot - 1)), []);
    assert_eq!(
        one(slot + offset, &spread, &seen(slot - 1)),
        [start(slot, 0)]
    );
}

#[test]
fn a_schedule_that_cannot_be_searched_holds_up_no_other() {
    let hourly = schedule(r#"{"cron":"0 * * * *"}"#);
    let every = schedule(r#"{"every":"1h"}"#);
    let late = at("4000-06-01T00:00:00Z");
    let state = seen(late - 1);
    let outlook = look(
        late,
        &[("a", &hourly, &state), ("b", &every, &state)],
        8,
        None,
    );
    assert_eq!(outlook.decisions.len(), 2);
    assert!(
        outlook
            .decisions
            .iter()
            .all(|d| matches!(d.act, Act::Fault { .. }))
    );
    assert!(outlook.wake <= late + 60_000);
}

#[test]
fn reasons_are_sentences_without_figures_nobody_reads() {
    let late = MissWhy::TooOld {
        late_ms: 13 * HOUR + 1,
        catch_up_ms: 12 * HOUR,
    };
    assert_eq!(
        late.to_string(),
        "it was due 13h ago, and catch-up reaches back 12h"
    );
    let group = "disk-heavy".parse().unwrap();
    let held = HoldWhy::Group {
        group,
        by: "scrub".into(),
    };
    assert_eq!(held.to_string(), "`scrub` holds group `disk-heavy`");
}

#[test]
fn what_a_person_did_by_hand_does_not_run_again() {
    let hourly = schedule(r#"{"cron":"0 * * * *"}"#);
    let now = at(NOON);
    let again = Some(Again {
        slot: now - HOUR,
        attempt: 2,
        not_before: now,
    });
    let waiting = EntryState {
        again,
        buffered: Some(now - HOUR),
        ..seen(now - HOUR)
    };
    assert_eq!(one(now, &hourly, &waiting.done_by_hand(now)), []);
    assert_eq!(
        one(now + HOUR, &hourly, &waiting.done_by_hand(now)),
        [start(now + HOUR, 0)]
    );
}
