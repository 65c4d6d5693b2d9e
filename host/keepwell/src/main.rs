//! `keepwell`: the hidden worker and compiler first, then the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    let first = std::env::args_os().nth(1);
    match first.as_ref().and_then(|a| a.to_str()) {
        Some(keepwell::worker::WORKER) => ExitCode::from(keepwell_sandbox::worker_main()),
        Some(keepwell::worker::COMPILE) => ExitCode::from(keepwell_sandbox::compile_main()),
        _ => keepwell::cli::main(),
    }
}
