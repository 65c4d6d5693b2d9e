//! Chapters of the documents are run as they stand: every command in a `console` block by a shell, every
//! file that a block's first line names written, and what was printed held against what the page shows.

use crate::harness::{binary, checkout, command_line, have, shared};
use std::path::Path;

/// What a page has its reader do.
#[derive(Debug)]
enum Step {
    /// Write this file: a block that begins with three backticks, a language, and the file's name.
    Write { file: String, text: String },
    /// Run this, and see these lines among what it prints, in this order.
    Run { line: String, shows: Vec<String> },
}

/// The page from its beginning to the heading `until`, or to its end.
fn steps(page: &str, until: Option<&str>) -> Vec<Step> {
    let mut text = std::fs::read_to_string(checkout().join("docs").join(page)).unwrap();
    if let Some(heading) = until {
        let at = text.find(&format!("\n## {heading}\n"));
        text.truncate(at.unwrap_or_else(|| panic!("{page} has no `{heading}`")));
    }
    let mut steps = vec![];
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if kind == "console" {
            steps.extend(commands(&block));
        } else if let Some((_, file)) = kind.split_once(' ') {
            let (file, text) = (file.to_owned(), block.join("\n") + "\n");
            steps.push(Step::Write { file, text });
        }
    }
    assert!(!steps.is_empty(), "{page} has nothing to do");
    steps
}

fn commands(block: &[&str]) -> Vec<Step> {
    let mut found = vec![];
    for line in block {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push(Step::Run {
                line: command.to_owned(),
                shows: vec![],
            }),
            // A command that was too long for one line.
            (
                None,
                Some(Step::Run {
                    line: command,
                    shows,
                }),
            ) if command.ends_with('\\') && shows.is_empty() => {
                command.truncate(command.len() - 1);
                command.push_str(line.trim_start());
            }
            (None, Some(Step::Run { shows, .. })) => shows.push((*line).to_owned()),
            (None, _) => panic!("output before any command: {line}"),
        }
    }
    found
}

/// Does all of it in a folder, with the words for what lies elsewhere replaced.
fn follow(page: &str, until: Option<&str>, folder: &Path) -> usize {
    let _turn = shared();
    let steps = steps(page, until);
    for step in &steps {
        match step {
            Step::Write { file, text } => std::fs::write(folder.join(file), text).unwrap(),
            Step::Run { line, shows } => run(page, line, shows, folder),
        }
    }
    steps.len()
}

fn run(page: &str, line: &str, shows: &[String], folder: &Path) {
    let here = checkout();
    let line = line.replace("KEEPWELL", here.to_str().unwrap());
    let (ok, printed) = command_line(&line, folder, &binary());
    assert!(ok, "{page}: `{line}` failed:\n{printed}");
    let mut rest = printed.lines().map(shape);
    for wanted in shows
        .iter()
        .filter(|line| !line.trim().is_empty() && *line != "…")
    {
        let seen = rest.any(|line| fits(&line, wanted));
        assert!(
            seen,
            "{page}: `{line}` does not print, after what came before:\n{wanted}\nbut:\n{printed}"
        );
    }
}

/// A line without what differs from run to run: its words, those with figures and units as `#`.
fn shape(line: &str) -> Vec<String> {
    const UNITS: [&str; 8] = ["µs", "ms", "s", "m", "B", "KiB", "MiB", "GiB"];
    let figure = |word: &str| {
        let digits = word.len() > 1 && word.contains(|c: char| c.is_ascii_digit());
        digits || UNITS.contains(&word.trim_end_matches([',', ')']))
    };
    let words = line.split_whitespace();
    words
        .map(|word| {
            if figure(word) {
                "#".to_owned()
            } else {
                word.to_owned()
            }
        })
        .collect()
}

/// A page cuts a long line with `…`.
fn fits(line: &[String], wanted: &str) -> bool {
    match wanted.trim_end().strip_suffix('…') {
        Some(before) => {
            let mut before = shape(before);
            // The word that was cut.
            if !wanted.ends_with(" …") {
                before.pop();
            }
            line.starts_with(&before)
        }
        None => line == shape(wanted),
    }
}

#[test]
fn what_is_not_printed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let tried = |line: &str, shows: &[&str]| {
        let shows: Vec<String> = shows.iter().map(|s| (*s).to_owned()).collect();
        let tried = std::panic::catch_unwind(|| run("page", line, &shows, folder.path()));
        tried.is_ok()
    };
    assert!(tried("echo took 12 ms", &["took 347 ms"]));
    assert!(tried("printf 'a\\nb\\n'", &["a", "b"]));
    assert!(!tried("printf 'a\\nb\\n'", &["b", "a"]));
    assert!(!tried("echo exits 4", &["exits 5"]));
    assert!(!tried("false", &[]));
    assert!(!tried("echo", &["something"]));
    assert!(tried("echo key 12ab34 is gone", &["key 56cd…"]));
    assert!(!tried("echo lock 12ab34 is gone", &["key 56cd…"]));
}

/// A stranger's plugin from its maker's desk to a node and out again.
#[test]
fn a_stranger_s_plugin() {
    if !(have("docker-registry") && have("curl")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let done = follow("STRANGERS.md", None, folder.path());
    assert!(done > 40, "only {done} steps");
}

/// From nothing to a signed bundle that runs on a node.
#[test]
fn writing_a_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let until = Some("What a task keeps between its runs");
    let done = follow("WRITING-PLUGINS.md", until, folder.path());
    assert!(done > 12, "only {done} steps");
}
