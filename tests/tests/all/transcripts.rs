//! What the program prints, word for word: the help of every verb and some refusals. Run with
//! `BLESS=1` to write `tests/transcripts/` anew, then read the difference.

use crate::harness::{Node, Output, checkout, keepwell, pull, shared};
use std::path::PathBuf;

fn folder() -> PathBuf {
    checkout().join("tests/transcripts")
}

/// `name.txt` must hold this output.
fn held(name: &str, command: &str, out: &Output, scratch: Option<&Node>) {
    let mut text = format!("$ {command}\n{}{}[exit {}]\n", out.out, out.err, out.code);
    if let Some(node) = scratch {
        text = text.replace(node.dir().to_str().unwrap(), "NODE");
        text = text.replace(node.scratch().to_str().unwrap(), "SCRATCH");
    }
    let path = folder().join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == text,
        "{} differs; `BLESS=1 cargo xtask test` writes it anew\nis now:\n{text}\nwas:\n{known}",
        path.display()
    );
}

/// Names of the verbs below `verb`, as its help lists them.
pub(crate) fn verbs(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|l| *l != "Commands:").skip(1);
    listed
        .take_while(|l| !l.trim().is_empty())
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next().map(str::to_owned))
        .filter(|verb| verb != "help")
        .collect()
}

/// How a program is run, and how its transcripts begin.
struct Program {
    name: &'static str,
    prefix: &'static str,
    run: fn(&[String]) -> Output,
}

const KEEPWELL: Program = Program {
    name: "keepwell",
    prefix: "help",
    run: |args| keepwell(None, args),
};
const PULLER: Program = Program {
    name: "keepwell-pull",
    prefix: "help-pull",
    run: |args| pull(args),
};

fn help(program: &Program, path: &[String], seen: &mut Vec<String>) {
    let args = [path, &["--help".to_owned()]].concat();
    let out = (program.run)(&args);
    out.exits(0);
    let name = [&[program.prefix.to_owned()], path].concat().join("-");
    held(
        &name,
        &format!("{} {}", program.name, args.join(" ")),
        &out,
        None,
    );
    seen.push(name);
    let below = verbs(&out.out);
    if below.is_empty() {
        assert!(out.out.contains("Example"), "no example: {args:?}");
    }
    for verb in below {
        help(program, &[path, &[verb]].concat(), seen);
    }
}

#[test]
fn the_help_of_every_verb() {
    let _turn = shared();
    let mut seen = vec![];
    help(&KEEPWELL, &[], &mut seen);
    help(&PULLER, &[], &mut seen);
    assert!(seen.len() > 40, "{seen:?}");
    let kept = std::fs::read_dir(folder()).unwrap();
    for entry in kept {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let stem = name.strip_suffix(".txt").unwrap_or(&name);
        assert!(
            !stem.starts_with("help") || seen.iter().any(|s| s == stem),
            "{name} is of no verb"
        );
    }
}

#[test]
fn refusals_teach() {
    let node = Node::new(shared());
    node.task("clean", "plugin = 'clean'\ntask = 'temp-clean'\n\n[settings]\nolder-then = '1h'\n\n[grant]\nstorage = { roots = ['tpm'] }\n");
    let cases: &[(&str, &[&str])] = &[
        ("refused-config", &["config", "check"]),
        ("refused-config-json", &["config", "check", "-o", "json"]),
        ("refused-task", &["run", "cleen"]),
        ("refused-run", &["runs", "show", "last"]),
        ("refused-undo", &["undo", "last"]),
        ("refused-plugin", &["plugin", "remove", "nothing"]),
        ("refused-verb", &["rnu", "clean"]),
        ("refused-setting", &["run", "clean", "--set", "older-than"]),
        ("refused-bundle", &["plugin", "install", "/dev/null"]),
        ("refused-yes", &["run", "clean", "--yes"]),
    ];
    for (name, args) in cases {
        let out = node.keepwell(args);
        assert_ne!(out.code, 0, "{name}");
        held(
            name,
            &format!("keepwell {}", args.join(" ")),
            &out,
            Some(&node),
        );
    }
    let nowhere = node.scratch().join("nowhere");
    let out = keepwell(Some(&nowhere), &["status"]);
    held(
        "refused-nowhere",
        "keepwell --node SCRATCH/nowhere status",
        &out,
        Some(&node),
    );
}

/// Every `keepwell VERB` and `cargo xtask CHORE` in the README is one.
#[test]
fn the_readmes_commands_exist() {
    let _turn = shared();
    let Ok(text) = std::fs::read_to_string(checkout().join("README.md")) else {
        panic!("there is no README.md");
    };
    let known = verbs(&keepwell(None, &["--help"]).exits(0).out);
    let mut seen = 0;
    for line in text.lines() {
        let line = line.trim_start_matches("$ ").trim_start();
        if let Some(rest) = line.strip_prefix("keepwell ") {
            let mut words = rest.split_whitespace();
            let verb = words.find(|w| !w.starts_with('-') && !w.contains('/'));
            let verb = verb.unwrap_or_default();
            assert!(
                known.iter().any(|k| k == verb),
                "README: `{line}`: no verb `{verb}`"
            );
            seen += 1;
        }
        if let Some(chore) = line.strip_prefix("cargo xtask ") {
            let chore = chore.split_whitespace().next().unwrap_or_default();
            assert!(
                ["demo", "test", "dist", "bench"].contains(&chore),
                "README: `{line}`"
            );
            seen += 1;
        }
    }
    assert!(seen > 2, "the README shows {seen} commands");
}
