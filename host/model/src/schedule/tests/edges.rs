//! Daylight saving: both edges in five zones, half an hour, a skipped day; and what no cron is.

use super::{DAY, HOUR, at, cron};
use crate::schedule::{Pattern, Zone};

/// Forward from just before `from`; also checks that going back finds the same slots.
fn slots(pattern: &Pattern, from: &str, n: usize) -> Vec<u64> {
    let mut t = at(from) - 1;
    let mut found = vec![];
    for _ in 0..n {
        t = pattern.next_after(t).unwrap();
        assert_eq!(
            pattern.last_at_or_before(t).unwrap(),
            Some(t),
            "{pattern} at {t}"
        );
        found.push(t);
    }
    for pair in found.windows(2) {
        let before = pattern.last_at_or_before(pair[1] - 1).unwrap();
        assert_eq!(before, Some(pair[0]), "{pattern} before {}", pair[1]);
    }
    found
}

fn are(texts: &[&str]) -> Vec<u64> {
    texts.iter().map(|t| at(t)).collect()
}

#[test]
fn a_fixed_time_in_the_gap_runs_once_right_after_it() {
    for (zone, text, from, expected) in [
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-03-28T00:00:00+01:00",
            [
                "2026-03-28T02:30:00+01:00",
                "2026-03-29T03:00:00+02:00",
                "2026-03-30T02:30:00+02:00",
            ],
        ),
        (
            "America/New_York",
            "30 2 * * *",
            "2026-03-07T00:00:00-05:00",
            [
                "2026-03-07T02:30:00-05:00",
                "2026-03-08T03:00:00-04:00",
                "2026-03-09T02:30:00-04:00",
            ],
        ),
        (
            "Europe/London",
            "15 1 * * *",
            "2026-03-28T00:00:00+00:00",
            [
                "2026-03-28T01:15:00+00:00",
                "2026-03-29T02:00:00+01:00",
                "2026-03-30T01:15:00+01:00",
            ],
        ),
        (
            // Half an hour: 02:00 becomes 02:30.
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-03T00:00:00+10:30",
            [
                "2026-10-03T02:15:00+10:30",
                "2026-10-04T02:30:00+11:00",
                "2026-10-05T02:15:00+11:00",
            ],
        ),
        (
            // Midnight itself is left out.
            "America/Santiago",
            "0 0 * * *",
            "2026-09-05T00:00:00-04:00",
            [
                "2026-09-05T00:00:00-04:00",
                "2026-09-06T01:00:00-03:00",
                "2026-09-07T00:00:00-03:00",
            ],
        ),
    ] {
        let pattern = cron(text, zone);
        let found = slots(&pattern, from, 3);
        assert_eq!(found, are(&expected), "{zone}");
        assert!(pattern.is_moved(found[1]).unwrap() && !pattern.is_moved(found[2]).unwrap());
    }
}

#[test]
fn a_fixed_time_that_comes_twice_runs_the_first_time() {
    for (zone, text, from, expected) in [
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-10-25T00:00:00+02:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        ),
        (
            "America/New_York",
            "30 1 * * *",
            "2026-11-01T00:00:00-04:00",
            ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
        ),
        (
            "Europe/London",
            "59 1 * * *",
            "2026-10-25T00:00:00+01:00",
            ["2026-10-25T01:59:00+01:00", "2026-10-26T01:59:00+00:00"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-05T00:00:00+11:00",
            ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
        ),
        (
            // 24:00 becomes 23:00 of the day before.
            "America/Santiago",
            "30 23 * * *",
            "2026-04-04T00:00:00-03:00",
            ["2026-04-04T23:30:00-03:00", "2026-04-05T23:30:00-04:00"],
        ),
    ] {
        let pattern = cron(text, zone);
        assert_eq!(slots(&pattern, from, 2), are(&expected), "{zone}");
        // From the second pass, the first is behind us.
        let first = at(expected[0]);
        for minutes in [31, 45, 59, 61, 89] {
            let t = first + minutes * 60_000;
            assert_eq!(
                pattern.last_at_or_before(t).unwrap(),
                Some(first),
                "{zone} +{minutes}"
            );
            assert_eq!(
                pattern.next_after(t).unwrap(),
                at(expected[1]),
                "{zone} +{minutes}"
            );
        }
    }
}

#[test]
fn a_list_of_fixed_times_keeps_the_same_rule() {
    let pattern = cron("0,30 2 * * *", "Europe/Berlin");
    let gap = [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ];
    assert_eq!(slots(&pattern, "2026-03-29T00:00:00+01:00", 3), are(&gap));
    let fold = [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:00:00+01:00",
    ];
    assert_eq!(slots(&pattern, "2026-10-25T00:00:00+02:00", 3), are(&fold));
}

