//! Parameters: bounds that teach, exact spelling, and a confirmed commit that touches only its own.

mod guard;

use super::*;
use crate::id::{ParamName, RunId};
use crate::units::Span;
use crate::words::Code;
use guard::{breach, heard};
use proptest::prelude::*;

fn name() -> ParamName {
    ParamName::new("pool").unwrap()
}

fn table(json: serde_json::Value) -> Result<Param, crate::grant::Denial> {
    serde_json::from_value::<ParamTable>(json)
        .unwrap()
        .resolve(&name())
}

fn with(extra: &serde_json::Value) -> Result<Param, crate::grant::Denial> {
    let mut all = serde_json::json!({
        "file": "/etc/app.toml", "format": "toml", "key": "server.pool", "type": "integer",
        "min": 1, "max": 100
    });
    for (key, value) in extra.as_object().unwrap() {
        match value {
            serde_json::Value::Null => drop(all.as_object_mut().unwrap().remove(key)),
            value => all[key] = value.clone(),
        }
    }
    table(all)
}

fn swappiness() -> Param {
    table(serde_json::json!({
        "sysctl": "vm.swappiness", "type": "integer", "min": 0, "max": 100, "step": 10,
        "guard": { "metric": "stall", "most": 0.5, "for": "2m" }, "soak": "30m"
    }))
    .unwrap()
}

#[test]
fn what_an_operator_writes_wrong_is_named() {
    use serde_json::json;
    assert!(with(&json!({})).is_ok());
    for (extra, key) in [
        (json!({ "sysctl": "vm.swappiness" }), "sysctl"),
        (json!({ "file": null }), "file"),
        (json!({ "file": "etc/app.toml" }), "file"),
        (json!({ "file": "/etc/../app.toml" }), "file"),
        (json!({ "file": "/etc/./app.toml" }), "file"),
        (json!({ "file": "/etc//app.toml" }), "file"),
        (json!({ "file": "/" }), "file"),
        (json!({ "file": "/proc/sys/vm/swappiness" }), "file"),
        (json!({ "format": null }), "format"),
        (json!({ "key": null }), "key"),
        (json!({ "key": "a..b" }), "key"),
        (json!({ "key": "a.\"b" }), "key"),
        (json!({ "format": "env", "key": "a.b" }), "key"),
        (json!({ "format": "env", "key": "1A" }), "key"),
        (json!({ "format": "ini", "key": "a.b.c" }), "key"),
        (json!({ "min": null }), "min"),
        (json!({ "min": 101 }), "min"),
        (json!({ "min": 1.5 }), "min"),
        (json!({ "step": 0 }), "step"),
        (json!({ "values": ["a"] }), "values"),
        (json!({ "type": "text" }), "min"),
        (json!({ "type": "bytes", "unit": "furlong" }), "unit"),
        (json!({ "soak": "40d" }), "soak"),
        (json!({ "revert-after": "1s" }), "revert-after"),
        (json!({ "revert-after": "25h" }), "revert-after"),
        (json!({ "guard": { "metric": "m" } }), "guard"),
        (
            json!({ "guard": { "metric": "m", "most": 1, "least": 0 } }),
            "guard",
        ),
        (
            json!({ "guard": { "metric": "m", "most": 1, "for": "10m" } }),
            "guard.for",
        ),
        (
            json!({ "guard": { "metric": "m", "most": 1, "task": "disk-check" } }),
            "guard.every",
        ),
        (
            json!({ "guard": { "metric": "m", "most": 1, "every": "9s" } }),
            "guard.every",
        ),
        (
            json!({ "guard": { "metric": "m", "most": 1, "every": "10m" } }),
            "guard.every",
        ),
        (
            json!({ "guard": { "metric": "m", "most": 1, "task": "Disk", "every": "1m" } }),
            "guard.task",
        ),
        (
            json!({ "guard": { "metric": "m", "most": 1, "labels": { "mount": "/" } } }),
            "guard.labels",
        ),
        (
            json!({ "guard": { "metric": "m".repeat(129), "most": 1 } }),
            "guard.metric",
        ),
        (
            json!({ "type": "one-of", "min": null, "max": null, "values": ["a", "a"] }),
            "values",
        ),
        (
            json!({ "type": "one-of", "min": null, "max": null, "values": ["a", "b\n"] }),
            "values",
        ),
    ] {
        let denial = with(&extra).unwrap_err();
        assert_eq!(denial.place, format!("params.pool.{key}"), "{extra}");
    }
    let unknown =
        serde_json::json!({ "sysctl": "vm.swappiness", "type": "boolean", "reload": "x" });
    assert!(serde_json::from_value::<ParamTable>(unknown).is_err());
    let text = serde_json::json!({ "sysctl": "kernel.hostname", "type": "text" });
    assert_eq!(table(text).unwrap_err().place, "params.pool.type");
}

