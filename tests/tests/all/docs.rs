//! What the documents say of the program: its commands, files and tests are there, and the
//! runbook's counts are those of its rows.

use crate::harness::{Node, Output, checkout, keepwell, pull, shared};
use crate::transcripts::verbs;
use keepwell_model::store::{State, StoreKind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The README and every page of docs/, by name.
fn pages() -> Vec<(String, String)> {
    let mut paths = vec![checkout().join("README.md")];
    let docs = std::fs::read_dir(checkout().join("docs")).unwrap();
    paths.extend(docs.map(|entry| entry.unwrap().path()));
    paths.retain(|path| path.extension().is_some_and(|e| e == "md"));
    paths.sort();
    let named = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(named).collect()
}

/// What stands between single backticks, code blocks left out.
fn inline_code(text: &str) -> Vec<String> {
    let mut found = vec![];
    let mut in_block = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            prose.push_str(line);
            // A table's row ends what a stray backtick began.
            prose.push(if line.starts_with('|') { '\n' } else { ' ' });
        }
    }
    for row in prose.lines() {
        let parts = row.split('`').skip(1).step_by(2);
        found.extend(parts.map(|part| part.replace("\\|", "|")));
    }
    found
}

/// Programs of Keepwell that people call.
const PROGRAMS: [&str; 2] = ["keepwell", "keepwell-pull"];

fn is_command(text: &str) -> bool {
    let first = text.split(' ').next();
    text.contains(' ') && first.is_some_and(|first| PROGRAMS.contains(&first))
}

/// Commands of these programs, as they are written in prose and in code blocks.
fn commands(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let line = line.trim();
            let line = line.strip_prefix("$ ").unwrap_or(line);
            is_command(line).then(|| line.to_owned())
        })
        .collect();
    found.extend(inline_code(text).into_iter().filter(|c| is_command(c)));
    found
}

/// Each help once, by program and verb.
#[derive(Default)]
struct Helps(BTreeMap<Vec<String>, String>);

fn help(program: &str, path: &[String]) -> Output {
    let args = [path, &["--help".to_owned()]].concat();
    match program {
        "keepwell-pull" => pull(&args),
        _ => keepwell(None, &args),
    }
}

impl Helps {
    fn of(&mut self, path: &[String]) -> &str {
        self.0
            .entry(path.to_vec())
            .or_insert_with(|| help(&path[0], &path[1..]).exits(0).out.clone())
    }

    /// Verbs and options of one command must exist. `list|show` stands for both.
    fn check(&mut self, page: &str, command: &str) {
        let mut words = command.split_whitespace();
        let mut path = vec![words.next().unwrap_or_default().to_owned()];
        while let Some(word) = words.next() {
            if ["&&", "|", "#", "&", ">"].contains(&word) || word.starts_with('#') {
                break;
            }
            if ["--node", "-o", "--output", "--socket"].contains(&word) {
                words.next();
                continue;
            }
            if let Some(option) = word.strip_prefix("--") {
                let option = option.split('=').next().unwrap_or(option);
                let there = self.of(&path).contains(&format!("--{option}"));
                assert!(there, "{page}: `{command}`: {path:?} has no --{option}");
                continue;
            }
            let below = verbs(self.of(&path));
            if below.is_empty() || word.starts_with(char::is_uppercase) {
                continue;
            }
            for one in word.split('|') {
                assert!(
                    below.iter().any(|b| b == one),
                    "{page}: `{command}`: no verb `{one}`"
                );
            }
            if word.contains('|') {
                break;
            }
            path.push(word.to_owned());
        }
    }
}

#[test]
fn every_command_in_the_documents_exists() {
    let _turn = shared();
    let mut helps = Helps::default();
    let mut seen = 0;
    for (page, text) in pages() {
        for command in commands(&text) {
            helps.check(&page, &command);
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} commands");
}

#[test]
#[should_panic(expected = "no verb")]
fn a_command_that_is_none_is_noticed() {
    let _turn = shared();
    Helps::default().check("page", "keepwell runs lits");
}

#[test]
#[should_panic(expected = "has no --onyl")]
fn an_option_that_is_none_is_noticed() {
    let _turn = shared();
    Helps::default().check("page", "keepwell --node n undo last --onyl 3");
}

/// Files that pages name from the repository's root.
#[test]
fn every_file_in_the_documents_is_there() {
    const ROOMS: [&str; 6] = ["host/", "tests/", "sdk/", "xtask/", "plugins/", "wit/"];
    let mut seen = 0;
    for (page, text) in pages() {
        for name in inline_code(&text) {
            let ours = ROOMS
                .iter()
                .any(|room| name.starts_with(room) && name.len() > room.len());
            if !ours || name.contains([' ', '*', '…']) || name.contains("NAME") {
                continue;
            }
            let path = checkout().join(&name);
            // A module is named without its ending.
            let there = path.exists() || path.with_extension("rs").exists();
            assert!(there, "{page}: `{name}` is not there");
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} files");
}

/// Tests that hold a claim of THREATS.md, by their names.
#[test]
fn every_test_that_the_threats_name_exists() {
    let (_, text) = pages()
        .into_iter()
        .find(|(page, _)| page == "THREATS.md")
        .unwrap();
    let mut all = vec![];
    crate::tidy::sources(&checkout(), &mut all);
    let code: Vec<String> = all
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let mut seen = 0;
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let Some(held_by) = row.trim_end_matches('|').rsplit(" | ").next() else {
            continue;
        };
        for name in inline_code(held_by) {
            let is_name = name.contains('_') && !name.contains(['/', '.', ' ']);
            if is_name {
                let definition = format!("fn {name}(");
                // A hostile guest is a test of its own name.
                let guest = checkout()
                    .join(format!("tests/guests/src/{name}.rs"))
                    .exists();
                let there = guest || code.iter().any(|c| c.contains(&definition));
                assert!(there, "no test `{name}`");
                seen += 1;
            }
        }
    }
    assert!(seen > 25, "only {seen} tests");
}

/// The cells of each row of a Markdown table that begins with a command's id.
fn rows(text: &str) -> Vec<Vec<String>> {
    let ours = |line: &&str| line.starts_with("| C") && line.as_bytes()[3].is_ascii_digit();
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim_start_matches("| ").trim_end_matches('|');
        inner
            .replace("\\|", "\u{1}")
            .split('|')
            .map(|c| c.trim().replace('\u{1}', "|"))
            .collect()
    };
    text.lines().filter(ours).map(cells).collect()
}

