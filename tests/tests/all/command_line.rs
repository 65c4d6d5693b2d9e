//! Every verb of the command line: without a node, as JSON, into a pipe that closes, onto a full
//! disk. A verb that is not in the table fails here.

use crate::harness::{Node, Output, keepwell, keepwell_into, shared, start};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a verb needs of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// It reads one, and its data can be had as JSON.
    Read,
    /// It changes one.
    Write,
    /// It works without one.
    Nothing,
}

/// Every verb with arguments that fit.
const VERBS: &[(&str, Needs)] = &[
    ("init DIR", Needs::Nothing),
    ("doctor", Needs::Nothing),
    ("config check", Needs::Read),
    ("config show", Needs::Read),
    ("config schema", Needs::Nothing),
    ("status", Needs::Read),
    ("task list", Needs::Read),
    ("task show honest", Needs::Read),
    ("task pause honest --reason why", Needs::Write),
    ("task resume honest", Needs::Write),
    ("task skip honest --reason why", Needs::Write),
    ("task done honest --reason why", Needs::Write),
    (
        "task backfill honest --from 2d --to 1d --reason why",
        Needs::Write,
    ),
    ("task run-now honest --reason why", Needs::Write),
    ("task state list", Needs::Read),
    ("task state show honest", Needs::Read),
    ("task state clear honest --reason why", Needs::Write),
    // It answers as monitoring wants it, whatever happened.
    ("task check honest", Needs::Nothing),
    ("plan honest", Needs::Write),
    ("run honest", Needs::Write),
    ("runs list", Needs::Read),
    ("runs show last", Needs::Read),
    ("runs follow last", Needs::Read),
    ("runs changes", Needs::Read),
    ("runs cancel last", Needs::Write),
    ("runs prune", Needs::Write),
    ("runs extend s --by 30m --reason why", Needs::Write),
    (
        "runs prioritize s --criticality high --reason why",
        Needs::Write,
    ),
    (
        "runs adjust last --max-actions 1 --reason why",
        Needs::Write,
    ),
    ("runs confirm last", Needs::Write),
    ("runs resume last", Needs::Write),
    ("undo last", Needs::Write),
    ("plugin new DIR --sdk DIR", Needs::Nothing),
    ("plugin build DIR", Needs::Nothing),
    ("plugin test DIR", Needs::Nothing),
    ("plugin dev DIR --once", Needs::Nothing),
    ("plugin install /dev/null", Needs::Write),
    ("plugin upgrade /dev/null", Needs::Write),
    ("plugin accept hostile --digest 12345678", Needs::Write),
    ("plugin reject hostile", Needs::Write),
    ("plugin search clean", Needs::Write),
    ("plugin outdated", Needs::Write),
    ("plugin fetch clean", Needs::Write),
    ("plugin remove nothing", Needs::Write),
    ("plugin list", Needs::Read),
    ("plugin inspect hostile", Needs::Read),
    ("plugin tighten honest", Needs::Write),
    ("bundle keygen DIR", Needs::Nothing),
    ("bundle build FILE --publisher p --key FILE", Needs::Nothing),
    ("bundle sign FILE --key FILE", Needs::Nothing),
    ("bundle endorse FILE --key FILE", Needs::Nothing),
    ("bundle verify /dev/null", Needs::Write),
    ("bundle inspect /dev/null", Needs::Nothing),
    ("bundle pae /dev/null", Needs::Nothing),
    ("trust show", Needs::Read),
    (
        "trust add other ed25519:9DGrzVxUUL4BsZmhQougzC/hZp6I51jhgr+JEudd8HE= --names x",
        Needs::Write,
    ),
    ("trust remove hostile", Needs::Write),
    ("trust revoke hostile --reason why", Needs::Write),
    ("trust explain hostile", Needs::Read),
    (
        "trust rotate hostile ed25519:9DGrzVxUUL4BsZmhQougzC/hZp6I51jhgr+JEudd8HE=",
        Needs::Write,
    ),
    ("audit show", Needs::Read),
    ("audit verify", Needs::Read),
    ("audit prove 1", Needs::Read),
    ("audit export", Needs::Read),
    ("audit checkpoint", Needs::Write),
    ("store list", Needs::Read),
    ("store status", Needs::Read),
    ("store create new --key key", Needs::Nothing),
    ("store import new file --key key", Needs::Nothing),
    ("store export new object to", Needs::Nothing),
    ("store repair new", Needs::Nothing),
    ("daemon", Needs::Write),
    ("findings", Needs::Read),
    ("measure list", Needs::Read),
    ("measure show load", Needs::Write),
    ("measure trend", Needs::Write),
    ("report", Needs::Read),
    ("baseline make quiet load --since 1d", Needs::Write),
    ("baseline compare quiet", Needs::Write),
    ("baseline forget quiet", Needs::Write),
    ("schedule create s --daily honest", Needs::Write),
    ("schedule update s --zone UTC", Needs::Write),
    ("schedule view s", Needs::Write),
    ("schedule validate", Needs::Read),
    ("schedule next", Needs::Read),
    ("schedule list", Needs::Read),
    ("approvals list", Needs::Read),
    ("approvals show last", Needs::Write),
    ("approvals grant last --reason why", Needs::Write),
    ("approvals deny last --reason why", Needs::Write),
    ("approvals export last --out FILE", Needs::Write),
    (
        "approvals sign FILE --grant --reason why --key FILE --out FILE",
        Needs::Nothing,
    ),
    ("approvals import /dev/null", Needs::Write),
    (
        "break-glass apply last --digest 12345678 --reason why",
        Needs::Write,
    ),
    ("break-glass list", Needs::Read),
    ("break-glass ack last --reason why", Needs::Write),
    ("quarantine list", Needs::Read),
    ("quarantine expire", Needs::Write),
];