#[test]
fn wildcards_follow_real_time() {
    for (zone, edge) in [
        ("Europe/Berlin", "2026-03-29T03:00:00+02:00"),
        ("Europe/Berlin", "2026-10-25T02:00:00+01:00"),
        ("America/New_York", "2026-11-01T01:00:00-05:00"),
        ("America/Santiago", "2026-09-06T01:00:00-03:00"),
    ] {
        let hourly = slots(&cron("0 * * * *", zone), edge, 1)[0] - 5 * HOUR;
        let pattern = cron("0 * * * *", zone);
        let mut t = hourly - 1;
        for n in 0..10 {
            t = pattern.next_after(t).unwrap();
            assert_eq!(t, hourly + n * HOUR, "{zone}");
        }
        assert_eq!(pattern.count(hourly - 1, t).unwrap().slots, 10);
        let quarters = cron("*/15 * * * *", zone)
            .count(at(edge) - DAY, at(edge) + DAY)
            .unwrap();
        assert_eq!((quarters.slots, quarters.exact), (192, true), "{zone}");
    }
    // Where the jump is half an hour, the full hour of the wall clock is half an hour off.
    let lord_howe = slots(
        &cron("0 * * * *", "Australia/Lord_Howe"),
        "2026-10-04T01:00:00+10:30",
        2,
    );
    assert_eq!(
        lord_howe,
        are(&["2026-10-04T01:00:00+10:30", "2026-10-04T03:00:00+11:00"])
    );
    let again = [
        "2026-04-05T01:30:00+11:00",
        "2026-04-05T01:30:00+10:30",
        "2026-04-05T02:30:00+10:30",
    ];
    assert_eq!(
        slots(
            &cron("30 * * * *", "Australia/Lord_Howe"),
            "2026-04-05T01:00:00+11:00",
            3
        ),
        are(&again)
    );
}

#[test]
fn a_day_that_the_calendar_left_out_loses_nothing() {
    // Samoa went from the 29th straight to the 31st of December 2011.
    let daily = cron("30 2 * * *", "Pacific/Apia");
    let expected = [
        "2011-12-29T02:30:00-10:00",
        "2011-12-31T00:00:00+14:00",
        "2011-12-31T02:30:00+14:00",
    ];
    assert_eq!(
        slots(&daily, "2011-12-29T00:00:00-10:00", 3),
        are(&expected)
    );
    // The Friday that never was: its weekly slot comes right after it.
    let friday = cron("0 3 * * fri", "Pacific/Apia");
    let expected = [
        "2011-12-23T03:00:00-10:00",
        "2011-12-31T00:00:00+14:00",
        "2012-01-06T03:00:00+14:00",
    ];
    assert_eq!(
        slots(&friday, "2011-12-20T00:00:00-10:00", 3),
        are(&expected)
    );
    let hourly = cron("0 * * * *", "Pacific/Apia");
    let from = at("2011-12-28T00:00:00-10:00");
    assert_eq!(hourly.count(from, from + 4 * DAY).unwrap().slots, 96);
    let now = at("2011-12-01T00:00:00Z");
    let schedule = super::schedule(r#"{"cron":"30 2 * * *","zone":"Pacific/Apia"}"#);
    let view = schedule.next_edge(now).unwrap().unwrap();
    assert!(view.whole_day && view.moved && view.edge.is_gap());
    assert_eq!(view.before, Some(at("2011-12-29T02:30:00-10:00")));
}

#[test]
fn one_is_monday_and_days_are_joined_by_or() {
    let weekly = slots(&cron("0 3 * * 1", "UTC"), "2026-11-24T00:00:00Z", 1);
    assert_eq!(weekly, are(&["2026-11-30T03:00:00Z"]));
    assert_eq!(
        slots(&cron("0 3 * * MON", "UTC"), "2026-11-24T00:00:00Z", 1),
        weekly
    );
    let either = slots(&cron("0 4 13 * 5", "UTC"), "2026-11-10T00:00:00Z", 3);
    assert_eq!(
        either,
        are(&[
            "2026-11-13T04:00:00Z",
            "2026-11-20T04:00:00Z",
            "2026-11-27T04:00:00Z"
        ])
    );
    for same in [
        ("@daily", "0 0 * * *"),
        ("@HOURLY", "0 * * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@yearly", "0 0 1 1 *"),
    ] {
        let of = |text| slots(&cron(text, "Asia/Tokyo"), "2026-11-10T00:00:00Z", 5);
        assert_eq!(of(same.0), of(same.1));
    }
    assert_eq!(
        slots(&cron("0 0 29 2 *", "UTC"), "2026-11-10T00:00:00Z", 1),
        are(&["2028-02-29T00:00:00Z"])
    );
}

#[test]
fn what_is_no_cron_is_refused_with_a_hint() {
    for text in [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "mon * * * *",
        "* * * mon *",
        "* * * * jan",
        "* * * * 1mon",
        "* * * * monday",
        ", * * * *",
        "1,,2 * * * *",
        "1, * * * *",
        "0 0 1 * +mon",
        "0 0 ? * *",
        "@reboot",
        "@every 5m",
        "5-1 * * * *",
        "a b c d e",
        "é * * * *",
        "* * * * l l",
        "\u{1b}[2J * * * *",
        "-1 * * * *",
        "1-2-3 * * * *",
        "99999999999 * * * *",
        &"1,".repeat(200),
    ] {
        let bad = Pattern::cron(text, Zone::UTC).unwrap_err();
        assert!(!bad.never && bad.key == "cron", "{text}");
        assert!(!bad.message.contains('\u{1b}'), "{text}");
    }
    for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 feb *"] {
        assert!(Pattern::cron(text, Zone::UTC).unwrap_err().never, "{text}");
    }
    for zone in ["Europe/Nowhere", "", "CEST", "../etc/passwd"] {
        assert!(zone.parse::<Zone>().is_err(), "{zone}");
    }
}

#[test]
fn times_that_cannot_be_are_errors_and_not_the_end() {
    let pattern = cron("0 2 * * *", "Europe/Berlin");
    assert!(pattern.next_after(u64::MAX).is_err());
    assert!(
        pattern
            .last_at_or_before(at("4001-01-01T00:00:00Z"))
            .is_err()
    );
    assert_eq!(pattern.last_at_or_before(0).unwrap(), None);
    assert_eq!(
        cron("0 * * * *", "Asia/Tokyo")
            .last_at_or_before(0)
            .unwrap(),
        Some(0)
    );
}