#[test]
fn sysctls_that_run_programs_or_leave_their_directory_are_refused() {
    for bad in [
        "",
        "vm",
        "vm.",
        ".vm",
        "vm..swappiness",
        "../vm.swappiness",
        "vm/swappiness",
        "vm.swappiness\n",
        "net.ipv4.conf.eth0/1.forwarding",
        "kernel.core_pattern",
        "kernel.modprobe",
        "kernel.usermodehelper.bset",
        "fs.binfmt_misc.register",
    ] {
        assert!(bad.parse::<SysctlName>().is_err(), "{bad:?}");
    }
    let good: SysctlName = "net.ipv4.tcp_fin_timeout".parse().unwrap();
    assert_eq!(good.path(), "net/ipv4/tcp_fin_timeout");
}

#[test]
fn refusals_of_range_and_step_teach() {
    let shape = swappiness().shape;
    let far = shape.parse("110").unwrap_err();
    assert_eq!(far.code, Code::Limit);
    assert_eq!(far.message, "110 is outside 0 to 100");
    let off = shape.parse("37").unwrap_err();
    assert_eq!(off.hint.unwrap(), "the nearest value below is 30");
    assert_eq!(shape.parse("40").unwrap(), ParamValue::Integer(40));
    for bad in [
        "",
        "x",
        "4e1",
        "040",
        "+40",
        "40 ",
        "0x28",
        "99999999999999999999",
    ] {
        assert_eq!(shape.parse(bad).unwrap_err().code, Code::Invalid, "{bad:?}");
    }
    let one = Shape::OneOf(vec!["cubic".into(), "bbr".into()]);
    let no = one.parse("reno").unwrap_err();
    assert_eq!(no.hint.unwrap(), "propose one of: cubic, bbr");
    assert_eq!(Shape::Text.parse("a\nb").unwrap_err().code, Code::Invalid);
    assert_eq!(
        Shape::Text.parse(&"x".repeat(1025)).unwrap_err().code,
        Code::Limit
    );
    assert_eq!(
        one.admits(&ParamValue::Boolean(true)).unwrap_err().code,
        Code::Invalid
    );
}

#[test]
fn a_step_of_a_tenth_is_exact() {
    let p = with(&serde_json::json!({ "type": "float", "min": 0, "max": 1, "step": 0.1 })).unwrap();
    for tenth in 0..=10 {
        let text = format!("{}.{}", tenth / 10, tenth % 10);
        let value = p.shape.parse(&text).unwrap();
        assert_eq!(value.to_string(), text);
    }
    assert!(p.shape.parse("0.25").is_err() && p.shape.parse("NaN").is_err());
    assert_eq!(
        p.shape.parse("1e-1").unwrap(),
        p.shape.parse("0.1").unwrap()
    );
    for bad in [
        "",
        ".",
        "1.",
        ".5",
        "1e",
        "0.0000001",
        "1e400",
        "inf",
        "--1",
    ] {
        assert!(bad.parse::<Decimal>().is_err(), "{bad:?}");
    }
}

fn raw(kind: RawKind, text: &str) -> Raw {
    Raw {
        kind,
        text: text.into(),
    }
}

