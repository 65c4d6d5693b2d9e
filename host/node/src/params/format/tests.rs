//! Every format: exact bytes around the value, and a clear no for what two readers read differently.

mod damage;

use super::*;
use keepwell_model::words::Code;
use proptest::prelude::*;

const TOML: &str = "\
# The pool.   Do not touch the spacing.
title   =   'a \"title\"'   # comment = 5
odd = { inline = 7, \"dotted.key\" = \"x\" } # tail

[ server . pool ]
size=0x10 # sixteen
\tratio  = 1_000.50
on = true
text = \"caf\\u00e9 # no comment\"
many = [1, 2, # three
  4]
when = 1979-05-27
long = \"\"\"
size = 5
\"\"\"
nan = nan
[[list]]
size = 9
";

const JSON: &str = "{\n\t\"a\" : { \"size\":16 ,\"text\": \"q\\\"}{ \\u00e9\", \"on\" :true },\r\n  \"list\": [ {\"size\": 1}, [] , [2,{ }] ],\n\"none\":null, \"size\" : -1.5e3 , \"\" : { \"\":0}, \"a.b\" : 7 }  \n";

const YAML: &str = "\
# head
---
server:   # the server
    size:   16    # sixteen
    text: plain words: no, wait
";

const YAML_GOOD: &str = "\
# head é
---
server:   # the server
    size:   16    # sixteen
    'quoted key': \"caf\\u00e9\"
    single: 'it''s'   # a comment
    plain: some words
    flow: { size: 3, \"on\": true , list: [ 1, {size: 4} ] }
list:
- size: 5
-   size: 6
address: 10.0.0.1
wait: 30s
folded: >
  size: 9
  more
last: 1.5";

const INI: &str = "\
; head
name = top
[Main Section]
\tsize   =  16\t; sixteen
path:/var/lib/x:y
quoted = \"a ; b\"  # tail
words = some words
hash=a#b
flag
empty =
list = \"a\", \"b\"

[other.part]
size=17
";

const ENV: &str = "\
# head
SIZE=16
export TEXT=\"some words # inside\"   
  OTHER='$HOME'
SHELL_LINE=\"${A:-x}\" # not ours
PATHS=/a:/b
EMPTY=
";

fn key(text: &str) -> KeyPath {
    text.parse().unwrap()
}

fn text_at(format: Format, text: &str, k: &str) -> String {
    let found = find(format, text, &key(k)).unwrap_or_else(|no| panic!("{k}: {no}\n{text:?}"));
    format!("{:?} {}", found.raw.kind, found.raw.text)
}

#[test]
fn values_are_found_with_what_they_say() {
    for (format, text, k, says) in [
        (Format::Toml, TOML, "title", "Text a \"title\""),
        (Format::Toml, TOML, "odd.inline", "Number 7"),
        (Format::Toml, TOML, "odd.\"dotted.key\"", "Text x"),
        (Format::Toml, TOML, "server.pool.size", "Number 16"),
        (Format::Toml, TOML, "server.pool.ratio", "Number 1000.50"),
        (Format::Toml, TOML, "server.pool.on", "Boolean true"),
        (
            Format::Toml,
            TOML,
            "server.pool.text",
            "Text café # no comment",
        ),
        (Format::Json, JSON, "a.size", "Number 16"),
        (Format::Json, JSON, "a.text", "Text q\"}{ é"),
        (Format::Json, JSON, "a.on", "Boolean true"),
        (Format::Json, JSON, "size", "Number -1.5e3"),
        (Format::Json, JSON, "\"a.b\"", "Number 7"),
        (Format::Yaml, YAML_GOOD, "server.size", "Number 16"),
        (Format::Yaml, YAML_GOOD, "server.quoted key", "Text café"),
        (Format::Yaml, YAML_GOOD, "server.single", "Text it's"),
        (Format::Yaml, YAML_GOOD, "server.plain", "Text some words"),
        (Format::Yaml, YAML_GOOD, "server.flow.size", "Number 3"),
        (Format::Yaml, YAML_GOOD, "server.flow.on", "Boolean true"),
        (Format::Yaml, YAML_GOOD, "address", "Text 10.0.0.1"),
        (Format::Yaml, YAML_GOOD, "wait", "Text 30s"),
        (Format::Yaml, YAML_GOOD, "last", "Number 1.5"),
        (Format::Ini, INI, "name", "Bare top"),
        (Format::Ini, INI, "Main Section.size", "Bare 16"),
        (Format::Ini, INI, "Main Section.path", "Bare /var/lib/x:y"),
        (Format::Ini, INI, "Main Section.quoted", "Bare a ; b"),
        (Format::Ini, INI, "Main Section.words", "Bare some words"),
        (Format::Ini, INI, "Main Section.hash", "Bare a#b"),
        (Format::Ini, INI, "Main Section.empty", "Bare "),
        (Format::Ini, INI, "\"other.part\".size", "Bare 17"),
        (Format::Env, ENV, "SIZE", "Bare 16"),
        (Format::Env, ENV, "TEXT", "Bare some words # inside"),
        (Format::Env, ENV, "OTHER", "Bare $HOME"),
        (Format::Env, ENV, "PATHS", "Bare /a:/b"),
    ] {
        assert_eq!(text_at(format, text, k), says, "{} {k}", format.as_str());
        // The same with a byte order mark, and with the line ends of another system.
        let marked = format!("{MARK}{text}");
        assert_eq!(text_at(format, &marked, k), says, "{} {k}", format.as_str());
        let ends = text.replace("\r\n", "\n").replace('\n', "\r\n");
        assert_eq!(text_at(format, &ends, k), says, "{} {k}", format.as_str());
    }
}

/// Replaces the value and checks that the bytes around it stay; then puts the old ones back.
fn there_and_back(format: Format, text: &str, k: &str, says: &str) -> Result<String, Refusal> {
    let k = key(k);
    let old = find(format, text, &k)?;
    let spelled = &text[old.span.clone()];
    let new = quote(format, says, old.raw.kind, spelled);
    let after = replace(format, text, &k, &new, Some(says))?;
    assert_eq!(&after[..old.span.start], &text[..old.span.start]);
    assert!(after.ends_with(&text[old.span.end..]));
    assert_eq!(after.len() + old.span.len(), text.len() + new.len());
    let back = replace(format, &after, &k, spelled, Some(&old.raw.text)).unwrap();
    assert_eq!(back, text);
    Ok(after)
}

#[test]
fn only_the_bytes_of_the_value_change() {
    let after = there_and_back(Format::Toml, TOML, "server.pool.size", "32").unwrap();
    assert_eq!(after, TOML.replace("0x10", "32"));
    let after = there_and_back(Format::Toml, TOML, "title", "it's \"new\"").unwrap();
    assert_eq!(after, TOML.replace("'a \"title\"'", "\"it's \\\"new\\\"\""));
    let after = there_and_back(Format::Json, JSON, "a.text", "new").unwrap();
    assert_eq!(after, JSON.replace("q\\\"}{ \\u00e9", "new"));
    let after = there_and_back(Format::Yaml, YAML_GOOD, "server.size", "17").unwrap();
    assert_eq!(after, YAML_GOOD.replace("16 ", "17 "));
    let after = there_and_back(Format::Yaml, YAML_GOOD, "server.plain", "it's: # x").unwrap();
    assert_eq!(after, YAML_GOOD.replace("some words", "'it''s: # x'"));
    let after = there_and_back(Format::Yaml, YAML_GOOD, "server.plain", "true").unwrap();
    assert_eq!(after, YAML_GOOD.replace("some words", "'true'"));
    let after = there_and_back(Format::Ini, INI, "Main Section.size", "17").unwrap();
    assert_eq!(after, INI.replace("16\t", "17\t"));
    let after = there_and_back(Format::Ini, INI, "Main Section.empty", "x").unwrap();
    assert_eq!(after, INI.replace("empty =", "empty =x"));
    let after = there_and_back(Format::Env, ENV, "TEXT", "other words").unwrap();
    assert_eq!(after, ENV.replace("some words # inside", "other words"));
    for (format, text, k, says) in [
        (Format::Ini, INI, "Main Section.words", "a ; b"),
        (Format::Ini, INI, "Main Section.words", " a"),
        (Format::Ini, INI, "Main Section.words", "a \\"),
        (Format::Ini, INI, "Main Section.words", "\"a\""),
        (Format::Ini, INI, "Main Section.quoted", "a\"b"),
        (Format::Env, ENV, "SIZE", "a b"),
        (Format::Env, ENV, "SIZE", "$(x)"),
        (Format::Env, ENV, "TEXT", "`x`"),
        (Format::Env, ENV, "OTHER", "it's"),
    ] {
        let no = there_and_back(format, text, k, says).unwrap_err();
        assert_eq!(no.code, Code::Invalid, "{k} {says}");
        assert!(no.message.contains("reads back"), "{no}");
    }
}

#[test]
fn what_two_readers_read_differently_is_refused() {
    use Format::{Env, Ini, Json, Toml, Yaml};
    let deep = "[".repeat(200) + &"]".repeat(200);
    let deep_json = format!("{{\"a\":{deep},\"k\":1}}");
    let deep_toml = format!("a = {deep}\nk = 1\n");
    let deep_yaml = format!("a: {deep}\nk: 1\n");
    for (format, text, why) in [
        (Toml, "k = 1\nk = 2\n", "not TOML"),
        (Toml, "k = 1\n[k]\n", "not TOML"),
        (Toml, "k = ", "not TOML"),
        (Toml, "j = 1", "is not there"),
        (Toml, "k = [1]", "a list"),
        (Toml, "k = {}", "a table"),
        (Toml, "k = 1979-05-27", "a date"),
        (Toml, "k = \"\"\"x\"\"\"", "several lines"),
        (Toml, &deep_toml, "not TOML"),
        (Json, "{\"k\":1,\"k\":2}", "twice"),
        (Json, "{\"k\":1,\"\\u006b\":2}", "twice"),
        (Json, "{\"k\":1,\"o\":[{\"x\":1,\"x\":1}]}", "twice"),
        (Json, "{\"k\":1,}", "not JSON"),
        (Json, "{\"k\":1} // x", "not JSON"),
        (Json, "[{\"k\":1}]", "is not there"),
        (Json, "{\"k\":null}", "null"),
        (Json, "{\"k\":{}}", "an object"),
        (Json, "", "not JSON"),
        (Json, &deep_json, "not JSON"),
        (Yaml, "k: 1\nk: 2\n", "uplicate|twice"),
        (Yaml, "k: 1\no: {x: 1, x: 2}\n", "uplicate|twice"),
        (Yaml, "k: &a 1\n", "anchor"),
        (Yaml, "o: &a {x: 1}\nk: 1\n", "anchor"),
        (Yaml, "k: 1\no: {<<: {x: 1}}\n", "merge"),
        (Yaml, "k: 1\n---\nk: 2\n", "more than one document"),
        (Yaml, "k: !!int 1\n", "tag"),
        (Yaml, "k: |\n  text\n", "several lines"),
        (Yaml, "k: >\n  text\n", "several lines"),
        (Yaml, "k: some\n  words\n", "several lines"),
        (Yaml, "k: \"some\n  words\"\n", "several lines"),
        (Yaml, "k: yes\n", "YAML 1.1"),
        (Yaml, "k: Off\n", "YAML 1.1"),
        (Yaml, "k: 010\n", "YAML 1.1"),
        (Yaml, "k: 0x1F\n", "YAML 1.1"),
        (Yaml, "k: 1_000\n", "YAML 1.1"),
        (Yaml, "k: 1:30\n", "YAML 1.1"),
        (Yaml, "k: 2001-12-14\n", "YAML 1.1"),
        (Yaml, "k: 1e3\n", "YAML 1.1"),
        (Yaml, "k: 1.5e3\n", "YAML 1.1"),
        (Yaml, "k: 1 # x\u{2028}k: 2\n", "ends a line"),
        (Yaml, "j: \"\u{85}\"\nk: 1\n", "ends a line"),
        (Yaml, "k:\n", "null"),
        (Yaml, "k: [1]\n", "a list"),
        (Yaml, "k: {}\n", "a mapping"),
        (Yaml, "? {x: 1}\n: 2\nk: 1\n", "a key is"),
        (Yaml, "j: [\nk: 1\n", "not YAML"),
        (Yaml, YAML, "not YAML"),
        (Yaml, "", "is not there"),
        (Yaml, &deep_yaml, "deeper|recursion"),
        (Ini, "k = 1\nk = 2\n", "twice"),
        (Ini, "k = 1\nK = 2\n", "twice"),
        (Ini, "k = 1\n  more\n", "may go on"),
        (Ini, "k = 1\n\n  more = 2\n", "may go on"),
        (Ini, "j = x \\\nk = 1\n", "ends with"),
        (Ini, "k = \"a\\\"b\"\n", "`\\`"),
        (Ini, "k = \"a\" b\n", "after the closing quote"),
        (Ini, "j = \"a\nk = 1\n", "does not close"),
        (Ini, "[s\nk = 1\n", "does not close"),
        (Ini, "[s] x\nk = 1\n", "after the section"),
        (Ini, "[s]\nk = 1\n", "is not there"),
        (Ini, "k = 1\x1b[2J\n", "control character"),
        (Ini, "k = 1\rj = 2\n", "control character"),
        (Env, "k=1\nk=2\n", "twice"),
        (Env, "k=1\nexport k=2\n", "twice"),
        (Env, "j='\nk=1\n'\n", "several lines"),
        (Env, "j=x\"\nk=1\n\"\n", "several lines"),
        (Env, "j=x\\\nk=1\n", "several lines"),
        (Env, "k = 1\n", "odd name"),
        (Env, "k= 1\n", "needs quotes"),
        (Env, "k=1 # x\n", "needs quotes"),
        (Env, "k=$x\n", "needs quotes"),
        (Env, "k=\"$x\"\n", "between quotes"),
        (Env, "k=\"a\"b\n", "after the closing quote"),
        (Env, "if x; then\nk=1\nfi\n", "neither"),
    ] {
        let no = find(format, text, &key("k")).unwrap_err();
        let fits = why.split('|').any(|why| no.message.contains(why));
        assert!(fits, "{} {text:?}: {no}", format.as_str());
    }
}

#[test]
fn free_text_before_a_comment_is_in_doubt() {
    let doubt = |text: &str| find(Format::Ini, text, &key("k")).unwrap().doubt.is_some();
    assert!(doubt("k = text ; comment\n"));
    assert!(!doubt("k = \"text\" ; comment\n") && !doubt("k = text;x\n"));
}

/// Any small JSON document, printed with odd spacing.
fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(serde_json::Value::from),
        "[ -~é]{0,12}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |below| {
        prop_oneof![
            proptest::collection::vec(below.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[a-z .\\\\é]{1,5}", below, 0..5)
                .prop_map(|m| m.into_iter().collect::<serde_json::Value>()),
        ]
    })
}

