//! Looking at a node by its daemon's socket: a verb that only looks is passed on as it was typed.

use super::Global;
use crate::api::{Answer, Request};
use crate::error::Result;
use keepwell_model::role;
use keepwell_model::state::Exit;
use std::ffi::OsString;

/// Options of ours that have a value.
const WITH_VALUE: [&str; 4] = ["--node", "--socket", "--output", "-o"];
/// Those of them that the daemon is told.
const PASSED_ON: [&str; 2] = ["--output", "-o"];

/// Has the daemon at `--socket` look, when that is all the verb does. `None`: it is done here.
pub(super) fn look(global: &Global, typed: impl Iterator<Item = OsString>) -> Option<Result<Exit>> {
    global.dir().elsewhere()?;
    let words = words(typed)?;
    role::look(&words)?;
    Some(global.ask(Request::Look { words }).map(|answer| {
        global.show(&answer);
        match answer {
            Answer::Looked { exit, .. } => Exit::from_code(exit),
            _ => Exit::Internal,
        }
    }))
}

/// What was typed with the verb first, and without where the node is. `None`: not all of it is text.
fn words(typed: impl Iterator<Item = OsString>) -> Option<Vec<String>> {
    let mut typed = typed.skip(1);
    let (mut words, mut last) = (vec![], vec![]);
    while let Some(word) = typed.next() {
        let word = word.into_string().ok()?;
        let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        if word == "--json" {
            last.push(word);
        } else if WITH_VALUE.contains(&name) {
            let value = match word.split_once('=') {
                Some((_, value)) => value.to_owned(),
                None => typed.next()?.into_string().ok()?,
            };
            if PASSED_ON.contains(&name) {
                last.extend(["--output".to_owned(), value]);
            }
        } else {
            words.push(word);
        }
    }
    words.extend(last);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_comes_first_and_the_node_is_left_out() {
        let typed = "keepwell --socket /run/s -o jsonl --node=/x runs list --json --task t";
        let words = words(typed.split(' ').map(OsString::from)).unwrap();
        assert_eq!(words.join(" "), "runs list --task t --output jsonl --json");
    }

    #[test]
    fn no_verb_that_only_looks_names_a_file() {
        use clap::CommandFactory as _;
        use std::any::TypeId;
        for verb in role::LOOKS {
            let mut command = super::super::Cli::command();
            for word in verb.split(' ') {
                let found = command.find_subcommand(word);
                command = found
                    .unwrap_or_else(|| panic!("`{verb}` is no verb"))
                    .clone();
            }
            for argument in command.get_arguments() {
                let of = argument.get_value_parser().type_id();
                let file = TypeId::of::<std::path::PathBuf>();
                assert!(of != file, "{verb}: {}", argument.get_id());
            }
        }
    }
}
