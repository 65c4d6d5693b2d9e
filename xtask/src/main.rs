//! The chores: `cargo xtask demo | test | properties | dist | bench`. This file is the table of contents.

mod bench;
mod build;
mod clear;
mod demo;
mod dist;
mod error;
mod figures;
mod noise;
mod places;
mod step;
mod targets;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <chore>

  demo [--short]          build, then watch real maintenance on a node under target/demo, and half
                          a minute of its daemon: schedules, a plan that waits for a second
                          person, a tuning that takes itself back; --short leaves that out
  test                    build what the tests need, run all of them, then fmt and clippy
  properties [--cases N]  the tests that make up their cases, with new and many more of them
  dist                    an optimized target/dist: bin/keepwell and bundles/*.kwb
  bench [--quick] [--only NAME]
                          measure against the targets and print a table
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["demo", options @ ..] => demo::run(options),
        ["test"] => test::run(),
        ["properties", options @ ..] => test::properties(options),
        ["dist"] => dist::run(),
        ["bench", options @ ..] => bench::run(options),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.tell();
            ExitCode::from(error.exit())
        }
    }
}
