//! Values that an administrator sets too, in every format: whose a value is shows in its bytes.

use super::*;
use keepwell_model::param::Format;

/// A file of one format, whose `pool.size` (or `SIZE`) is 16.
struct Case {
    format: Format,
    key: &'static str,
    text: &'static str,
    /// 32 in other bytes than the host would write.
    other_bytes: &'static str,
    /// The line with the value, as it may be taken out.
    line: &'static str,
    /// What no parser of the format takes.
    broken: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        format: Format::Toml,
        key: "pool.size",
        text: "[pool] # x\nsize = 16 # y\nname = 'a'\n",
        other_bytes: "0x20",
        line: "size = 16 # y\n",
        broken: "[pool\nsize = 32\n",
    },
    Case {
        format: Format::Json,
        key: "pool.size",
        text: "{\n  \"pool\": { \"name\": \"a\",\n    \"size\": 16 }\n}\n",
        other_bytes: "32.0e0",
        line: ",\n    \"size\": 16",
        broken: "{\"pool\": {\"size\": 32}",
    },
    Case {
        format: Format::Yaml,
        key: "pool.size",
        text: "pool: # x\n  size: 16 # y\n  name: a\n",
        other_bytes: "+32",
        line: "  size: 16 # y\n",
        broken: "pool: [\n  size: 32\n",
    },
    Case {
        format: Format::Ini,
        key: "pool.size",
        text: "[pool] ; x\nsize = 16 ; y\nname = a\n",
        other_bytes: "\"32\"",
        line: "size = 16 ; y\n",
        broken: "[pool\nsize = 32\n",
    },
    Case {
        format: Format::Env,
        key: "SIZE",
        text: "# x\nSIZE=16\nNAME=a\n",
        other_bytes: "\"32\"",
        line: "SIZE=16\n",
        broken: "SIZE=32\nif\n",
    },
];

/// A change from 16 to 32 that was just applied.
fn applied(case: &Case) -> (Bed, Action) {
    let bed = Bed::new();
    fs::write(bed.at("app.toml"), case.text).unwrap();
    let param = of(&bed, case);
    let change = bed
        .hands()
        .plan(&name(), &param, &ParamValue::Integer(32))
        .unwrap();
    let action = action(change);
    bed.hands().apply(&action).unwrap();
    assert_eq!(bed.text(), ours(case));
    (bed, action)
}

fn of(bed: &Bed, case: &Case) -> Param {
    let extra = serde_json::json!({ "format": case.format.as_str(), "key": case.key });
    bed.param_of(extra)
}

fn ours(case: &Case) -> String {
    case.text.replacen("16", "32", 1)
}

/// As editors do it: a new file beside, then its name over the old one's.
fn saved(bed: &Bed, text: &str) {
    fs::write(bed.at("app.toml~"), text).unwrap();
    fs::rename(bed.at("app.toml~"), bed.at("app.toml")).unwrap();
}

#[test]
fn another_value_is_theirs_however_it_was_written() {
    for case in &CASES {
        let theirs = [
            ours(case).replacen("32", "48", 1),
            // The same number in other bytes was not written by the host.
            ours(case).replacen("32", case.other_bytes, 1),
        ];
        for text in &theirs {
            for in_place in [true, false] {
                let (bed, action) = applied(case);
                if in_place {
                    fs::write(bed.at("app.toml"), text).unwrap();
                } else {
                    saved(&bed, text);
                }
                let before = fs::metadata(bed.at("app.toml")).unwrap().ino();
                let no = bed.hands().undo(&action).unwrap_err();
                assert_eq!(no.code, Code::Gone, "{} {no}", case.format.as_str());
                assert_eq!(bed.hands().settled(&action), Settled::Unknown);
                assert!(bed.hands().holds_another(&action).unwrap());
                assert_eq!(bed.text(), *text);
                let after = fs::metadata(bed.at("app.toml")).unwrap().ino();
                assert_eq!(before, after, "the file itself was left");
                assert!(bed.others().is_empty(), "{:?}", bed.others());
            }
        }
    }
}

#[test]
fn our_bytes_are_ours_and_every_edit_around_them_stays() {
    for case in &CASES {
        // Rewritten with the very value the host wrote: nobody can tell it from the host's.
        for text in [ours(case), ours(case).replacen('a', "theirs", 1)] {
            for in_place in [true, false] {
                let (bed, action) = applied(case);
                if in_place {
                    fs::write(bed.at("app.toml"), &text).unwrap();
                } else {
                    saved(&bed, &text);
                }
                assert_eq!(bed.hands().undo(&action).unwrap(), Undone::Restored);
                let want = text.replacen("32", "16", 1);
                assert_eq!(bed.text(), want, "{}", case.format.as_str());
                assert!(bed.others().is_empty(), "{:?}", bed.others());
            }
        }
    }
}

