//! The command line: what was typed becomes what it means, then one file per noun does it.

mod oci;
mod reading;
mod repo;

use crate::error::{Error, Result};
use crate::show::{self, Format};
use clap::{Parser, Subcommand};
use keepwell_model::state::Exit;
use std::process::ExitCode;

/// Brings bundles from repositories and registries, and publishes them there. What it brings is a
/// file; `keepwell plugin install` verifies it and decides.
#[derive(Debug, Parser)]
#[command(
    name = "keepwell-pull",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 4 refused, 5 limit hit, 70 our bug, 75 not now,\n\
                  78 bad configuration.\n\n\
                  Example:\n  keepwell-pull repo search --repo https://plugins.example/ --root root.json"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// How data is printed on stdout.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    output: Format,
    /// Short for --output json.
    #[arg(long, global = true, conflicts_with = "output")]
    json: bool,
}

impl Global {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Repositories after The Update Framework: make one, add to it, read it.
    #[command(subcommand)]
    Repo(repo::Verb),
    /// Registries: push a bundle, fetch one, copy one.
    #[command(subcommand)]
    Oci(oci::Verb),
}

/// Parses, does, and turns what happened into an exit code.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are data; everything else is talk about a usage error.
            let exit = if e.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            let _ = e.print();
            return ExitCode::from(exit.code());
        }
    };
    let format = cli.global.format();
    let ended = match &cli.noun {
        Noun::Repo(verb) => repo::repo(format, verb),
        Noun::Oci(verb) => oci::oci(format, verb),
    };
    ExitCode::from(match ended {
        Ok(exit) => exit.code(),
        Err(error) => {
            show::error(format, &error);
            error.exit.code()
        }
    })
}

/// What a network client needs before it is made. Once for the process: there is one implementation
/// of TLS here, whose cryptography is `tough`'s too.
fn prepare() {
    // Fails when it was done before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Runs one verb to its end, on this thread alone.
fn run<T>(verb: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::failed(format!("cannot begin: {e}")))?
        .block_on(verb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