#[test]
fn spelled_in_the_manner_of_what_stands_there() {
    let bytes = with(&serde_json::json!({ "type": "bytes", "min": "0B", "max": "1TiB" })).unwrap();
    let spell = |shape: &Shape, value: &str, like: &Raw| {
        shape.spell(&shape.parse(value).unwrap(), like).unwrap()
    };
    for (value, like, is) in [
        ("10MiB", "5M", "10M"),
        ("10MiB", "5 MiB", "10 MiB"),
        ("10MiB", "1GiB", "10MiB"),
        ("10MiB", "5", "10485760"),
        ("0", "5GiB", "0GiB"),
        ("1500", "5GiB", "1500B"),
    ] {
        let like = raw(RawKind::Text, like);
        let text = spell(&bytes.shape, value, &like);
        assert_eq!(text, is);
        let back = bytes.shape.read(&raw(RawKind::Text, &text)).unwrap();
        assert_eq!(back, bytes.shape.parse(value).unwrap());
    }
    let ms =
        with(&serde_json::json!({ "type": "duration", "min": "0s", "max": "1h", "unit": "s" }));
    let ms = ms.unwrap().shape;
    let number = raw(RawKind::Number, "30");
    assert_eq!(ms.read(&number).unwrap().to_string(), "30s");
    assert_eq!(spell(&ms, "2m", &number), "120");
    assert!(ms.spell(&ms.parse("1500ms").unwrap(), &number).is_err());
    assert!(ms.read(&raw(RawKind::Text, "30s")).is_err());
    assert!(ms.read(&raw(RawKind::Number, "-30")).is_err());
    for (like, is) in [("yes", "no"), ("On", "Off"), ("1", "0"), ("TRUE", "FALSE")] {
        let like = raw(RawKind::Bare, like);
        assert_eq!(
            Shape::Boolean.read(&like).unwrap(),
            ParamValue::Boolean(true)
        );
        assert_eq!(spell(&Shape::Boolean, "false", &like), is);
    }
    assert!(Shape::Boolean.read(&raw(RawKind::Boolean, "yes")).is_err());
    assert!(Shape::Boolean.read(&raw(RawKind::Number, "1")).is_err());
    assert!(Shape::Text.read(&raw(RawKind::Number, "1")).is_err());
}

fn commit(state: CommitState) -> Commit {
    Commit {
        run: RunId::new(1, [1; 10]),
        action: 0,
        param: name(),
        old: ParamValue::Integer(60),
        new: ParamValue::Integer(40),
        armed_at_ms: 1_000_000,
        deadline_ms: 1_600_000,
        state,
    }
}

#[test]
fn a_change_is_confirmed_in_time_or_reverts() {
    let c = commit(CommitState::Armed);
    let (new, old, other) = (c.new.clone(), c.old.clone(), ParamValue::Integer(7));
    let at = |current, now, guard| what_now(&c, current, now, guard);
    assert_eq!(at(Some(&new), 1_599_999, Verdict::None), WhatNow::Keep);
    let late = WhatNow::Revert(Why::Deadline);
    assert_eq!(at(Some(&new), 1_600_000, Verdict::Holds), late);
    let breach = breach(1.0);
    assert_eq!(
        at(Some(&new), 1_000_001, breach),
        WhatNow::Revert(Why::Guard)
    );
    assert_eq!(
        at(Some(&new), 1_000_001, Verdict::Silent { for_ms: 1 }),
        WhatNow::Revert(Why::Silence)
    );
    assert_eq!(
        at(Some(&new), 999_999, Verdict::None),
        WhatNow::Revert(Why::Clock)
    );
    assert_eq!(
        at(Some(&other), 1_600_000, Verdict::None),
        WhatNow::Overtaken
    );
    assert_eq!(at(None, 1_000_001, Verdict::None), WhatNow::Overtaken);
    assert_eq!(at(Some(&old), 1_000_001, Verdict::None), WhatNow::Overtaken);
    assert_eq!(
        at(Some(&old), 1_600_000, Verdict::None),
        late,
        "half done before a crash"
    );
    assert_eq!(after_restart(&c, Some(&new)), WhatNow::Revert(Why::Restart));
    assert_eq!(after_restart(&c, Some(&other)), WhatNow::Overtaken);

    let confirm = |guard, now| c.confirm(Some(&new), now, guard);
    let done = confirm(Verdict::Holds, 1_100_000).unwrap();
    assert_eq!(done.state, CommitState::Confirmed);
    assert_eq!(done.confirm(Some(&other), u64::MAX, breach).unwrap(), done);
    assert_eq!(
        confirm(Verdict::Unknown, 1_100_000).unwrap_err().code,
        Code::Busy
    );
    assert_eq!(
        confirm(Verdict::Wavers, 1_100_000).unwrap_err().code,
        Code::Busy
    );
    assert_eq!(confirm(breach, 1_100_000).unwrap_err().code, Code::Gone);
    assert_eq!(
        confirm(Verdict::Holds, 1_600_000).unwrap_err().code,
        Code::Gone
    );
    assert_eq!(
        c.confirm(Some(&other), 1_100_000, Verdict::None)
            .unwrap_err()
            .code,
        Code::Gone
    );
}