#[test]
fn what_is_gone_or_cannot_be_read_is_left_so() {
    for case in &CASES {
        let (bed, action) = applied(case);
        let without = ours(case).replacen(&case.line.replacen("16", "32", 1), "", 1);
        assert_ne!(without, ours(case));
        for (text, code) in [
            (without.as_str(), Code::Gone),
            (
                "",
                if case.format == Format::Json {
                    Code::Invalid
                } else {
                    Code::Gone
                },
            ),
            (case.broken, Code::Invalid),
        ] {
            saved(&bed, text);
            let no = bed.hands().undo(&action).unwrap_err();
            assert_eq!(no.code, code, "{} {text:?} {no}", case.format.as_str());
            assert_eq!(bed.hands().holds_another(&action).unwrap_err().code, code);
            assert_eq!(bed.hands().settled(&action), Settled::Unknown);
            assert_eq!(bed.text(), text);
        }
        fs::remove_file(bed.at("app.toml")).unwrap();
        assert_eq!(bed.hands().undo(&action).unwrap_err().code, Code::Gone);
        assert!(!bed.at("app.toml").exists(), "nothing is made anew");
        fs::write(bed.at("real"), ours(case)).unwrap();
        symlink("real", bed.at("app.toml")).unwrap();
        assert_eq!(bed.hands().undo(&action).unwrap_err().code, Code::Denied);
        assert_eq!(fs::read_to_string(bed.at("real")).unwrap(), ours(case));
    }
}

/// Two values of one file in one run: the second finds the file changed, by the run itself.
#[test]
fn one_run_may_change_two_values_of_one_file() {
    let text = "[pool]\nsize = 16 # y\nspare = 4\n";
    let scene = || {
        let bed = Bed::new();
        fs::write(bed.at("app.toml"), text).unwrap();
        let spare = bed.param_of(serde_json::json!({ "key": "pool.spare" }));
        let plan = |param: &Param, to| {
            let change = bed.hands().plan(&name(), param, &ParamValue::Integer(to));
            action(change.unwrap())
        };
        let (first, second) = (plan(&bed.param(), 32), plan(&spare, 8));
        let second = Action { id: 4, ..second };
        bed.hands().apply(&first).unwrap();
        (bed, spare, first, second)
    };
    let made = |first: &Action| vec![own(first).unwrap().clone()];
    let (bed, spare, first, second) = scene();
    let again = || bed.hands().after(made(&first));
    let no = bed.hands().apply(&second).unwrap_err();
    assert!(no.message.contains("somebody wrote"), "{no}");
    again().check(&second, &spare).unwrap();
    again().apply(&second).unwrap();
    let both = text.replace("16", "32").replace("= 4", "= 8");
    assert_eq!(bed.text(), both);
    assert_eq!(bed.hands().settled(&second), Settled::Applied);
    // In either order, and each alone.
    assert_eq!(bed.hands().undo(&first).unwrap(), Undone::Restored);
    assert_eq!(bed.text(), text.replace("= 4", "= 8"));
    assert_eq!(bed.hands().undo(&second).unwrap(), Undone::Restored);
    assert_eq!(bed.text(), text);
    // What somebody else did between the two shows all the same.
    let edits: [fn(&str) -> String; 3] = [
        |now| now.replace("# y", "# z"),
        |now| now.replace("32", "48"),
        |now| now.replace("32", "16"),
    ];
    for edit in edits {
        let (bed, _, first, second) = scene();
        let edited = edit(&bed.text());
        saved(&bed, &edited);
        let hands = bed.hands().after(made(&first));
        assert_eq!(hands.apply(&second).unwrap_err().code, Code::Gone);
        assert_eq!(bed.text(), edited);
    }
}

/// An access list as the kernel has it in an attribute: version 2, then tag, rights and whose
/// (acl(5); `posix_acl_xattr.h`).
fn access_list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, rights, whose) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(whose.to_le_bytes());
    }
    bytes
}

#[test]
fn a_directory_s_default_rights_are_not_given_to_the_file() {
    const NOBODY_ELSE: u32 = u32::MAX;
    let list = access_list(&[
        (0x01, 6, NOBODY_ELSE), // the owner
        (0x02, 6, 12_345),      // one more user
        (0x04, 4, NOBODY_ELSE), // the group
        (0x10, 6, NOBODY_ELSE), // at most
        (0x20, 0, NOBODY_ELSE), // everybody else
    ]);
    let bed = Bed::new();
    let flags = rustix::fs::XattrFlags::empty();
    let default = "system.posix_acl_default";
    if rustix::fs::setxattr(bed.dir.path(), default, &list, flags).is_err() {
        eprintln!("skipped: this file system keeps no access lists");
        return;
    }
    let path = bed.at("app.toml");
    let listed = || {
        let mut value = [0; 256];
        let length = rustix::fs::getxattr(&path, "system.posix_acl_access", &mut value[..]);
        length.ok().map(|n| value[..n].to_vec())
    };
    assert_eq!(listed(), None);
    bed.hands().apply(&bed.action(32)).unwrap();
    assert_eq!(listed(), None, "user 12345 could not read it before");
    let mode = fs::metadata(&path).unwrap().mode() & 0o7777;
    assert_eq!(mode, 0o640);
    // A list of the file's own stays as it is.
    rustix::fs::setxattr(&path, "system.posix_acl_access", &list, flags).unwrap();
    let mode = fs::metadata(&path).unwrap().mode();
    bed.hands().apply(&bed.action(36)).unwrap();
    assert_eq!(listed(), Some(list));
    assert_eq!(fs::metadata(&path).unwrap().mode(), mode);
}
