//! What is decided, case by case.

use super::{DAY, HOUR, MIN, at, schedule, seen};
use crate::schedule::{
    Act, Entry, EntryState, Facts, HoldWhy, MissWhy, Outlook, Pressed, Schedule, SkipWhy, Slots,
    decide,
};
use crate::units::Share;
use std::collections::BTreeMap;

pub(super) fn look(
    now: u64,
    entries: &[(&str, &Schedule, &EntryState)],
    free: usize,
    pressed: Option<&Pressed>,
) -> Outlook {
    let entries: Vec<Entry<'_>> = entries
        .iter()
        .map(|(key, schedule, state)| Entry {
            key,
            schedule,
            state,
            p90_ms: None,
            asleep_until: 0,
        })
        .collect();
    let busy = BTreeMap::new();
    decide(
        &Facts {
            now,
            node: "node-7",
            free,
            busy: &busy,
            pressed,
        },
        &entries,
    )
}

pub(super) fn one(now: u64, schedule: &Schedule, state: &EntryState) -> Vec<Act> {
    let outlook = look(now, &[("t", schedule, state)], 8, None);
    outlook.decisions.into_iter().map(|d| d.act).collect()
}

/// Decides and carries out, as the daemon does, until nothing changes.
fn settle(now: u64, schedule: &Schedule, state: &mut EntryState) -> Vec<Act> {
    let acts = one(now, schedule, state);
    for act in &acts {
        *state = state.after(act, now);
    }
    acts
}

pub(super) fn start(slot: u64, late_ms: u64) -> Act {
    Act::Start {
        slot,
        attempt: 1,
        late_ms,
        scope: Share::ALL,
        window: None,
    }
}

pub(super) const NOON: &str = "2026-11-24T12:00:00Z";