/// Exit codes that README lists; a signal or a panic gives another.
const CODES: [i32; 10] = [0, 1, 2, 3, 4, 5, 6, 70, 75, 78];

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn of(needs: Needs) -> impl Iterator<Item = Vec<&'static str>> {
    let fits = VERBS.iter().filter(move |(_, n)| *n == needs);
    fits.map(|(line, _)| words(line))
}

fn scene() -> Node {
    let node = Node::new(shared());
    node.task("honest", "plugin = 'hostile'\n");
    node.run("honest").0.exits(0);
    node
}

#[track_caller]
fn sound(verb: &[&str], out: &Output) {
    assert!(CODES.contains(&out.code), "{verb:?} exits {}", out.code);
    assert!(!out.err.contains("panicked"), "{verb:?}: {}", out.err);
}

/// The verbs without verbs of their own, as the help lists them.
fn leaves(path: &[String], found: &mut Vec<String>) {
    let out = keepwell(None, &[path, &["--help".to_owned()]].concat());
    let below = crate::transcripts::verbs(&out.exits(0).out);
    if below.is_empty() {
        assert!(
            out.out.contains("Example"),
            "no example: {}",
            path.join(" ")
        );
        found.push(path.join(" "));
    }
    for verb in below {
        leaves(&[path, &[verb]].concat(), found);
    }
}

#[test]
fn every_verb_has_an_example_and_a_line_in_the_table() {
    let _turn = shared();
    let mut found = vec![];
    leaves(&[], &mut found);
    assert!(found.len() > 60, "{found:?}");
    for verb in found {
        let known =
            |(line, _): &&(&str, Needs)| *line == verb || line.starts_with(&format!("{verb} "));
        assert!(VERBS.iter().any(|v| known(&v)), "`{verb}` is not tested");
    }
}

#[test]
fn without_a_node_every_verb_says_so() {
    let _turn = shared();
    let nowhere = Path::new("/nowhere/at/all");
    for verb in of(Needs::Read).chain(of(Needs::Write)) {
        let out = keepwell(Some(nowhere), &verb);
        assert_eq!(out.code, 78, "{verb:?}: {}{}", out.out, out.err);
        assert!(out.out.is_empty(), "{verb:?}: {}", out.out);
        out.says(&["is not a node directory", "keepwell init DIR"]);
        let out = keepwell(Some(nowhere), &[verb.as_slice(), &["--json"]].concat());
        let told: serde_json::Value = serde_json::from_str(out.err.trim()).unwrap();
        assert_eq!(told["error"]["exit"], 78, "{verb:?}");
    }
    keepwell(Some(nowhere), &["doctor"]).exits(3);
    keepwell(Some(nowhere), &["task", "check", "honest"]).exits(3);
    assert!(!nowhere.exists());
}

#[test]
fn what_is_read_can_be_had_as_json() {
    let node = scene();
    for verb in of(Needs::Read).chain([vec!["doctor"], vec!["config", "schema"]]) {
        let ask = |format: &str| {
            let out = node.keepwell(&[verb.as_slice(), &["-o", format]].concat());
            sound(&verb, &out);
            out
        };
        let one = ask("json");
        // All entries, one on each line: that is what an export is.
        if verb != ["audit", "export"] {
            let whole = serde_json::from_str::<serde_json::Value>(&one.out);
            assert!(whole.is_ok(), "{verb:?}: {}", one.out);
        }
        if verb == ["config", "schema"] {
            continue;
        }
        for line in ask("jsonl").out.lines() {
            let part = serde_json::from_str::<serde_json::Value>(line);
            assert!(part.is_ok(), "{verb:?}: {line}");
        }
    }
}