/// Every path to a single value, except through lists.
fn paths(at: &serde_json::Value, before: &[String], out: &mut Vec<Vec<String>>) {
    if let serde_json::Value::Object(all) = at {
        for (k, v) in all {
            let path = [before, std::slice::from_ref(k)].concat();
            if v.is_object() {
                paths(v, &path, out);
            } else if !v.is_array() && !v.is_null() {
                out.push(path);
            }
        }
    }
}

fn as_key(path: &[String]) -> KeyPath {
    let parts: Vec<String> = path.iter().map(|p| format!("\"{p}\"")).collect();
    key(&parts.join("."))
}

fn other_value(old: &serde_json::Value, text: &str, number: i32) -> (serde_json::Value, String) {
    match old {
        serde_json::Value::Bool(b) => ((!b).into(), (!b).to_string()),
        serde_json::Value::Number(_) => (number.into(), number.to_string()),
        serde_json::Value::Null
        | serde_json::Value::String(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => (text.into(), text.to_owned()),
    }
}

proptest! {
    /// In any JSON, TOML and YAML document: exactly the named value changes, as the format's own
    /// parser sees it, and comes back byte for byte.
    #[test]
    fn exactly_this_key_changes(doc in document(), text in "[ -~é]{0,12}", number in any::<i32>(), pick in any::<prop::sample::Index>()) {
        let doc = serde_json::json!({ "top": doc, "other": 1 });
        let mut all = Vec::new();
        paths(&doc, &[], &mut all);
        let path = &all[pick.index(all.len())];
        let k = as_key(path);
        let mut want = doc.clone();
        let at = path.iter().fold(&mut want, |at, part| &mut at[part.as_str()]);
        let (value, says) = other_value(at, &text, number);
        *at = value;
        let json = serde_json::to_string_pretty(&doc).unwrap();
        let toml = ::toml::to_string(&doc).unwrap();
        // JSON is YAML, but for what this host wants YAML to spell out.
        for (format, before) in [(Format::Json, &json), (Format::Toml, &toml), (Format::Yaml, &json)] {
            let old = match find(format, before, &k) {
                Ok(old) => old,
                // How the TOML writer spells text that holds both quotes.
                Err(no) if no.message.contains("several lines") => {
                    let long = before.contains("\"\"\"") || before.contains("'''");
                    prop_assert!(format == Format::Toml && long);
                    continue;
                }
                Err(no) => panic!("{no}"),
            };
            let spelled = &before[old.span.clone()];
            let new = quote(format, &says, old.raw.kind, spelled);
            let after = replace(format, before, &k, &new, Some(&says)).unwrap();
            let now: serde_json::Value = match format {
                Format::Toml => ::toml::from_str(&after).unwrap(),
                Format::Json | Format::Yaml | Format::Ini | Format::Env => serde_json::from_str(&after).unwrap(),
            };
            prop_assert_eq!(&now, &want);
            prop_assert_eq!(&replace(format, &after, &k, spelled, None).unwrap(), before);
        }
    }

    #[test]
    fn ini_and_env_keep_every_other_line(
        lines in proptest::collection::vec("([;#] [ -~]{0,20}|[a-z]{1,6} ?[=:] ?[a-z0-9.]{0,8}|\\[[a-z]{1,5}\\]|[ \t]{0,3})", 0..12),
        at in any::<prop::sample::Index>(), value in "[a-z0-9/.]{1,10}", end in prop_oneof![Just("\n"), Just("\r\n")],
    ) {
        let mut ini = lines.clone();
        ini.insert(0, "OURS = 1".to_owned());
        let ini = ini.join(end);
        if find(Format::Ini, &ini, &key("OURS")).is_ok() {
            prop_assert_eq!(there_and_back(Format::Ini, &ini, "OURS", &value).unwrap(), ini.replacen("OURS = 1", &format!("OURS = {value}"), 1));
        }
        let mut env: Vec<String> = lines.iter().filter(|l| l.starts_with(['#', ';']) || l.trim().is_empty()).cloned().collect();
        env.insert(at.index(env.len() + 1), "OURS=1".to_owned());
        let env = env.join(end);
        prop_assert_eq!(there_and_back(Format::Env, &env, "OURS", &value).unwrap(), env.replacen("OURS=1", &format!("OURS={value}"), 1));
    }

    /// Whatever the bytes are: an answer, and never a wrong one.
    #[test]
    fn any_text_is_answered(text in "[k=:{}\\[\\]\"' \n\r\t#;a-c0-9,&*!<|>\\\\$-]{0,60}", value in "[ -~]{0,6}") {
        for format in [Format::Toml, Format::Json, Format::Yaml, Format::Ini, Format::Env] {
            let Ok(old) = find(format, &text, &key("k")) else { continue };
            let spelled = text[old.span.clone()].to_owned();
            let new = quote(format, &value, old.raw.kind, &spelled);
            if let Ok(after) = replace(format, &text, &key("k"), &new, Some(&value)) {
                prop_assert_eq!(find(format, &after, &key("k")).unwrap().raw.text, value.clone());
                prop_assert_eq!(replace(format, &after, &key("k"), &spelled, None).unwrap(), text.clone());
            }
        }
    }
}