#[test]
fn creating_a_schedule_never_runs_it() {
    let hourly = schedule(r#"{"cron":"0 * * * *"}"#);
    let now = at(NOON);
    assert_eq!(one(now, &hourly, &seen(now)), []);
    assert_eq!(one(now + HOUR - 1, &hourly, &seen(now)), []);
    assert_eq!(one(now + HOUR, &hourly, &seen(now)), [start(now + HOUR, 0)]);
}

#[test]
fn after_three_days_asleep_only_the_newest_slot_runs() {
    let hourly = schedule(r#"{"cron":"0 * * * *","catch-up":"30m"}"#);
    let mut state = seen(at(NOON));
    let now = at(NOON) + 3 * DAY + 10 * MIN;
    let acts = settle(now, &hourly, &mut state);
    let missed = Slots {
        from: at(NOON) + HOUR,
        to: at(NOON) + 3 * DAY - HOUR,
        count: 71,
        exact: true,
    };
    let newest = at(NOON) + 3 * DAY;
    assert_eq!(
        acts,
        [
            Act::Miss {
                slots: missed,
                why: MissWhy::Superseded
            },
            start(newest, 10 * MIN)
        ]
    );
    assert_eq!(settle(now + 1, &hourly, &mut state), []);
}

#[test]
fn what_is_too_old_is_missed_and_says_by_how_much() {
    // Default: half the period, at most a day.
    for (json, late, runs) in [
        (r#"{"cron":"0 0 * * *"}"#, 11 * HOUR, true),
        (r#"{"cron":"0 0 * * *"}"#, 13 * HOUR, false),
        (r#"{"cron":"0 0 * * 1"}"#, 25 * HOUR, false),
        (r#"{"cron":"0 0 * * 1","catch-up":"2d"}"#, 25 * HOUR, true),
        (r#"{"cron":"0 0 * * 1","catch-up":"0s"}"#, MIN, true),
        (r#"{"cron":"0 0 * * 1","catch-up":"0s"}"#, 3 * MIN, false),
    ] {
        let slot = at("2026-11-23T00:00:00Z");
        let acts = one(slot + late, &schedule(json), &seen(slot - 1));
        match runs {
            true => assert_eq!(acts, [start(slot, late)], "{json}"),
            false => assert!(
                matches!(acts[..], [Act::Miss { slots, why: MissWhy::TooOld { late_ms, .. } }]
                    if slots == Slots::one(slot) && late_ms == late),
                "{json} {acts:?}"
            ),
        }
    }
}

#[test]
fn years_of_misses_are_one_record_and_take_no_time() {
    let every = schedule(r#"{"every":"1s"}"#);
    let minutely = schedule(r#"{"cron":"* * * * *","zone":"Europe/Berlin"}"#);
    let now = at("2036-01-01T00:00:00Z");
    let begun = std::time::Instant::now();
    for (schedule, expected) in [(every, 3_650 * 86_400), (minutely, 3_650 * 1_440)] {
        let acts = one(now, &schedule, &seen(now - 3_650 * DAY));
        let Act::Miss {
            slots,
            why: MissWhy::Superseded,
        } = acts[0]
        else {
            panic!("{acts:?}")
        };
        assert_eq!((slots.count, slots.exact), (expected - 1, true));
    }
    assert!(begun.elapsed().as_secs() < 2);
    let forty = schedule(r#"{"cron":"* * * * *"}"#);
    let acts = one(now, &forty, &seen(0));
    assert!(
        matches!(
            acts[0],
            Act::Miss {
                slots: Slots { exact: false, .. },
                ..
            }
        ),
        "{acts:?}"
    );
}

#[test]
fn a_stepped_clock_runs_no_slot_twice() {
    let hourly = schedule(r#"{"cron":"30 * * * *","catch-up":"3h"}"#);
    let mut state = seen(at(NOON));
    let mut started = vec![];
    let mut tick = |now: u64, state: &mut EntryState| {
        for act in settle(now, &hourly, state) {
            if let Act::Start { slot, .. } = act {
                started.push(slot);
                *state = state.ended(false, None);
            }
        }
    };
    let now = at(NOON) + 31 * MIN;
    tick(now, &mut state);
    for step in [2 * HOUR, 0, 2 * HOUR + MIN, HOUR, 3 * HOUR] {
        tick(now + step, &mut state);
    }
    assert_eq!(
        started,
        [
            at(NOON) + 30 * MIN,
            at(NOON) + 150 * MIN,
            at(NOON) + 210 * MIN
        ]
    );
    let acts = one(now, &hourly, &state);
    let until = Some(at(NOON) + 210 * MIN);
    assert!(
        matches!(&acts[..], [Act::Hold { why: HoldWhy::ClockBehind, until: u, .. }] if *u == until)
    );
}

#[test]
fn overlap_skips_buffers_one_or_cancels() {
    let now = at(NOON);
    let running = |json: &str| {
        let schedule = schedule(json);
        let mut state = seen(now - 1);
        settle(now, &schedule, &mut state);
        assert!(state.running.is_some());
        (schedule, state)
    };
    let (skip, mut state) = running(r#"{"cron":"0 * * * *"}"#);
    let why = SkipWhy::StillRunning { since: now };
    let skipped = Act::Skip {
        slots: Slots::one(now + HOUR),
        why,
    };
    assert_eq!(settle(now + HOUR, &skip, &mut state), [skipped]);
    assert_eq!(
        settle(now + HOUR + 1, &skip, &mut state.ended(false, None)),
        []
    );

    let (buffer, mut state) = running(r#"{"cron":"0 * * * *","overlap":"buffer-one"}"#);
    assert_eq!(
        settle(now + HOUR, &buffer, &mut state),
        [Act::Buffer { slot: now + HOUR }]
    );
    let superseded = Act::Skip {
        slots: Slots::one(now + HOUR),
        why: SkipWhy::Superseded,
    };
    let next = Act::Buffer {
        slot: now + 2 * HOUR,
    };
    assert_eq!(
        settle(now + 2 * HOUR, &buffer, &mut state),
        [superseded, next]
    );
    state = state.ended(false, None);
    let late = now + 2 * HOUR + 50 * MIN;
    assert_eq!(
        settle(late, &buffer, &mut state),
        [start(now + 2 * HOUR, 50 * MIN)]
    );
    assert_eq!(state.buffered, None);

    let (cancel, mut state) = running(r#"{"cron":"0 * * * *","overlap":"cancel-other"}"#);
    let other = Act::CancelOther {
        slot: now + HOUR,
        running: now,
    };
    assert_eq!(settle(now + HOUR, &cancel, &mut state), [other]);
    let held = settle(now + HOUR + 1, &cancel, &mut state);
    assert!(matches!(
        held[..],
        [Act::Hold {
            why: HoldWhy::Cancelling,
            ..
        }]
    ));
    state = state.ended(false, None);
    assert_eq!(
        settle(now + HOUR + 2, &cancel, &mut state),
        [start(now + HOUR, 2)]
    );
}

#[test]
fn paused_put_aside_and_skip_next_leave_a_reason_for_each_slot() {
    let hourly = schedule(r#"{"cron":"0 * * * *"}"#);
    let now = at(NOON);
    let mut state = EntryState {
        paused: Some("disk swap".into()),
        ..seen(now)
    };
    let slots = Slots {
        from: now + HOUR,
        to: now + 3 * HOUR,
        count: 3,
        exact: true,
    };
    assert_eq!(
        settle(now + 3 * HOUR, &hourly, &mut state),
        [Act::Skip {
            slots,
            why: SkipWhy::Paused
        }]
    );
    state.paused = None;
    assert_eq!(
        settle(now + 3 * HOUR + 1, &hourly, &mut state),
        [],
        "resuming catches up with nothing"
    );

    state.skip_next = true;
    let skipped = Act::Skip {
        slots: Slots::one(now + 4 * HOUR),
        why: SkipWhy::SkipNext,
    };
    assert_eq!(settle(now + 4 * HOUR, &hourly, &mut state), [skipped]);
    assert_eq!(
        settle(now + 5 * HOUR, &hourly, &mut state),
        [start(now + 5 * HOUR, 0)]
    );

    state = EntryState {
        aside_until: Some(now + 7 * HOUR),
        ..state.ended(true, None)
    };
    let acts = settle(now + 6 * HOUR, &hourly, &mut state);
    assert!(matches!(
        acts[..],
        [Act::Skip {
            why: SkipWhy::Aside { .. },
            ..
        }]
    ));
    assert_eq!(
        settle(now + 7 * HOUR, &hourly, &mut state),
        [start(now + 7 * HOUR, 0)]
    );
}