#[test]
fn what_was_typed_wrong_is_json_for_whom_asked_so() {
    let _turn = shared();
    for line in [
        "--json rnu",
        "run -o json",
        "runs list --state faild --output=jsonl",
        "--json task",
        "audit show --kind intnded --json",
    ] {
        let out = keepwell(None, &words(line));
        out.exits(2);
        let told: serde_json::Value = serde_json::from_str(out.err.trim()).unwrap();
        assert_eq!(told["error"]["exit"], 2, "{line}");
        let message = told["error"]["message"].as_str().unwrap();
        assert!(
            !message.is_empty() && !message.contains('\n'),
            "{line}: {message}"
        );
    }
    let out = keepwell(None, &["rnu"]);
    assert!(out.exits(2).err.starts_with("error:"));
}

/// `keepwell … | head -1`: whoever read enough goes away, which changes no exit code.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let node = scene();
    for verb in of(Needs::Read) {
        let code = node.keepwell(&verb).code;
        let mut child = start(Some(&node.dir()), &verb);
        drop(child.stdout.take());
        let left = child.wait_with_output().unwrap();
        assert_eq!(left.status.code(), Some(code), "{verb:?}");
        let err = String::from_utf8_lossy(&left.stderr);
        assert!(!err.contains("panicked"), "{verb:?}: {err}");
    }
}

/// Half an export that looks like a whole one would be worse than none.
#[test]
fn data_that_does_not_arrive_is_an_error() {
    let node = scene();
    for verb in of(Needs::Read) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let out = keepwell_into(&node.dir(), &verb, full);
        assert_eq!(out.code, 1, "{verb:?}: {}", out.err);
        out.says(&["cannot write to stdout"]);
    }
}

#[test]
fn a_node_is_made_whole_or_not_at_all() {
    let node = Node::new(shared());
    let dir = node.scratch().join("another");
    let init = |more: &[&str]| keepwell(None, &[&["init", dir.to_str().unwrap()], more].concat());
    init(&["--root", "a=/x", "--root", "a=/y"])
        .exits(2)
        .says(&["root `a` is given twice"]);
    init(&["--store", "a=oci:/x", "--store", "a=oci:/y"]).exits(2);
    // A folder without the publisher's key, and one with a bundle that is none.
    let bundles = node.scratch().join("bundles");
    std::fs::create_dir(&bundles).unwrap();
    init(&["--bundles", bundles.to_str().unwrap()])
        .exits(1)
        .says(&["publisher.pub"]);
    let public = crate::harness::bundles().join("publisher.pub");
    std::fs::copy(public, bundles.join("publisher.pub")).unwrap();
    std::fs::write(bundles.join("bad.kwb"), "no bundle").unwrap();
    init(&["--bundles", bundles.to_str().unwrap()])
        .exits(4)
        .says(&["bad.kwb is refused"]);
    assert!(!dir.exists());
    std::fs::remove_file(bundles.join("bad.kwb")).unwrap();
    init(&["--bundles", bundles.to_str().unwrap()]).exits(0);
    init(&[]).exits(2).says(&["is not empty"]);
}

#[test]
fn comments_in_the_trust_file_stay() {
    let node = Node::new(shared());
    let file = node.dir().join("trust.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let mine = format!("# asked on the phone\n{text}");
    std::fs::write(&file, &mine).unwrap();
    let key = "ed25519:9DGrzVxUUL4BsZmhQougzC/hZp6I51jhgr+JEudd8HE=";
    let add = [
        "trust",
        "add",
        "other",
        key,
        "--names",
        "x-*",
        "--capability",
        "metrics",
    ];
    node.keepwell(&add).exits(0);
    let shown = node.keepwell(&["trust", "show", "-o", "json"]).json();
    let other = shown
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["name"] == "other")
        .unwrap();
    assert_eq!(other["tier"], "third-party");
    assert_eq!(other["names"][0], "x-*");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with(&mine));
    node.keepwell(&add).exits(2);
    node.keepwell(&["trust", "remove", "other"]).exits(0);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap().trim_end(),
        mine.trim_end()
    );
}

/// A service manager may close what the daemon talks to. Its talk is lost then, and nothing else.
#[test]
fn a_daemon_nobody_listens_to_goes_on() {
    let node = Node::new(shared());
    node.configure_more("[daemon.pressure]\ncpu = '100%'\nio = '100%'\nload-percent = 10000\n");
    node.task(
        "honest",
        "plugin = 'hostile'\nschedule = { every = '1s' }\n",
    );
    let mut child = start(Some(&node.dir()), &["daemon", "--log", "debug"]);
    drop(child.stderr.take());
    let began = Instant::now();
    let runs = || node.keepwell(&["runs", "list", "-o", "json"]).json();
    while runs().as_array().unwrap().len() < 3 {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "nothing is started"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
