//! `keepwell-pull`: brings bundles here from repositories and registries, and publishes them there.
//! The daemon and `keepwell` link no network client; this program is the only one that does, holds
//! no secret of a node, and what it brings is a file that is verified like any other.

mod cli;
mod endorsement;
mod error;
mod files;
mod oci;
mod offer;
mod show;
mod tuf;
mod walls;
mod web;

fn main() -> std::process::ExitCode {
    cli::main()
}
