//! Files as they are found: damaged, half written, full of odd characters. Whatever they hold there
//! is an answer, and a value that is replaced is the only thing that changes.

use super::*;

const FORMATS: [(Format, &str, &[&str]); 5] = [
    (
        Format::Toml,
        TOML,
        &[
            "title",
            "server.pool.size",
            "server.pool.text",
            "odd.inline",
        ],
    ),
    (Format::Json, JSON, &["size", "a.size", "a.text", "a.on"]),
    (
        Format::Yaml,
        YAML_GOOD,
        &["last", "server.size", "server.single", "server.plain"],
    ),
    (
        Format::Ini,
        INI,
        &["name", "Main Section.size", "Main Section.quoted"],
    ),
    (Format::Env, ENV, &["SIZE", "TEXT", "OTHER"]),
];

/// One edit at a place: so many characters out, and these in.
type Edit = (prop::sample::Index, usize, String);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    // What formats are made of, what ends lines somewhere, and anything at all.
    let text = prop_oneof![
        4 => "[\\[\\]{}:=,#;\"'\\\\ \n\r\tk0-9a-z.&*!|>-]{0,4}",
        1 => "[\u{85}\u{2028}\u{2029}\u{feff}\u{0}\u{7f}\u{a0}]",
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec((any::<prop::sample::Index>(), 0usize..6, text), 0..6)
}

fn damaged(text: &str, edits: &[Edit]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, out, new) in edits {
        let at = at.index(chars.len() + 1);
        let end = (at + out).min(chars.len());
        chars.splice(at..end, new.chars());
    }
    chars.into_iter().collect()
}

/// If the value is found and can be replaced: nothing else changed, and back it is as it was.
fn replaced_alone(
    format: Format,
    text: &str,
    k: &KeyPath,
    value: &str,
) -> Result<(), TestCaseError> {
    let Ok(old) = find(format, text, k) else {
        return Ok(());
    };
    let spelled = &text[old.span.clone()];
    let new = quote(format, value, old.raw.kind, spelled);
    let Ok(after) = replace(format, text, k, &new, Some(value)) else {
        return Ok(());
    };
    let (head, tail) = (&text[..old.span.start], &text[old.span.end..]);
    prop_assert_eq!(&after, &format!("{head}{new}{tail}"));
    let now = find(format, &after, k).unwrap();
    prop_assert_eq!((now.raw.text.as_str(), now.raw.kind), (value, old.raw.kind));
    prop_assert_eq!(replace(format, &after, k, spelled, None).unwrap(), text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_damaged_file_is_answered_and_only_the_value_changes(
        of in 0usize..5, pick in any::<prop::sample::Index>(), edits in edits(),
        value in prop_oneof!["[ -~]{0,8}", "\\PC{0,8}", "-?[0-9]{1,9}", Just("true".to_owned())],
    ) {
        let (format, sample, keys) = FORMATS[of];
        let text = damaged(sample, &edits);
        replaced_alone(format, &text, &key(keys[pick.index(keys.len())]), &value)?;
    }

    #[test]
    fn anything_at_all_is_answered(of in 0usize..5, text in "(?s).{0,200}", value in "\\PC{0,8}") {
        let (format, _, keys) = FORMATS[of];
        for k in keys {
            replaced_alone(format, &text, &key(k), &value)?;
        }
    }
}

/// Lengths and depths that a parser without bounds would pay for with its stack or its time.
#[test]
fn long_and_deep_files_are_answered() {
    let long = "x".repeat(1 << 20);
    for (format, text) in [
        (Format::Ini, format!("a = {long}\nk = 1\n")),
        (Format::Env, format!("A={long}\nk=1\n")),
        (Format::Yaml, format!("a: {long}\nk: 1\n")),
        (Format::Toml, format!("a = \"{long}\"\nk = 1\n")),
        (Format::Json, format!("{{\"a\":\"{long}\",\"k\":1}}")),
    ] {
        let found = find(format, &text, &key("k")).unwrap();
        assert_eq!(found.raw.text, "1", "{}", format.as_str());
    }
    for (open, close) in [
        ("[", "]"),
        ("{\"a\":", "}"),
        ("- ", ""),
        ("a.", ""),
        ("? ", ""),
    ] {
        for text in [
            open.repeat(10_000),
            open.repeat(10_000) + &close.repeat(10_000),
        ] {
            for (format, ..) in FORMATS {
                for text in [text.clone(), format!("k = {text}"), format!("k: {text}")] {
                    assert!(
                        find(format, &text, &key("k.a")).is_err(),
                        "{}",
                        format.as_str()
                    );
                }
            }
        }
    }
}