/// The numbers behind a name in the summary tables.
fn counted(text: &str, name: &str) -> Vec<usize> {
    let row = text
        .lines()
        .find(|line| line.starts_with(&format!("| {name} |")));
    let row = row.unwrap_or_else(|| panic!("RUNBOOK.md has no line for {name}"));
    row.split('|')
        .filter_map(|cell| cell.trim().parse().ok())
        .collect()
}

#[test]
fn the_runbook_counts_what_it_lists() {
    const STATES: [&str; 3] = ["today", "partly", "not yet"];
    let (_, text) = pages()
        .into_iter()
        .find(|(page, _)| page == "RUNBOOK.md")
        .unwrap();
    let rows = rows(&text);
    let ids: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    let wanted: Vec<String> = (1..=118).map(|n| format!("C{n:03}")).collect();
    assert_eq!(ids, wanted);
    let of = |room: Option<&str>, state: &str| {
        let fits = |row: &&Vec<String>| row[3] == state && room.is_none_or(|r| row[5] == r);
        rows.iter().filter(fits).count()
    };
    for state in STATES {
        assert_eq!(counted(&text, state), [of(None, state)], "{state}");
    }
    assert_eq!(counted(&text, "all"), [118]);
    let rooms: BTreeSet<&str> = rows.iter().map(|row| row[5].as_str()).collect();
    for room in rooms {
        assert_eq!(
            counted(&text, room),
            STATES.map(|s| of(Some(room), s)),
            "{room}"
        );
    }
    for row in &rows {
        let (state, place) = (row[3].as_str(), row[4].as_str());
        assert!(STATES.contains(&state), "{row:?}");
        assert_eq!(state == "not yet", place.is_empty(), "{row:?}");
    }
}

/// A row for each kind of store, and for each verdict on a shard.
#[test]
fn every_kind_of_store_is_documented() {
    let page = std::fs::read_to_string(checkout().join("docs/STORES.md")).unwrap();
    let rows: Vec<Vec<String>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| inline_code(line.split('|').nth(1).unwrap()))
        .collect();
    let kinds = StoreKind::ALL.map(StoreKind::as_str);
    for name in kinds.into_iter().chain(State::ALL.map(State::as_str)) {
        let rows = rows.iter().flatten().filter(|row| *row == name);
        assert_eq!(
            rows.count(),
            1,
            "`{name}` has no row in STORES.md, or more than one"
        );
    }
}

/// Every key of a document on stdout stands in FORMATS.md, in the line of its verb.
#[test]
fn the_keys_of_json_are_documented() {
    let (_, text) = pages()
        .into_iter()
        .find(|(page, _)| page == "FORMATS.md")
        .unwrap();
    let node = Node::new(shared());
    node.task(
        "resource-check",
        "plugin = 'health'\n[grant]\nmetrics = {}\n",
    );
    node.run("resource-check");
    let verbs = [
        "status",
        "runs list",
        "report",
        "findings",
        "measure list",
        "task list",
        "task show resource-check",
        "trust show",
        "audit show",
        "config show",
        "config check",
        "doctor",
    ];
    for verb in verbs {
        let mut words: Vec<&str> = verb.split(' ').collect();
        words.push("--json");
        let mut json = node.keepwell(&words).json();
        if let Some(rows) = json.as_array_mut() {
            if rows.is_empty() {
                assert_eq!(verb, "findings", "nothing to look at");
                continue;
            }
            json = rows.remove(0);
        }
        let name = verb.trim_end_matches(" resource-check");
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")))
            .unwrap_or_else(|| panic!("FORMATS.md has no line for `{name}`"));
        let known = inline_code(line);
        for key in json.as_object().unwrap().keys() {
            assert!(
                known.contains(key),
                "`{name}` prints `{key}`, which is not in: {line}"
            );
        }
    }
}
