//! Windows, case by case, and what holds for all of them.

use super::*;
use proptest::prelude::*;

const MIN: u64 = 60_000;

fn table(json: &str) -> WindowTable {
    serde_json::from_str(json).unwrap()
}
fn window(json: &str) -> Window {
    table(json).compile(Zone::UTC).unwrap()
}

#[test]
fn a_run_begins_between_opening_and_cutoff_only() {
    let w = window(r#"{"duration":"30m","cutoff":"5m","hard-end":"40m"}"#);
    let it = w.occurrence(1_000_000).unwrap();
    assert_eq!(
        w.may_start(&it, 999_999, None),
        MayStart::Early { opens: 1_000_000 }
    );
    assert_eq!(w.may_start(&it, it.opens, None), MayStart::Yes);
    assert_eq!(w.may_start(&it, it.cutoff - 1, None), MayStart::Yes);
    assert_eq!(w.may_start(&it, it.cutoff, None), MayStart::Closed);
    assert_eq!(it.may_go_on(it.cutoff - 1), MayGoOn::Yes);
    assert_eq!(it.may_go_on(it.ends), MayGoOn::NoNewStep);
    assert_eq!(it.may_go_on(it.hard_end), MayGoOn::Stop);
    assert_eq!(it.hard_end, it.opens + 40 * MIN);
}

#[test]
fn what_usually_takes_longer_is_shrunk_or_skipped() {
    let skip = window(r#"{"duration":"30m"}"#);
    let it = skip.occurrence(0).unwrap();
    assert_eq!(skip.may_start(&it, 0, Some(30 * MIN)), MayStart::Yes);
    let too_long = MayStart::TooLong {
        p90_ms: 60 * MIN,
        left_ms: 30 * MIN,
    };
    assert_eq!(skip.may_start(&it, 0, Some(60 * MIN)), too_long);
    let shrink = window(r#"{"duration":"30m","too-long":"shrink"}"#);
    let half = MayStart::Shrunk("50%".parse().unwrap());
    assert_eq!(shrink.may_start(&it, 0, Some(60 * MIN)), half);
    assert!(matches!(
        shrink.may_start(&it, 29 * MIN, Some(60 * MIN)),
        MayStart::TooLong { .. }
    ));
}

#[test]
fn with_a_start_of_its_own_a_slot_waits_for_it() {
    let w = window(r#"{"start":"22:00","duration":"4h","cutoff":"1h"}"#);
    let hour = 60 * MIN;
    assert_eq!(
        w.occurrence(2 * 24 * hour + 2 * hour).unwrap().opens,
        2 * 24 * hour + 22 * hour
    );
    assert_eq!(
        w.occurrence(2 * 24 * hour).unwrap().opens,
        24 * hour + 22 * hour
    );
}

#[test]
fn extending_needs_a_reason_and_has_a_maximum() {
    let w = window(r#"{"duration":"30m","max-extend":"20m"}"#);
    let it = w.occurrence(0).unwrap();
    let by = Span::secs(600);
    let longer = w.extend(&it, by, "large backlog", 0).unwrap();
    assert_eq!((longer.ends, longer.hard_end), (40 * MIN, 40 * MIN));
    assert!(w.extend(&longer, by, "still", 10 * MIN).is_ok());
    assert!(w.extend(&longer, by, "still", 11 * MIN).is_err());
    assert!(w.extend(&it, by, "  ", 0).is_err());
    let none = window(r#"{"duration":"30m"}"#);
    assert!(
        none.extend(&it, by, "why", 0)
            .unwrap_err()
            .to_string()
            .contains("0s")
    );
}

#[test]
fn windows_that_cannot_work_are_refused() {
    for json in [
        r#"{"duration":"0s"}"#,
        r#"{"duration":"32d"}"#,
        r#"{"duration":"30m","cutoff":"30m"}"#,
        r#"{"duration":"30m","hard-end":"29m"}"#,
        r#"{"duration":"30m","start":"25:00"}"#,
        r#"{"duration":"30m","max-extend":"5w"}"#,
    ] {
        assert!(table(json).compile(Zone::UTC).is_err(), "{json}");
    }
    assert!(serde_json::from_str::<WindowTable>(r#"{"duration":"1m","ends":"2m"}"#).is_err());
}

#[test]
fn classes_are_all_or_the_named() {
    let w = window(r#"{"duration":"30m","classes":["read","reversible"]}"#);
    assert!(w.allows(Class::Reversible) && !w.allows(Class::Destructive));
    assert!(window(r#"{"duration":"30m"}"#).allows(Class::Destructive));
}

#[test]
fn nine_of_ten_is_the_nearest_rank() {
    assert_eq!(p90(&[1, 2, 3, 4]), None);
    assert_eq!(p90(&[5, 1, 4, 2, 3]), Some(5));
    assert_eq!(p90(&(1..=100).collect::<Vec<_>>()), Some(90));
}

proptest! {
    #[test]
    fn nothing_begins_outside_and_what_begins_fits(
        slot in 0u64..4_000_000_000_000,
        duration in 1u64..1_000,
        cutoff in 0u64..1_000,
        into in -600i64..1_600,
        p90_min in 0u64..3_000,
        shrinks: bool,
    ) {
        prop_assume!(cutoff < duration);
        let too_long = if shrinks { "shrink" } else { "skip" };
        let json = format!(
            r#"{{"duration":"{duration}m","cutoff":"{cutoff}m","too-long":"{too_long}"}}"#);
        let w = window(&json);
        let it = w.occurrence(slot).unwrap();
        prop_assert!(it.opens < it.cutoff && it.cutoff <= it.ends && it.ends <= it.hard_end);
        let now = slot.saturating_add_signed(into * 60_000);
        let p90_ms = p90_min * MIN;
        let inside = now >= it.opens && now < it.cutoff;
        match w.may_start(&it, now, Some(p90_ms)) {
            MayStart::Yes => {
                prop_assert!(inside && now + p90_ms <= it.ends);
            }
            MayStart::Shrunk(share) => {
                prop_assert!(inside && shrinks && now + share.of(p90_ms) <= it.ends);
            }
            MayStart::TooLong { .. } => prop_assert!(inside && now + p90_ms > it.ends),
            MayStart::Early { opens } => prop_assert!(now < opens),
            MayStart::Closed => prop_assert!(now >= it.cutoff),
        }
    }
}
