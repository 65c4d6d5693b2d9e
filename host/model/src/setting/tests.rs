//! What fits a setting, and which settings are refused as a whole.

use super::*;
use serde_json::json;

fn setting(default: Value, schema: Value) -> Setting {
    Setting {
        name: "it".into(),
        help: "Help".into(),
        default,
        schema: Some(serde_json::from_value(schema).unwrap()),
    }
}

#[test]
fn what_fits_and_what_is_expected_instead() {
    let whole = setting(
        json!(5),
        json!({"type":"integer","minimum":0,"maximum":255}),
    );
    for good in [json!(0), json!(255), json!("7")] {
        whole.fits(&good).unwrap();
    }
    for bad in [
        json!(-1),
        json!(256),
        json!(1.5),
        json!("x"),
        json!(true),
        json!(null),
    ] {
        assert_eq!(
            whole.fits(&bad).unwrap_err(),
            "a whole number from 0 to 255",
            "{bad}"
        );
    }
    let flag = setting(json!(true), json!({"type":"boolean"}));
    flag.fits(&json!("off")).unwrap();
    assert_eq!(flag.fits(&json!(1)).unwrap_err(), "true or false");
    let list = setting(json!([]), json!({"type":"array","items":{"type":"string"}}));
    list.fits(&json!("a, b")).unwrap();
    list.fits(&json!(["a"])).unwrap();
    assert_eq!(list.fits(&json!([1])).unwrap_err(), "a list, each a text");
    let level = setting(json!("low"), json!({"enum":["low","high"]}));
    level.fits(&json!("high")).unwrap();
    assert_eq!(level.fits(&json!("odd")).unwrap_err(), "one of low, high");
    let span = setting(json!("1h"), json!({"type":"string","description":"a span"}));
    span.fits(&json!(90)).unwrap();
    assert_eq!(span.fits(&json!([])).unwrap_err(), "a text: a span");
    let open = setting(json!(null), json!({"type":"integer"}));
    assert!(open.fits(&json!("7")).is_err());
    let large = setting(
        json!(0),
        json!({"type":"integer","minimum":0,"maximum":u64::MAX}),
    );
    large.fits(&json!(u64::MAX)).unwrap();
    assert!(large.fits(&json!(-1)).is_err());
}

#[test]
fn bounds_hold_for_fractions_too() {
    let share = setting(
        json!(0.1),
        json!({"type":"number","minimum":0,"maximum":0.5}),
    );
    for good in [json!(0), json!(0.5), json!("0.25")] {
        share.fits(&good).unwrap();
    }
    for bad in [json!(-0.1), json!(0.51), json!(1), json!("7")] {
        assert_eq!(
            share.fits(&bad).unwrap_err(),
            "a number from 0 to 0.5",
            "{bad}"
        );
    }
    let least = setting(json!(1), json!({"type":"integer","minimum":1}));
    let no = least.fits(&json!(0)).unwrap_err();
    assert_eq!(no, "a whole number of at least 1");
}

#[test]
fn a_text_of_a_format_means_something() {
    for (format, good, bad) in [
        (
            "span",
            json!(["24h", "1h30m", 90]),
            json!(["soon", "5x", "", -1]),
        ),
        (
            "size",
            json!(["10 GiB", "1kB", 512]),
            json!(["10XB", "GiB", -1]),
        ),
        (
            "range",
            json!(["85", "10:", "~:10", "@5:9", 85]),
            json!(["20:10", "much", "@", "NaN", "1:2:3"]),
        ),
    ] {
        let schema = json!({"type":"string","format":format,"description":"as it is"});
        let setting = setting(json!("1"), schema);
        for value in good.as_array().unwrap() {
            setting.fits(value).unwrap();
        }
        for value in bad.as_array().unwrap() {
            let no = setting.fits(value).unwrap_err();
            assert_eq!(no, "a text: as it is", "{format}: {value}");
        }
    }
}

/// `--set ages=1h,2h` arrives as one text.
#[test]
fn each_part_of_a_list_is_looked_at() {
    let ages = setting(
        json!(["1h"]),
        json!({"type":"array","items":{"type":"string","format":"span"}}),
    );
    for good in [json!([]), json!(["1h", "2d"]), json!(""), json!("1h, 2d,")] {
        ages.fits(&good).unwrap();
    }
    for bad in [json!(["1h", "soon"]), json!("1h,soon"), json!(true)] {
        assert_eq!(ages.fits(&bad).unwrap_err(), "a list, each a text", "{bad}");
    }
}

#[test]
fn settings_are_within_bounds_and_fit_themselves() {
    let named = |name: &str, schema: Value| Setting {
        name: name.into(),
        ..setting(json!(null), schema)
    };
    let text = json!({"type":"string"});
    check(&[named("a-b", text.clone()), named("a_b", text.clone())]).unwrap();
    let nested = |depth| {
        (1..depth).fold(
            text.clone(),
            |items, _| json!({"type":"array","items":items}),
        )
    };
    check(&[named("deep", nested(DEPTH_MAX))]).unwrap();
    let words = |count: usize| {
        let words: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        json!({ "enum": words })
    };
    check(&[named("many", words(CHOICES_MAX))]).unwrap();
    let many = (0..=SETTINGS_MAX).map(|n| named(&n.to_string(), text.clone()));
    let own = setting(json!(4), json!({"type":"integer","maximum":3}));
    for (wrong, why) in [
        (
            vec![named("a", text.clone()), named("a", text.clone())],
            "used twice",
        ),
        (vec![named("", text.clone())], "empty"),
        (vec![named("a b", text.clone())], "odd"),
        (
            vec![named(&"a".repeat(NAME_MAX_BYTES + 1), text.clone())],
            "odd",
        ),
        (
            vec![named("deep", nested(DEPTH_MAX + 1))],
            "`deep`: its schema is deeper",
        ),
        (vec![named("many", words(CHOICES_MAX + 1))], "65 choices"),
        (vec![named("none", words(0))], "0 choices"),
        (many.collect(), "129 settings"),
        (
            vec![own],
            "`it`: its default is not a whole number of at most 3",
        ),
    ] {
        let no = check(&wrong).unwrap_err();
        assert!(no.contains(why), "{no}");
    }
}

#[test]
fn a_keyword_that_is_not_checked_is_refused() {
    for odd in [
        json!({"type":"string","pattern":"^a"}),
        json!({"type":"string","format":"date"}),
    ] {
        assert!(serde_json::from_value::<Schema>(odd).is_err());
    }
}

#[test]
fn the_document_is_json_schema() {
    let it = setting(json!(5), json!({"type":"integer","minimum":0}));
    let document = document("a-task", &[it]);
    assert_eq!(document["additionalProperties"], false);
    assert_eq!(
        document["properties"]["it"],
        json!({"type":"integer","minimum":0,"description":"Help","default":5})
    );
}