#[test]
fn one_change_at_a_time_and_never_over_an_administrator() {
    let param = swappiness();
    let soaked = 1_000_000 + 30 * 60_000;
    let may = |history: &[Commit], value: i64, now| {
        may_write(&name(), &param, history, &ParamValue::Integer(value), now).map_err(|e| e.code)
    };
    assert_eq!(may(&[], 60, 0), Ok(()));
    assert_eq!(
        may(&[commit(CommitState::Armed)], 40, soaked),
        Err(Code::Busy)
    );
    for state in [
        CommitState::Confirmed,
        CommitState::Reverted,
        CommitState::Overtaken,
    ] {
        assert_eq!(
            may(&[commit(state)], 40, soaked - 1),
            Err(Code::Busy),
            "{state:?}"
        );
        assert_eq!(
            may(&[commit(state)], 7, soaked),
            Err(Code::Denied),
            "{state:?}"
        );
    }
    assert_eq!(may(&[commit(CommitState::Confirmed)], 40, soaked), Ok(()));
    assert_eq!(
        may(&[commit(CommitState::Confirmed)], 60, soaked),
        Err(Code::Denied)
    );
    assert_eq!(may(&[commit(CommitState::Reverted)], 60, soaked), Ok(()));
    assert_eq!(may(&[commit(CommitState::Overtaken)], 60, soaked), Ok(()));
    let elsewhere = Commit {
        param: ParamName::new("other").unwrap(),
        ..commit(CommitState::Confirmed)
    };
    assert_eq!(
        may(std::slice::from_ref(&elsewhere), 7, soaked - 1),
        Err(Code::Busy)
    );
    assert_eq!(may(&[elsewhere], 7, soaked), Ok(()));
}

fn any_value() -> impl Strategy<Value = ParamValue> {
    prop_oneof![
        any::<i64>().prop_map(ParamValue::Integer),
        any::<i64>().prop_map(|i| ParamValue::Float(Decimal(i))),
        any::<bool>().prop_map(ParamValue::Boolean),
        "[ -~é]{0,30}".prop_map(ParamValue::Text),
        (0..i64::MAX).prop_map(|i| Number::Duration.value(i)),
        (0..i64::MAX).prop_map(|i| Number::Bytes.value(i)),
    ]
}

fn shape_of(value: &ParamValue) -> Shape {
    match value {
        ParamValue::Boolean(_) => Shape::Boolean,
        ParamValue::Text(_) => Shape::Text,
        number => Shape::Number {
            number: number.count().unwrap().0,
            min: i64::MIN,
            max: i64::MAX,
            step: Some(1),
            unit: None,
        },
    }
}

