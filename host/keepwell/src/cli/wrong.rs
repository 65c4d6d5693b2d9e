//! What was typed wrong, told as it was asked for: to people as clap has it, to programs as JSON.

use crate::error::Error;
use crate::show::{Format, Out};
use clap::ValueEnum as _;
use clap::error::ErrorKind;
use keepwell_model::state::Exit;
use std::ffi::OsString;

/// Prints help, version or the mistake, and gives the exit code.
pub(super) fn told(e: &clap::Error, args: impl Iterator<Item = OsString>) -> Exit {
    // Help and version are data; everything else is talk about a usage error.
    let exit = if e.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    };
    match format(args) {
        Some(format @ (Format::Json | Format::Jsonl)) if e.use_stderr() => {
            Out::new(format).error(&error(e));
        }
        Some(_) | None => {
            // Nobody listening is no reason for another exit code.
            let _ = e.print();
        }
    }
    exit
}

/// The format asked for, found without parsing the rest, which is what failed.
fn format(args: impl Iterator<Item = OsString>) -> Option<Format> {
    let mut words = args.skip(1).map_while(|word| word.into_string().ok());
    let mut found = None;
    while let Some(word) = words.next() {
        let value = match word.as_str() {
            "--" => break,
            "--json" => Some("json".to_owned()),
            "-o" | "--output" => words.next(),
            other => other
                .strip_prefix("--output=")
                .or_else(|| other.strip_prefix("-o"))
                .map(|value| value.trim_start_matches('=').to_owned()),
        };
        found = value
            .and_then(|value| Format::from_str(&value, false).ok())
            .or(found);
    }
    found
}

/// The same mistake without clap's layout: its first paragraph, and its tip or the usage as hint.
fn error(e: &clap::Error) -> Error {
    if e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Error::usage("a verb is missing").hint("`--help` lists them");
    }
    let text = e.render().to_string();
    let flat = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts: Vec<String> = text.split("\n\n").map(flat).collect();
    let message = parts
        .first()
        .map_or("", |part| part.trim_start_matches("error: "));
    let starts = |with: &str| {
        let mut found = parts.iter().filter_map(|part| part.strip_prefix(with));
        found.next().map(str::to_owned)
    };
    let hint = starts("tip: ").or_else(|| starts("Usage: "));
    match hint {
        Some(hint) => Error::usage(message).hint(hint),
        None => Error::usage(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;

    fn asked(line: &str) -> Option<Format> {
        format(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_format_is_found_wherever_it_stands() {
        for line in [
            "k --json rnu",
            "k rnu -o json",
            "k rnu -ojson",
            "k --output=json rnu",
        ] {
            assert_eq!(asked(line), Some(Format::Json), "{line}");
        }
        assert_eq!(asked("k rnu --output jsonl"), Some(Format::Jsonl));
        for line in ["k rnu", "k rnu -- --json", "k rnu -o", "k rnu -o yaml"] {
            assert_eq!(asked(line), None, "{line}");
        }
    }

    #[test]
    fn a_mistake_becomes_a_sentence_and_a_hint() {
        let told = |line: &str| error(&Cli::try_parse_from(line.split(' ')).unwrap_err());
        let e = told("keepwell rnu");
        assert!(e.message.contains("unrecognized subcommand 'rnu'"), "{e:?}");
        assert!(e.hint.is_some());
        let e = told("keepwell run");
        assert!(e.message.contains("<TASK>"), "{e:?}");
        assert_eq!(told("keepwell task").message, "a verb is missing");
    }
}
