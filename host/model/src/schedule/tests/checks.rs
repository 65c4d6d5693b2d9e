//! What `validate` says.

use super::{HOUR, at, schedule, table, windowed};
use crate::id::TaskName;
use crate::schedule::check::{self, Flaw, Placed};
use crate::schedule::{Schedule, ScheduleFile};
use crate::words::Severity;

fn placed(key: &str, schedule: Schedule) -> Placed {
    Placed {
        key: key.into(),
        place: "schedule".into(),
        schedule,
        p90_ms: None,
    }
}

fn refused(json: &str, window: Option<&str>) -> Flaw {
    let window = window.map(|w| serde_json::from_str(w).unwrap());
    let name = TaskName::new("t").unwrap();
    check::task(&name, &table(json), window.as_ref()).unwrap_err()
}

#[test]
fn each_mistake_has_its_place_and_a_hint() {
    for (json, window, place) in [
        (r#"{"cron":"0 0 30 2 *"}"#, None, "schedule.cron"),
        (r#"{"cron":"0 2 * *"}"#, None, "schedule.cron"),
        (
            r#"{"cron":"0 2 * * *","zone":"Europe/Nowhere"}"#,
            None,
            "schedule.zone",
        ),
        (
            r#"{"cron":"0 2 * * *","every":"1h"}"#,
            None,
            "schedule.cron",
        ),
        (r#"{}"#, None, "schedule.cron"),
        (r#"{"every":"10ms"}"#, None, "schedule.every"),
        (
            r#"{"every":"1h","from":"yesterday"}"#,
            None,
            "schedule.from",
        ),
        (r#"{"cron":"0 2 * * *","at":"02:00"}"#, None, "schedule.at"),
        (r#"{"slot":"monthly","on":"31"}"#, None, "schedule.on"),
        (
            r#"{"slot":"daily","jitter":"25h"}"#,
            None,
            "schedule.jitter",
        ),
        (
            r#"{"slot":"daily","catch-up":"60d"}"#,
            None,
            "schedule.catch-up",
        ),
        (
            r#"{"slot":"daily","pause-after":0}"#,
            None,
            "schedule.pause-after",
        ),
        (
            r#"{"slot":"daily","retry":{"attempts":99}}"#,
            None,
            "schedule.retry.attempts",
        ),
        (
            r#"{"slot":"daily"}"#,
            Some(r#"{"duration":"5m","cutoff":"5m"}"#),
            "window.cutoff",
        ),
        (
            r#"{"slot":"daily"}"#,
            Some(r#"{"duration":"5m","start":"x"}"#),
            "window.start",
        ),
    ] {
        let flaw = refused(json, window);
        assert_eq!(
            (flaw.place.as_str(), flaw.severity),
            (place, Severity::Critical),
            "{json}"
        );
        assert!(flaw.hint.is_some(), "{json}");
    }
}

#[test]
fn a_file_s_flaws_stand_where_they_were_written() {
    let text = r#"{"zone":"Mars/Olympus","window":{"duration":"1h","cutoff":"2h"},"slots":{
        "daily":{"tasks":["a","a","gone"]},
        "nightly":{"zone":"UTC","cron":"61 * * * *","tasks":["a"]},
        "late":{"zone":"UTC","cron":"0 1 * * *","tasks":[]},
        "odd":{"zone":"UTC","tasks":["a"]}}}"#;
    let file: ScheduleFile = serde_json::from_str(text).unwrap();
    let (good, flaws) = check::file("s", &file, |task| task.as_str() == "a");
    assert!(good.is_empty());
    let places: Vec<&str> = flaws.iter().map(|f| f.place.as_str()).collect();
    let expected = [
        "slots.daily.tasks",
        "slots.daily.tasks",
        "zone",
        "slots.late.tasks",
        "window.cutoff",
        "slots.nightly.cron",
        "slots.odd.cron",
    ];
    assert_eq!(places, expected);
    assert!(flaws[6].hint.as_ref().unwrap().contains("weekly"));
    let none: ScheduleFile = serde_json::from_str("{}").unwrap();
    assert_eq!(check::file("s", &none, |_| true).1[0].place, "slots");
}

#[test]
fn the_runbook_s_schedule_is_good_and_its_windows_meet() {
    let text = r#"{"group":"disk-heavy","slots":{
        "hourly":{"tasks":["a"],"window":{"duration":"10m"}},
        "daily":{"tasks":["a"],"window":{"duration":"30m","cutoff":"5m"}},
        "weekly":{"tasks":["a"],"window":{"duration":"2h","cutoff":"30m"}},
        "monthly":{"tasks":["a"],"window":{"duration":"8h","cutoff":"1h"}}}}"#;
    let file: ScheduleFile = serde_json::from_str(text).unwrap();
    let (good, flaws) = check::file("standard-maintenance", &file, |_| true);
    assert_eq!((good.len(), flaws.len()), (4, 0));
    let now = at("2026-01-01T12:00:00Z");
    let flaws = check::together(&good, now);
    let pair = |a: &str, b: &str| {
        flaws.iter().find(|f| {
            f.message.contains(&format!("/{a}`")) && f.message.contains(&format!("/{b}`"))
        })
    };
    // The first of June 2026 is the first Monday that begins a month.
    let met = pair("monthly", "weekly").unwrap();
    assert!(met.message.contains("2026-06-01 04:00"), "{met}");
    assert!(pair("daily", "hourly").is_some());
    assert!(pair("daily", "weekly").is_none());
    let lone = check::together(&good[..1], now);
    assert_eq!(lone, []);
}

#[test]
fn slots_at_one_instant_are_named_unless_jitter_spreads_them() {
    let now = at("2026-01-01T12:00:00Z");
    let two = [
        placed("a", schedule(r#"{"cron":"0 2 * * *"}"#)),
        placed("b", schedule(r#"{"slot":"daily"}"#)),
    ];
    let flaws = check::together(&two, now);
    assert!(
        flaws[0]
            .message
            .contains("2 schedules are due at 2026-01-02 02:00 +00:00: a, b"),
        "{flaws:?}"
    );
    let spread = [
        placed("a", schedule(r#"{"cron":"0 2 * * *","jitter":"5m"}"#)),
        two[1].clone(),
    ];
    assert_eq!(check::together(&spread, now), []);
}

#[test]
fn one_schedule_s_doubts() {
    let now = at("2026-01-01T12:00:00Z");
    let doubts = |it: Placed| {
        let flaws = check::alone(&it, now);
        flaws
            .into_iter()
            .map(|f| (f.place, f.severity))
            .collect::<Vec<_>>()
    };
    let window = r#"{"duration":"30m","cutoff":"10m"}"#;
    let of = |key: &str, severity| vec![(format!("schedule{key}"), severity)];
    let past = windowed(r#"{"slot":"daily","jitter":"20m"}"#, window);
    assert_eq!(doubts(placed("t", past)), of(".jitter", Severity::Critical));
    let wide = schedule(r#"{"slot":"hourly","jitter":"40m"}"#);
    assert_eq!(doubts(placed("t", wide)), of(".jitter", Severity::Warning));
    let long = windowed(r#"{"slot":"hourly"}"#, r#"{"duration":"2h"}"#);
    assert_eq!(
        doubts(placed("t", long)),
        of(".window.duration", Severity::Warning)
    );
    let slow = Placed {
        p90_ms: Some(HOUR),
        ..placed("t", windowed(r#"{"slot":"daily"}"#, window))
    };
    assert_eq!(doubts(slow), of(".window.duration", Severity::Warning));
    let moved = schedule(r#"{"slot":"daily","zone":"Europe/Berlin"}"#);
    assert_eq!(doubts(placed("t", moved)), of("", Severity::Info));
    let lost = schedule(r#"{"cron":"*/15 2 * * *","zone":"Europe/Berlin"}"#);
    assert_eq!(doubts(placed("t", lost)), of(".cron", Severity::Warning));
    let fine = windowed(
        r#"{"slot":"daily","at":"04:00","zone":"Europe/Berlin"}"#,
        window,
    );
    assert_eq!(doubts(placed("t", fine)), []);
}

#[test]
fn upcoming_runs_and_the_edge_among_them() {
    let daily = schedule(r#"{"cron":"30 2 * * *","zone":"Europe/Berlin"}"#);
    let now = at("2026-03-27T12:00:00Z");
    let next = daily.upcoming(now, 3).unwrap();
    let zone = daily.pattern.zone();
    let shown: Vec<String> = next.iter().map(|t| zone.show(*t).unwrap()).collect();
    assert_eq!(
        shown,
        [
            "2026-03-28 02:30 +01:00",
            "2026-03-29 03:00 +02:00",
            "2026-03-30 02:30 +02:00"
        ]
    );
    let view = daily.next_edge(now).unwrap().unwrap();
    assert_eq!(
        (view.before, view.first, view.second),
        (Some(next[0]), next[1], next[2])
    );
    assert!(view.moved && !view.whole_day);
    assert_eq!((view.edge.before, view.edge.after), (3_600, 7_200));
    let utc = schedule(r#"{"slot":"daily"}"#);
    assert_eq!(utc.next_edge(now).unwrap(), None);
    assert_eq!(utc.upcoming(now, usize::MAX).unwrap().len(), 1_000);
}