proptest! {
    #[test]
    fn printed_and_parsed_again(value in any_value()) {
        let shape = shape_of(&value);
        prop_assert_eq!(shape.parse(&value.to_string()).unwrap(), value.clone());
        let json = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(serde_json::from_str::<ParamValue>(&json).unwrap(), value);
    }

    #[test]
    fn spelled_and_read_again(value in any_value(), like in "[0-9]{1,4} ?(ms|s|m|h|K|MiB|GB|yes|on)?") {
        let shape = shape_of(&value);
        let text = shape.spell(&value, &raw(RawKind::Bare, &like)).unwrap();
        prop_assert_eq!(shape.read(&raw(RawKind::Bare, &text)).unwrap(), value);
    }

    #[test]
    fn what_is_admitted_lies_within_bounds_and_on_the_step(
        min in any::<i64>(), span in 0i64.., step in 1i64.., count in any::<i64>(),
    ) {
        let max = min.saturating_add(span);
        let shape = Shape::Number { number: Number::Integer, min, max, step: Some(step), unit: None };
        let inside = count >= min && count <= max
            && (i128::from(count) - i128::from(min)) % i128::from(step) == 0;
        prop_assert_eq!(shape.admits(&ParamValue::Integer(count)).is_ok(), inside);
    }

    /// What lies beyond a guard's reach cannot change its verdict, as long as it is measured as
    /// often as it says.
    #[test]
    fn only_the_newest_measurements_decide(
        gaps in proptest::collection::vec((1u64..=120, 0u8..4), 1..60), since in 0u64..3_000, late in 0u64..300,
    ) {
        let guard = swappiness().guard.unwrap();
        let mut at = 0;
        let mut readings = Vec::new();
        for (gap, value) in gaps {
            at += gap;
            readings.push((at, f64::from(value) / 4.0));
        }
        let (since_ms, now_ms) = (since * 1000, (at + late) * 1000);
        let from = since_ms.max(now_ms.saturating_sub(guard.reach_ms()));
        let near: Vec<(u64, f64)> = readings.iter().filter(|r| r.0 * 1000 >= from).copied().collect();
        prop_assert_eq!(
            guard.verdict(&[heard("", &readings)], since_ms, now_ms),
            guard.verdict(&[heard("", &near)], since_ms, now_ms)
        );
    }

    /// Only what is ours is ever taken back, and nothing waits past its deadline.
    #[test]
    fn reverts_only_its_own(
        current in proptest::option::of(prop_oneof![Just(40i64), Just(60), any::<i64>()]),
        now in 0u64..3_000_000, verdict in 0u8..6, state in 0u8..4,
    ) {
        let state = [CommitState::Armed, CommitState::Confirmed, CommitState::Reverted, CommitState::Overtaken][usize::from(state)];
        let verdict = [Verdict::None, Verdict::Holds, Verdict::Wavers, Verdict::Unknown, Verdict::Silent { for_ms: 1 }, breach(1.0)][usize::from(verdict)];
        let c = commit(state);
        let current = current.map(ParamValue::Integer);
        for now in [what_now(&c, current.as_ref(), now, verdict), after_restart(&c, current.as_ref())] {
            match now {
                WhatNow::Revert(_) => prop_assert!(current == Some(c.new.clone()) || current == Some(c.old.clone())),
                WhatNow::Overtaken => prop_assert!(current != Some(c.new.clone())),
                WhatNow::Keep => {}
            }
            if state != CommitState::Armed { prop_assert_eq!(now, WhatNow::Keep); }
        }
        if state == CommitState::Armed && now >= c.deadline_ms {
            prop_assert_ne!(what_now(&c, current.as_ref(), now, verdict), WhatNow::Keep);
        }
    }

    #[test]
    fn keys_are_printed_as_they_are_read(parts in proptest::collection::vec("[^\"\\p{Cc}]{1,12}", 1..8)) {
        let text = parts.iter().map(|p| format!("\"{p}\"")).collect::<Vec<_>>().join(".");
        let key: KeyPath = text.parse().unwrap();
        prop_assert_eq!(key.parts(), &parts[..]);
        prop_assert_eq!(key.to_string().parse::<KeyPath>().unwrap(), key);
    }
}

#[test]
fn a_deadline_counts_from_the_arming() {
    let change = ParamChange {
        param: name(),
        place: swappiness().place,
        seen: None,
        old: Held {
            value: ParamValue::Integer(60),
            spelling: "60".into(),
        },
        new: Held {
            value: ParamValue::Integer(40),
            spelling: "40".into(),
        },
        revert_after: Span::secs(600),
    };
    let armed = Commit::arm(RunId::new(1, [1; 10]), 0, &change, 1_000_000);
    assert_eq!(armed, commit(CommitState::Armed));
    assert_eq!(change.price().params, 1);
    assert_eq!(
        serde_json::to_string(&change).unwrap(),
        r#"{"param":"pool","place":{"sysctl":"vm.swappiness"},"seen":null,"old":{"value":{"integer":60},"spelling":"60"},"new":{"value":{"integer":40},"spelling":"40"},"revert_after":"10m"}"#
    );
}
